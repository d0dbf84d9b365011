package classify

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"qingyuan/post"
	"qingyuan/strictyaml"
)

// builtin loads the built-in dictionaries without a model.
func builtin(t testing.TB) *Classifier {
	t.Helper()
	c, err := Load(os.DirFS("../dictionaries"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const goodCategory = `
category: cashout
name: {zh: 套现, en: Cash-out}
severity: medium
terms:
  - {id: tx, text: 套现, weight: 2}
rules:
  - id: r1
    any: [花呗, $fee]
    all: ["#tx"]
    weight: 1
    hit: [花呗套现]
    miss: [花呗还款]
exceptions:
  - id: e1
    any: [现车]
    cancels: ["#tx"]
    weight: -1
    hit: [套现车]
    miss: [套现]
classes:
  - {id: fee, any: [点位]}
`

func TestLoadDictionaryNamesEveryMistake(t *testing.T) {
	for name, c := range map[string]struct{ replace, with, want string }{
		"unknown key":          {"weight: 2}", "wieght: 2}", `unknown key; did you mean "weight"?`},
		"weight out of range":  {"weight: 2}", "weight: 9}", "weight 9 is out of range"},
		"no hit":               {"    hit: [花呗套现]\n", "", "there is no hit: example"},
		"no miss":              {"    miss: [花呗还款]\n", "", "there is no miss: example"},
		"unknown class":        {"$fee]", "$fees]", "class $fees is not defined"},
		"unknown term":         {`all: ["#tx"]`, `all: ["#ty"]`, `there is no term "ty"`},
		"unknown rule":         {`all: ["#tx"]`, `all: ["@r9"]`, "there is no rule @r9"},
		"circle":               {`all: ["#tx"]`, `all: ["@r1"]`, "in a circle"},
		"bad severity":         {"severity: medium", "severity: huge", `severity "huge" is unknown`},
		"empty term":           {"text: 套现", `text: ""`, "term has no text"},
		"short term":           {"text: 套现", "text: 套", "too short"},
		"signs in a term":      {"text: 套现", "text: 套·现", "holds the sign ·"},
		"signs in a literal":   {"any: [花呗, ", "any: [花呗！, ", "holds the sign ！"},
		"hit and miss alike":   {"miss: [花呗还款]", "miss: [花呗套现]", "both a hit and a miss"},
		"bad window":           {"    weight: 1\n    hit: [花", "    window: page\n    weight: 1\n    hit: [花", `window "page" is unknown`},
		"positive exception":   {"weight: -1", "weight: 1\n    ", ""},
		"cue without stance":   {"classes:", "cues:\n  - {id: c1, any: [花呗], weight: 1, hit: [花呗], miss: [白]}\nclasses:", `stance "" is unknown`},
		"wanted and forbidden": {"any: [花呗, $fee]", "any: [花呗]\n    none: [花呗]", "wanted and forbidden"},
		"file of another name": {"category: cashout", "category: cash_in", "stands in a file of another name"},
		"id twice":             {"id: e1", "id: r1", "id r1 is already used at cashout.yaml:8"},
		"syntax":               {"terms:", "terms: [", "cashout.yaml:"},
		"threshold":            {"severity: medium", "severity: medium\nthreshold: 7", "threshold 7 is out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(goodCategory, c.replace) {
				t.Fatalf("the fixture does not contain %q", c.replace)
			}
			text := strings.Replace(goodCategory, c.replace, c.with, 1)
			_, err := LoadDictionary(fstest.MapFS{"cashout.yaml": {Data: []byte(text)}})
			if c.want == "" {
				return
			}
			var ms strictyaml.Mistakes
			if !errors.As(err, &ms) {
				t.Fatalf("want Mistakes, got %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q in:\n%v", c.want, err)
			}
			if ms[0].File != "cashout.yaml" || ms[0].Line == 0 {
				t.Errorf("mistake names no place: %+v", ms[0])
			}
		})
	}
}

func TestLoadDictionaryReportsAllFilesAtOnce(t *testing.T) {
	_, err := LoadDictionary(fstest.MapFS{
		"cashout.yaml": {Data: []byte(strings.Replace(goodCategory, "weight: 2", "weight: 9", 1))},
		"other.yaml":   {Data: []byte("terms: [{text: 甲乙, weight: 1}]\n")},
	})
	var ms strictyaml.Mistakes
	if !errors.As(err, &ms) || len(ms) != 2 || ms[0].File != "cashout.yaml" || ms[1].File != "other.yaml" {
		t.Fatalf("want one mistake in each file, got %v", err)
	}
}

func TestDictionaryVersionFollowsContent(t *testing.T) {
	load := func(text string) string {
		d, err := LoadDictionary(fstest.MapFS{"cashout.yaml": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return d.Version
	}
	version := load(goodCategory)
	if again := load(goodCategory); again != version {
		t.Error("the same bytes have two versions")
	}
	if version == load(goodCategory+"\n# note\n") {
		t.Error("a changed file keeps the version")
	}
}

func TestExceptionCancelsTerm(t *testing.T) {
	c, err := Load(fstest.MapFS{"cashout.yaml": {Data: []byte(goodCategory)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"我要套现": true, "套现，现车": true, "想套现车": false} {
		v, err := c.Classify(post.Post{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, r := range v.Reasons {
			got = got || r.ID == "tx"
		}
		if text == "套现，现车" {
			want = false // the exception stands in the same sentence
		}
		if got != want {
			t.Errorf("%s: term counts = %v, want %v", text, got, want)
		}
	}
}

func TestBuiltinExamples(t *testing.T) {
	if err := builtin(t).CheckExamples(); err != nil {
		t.Error(err)
	}
}

func TestBuiltinHasTheWholeTaxonomy(t *testing.T) {
	d := builtin(t).Dictionary()
	for _, id := range []string{"debt_relief_scam", "anti_collection_tutorial", "fake_documents", "illegal_loan_broker", "illegal_deposit_broker",
		"debt_evasion", "insurance_surrender_agency", "insurance_claim_fraud", "credit_repair", "cashout", "professional_complaint",
		"illegal_fundraising", "false_litigation", "account_trade"} {
		if c, ok := d.Category(id); !ok || len(c.Terms) < 3 || len(c.Offences) == 0 {
			t.Errorf("category %s is missing or thin", id)
		}
	}
}

func FuzzLoadDictionary(f *testing.F) {
	f.Add([]byte(goodCategory))
	f.Add([]byte("category: cashout\nrules: [{id: a, any: ['@a']}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := LoadDictionary(fstest.MapFS{"cashout.yaml": {Data: data}})
		if err != nil || len(data) > 1<<12 {
			return
		}
		if _, err := New(Options{Dictionary: d}); err != nil {
			t.Logf("refused: %v", err)
		}
	})
}
