package strictyaml_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"qingyuan/strictyaml"
)

type inner struct {
	Any    []string `yaml:"any"`
	Weight float64  `yaml:"weight"`
}

type doc struct {
	Name  string        `yaml:"name"`
	Delay time.Duration `yaml:"delay"`
	Rules []inner       `yaml:"rules"`
}

func TestDecodeReportsAllMistakesAtOnce(t *testing.T) {
	data := []byte("nam: x\ndelay: soon\nrules:\n  - any: word\n    wieght: 2\n  - weight: heavy\n")
	var d doc
	_, err := strictyaml.Decode("a.yaml", data, &d)
	var ms strictyaml.Mistakes
	if !errors.As(err, &ms) {
		t.Fatalf("want Mistakes, got %v", err)
	}
	want := []string{
		`a.yaml:1: nam: unknown key; did you mean "name"?`,
		`a.yaml:2: "soon" is a text where a duration such as 2s or 5m belongs; write a duration such as 2s or 5m`,
		`a.yaml:4: "word" is a text where a list (- item) belongs; write a list (- item)`,
		`a.yaml:5: wieght: unknown key; did you mean "weight"?`,
		`a.yaml:6: "heavy" is a text where a number belongs; write a number`,
	}
	var got []string
	for _, m := range ms {
		got = append(got, m.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestDocumentLine(t *testing.T) {
	data := []byte("name: x\nrules:\n  - any: [a]\n  - any:\n      - b\n      - c\n")
	var d doc
	document, err := strictyaml.Decode("a.yaml", data, &d)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []any
		want int
	}{
		{[]any{"name"}, 1},
		{[]any{"rules", 1, "any", 1}, 6},
		{[]any{"rules", 1, "weight"}, 4},
		{[]any{"nothing"}, 1},
	} {
		if got := document.Line(c.path...); got != c.want {
			t.Errorf("Line(%v) = %d, want %d", c.path, got, c.want)
		}
	}
	m := document.Mistake("is empty", "write one", "rules", 1, "any", 1)
	if got, want := m.Error(), "a.yaml:6: rules[1].any[1]: is empty; write one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeBadInput(t *testing.T) {
	for name, data := range map[string]string{
		"empty":     "",
		"syntax":    "name: [a\nrules: }",
		"two":       "name: a\n---\nname: b\n",
		"tab":       "name:\n\t- a",
		"duplicate": "name: a\nname: b\n",
		"scalar":    "just text",
	} {
		var d doc
		if _, err := strictyaml.Decode(name, []byte(data), &d); err == nil {
			t.Errorf("%s: want an error", name)
		} else {
			var ms strictyaml.Mistakes
			if !errors.As(err, &ms) || ms[0].File != name {
				t.Errorf("%s: want Mistakes naming the file, got %v", name, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: x\nrules:\n  - any: [a]\n"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d doc
		document, err := strictyaml.Decode("f", data, &d)
		if err == nil && document == nil {
			t.Fatal("no document and no error")
		}
		if document != nil {
			document.Line("rules", 0, "any", 0)
		}
	})
}
