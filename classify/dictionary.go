package classify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode"

	"qingyuan/strictyaml"
)

// Name is a label in the two languages of the product.
type Name struct {
	Zh string `yaml:"zh" json:"zh"`
	En string `yaml:"en" json:"en"`
}

// In returns the name in the language "zh" or "en".
func (n Name) In(lang string) string {
	if lang == "en" {
		return n.En
	}
	return n.Zh
}

// Term is a word or phrase that speaks for a category wherever it stands.
type Term struct {
	ID        string   `yaml:"id"`        // unique in its file; the text when empty
	Text      string   `yaml:"text"`      // as an honest writer would write it; disguises are undone before matching
	Variants  []string `yaml:"variants"`  // other wordings of the same thing
	Initials  []string `yaml:"initials"`  // Latin abbreviations, counted only beside other evidence
	Weight    float64  `yaml:"weight"`    // log-odds, (0, 6]
	Ambiguous bool     `yaml:"ambiguous"` // innocent by itself: counts only with other evidence of its category or of an offer
	Exact     bool     `yaml:"exact"`     // never matched by sound
	Note      string   `yaml:"note"`      // for the next operator
}

// Rule is a condition over terms, classes and other rules. The same shape
// serves for category rules, exceptions and stance cues.
//
// An operand is a literal ("包过"), a class ("$fee"), a term ("#term-id" or
// "#category/term-id") or another rule ("@rule-id").
type Rule struct {
	ID      string   `yaml:"id"`      // unique over all files
	Name    Name     `yaml:"name"`    // for people; the id when empty
	Stance  Stance   `yaml:"stance"`  // cues only: the stance it speaks for
	Any     []string `yaml:"any"`     // at least Min of these
	Min     int      `yaml:"min"`     // default 1
	All     []string `yaml:"all"`     // every one of these
	None    []string `yaml:"none"`    // not one of these
	Window  string   `yaml:"window"`  // sentence (default), post, start, or a number of characters
	Weight  float64  `yaml:"weight"`  // log-odds, −8…8, not 0 unless the rule is only used by others
	Cancels []string `yaml:"cancels"` // exceptions only: terms (#id) or rules (@id) that are void where it applies; "*" voids the whole category
	Helper  bool     `yaml:"helper"`  // only used by other rules: no reason of its own
	Note    string   `yaml:"note"`    //
	Hit     []string `yaml:"hit"`     // texts on which it must apply
	Miss    []string `yaml:"miss"`    // texts on which it must not

	category string
	kind     ruleKind
	doc      *strictyaml.Document
	path     []any
}

type ruleKind int

const (
	kindRule ruleKind = iota
	kindException
	kindCue
)

// Class is a named set of literals that rules refer to as $id.
type Class struct {
	ID   string   `yaml:"id"`
	Any  []string `yaml:"any"`
	Note string   `yaml:"note"`

	domain bool // defined in a category's file
}

// Category is one kind of offer the dictionaries describe.
type Category struct {
	ID        string   `yaml:"category"`
	Name      Name     `yaml:"name"`
	Offences  []string `yaml:"offences"`  // what it may amount to, in Chinese legal terms
	Severity  Severity `yaml:"severity"`  // base severity of a flagged post
	Threshold float64  `yaml:"threshold"` // flag at or above this score, (0,1); 0.5 when absent
	Terms     []Term   `yaml:"terms"`
}

// dictionaryFile is the union of what a dictionary file may hold.
type dictionaryFile struct {
	Category   `yaml:",inline"`
	Rules      []Rule   `yaml:"rules"`
	Exceptions []Rule   `yaml:"exceptions"`
	Classes    []Class  `yaml:"classes"`
	Cues       []Rule   `yaml:"cues"`
	Flagged    []string `yaml:"flagged"`   // texts whose verdict must be flagged in this category
	Unflagged  []string `yaml:"unflagged"` // texts whose verdict must not be flagged
}

// Dictionary is everything the operators wrote, loaded and checked. It is
// immutable and safe for concurrent use.
type Dictionary struct {
	Version    string // changes whenever a byte of any file does
	Categories []Category

	rules    []*Rule // rules, exceptions and cues, in dependency order
	classes  map[string]Class
	examples []example
	byID     map[string]*Rule
}

// example is a text with the verdict it must get.
type example struct {
	category string
	text     string
	flagged  bool
	mistake  func(problem, remedy string) strictyaml.Mistake
}

// builtinClasses are filled by the entity extractor and the normaliser, not by
// literals (though classes.yaml may add literals to them).
var builtinClasses = []string{"contact", "phone", "link", "amount", "percent", "hotline", "question_mark"}

// LoadDictionary reads every *.yaml of fsys. On mistakes it returns all of
// them, over all files, as strictyaml.Mistakes with file, line and remedy.
func LoadDictionary(fsys fs.FS) (*Dictionary, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing dictionaries: %w", err)
	}
	if len(names) == 0 {
		return nil, noDictionary()
	}
	sort.Strings(names)
	l := newLoader()
	sum := sha256.New()
	for _, name := range names {
		data, err := readDictionaryFile(fsys, name)
		if err != nil {
			l.mistakes.Add(name, fmt.Errorf("reading: %w", err))
			continue
		}
		sumFile(sum, name, data)
		l.file(name, data)
	}
	return l.loaded(sum)
}

