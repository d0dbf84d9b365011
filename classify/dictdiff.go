package classify

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// DictionaryDiff is what separates two dictionaries.
type DictionaryDiff struct {
	Old     string       `json:"old"` // version
	New     string       `json:"new"` // version
	Added   int          `json:"added"`
	Removed int          `json:"removed"`
	Changed int          `json:"changed"`
	Changes []EntryDelta `json:"changes"` // by category, kind and id; never nil
}

// EntryDelta is one entry of the dictionaries that only one of the two has, or
// that they have differently.
type EntryDelta struct {
	Change   string       `json:"change"`             // added, removed or changed
	Kind     string       `json:"kind"`               // category, term, rule, exception, cue, class, flagged or unflagged (example texts)
	Category string       `json:"category,omitempty"` // whose file it stands in; empty for what all share
	ID       string       `json:"id"`                 // of the entry; the text itself for example texts
	Name     Name         `json:"name,omitzero"`      // what people call it
	Fields   []FieldDelta `json:"fields,omitempty"`   // what differs, or what an added or removed entry holds
}

// FieldDelta is one key of an entry. Lists are compared as sets: their order
// means nothing.
type FieldDelta struct {
	Field   string   `json:"field"` // the key in the file
	Old     string   `json:"old,omitempty"`
	New     string   `json:"new,omitempty"`
	Added   []string `json:"added,omitempty"`   // members of a list that only the new one has
	Removed []string `json:"removed,omitempty"` // members that only the old one has
}

// The values of EntryDelta.Change.
const (
	ChangeAdded   = "added"
	ChangeRemoved = "removed"
	ChangeChanged = "changed"
)

// entryKey tells entries of a dictionary apart; its order is that of a diff.
type entryKey struct {
	category string
	kind     int // index into entryKinds
	id       string
}

var entryKinds = [...]string{"category", "term", "rule", "exception", "cue", "class", "flagged", "unflagged"}

const (
	entryCategory = iota
	entryTerm
	entryRule // + ruleKind
)

const (
	entryClass = entryRule + 3 + iota
	entryFlagged
	entryUnflagged
)

// entry is an entry of a dictionary as a list of its keys and values.
type entry struct {
	name   Name
	values []entryValue
}

// entryValue is a key with its value, or with its members when list is set.
type entryValue struct {
	field string
	value string
	list  []string
}

// Diff compares two dictionaries, entry by entry. Comments, the order of
// entries and which of the shared files an entry stands in make no difference.
func Diff(older, newer *Dictionary) DictionaryDiff {
	d := DictionaryDiff{Old: older.Version, New: newer.Version, Changes: []EntryDelta{}}
	was, is := older.entries(), newer.entries()
	keys := slices.Collect(maps.Keys(was))
	for k := range is {
		if _, ok := was[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b entryKey) int {
		return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
	})
	for _, k := range keys {
		before, had := was[k]
		after, has := is[k]
		e := EntryDelta{Change: ChangeChanged, Kind: entryKinds[k.kind], Category: k.category, ID: k.id, Name: after.name, Fields: diffValues(before.values, after.values)}
		switch {
		case !had:
			e.Change = ChangeAdded
			d.Added++
		case !has:
			e.Change, e.Name = ChangeRemoved, before.name
			d.Removed++
		case len(e.Fields) == 0:
			continue
		default:
			d.Changed++
		}
		d.Changes = append(d.Changes, e)
	}
	return d
}

