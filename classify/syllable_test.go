package classify

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePinyin(t *testing.T) {
	tab := syllables()
	tests := map[string]string{
		"zhaiwuchongzu":                     "zhai wu chong zu",
		"zhengxin":                          "zheng xin",
		"lv":                                "lv",
		"a":                                 "a",
		"xian":                              "xian", // the fewest syllables
		"fangan":                            "fan gan",
		"weixin":                            "wei xin",
		"zwcz":                              "",
		"possible":                          "",
		"":                                  "",
		"zhé":                               "",
		strings.Repeat("a", maxPinyinRun+1): "",
	}
	for in, want := range tests {
		run := []rune(in)
		ends, ids, n := tab.parsePinyin(run)
		var got []string
		from := 0
		for i := range n {
			s := string(run[from:ends[i]])
			if s != tab.spelling[ids[i]] {
				t.Errorf("%q: syllable %q has the id of %q", in, s, tab.spelling[ids[i]])
			}
			got, from = append(got, s), int(ends[i])
		}
		if s := strings.Join(got, " "); s != want && !(in == "fangan" && s == "fang an") {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
}

// TestAmbiguousPinyin: letters that could be split elsewhere still match.
func TestAmbiguousPinyin(t *testing.T) {
	m := mustMatcher(t, []pattern{{"债务方案", 1, 0}, {"翻杠杆", 2, 0}})
	for _, text := range []string{"zhaiwufangan", "fanganggan"} {
		if _, hits := scanAll(m, text); len(hits) != 1 || hits[0].evasions != evPinyin {
			t.Errorf("%q: %+v", text, hits)
		}
	}
}

func TestBopomofo(t *testing.T) {
	tab := syllables()
	tests := map[string]string{
		"ㄓㄞ": "zhai", "ㄨ": "wu", "ㄔㄨㄥ": "chong", "ㄗㄨ": "zu", "ㄓ": "zhi", "ㄙ": "si", "ㄒㄩㄝ": "xue", "ㄌㄩ": "lv", "ㄋㄩㄝ": "nve",
		"ㄐㄩㄢ": "juan", "ㄧㄡ": "you", "ㄌㄧㄡ": "liu", "ㄨㄥ": "weng", "ㄩㄥ": "yong", "ㄦ": "er", "ㄑㄩㄥ": "qiong", "ㄊㄨㄟ": "tui", "ㄅㄠ": "bao",
	}
	for in, want := range tests {
		id, n := tab.parseBopomofo([]rune(in))
		if tab.spelling[id] != want || n != len([]rune(in)) {
			t.Errorf("%s: %q over %d, want %q", in, tab.spelling[id], n, want)
		}
	}
	if id, n := tab.parseBopomofo([]rune("ㆴ")); id != 0 || n != 1 {
		t.Errorf("an unknown sign: id %d over %d", id, n)
	}
	spelt := map[uint16]bool{}
	for _, id := range tab.bopomofo {
		spelt[id] = true
	}
	if len(spelt) < 380 {
		t.Errorf("only %d of %d syllables can be written in bopomofo", len(spelt), len(tab.spelling)-1)
	}
}

func TestReadings(t *testing.T) {
	tab := syllables()
	for r, want := range map[rune][]string{'重': {"zhong", "chong"}, '债': {"zhai"}, '行': {"xing", "hang"}, '广': {"guang"}, 'a': nil} {
		var got []string
		for _, id := range tab.readings(r) {
			got = append(got, tab.spelling[id])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%c: %v, want %v", r, got, want)
		}
	}
	// Every second reading in the table names a syllable and differs from the main one.
	for r, list := range foldTables().readings {
		for _, s := range list {
			if tab.id[s] == 0 {
				t.Errorf("%c: %q is no syllable", r, s)
			}
		}
		if tab.main.code(r) == 0 {
			t.Errorf("%c has no main reading", r)
		}
	}
}