func noDictionary() error {
	return strictyaml.Mistakes{{File: ".", Problem: "there is no *.yaml dictionary here", Remedy: "point to a folder of dictionary files"}}
}

func newLoader() *loader {
	return &loader{
		dict:   &Dictionary{classes: map[string]Class{}, byID: map[string]*Rule{}},
		terms:  map[string]map[string]string{},
		places: map[string]string{},
	}
}

// loaded checks over all files; sum has their bytes.
func (l *loader) loaded(sum hash.Hash) (*Dictionary, error) {
	l.finish()
	if err := l.mistakes.Err(); err != nil {
		return nil, err
	}
	l.dict.Version = hex.EncodeToString(sum.Sum(nil))[:12]
	return l.dict, nil
}

// Category returns the category with that id.
func (d *Dictionary) Category(id string) (Category, bool) {
	for _, c := range d.Categories {
		if c.ID == id {
			return c, true
		}
	}
	return Category{}, false
}

// Names returns what people call the terms, rules, exceptions and cues, by id.
// Entries without a name are left out.
func (d *Dictionary) Names() map[string]Name {
	out := map[string]Name{}
	for _, c := range d.Categories {
		for _, t := range c.Terms {
			out[t.ID] = Name{Zh: t.Text, En: t.Text}
		}
	}
	for _, r := range d.rules {
		if r.Name.Zh != "" && r.Name.En != "" {
			out[r.ID] = r.Name
		}
	}
	return out
}

// loader collects files and their mistakes.
type loader struct {
	dict     *Dictionary
	mistakes strictyaml.Mistakes
	terms    map[string]map[string]string // category → term id → place
	places   map[string]string            // rule or class id → place
}

func (l *loader) file(name string, data []byte) {
	var f dictionaryFile
	doc, err := strictyaml.Decode(name, data, &f)
	l.mistakes.Add(name, err)
	if doc == nil {
		return
	}
	if f.ID != "" {
		l.category(doc, &f)
	} else if len(f.Terms)+len(f.Rules)+len(f.Exceptions)+len(f.Flagged) > 0 {
		l.mistakes = append(l.mistakes, doc.Mistake("terms, rules, exceptions and examples need a category", "add category: at the top", "terms"))
	}
	for i, c := range f.Classes {
		c.domain = f.ID != ""
		l.class(doc, i, c)
	}
	l.ruleList(doc, "rules", f.Rules, f.ID, kindRule)
	l.ruleList(doc, "exceptions", f.Exceptions, f.ID, kindException)
	l.ruleList(doc, "cues", f.Cues, "", kindCue)
	l.exampleList(doc, "flagged", f.Flagged, f.ID, true)
	l.exampleList(doc, "unflagged", f.Unflagged, f.ID, false)
}

func (l *loader) add(m strictyaml.Mistake) { l.mistakes = append(l.mistakes, m) }

func (l *loader) category(doc *strictyaml.Document, f *dictionaryFile) {
	if !validID(f.ID, "_") {
		l.add(doc.Mistake(fmt.Sprintf("%q is no category id", f.ID), "use small letters, digits and _", "category"))
	}
	if want := f.ID + ".yaml"; path.Base(doc.File()) != want {
		l.add(doc.Mistake(fmt.Sprintf("category %s stands in a file of another name", f.ID), "rename the file to "+want, "category"))
	}
	if _, dup := l.dict.Category(f.ID); dup {
		l.add(doc.Mistake(fmt.Sprintf("category %s is defined twice", f.ID), "keep one file a category", "category"))
		return
	}
	if f.Name.Zh == "" || f.Name.En == "" {
		l.add(doc.Mistake("the category needs a name in both languages", "write name: {zh: …, en: …}", "name"))
	}
	switch f.Severity {
	case SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical:
	default:
		l.add(doc.Mistake(fmt.Sprintf("severity %q is unknown", f.Severity), "use low, medium, high or critical", "severity"))
	}
	if f.Threshold == 0 {
		f.Threshold = 0.5
	}
	if !(f.Threshold >= 0.05 && f.Threshold <= 0.99) { // also for .nan
		l.add(doc.Mistake(fmt.Sprintf("threshold %g is out of range", f.Threshold), "use a probability between 0.05 and 0.99", "threshold"))
	}
	l.terms[f.ID] = map[string]string{}
	texts := map[string]string{}
	for i := range f.Terms {
		l.term(doc, i, &f.Terms[i], f.ID, texts)
	}
	l.dict.Categories = append(l.dict.Categories, f.Category)
}

