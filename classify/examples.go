package classify

import (
	"fmt"

	"qingyuan/post"
	"qingyuan/strictyaml"
)

// CheckExamples runs every hit: and miss: example of rules, exceptions and
// cues, and every flagged: and unflagged: text, and returns what does not
// behave as written as strictyaml.Mistakes, or nil.
func (c *Classifier) CheckExamples() error {
	var ms strictyaml.Mistakes
	a := newAnalysis(c)
	for _, r := range c.dict.rules {
		for i, text := range r.Hit {
			a.analyse(post.Post{Text: text})
			if !a.fired(r.ID) {
				ms = append(ms, r.mistake(fmt.Sprintf("%s does not apply to its hit example %q", r.ID, text), "mend the rule or the example; qingyuan explain shows what was matched", "hit", i))
			}
		}
		for i, text := range r.Miss {
			a.analyse(post.Post{Text: text})
			if a.fired(r.ID) {
				ms = append(ms, r.mistake(fmt.Sprintf("%s applies to its miss example %q", r.ID, text), "add none: operands or an exception", "miss", i))
			}
		}
	}
	for _, ex := range c.dict.examples {
		v, err := c.Classify(post.Post{Text: ex.text})
		switch {
		case err != nil:
			ms = append(ms, ex.mistake(err.Error(), "shorten the text"))
		case ex.flagged && !v.Flagged:
			ms = append(ms, ex.mistake(fmt.Sprintf("score %.2f does not flag %q", v.Score, clip(ex.text)), "qingyuan explain shows the reasons"))
		case ex.flagged && v.Categories[0].ID != ex.category:
			ms = append(ms, ex.mistake(fmt.Sprintf("flagged as %s: %q", v.Categories[0].ID, clip(ex.text)), "raise a term of "+ex.category))
		case !ex.flagged && v.Flagged:
			ms = append(ms, ex.mistake(fmt.Sprintf("score %.2f flags %q", v.Score, clip(ex.text)), "add an exception"))
		}
	}
	return ms.Err()
}

// fired reports whether a rule applies to the text last analysed.
func (a *analysis) fired(id string) bool {
	for _, f := range a.rules.fired {
		if a.c.lex.rules[f.rule].rule.ID == id {
			return true
		}
	}
	return false
}

func clip(s string) string {
	r := []rune(s)
	if len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
