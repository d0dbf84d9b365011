package classify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkRule reports what is wrong with a rule by itself. References to other
// entries are checked by finish, when all files are read.
func (l *loader) checkRule(r *Rule) {
	if len(r.Any)+len(r.All) == 0 {
		l.add(r.mistake("rule has no any: and no all:, so it could never apply", "name at least one operand"))
	}
	if r.Min < 0 || r.Min > len(r.Any) {
		l.add(r.mistake(fmt.Sprintf("min %d is more than any: has operands (%d)", r.Min, len(r.Any)), "lower min or add operands", "min"))
	}
	if (r.Name.Zh == "") != (r.Name.En == "") {
		l.add(r.mistake("the name is given in one language only", "write name: {zh: …, en: …}", "name"))
	}
	if _, err := parseWindow(r.Window); err != nil {
		l.add(r.mistake(err.Error(), "use sentence, post, start or a number of characters from 1 to 2000", "window"))
	}
	l.checkWeight(r)
	if len(r.Hit) == 0 && !r.Helper {
		l.add(r.mistake("there is no hit: example", "add a text on which it must apply"))
	}
	if len(r.Miss) == 0 && !r.Helper {
		l.add(r.mistake("there is no miss: example", "add a text on which it must not apply, best a near one"))
	}
	for _, h := range r.Hit {
		if slices.Contains(r.Miss, h) {
			l.add(r.mistake(fmt.Sprintf("%q is both a hit and a miss example", h), "remove one", "hit"))
		}
	}
	for _, op := range r.None {
		if slices.Contains(r.Any, op) || slices.Contains(r.All, op) {
			l.add(r.mistake(fmt.Sprintf("%q is wanted and forbidden at once", op), "remove it from none: or from any:/all:", "none"))
		}
	}
}

func (l *loader) checkWeight(r *Rule) {
	switch {
	case r.Helper:
		if r.Weight != 0 {
			l.add(r.mistake("a helper has no weight of its own", "remove weight: or helper:", "weight"))
		}
	case !(r.Weight >= -8 && r.Weight <= 8): // also for .nan
		l.add(r.mistake(fmt.Sprintf("weight %g is out of range", r.Weight), "use −8 to 8 log-odds", "weight"))
	case r.kind == kindRule && r.Weight <= 0:
		l.add(r.mistake("a rule needs a positive weight", "set weight:, or write it as an exception, or mark it helper: true", "weight"))
	case r.kind == kindException && r.Weight >= 0 && len(r.Cancels) == 0:
		l.add(r.mistake("an exception needs a negative weight or cancels:", "say what it takes away", "weight"))
	case r.kind == kindCue && r.Weight == 0:
		l.add(r.mistake("a cue needs a weight", "set weight: to the log-odds for its stance", "weight"))
	}
	if r.kind == kindCue && !slices.Contains(Stances[:], r.Stance) && !r.Helper {
		l.add(r.mistake(fmt.Sprintf("stance %q is unknown", r.Stance), "use offer, report, warning, question, legal or other", "stance"))
	}
	if r.kind != kindCue && r.Stance != "" {
		l.add(r.mistake("only cues have a stance", "move it to cues:, or remove stance:", "stance"))
	}
	if r.kind != kindException && len(r.Cancels) > 0 {
		l.add(r.mistake("only exceptions cancel", "move it to exceptions:", "cancels"))
	}
}

// window is where a rule's operands must stand together.
type window struct {
	kind  windowKind
	chars int
}

type windowKind int

const (
	windowSentence windowKind = iota
	windowPost
	windowStart // within the first 40 characters of the post
	windowChars
)

// startChars is how many characters count as a post's start.
const startChars = 40

func parseWindow(s string) (window, error) {
	switch s {
	case "", "sentence":
		return window{kind: windowSentence}, nil
	case "post":
		return window{kind: windowPost}, nil
	case "start":
		return window{kind: windowStart}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 2000 {
		return window{}, fmt.Errorf("window %q is unknown", s)
	}
	return window{kind: windowChars, chars: n}, nil
}

// finish checks references over all files and puts the rules in dependency
// order.
func (l *loader) finish() {
	for _, r := range l.dict.rules {
		for key, ops := range map[string][]string{"any": r.Any, "all": r.All, "none": r.None, "cancels": r.Cancels} {
			for i, op := range ops {
				l.checkOperand(r, key, i, op)
			}
		}
	}
	ordered, cycle := orderRules(l.dict.rules, l.dict.byID)
	if cycle != nil {
		l.add(cycle.mistake("rules refer to each other in a circle", "break the circle through @"+cycle.ID))
		return
	}
	l.dict.rules = ordered
}

func (l *loader) checkOperand(r *Rule, key string, i int, op string) {
	at := func(problem, remedy string) { l.add(r.mistake(problem, remedy, key, i)) }
	if op == "" {
		at("operand is empty", "remove it")
		return
	}
	switch op[0] {
	case '$':
		id := op[1:]
		if _, ok := l.dict.classes[id]; !ok && !slices.Contains(builtinClasses, id) {
			at(fmt.Sprintf("class %s is not defined", op), "define it in classes.yaml, or write the literal without $")
		}
	case '#':
		cat, term := splitTermRef(op, r.category)
		if _, ok := l.terms[cat][term]; !ok {
			at(fmt.Sprintf("there is no term %q in category %q", term, cat), "write #term-id or #category/term-id of an existing term")
		}
	case '@':
		if _, ok := l.dict.byID[op[1:]]; !ok {
			at(fmt.Sprintf("there is no rule %s", op), "write @ and the id of an existing rule, exception or cue")
		}
	case '*':
		if key != "cancels" || op != "*" {
			at("* stands only in cancels:", "name the operand")
		}
	default:
		if sign := firstSign(op); sign != "" {
			at(fmt.Sprintf("%q holds the sign %s, which matching passes over", op, sign), "leave signs and spaces out; $question_mark finds question marks")
		}
		if key == "cancels" {
			at(fmt.Sprintf("cancels cannot name the literal %q", op), "write #term-id, @rule-id or *")
		}
	}
}

func splitTermRef(op, category string) (cat, term string) {
	if c, t, ok := strings.Cut(op[1:], "/"); ok {
		return c, t
	}
	return category, op[1:]
}

// orderRules sorts rules so that each comes after those it refers to. cycle is
// a rule on a circle, or nil.
func orderRules(rules []*Rule, byID map[string]*Rule) (ordered []*Rule, cycle *Rule) {
	const (
		unseen = iota
		open
		done
	)
	state := map[*Rule]int{}
	var visit func(r *Rule) *Rule
	visit = func(r *Rule) *Rule {
		switch state[r] {
		case done:
			return nil
		case open:
			return r
		}
		state[r] = open
		for _, op := range slices.Concat(r.Any, r.All, r.None) {
			if len(op) > 1 && op[0] == '@' && byID[op[1:]] != nil {
				if bad := visit(byID[op[1:]]); bad != nil {
					return bad
				}
			}
		}
		state[r] = done
		ordered = append(ordered, r)
		return nil
	}
	for _, r := range rules {
		if bad := visit(r); bad != nil {
			return nil, bad
		}
	}
	return ordered, nil
}
