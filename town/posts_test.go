package town

import (
	"strings"
	"testing"
)

func TestParseNamesFileAndLineOfMistakes(t *testing.T) {
	const head = "== 1 | 标题\n"
	for name, c := range map[string]struct{ text, want string }{
		"no page":          {"-- 1 | 1h | 甲 | other\n字", "town/x.txt:1: post before the first page"},
		"text before post": {head + "字", "town/x.txt:2: text outside of a post"},
		"key":              {head + "-- a1 | 1h | 甲 | other\n字", `town/x.txt:2: key "a1" is no number`},
		"key twice":        {head + "-- 1 | 1h | 甲 | other\n字\n-- 1 | 1h | 乙 | other\n字", "town/x.txt:4: key 1 is used twice"},
		"age":              {head + "-- 1 | soon | 甲 | other\n字", `town/x.txt:2: age "soon" cannot be read`},
		"no age":           {head + "-- 1 |  | 甲 | other\n字", `town/x.txt:2: age "" cannot be read`},
		"author":           {head + "-- 1 | 1h |  | other\n字", "town/x.txt:2: author is missing"},
		"stance":           {head + "-- 1 | 1h | 甲 | ad\n字", `town/x.txt:2: unknown stance "ad"`},
		"offer of nothing": {head + "-- 1 | 1h | 甲 | offer\n字", `town/x.txt:2: stance "offer" does not go with category ""`},
		"report of a kind": {head + "-- 1 | 1h | 甲 | report cashout\n字", `town/x.txt:2: stance "report" does not go with category "cashout"`},
		"evasion":          {head + "-- 1 | 1h | 甲 | offer cashout | magic\n字", `town/x.txt:2: unknown evasion "magic"`},
		"contact":          {head + "-- 1 | 1h | 甲 | offer cashout | | abc\n字", `town/x.txt:2: contact "abc" cannot be read`},
		"escape":           {head + "-- 1 | 1h | 甲 | other\n字" + `\ud83d`, `town/x.txt:3: \ud83d is half a character`},
		"no text":          {head + "-- 1 | 1h | 甲 | other\n", "town/x.txt: post 1 has no text"},
		"no post":          {head, "town/x.txt: page 1 has no post"},
	} {
		t.Run(name, func(t *testing.T) {
			d := siteData{name: "x", firstKind: "post"}
			err := d.parse("x.txt", c.text)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
}

func TestParseReadsWhatIsWritten(t *testing.T) {
	d := siteData{name: "x", firstKind: "article"}
	text := "%% a note\n== 7 | 标题 | region=四川\n-- 1 | 3d4h12m | 甲 | offer cashout | zero_width | wechat:a_1\n套" + `\u200b` + "现\n\n第二行\n\n-- 2 | 5m | 乙 | question | | | kind=ad\n!banner 图\n"
	if err := d.parse("x.txt", text); err != nil {
		t.Fatal(err)
	}
	first, second := d.threads[0].posts[0], d.threads[0].posts[1]
	if first.Text != "套\u200b现\n\n第二行" || first.Title != "标题" || first.Kind != "article" || first.Region != "四川" || first.Age.String() != "76h12m0s" || !first.Label.Flagged {
		t.Errorf("first post: %+v", first)
	}
	if second.Text != "图" || !second.Banner || second.Title != "" || second.Kind != "ad" || second.Label.Flagged {
		t.Errorf("second post: %+v", second)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("== 1 | 标题\n-- 1 | 1h | 甲 | offer cashout | emoji | qq:1 | kind=ad\n字 \\u200b")
	f.Fuzz(func(t *testing.T, text string) {
		d := siteData{name: "x", firstKind: "post"}
		if d.parse("x.txt", text) != nil {
			return
		}
		for _, th := range d.threads {
			for _, e := range th.posts {
				if e.Key == "" || e.Text == "" || e.Kind == "" || e.Label.Stance == "" {
					t.Errorf("accepted an unfinished post: %+v", e)
				}
			}
		}
	})
}
