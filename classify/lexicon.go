package classify

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// lexicon is a Dictionary compiled for matching. Every distinct text of the
// dictionary is one atom; every operand of a rule (a literal, a class, a term)
// is one group of atoms. A scan yields atoms, atoms mark groups, groups wake
// the rules that name them, so the cost of a post depends on what it contains,
// not on the size of the dictionary.
type lexicon struct {
	atoms  []atom
	byText map[string]int32

	groupOf   map[string]int32 // operand → group
	numGroups int32
	builtin   builtinGroups
	wakes     [][]int32 // group → rules that have it in any: or all:

	classHash []uint32 // group → feature of the model; 0 when it is no class

	terms []termRef
	rules []compiledRule
	cats  []string // category index → id
}

// patterns lists the atoms for the matcher. Terms may be matched by sound;
// wordings that call for contact through their known aliases; all else only as
// written, through folding and separators.
func (lx *lexicon) patterns() []pattern {
	call := lx.groupOf["$contact_call"]
	out := make([]pattern, len(lx.atoms))
	for i, a := range lx.atoms {
		var f patternFlags
		switch {
		case a.initials:
			f = patternInitials
		case slices.Contains(a.groups, call):
			f = patternContact | patternExact
		case a.phonetic:
			f = patternPhonetic
		default:
			f = patternExact
		}
		out[i] = pattern{Text: a.text, ID: int32(i), Flags: f}
	}
	return out
}

// atom is one text to look for.
type atom struct {
	text     string
	groups   []int32
	terms    []int32 // terms it is a wording of
	phonetic bool    // may be matched by sound
	initials bool    // an abbreviation: whole Latin words only
	domain   bool    // stands in a category's own file
	boundary bool    // must not begin or end inside another word
}

type termRef struct {
	term     *Term
	category int32
	group    int32
}

// compiledRule is a Rule with its operands as groups. Rules stand in
// dependency order: a rule's own group is filled before others read it.
type compiledRule struct {
	rule           *Rule
	category       int32 // −1 for cues
	any, all, none []int32
	min            int
	window         window
	own            int32 // the group "@id"
	cancelTerms    []int32
	cancelRules    map[string]bool
	cancelAll      bool
}

func compile(d *Dictionary) *lexicon {
	lx := &lexicon{byText: map[string]int32{}, groupOf: map[string]int32{}}
	catIndex := map[string]int32{}
	for i := range d.Categories {
		c := &d.Categories[i]
		catIndex[c.ID] = int32(i)
		lx.cats = append(lx.cats, c.ID)
		for j := range c.Terms {
			lx.addTerm(int32(i), c.ID, &c.Terms[j])
		}
	}
	for _, b := range builtinClasses {
		lx.group("$" + b)
	}
	lx.builtin = newBuiltinGroups(lx)
	ids := make([]string, 0, len(d.classes))
	for id := range d.classes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		g := lx.group("$" + id)
		c := d.classes[id]
		for _, text := range c.Any {
			a := lx.addAtom(text, c.domain, false, g)
			lx.atoms[a].domain = lx.atoms[a].domain || c.domain
		}
	}
	for _, r := range d.rules {
		lx.group("@" + r.ID)
	}
	for _, r := range d.rules {
		lx.addRule(r, catIndex)
	}
	lx.limitBoundaries()
	lx.classHash = make([]uint32, lx.numGroups)
	for operand, g := range lx.groupOf {
		if operand[0] == '$' {
			lx.classHash[g] = hashString(seedEvidence+4, operand)
		}
	}
	lx.wakes = make([][]int32, lx.numGroups)
	for i := range lx.rules {
		for _, g := range slices.Concat(lx.rules[i].any, lx.rules[i].all) {
			lx.wakes[g] = append(lx.wakes[g], int32(i))
		}
	}
	return lx
}

// builtinGroups are the groups of the built-in classes.
type builtinGroups struct {
	questionMark                                   int32
	hotline, phone, link, amount, percent, contact []int32
}

func newBuiltinGroups(lx *lexicon) builtinGroups {
	g := func(classes ...string) (out []int32) {
		for _, c := range classes {
			out = append(out, lx.group(c))
		}
		return out
	}
	return builtinGroups{questionMark: lx.group("$question_mark"), hotline: g("$hotline"), phone: g("$contact", "$phone"),
		link: g("$contact", "$link"), amount: g("$amount"), percent: g("$percent"), contact: g("$contact")}
}