// diffValues compares two lists of the same keys; either may be empty.
func diffValues(before, after []entryValue) []FieldDelta {
	var out []FieldDelta
	for i := range max(len(before), len(after)) {
		var b, a entryValue
		if i < len(before) {
			b = before[i]
		}
		if i < len(after) {
			a = after[i]
		}
		f := FieldDelta{Field: cmp.Or(a.field, b.field), Added: without(a.list, b.list), Removed: without(b.list, a.list)}
		if a.value != b.value {
			f.Old, f.New = b.value, a.value
		}
		if f.Old != f.New || len(f.Added)+len(f.Removed) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// without returns the members of list that are not in other, in order.
func without(list, other []string) []string {
	gone := make(map[string]bool, len(other))
	for _, s := range other {
		gone[s] = true
	}
	var out []string
	for _, s := range list {
		if !gone[s] {
			out = append(out, s)
			gone[s] = true
		}
	}
	return out
}

func (d *Dictionary) entries() map[entryKey]entry {
	out := map[entryKey]entry{}
	for _, c := range d.Categories {
		out[entryKey{c.ID, entryCategory, c.ID}] = entry{c.Name, []entryValue{
			{field: "name.zh", value: c.Name.Zh}, {field: "name.en", value: c.Name.En}, {field: "offences", list: c.Offences},
			{field: "severity", value: string(c.Severity)}, {field: "threshold", value: number(c.Threshold)},
		}}
		for _, t := range c.Terms {
			out[entryKey{c.ID, entryTerm, t.ID}] = entry{Name{Zh: t.Text, En: t.Text}, []entryValue{
				{field: "text", value: t.Text}, {field: "variants", list: t.Variants}, {field: "initials", list: t.Initials},
				{field: "weight", value: number(t.Weight)}, {field: "ambiguous", value: yes(t.Ambiguous)}, {field: "exact", value: yes(t.Exact)},
				{field: "note", value: t.Note},
			}}
		}
	}
	for _, r := range d.rules {
		out[entryKey{r.category, entryRule + int(r.kind), r.ID}] = entry{r.Name, r.values()}
	}
	for id, c := range d.classes {
		out[entryKey{"", entryClass, id}] = entry{values: []entryValue{{field: "any", list: c.Any}, {field: "domain", value: yes(c.domain)}, {field: "note", value: c.Note}}}
	}
	for _, x := range d.examples {
		kind := entryUnflagged
		if x.flagged {
			kind = entryFlagged
		}
		out[entryKey{x.category, kind, x.text}] = entry{}
	}
	return out
}

func (r *Rule) values() []entryValue {
	window := r.Window
	if window == "" {
		window = "sentence"
	}
	least := ""
	if r.Min > 1 {
		least = strconv.Itoa(r.Min)
	}
	return []entryValue{
		{field: "name.zh", value: r.Name.Zh}, {field: "name.en", value: r.Name.En}, {field: "stance", value: string(r.Stance)},
		{field: "any", list: r.Any}, {field: "min", value: least}, {field: "all", list: r.All}, {field: "none", list: r.None},
		{field: "window", value: window}, {field: "weight", value: number(r.Weight)}, {field: "cancels", list: r.Cancels},
		{field: "helper", value: yes(r.Helper)}, {field: "note", value: r.Note}, {field: "hit", list: r.Hit}, {field: "miss", list: r.Miss},
	}
}

// number writes a weight or threshold as in the files; 0 is left out.
func number(x float64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// diffMembers is how many members of a list Print shows.
const diffMembers = 12

// Print writes the differences for a person, one section a category. At most
// max entries of a kind are shown in a section, with the number left out; 0
// shows all.
func (d DictionaryDiff) Print(w io.Writer, most int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "dictionary %s → %s: %d added, %d removed, %d changed\n", d.Old, d.New, d.Added, d.Removed, d.Changed)
	if len(d.Changes) == 0 && d.Old != d.New {
		b.WriteString("the files differ, what they say does not\n")
	}
	section, kind, shown, left := "\x00", "", 0, 0
	rest := func() {
		if left > 0 {
			fmt.Fprintf(&b, "    … and %d more of kind %s (-json lists all)\n", left, kind)
		}
		shown, left = 0, 0
	}
	for _, e := range d.Changes {
		if e.Category != section {
			rest()
			section, kind = e.Category, ""
			fmt.Fprintf(&b, "\n%s\n", cmp.Or(section, "shared by all categories"))
		}
		if e.Kind != kind {
			rest()
			kind = e.Kind
		}
		if shown++; most > 0 && shown > most {
			left++
			continue
		}
		e.print(&b)
	}
	rest()
	_, err := io.WriteString(w, b.String())
	return err
}

func (e EntryDelta) print(b *strings.Builder) {
	sign := map[string]string{ChangeAdded: "+", ChangeRemoved: "−", ChangeChanged: "~"}[e.Change]
	fmt.Fprintf(b, "  %s %s %s", sign, e.Kind, e.ID)
	if e.Name.Zh != "" && e.Name.Zh != e.ID {
		fmt.Fprintf(b, " %s", e.Name.Zh)
	}
	b.WriteByte('\n')
	for _, f := range e.Fields {
		if e.Change != ChangeChanged && (f.Field == "text" || strings.HasPrefix(f.Field, "name.")) {
			continue // said above
		}
		fmt.Fprintf(b, "      %s:", f.Field)
		switch {
		case len(f.Added)+len(f.Removed) > 0:
			members(b, "+", f.Added)
			members(b, "−", f.Removed)
		case e.Change == ChangeAdded:
			b.WriteString(" " + f.New)
		case e.Change == ChangeRemoved:
			b.WriteString(" " + f.Old)
		default:
			fmt.Fprintf(b, " %s → %s", cmp.Or(f.Old, "–"), cmp.Or(f.New, "–"))
		}
		b.WriteByte('\n')
	}
}

func members(b *strings.Builder, sign string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, " %s %s", sign, strings.Join(list[:min(len(list), diffMembers)], "，"))
	if more := len(list) - diffMembers; more > 0 {
		fmt.Fprintf(b, " … %d more", more)
	}
}