func (l *loader) term(doc *strictyaml.Document, i int, t *Term, category string, texts map[string]string) {
	at := func(problem, remedy string, more ...any) {
		l.add(doc.Mistake(problem, remedy, append([]any{"terms", i}, more...)...))
	}
	if strings.TrimSpace(t.Text) == "" {
		at("term has no text", "write text: …")
		return
	}
	if t.ID == "" {
		t.ID = t.Text
	}
	if where, dup := l.terms[category][t.ID]; dup {
		at(fmt.Sprintf("term id %q is already used at %s", t.ID, where), "give it another id", "id")
	}
	l.terms[category][t.ID] = fmt.Sprintf("%s:%d", doc.File(), doc.Line("terms", i))
	if !(t.Weight > 0 && t.Weight <= 6) { // also for .nan
		at(fmt.Sprintf("weight %g is out of range", t.Weight), "use more than 0 and at most 6 log-odds; write an exception for evidence against", "weight")
	}
	for _, text := range append([]string{t.Text}, t.Variants...) {
		if len([]rune(text)) < 2 {
			at(fmt.Sprintf("%q is too short to mean anything by itself", text), "use at least two characters, or make it a literal of a rule")
		}
		if sign := firstSign(text); sign != "" {
			at(fmt.Sprintf("%q holds the sign %s, which matching passes over", text, sign), "leave signs and spaces out")
		}
		if where, dup := texts[text]; dup {
			at(fmt.Sprintf("%q stands twice in this category (also at %s)", text, where), "remove one")
		}
		texts[text] = fmt.Sprintf("%s:%d", doc.File(), doc.Line("terms", i))
	}
	for _, in := range t.Initials {
		if len(in) < 3 || !isLowerLatin(in) {
			at(fmt.Sprintf("initials %q are not at least three small Latin letters", in), "write them as in zwcz", "initials")
		}
	}
}

func (l *loader) class(doc *strictyaml.Document, i int, c Class) {
	if !validID(c.ID, "_-") {
		l.add(doc.Mistake(fmt.Sprintf("%q is no class id", c.ID), "use small letters, digits, - and _", "classes", i, "id"))
		return
	}
	if where, dup := l.places["$"+c.ID]; dup {
		l.add(doc.Mistake(fmt.Sprintf("class %s is already defined at %s", c.ID, where), "merge the two", "classes", i, "id"))
		return
	}
	if len(c.Any) == 0 {
		l.add(doc.Mistake(fmt.Sprintf("class %s has no members", c.ID), "write any: [...]", "classes", i))
	}
	for j, text := range c.Any {
		if sign := firstSign(text); sign != "" {
			l.add(doc.Mistake(fmt.Sprintf("%q holds the sign %s, which matching passes over", text, sign), "leave signs and spaces out", "classes", i, "any", j))
		}
	}
	l.places["$"+c.ID] = fmt.Sprintf("%s:%d", doc.File(), doc.Line("classes", i))
	l.dict.classes[c.ID] = c
}

func (l *loader) ruleList(doc *strictyaml.Document, key string, rules []Rule, category string, kind ruleKind) {
	for i := range rules {
		r := &rules[i]
		r.category, r.kind, r.doc, r.path = category, kind, doc, []any{key, i}
		if !validID(r.ID, "_-.") {
			l.add(r.mistake(fmt.Sprintf("%q is no rule id", r.ID), "use small letters, digits, - and _", "id"))
			continue
		}
		if where, dup := l.places["@"+r.ID]; dup {
			l.add(r.mistake(fmt.Sprintf("id %s is already used at %s", r.ID, where), "give it another id", "id"))
			continue
		}
		l.places["@"+r.ID] = fmt.Sprintf("%s:%d", doc.File(), doc.Line(r.path...))
		l.dict.byID[r.ID] = r
		l.dict.rules = append(l.dict.rules, r)
		l.checkRule(r)
	}
}

func (l *loader) exampleList(doc *strictyaml.Document, key string, texts []string, category string, flagged bool) {
	for i, t := range texts {
		l.dict.examples = append(l.dict.examples, example{category: category, text: t, flagged: flagged,
			mistake: func(problem, remedy string) strictyaml.Mistake { return doc.Mistake(problem, remedy, key, i) }})
	}
}

func (r *Rule) mistake(problem, remedy string, more ...any) strictyaml.Mistake {
	return r.doc.Mistake(problem, remedy, append(append([]any{}, r.path...), more...)...)
}

func validID(s, extra string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(extra, c) {
			return false
		}
	}
	return s != ""
}

// firstSign returns the first character of a literal that is neither letter nor
// digit, or "".
func firstSign(s string) string {
	for _, c := range s {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return string(c)
		}
	}
	return ""
}

func isLowerLatin(s string) bool {
	for _, c := range s {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// readDictionaryFile reads one file of a folder. It never opens what is no
// regular file, which might not end or not begin, and reads one byte more than
// a dictionary may have, so that the decoder names the limit.
func readDictionaryFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; remove or rename it", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxBytes+1))
}

// sumFile adds a file to the hash of a folder.
func sumFile(sum hash.Hash, name string, data []byte) {
	fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
	sum.Write(data)
}