// of lists the groups of the built-in classes that an entity belongs to.
func (b *builtinGroups) of(e *Entity) []int32 {
	switch {
	case e.Official:
		return b.hotline
	case e.Type == EntityPhone:
		return b.phone
	case e.Type == EntityURL:
		return b.link
	case e.Type == EntityAmount:
		return b.amount
	case e.Type == EntityPercent:
		return b.percent
	case IsContact(e.Type):
		return b.contact
	}
	return nil
}

func (lx *lexicon) group(operand string) int32 {
	if g, ok := lx.groupOf[operand]; ok {
		return g
	}
	g := lx.numGroups
	lx.groupOf[operand] = g
	lx.numGroups++
	return g
}

func (lx *lexicon) addAtom(text string, phonetic, initials bool, groups ...int32) int32 {
	text = strings.ToLower(strings.TrimSpace(text))
	id, ok := lx.byText[text]
	if !ok {
		id = int32(len(lx.atoms))
		lx.byText[text] = id
		lx.atoms = append(lx.atoms, atom{text: text, initials: initials, boundary: needsBoundary(text)})
	}
	a := &lx.atoms[id]
	a.phonetic = a.phonetic || phonetic
	for _, g := range groups {
		if !slices.Contains(a.groups, g) {
			a.groups = append(a.groups, g)
		}
	}
	return id
}

// needsBoundary: short Han words are often found across the border of two
// others (参加|微信息化 holds 加微信); long ones practically never are.
func needsBoundary(text string) bool {
	return utf8.RuneCountInString(text) <= 3 && allHan(text)
}

// limitBoundaries keeps the border check for the atoms whose false alarms
// cost: terms, the literals of category files, and calls to get in touch. The
// rest only colour a text, and segmenting it for them would be most of the work.
func (lx *lexicon) limitBoundaries() {
	call := lx.groupOf["$contact_call"]
	for i := range lx.atoms {
		a := &lx.atoms[i]
		a.boundary = a.boundary && (len(a.terms) > 0 || a.domain || slices.Contains(a.groups, call))
	}
}

func (lx *lexicon) addTerm(cat int32, catID string, t *Term) {
	g := lx.group("#" + catID + "/" + t.ID)
	ref := int32(len(lx.terms))
	lx.terms = append(lx.terms, termRef{term: t, category: cat, group: g})
	for _, text := range append([]string{t.Text}, t.Variants...) {
		id := lx.addAtom(text, !t.Exact, false, g)
		lx.atoms[id].terms = append(lx.atoms[id].terms, ref)
	}
	for _, in := range t.Initials {
		id := lx.addAtom(in, false, true, g)
		lx.atoms[id].terms = append(lx.atoms[id].terms, ref)
	}
}

func (lx *lexicon) addRule(r *Rule, catIndex map[string]int32) {
	w, _ := parseWindow(r.Window) // checked at load
	c := compiledRule{rule: r, category: -1, window: w, min: max(r.Min, 1), own: lx.group("@" + r.ID), cancelRules: map[string]bool{}}
	if r.kind != kindCue {
		c.category = catIndex[r.category]
	}
	operands := func(ops []string) []int32 {
		var out []int32
		for _, op := range ops {
			out = append(out, lx.operand(op, r.category))
		}
		return out
	}
	c.any, c.all, c.none = operands(r.Any), operands(r.All), operands(r.None)
	for _, op := range r.Cancels {
		switch op[0] {
		case '*':
			c.cancelAll = true
		case '#':
			c.cancelTerms = append(c.cancelTerms, lx.operand(op, r.category))
		case '@':
			c.cancelRules[op[1:]] = true
		}
	}
	lx.rules = append(lx.rules, c)
}

func (lx *lexicon) operand(op, category string) int32 {
	switch op[0] {
	case '$', '@':
		return lx.group(op)
	case '#':
		cat, term := splitTermRef(op, category)
		return lx.group("#" + cat + "/" + term)
	}
	g := lx.group(op)
	a := lx.addAtom(op, category != "", false, g)
	lx.atoms[a].domain = lx.atoms[a].domain || category != ""
	return g
}
