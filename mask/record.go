package mask

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"qingyuan/classify"
	"qingyuan/index"
)

// shortest is the length, in characters, from which on a contact's value is
// looked for outside its own place.
const shortest = 4

// maxValues bounds how many of a record's contacts are looked for so.
const maxValues = 100

// Hidden reports whether a contact's value was masked by this package.
func Hidden(value string) bool { return strings.Contains(value, "**") }

// Record returns r with its contacts masked in the texts, the verdict, the
// author, links and pictures. Texts keep their length in characters, so that
// the places in the verdict stay right. The addresses of the post itself stay,
// but for contacts in them. r is not changed.
func Record(r index.Record) index.Record {
	values := contactValues(r.Verdict)
	p := r.Post
	head := utf8.RuneCountInString(p.Title)
	full := []rune(p.FullText())
	masked := hideText(full, r.Verdict, values)
	r.Verdict = verdict(r.Verdict, full, masked, values)
	p.Title, p.Text = string(masked[:head]), string(masked[head+1:])
	p.URL, p.ThreadURL, p.Author.URL = inAddress(p.URL, values), inAddress(p.ThreadURL, values), inAddress(p.Author.URL, values)
	p.Author.Name, p.Author.ID = loose(p.Author.Name, values), loose(p.Author.ID, values)
	p.Links = slices.Clone(p.Links)
	for i, l := range p.Links {
		p.Links[i] = Contact(classify.EntityURL, l)
	}
	p.Images = slices.Clone(p.Images)
	for i := range p.Images {
		img := &p.Images[i]
		img.URL, img.Text, img.QR = inAddress(img.URL, values), loose(img.Text, values), slices.Clone(img.QR)
		for j := range img.QR {
			img.QR[j] = "****"
		}
	}
	r.Post = p
	return r
}

// Revision masks an earlier content of r in the same way, also where it names
// the contacts that r has now.
func Revision(rev index.Revision, r index.Record) index.Revision {
	values := slices.Concat(contactValues(rev.Verdict), contactValues(r.Verdict))
	head := utf8.RuneCountInString(rev.Title)
	full := []rune(rev.Title + "\n" + rev.Text)
	masked := hideText(full, rev.Verdict, values)
	rev.Verdict = verdict(rev.Verdict, full, masked, values)
	rev.Title, rev.Text = string(masked[:head]), string(masked[head+1:])
	return rev
}

// Loose masks what a text without places, such as an analyst's remark, says of
// the contacts of r, and numbers.
func Loose(s string, r index.Record) string { return loose(s, contactValues(r.Verdict)) }

// isContact reports whether e leads to a person.
func isContact(e classify.Entity) bool {
	return !e.Official && slices.Contains(index.ContactTypes[:], e.Type)
}

// contactValues are the ways in which a verdict's contacts are written.
func contactValues(v classify.Verdict) []string {
	var out []string
	for _, e := range v.Entities {
		if !isContact(e) {
			continue
		}
		for _, s := range [...]string{e.Raw, e.Value} {
			if utf8.RuneCountInString(s) >= shortest && !slices.Contains(out, s) && len(out) < maxValues {
				out = append(out, s)
			}
		}
	}
	return out
}

func verdict(v classify.Verdict, full, masked []rune, values []string) classify.Verdict {
	v.Entities = slices.Clone(v.Entities)
	for i := range v.Entities {
		if e := &v.Entities[i]; isContact(*e) {
			raw := []rune(e.Raw)
			hide(raw)
			e.Value, e.Raw = Contact(e.Type, e.Value), string(raw)
		}
	}
	v.Reasons = slices.Clone(v.Reasons)
	for i := range v.Reasons {
		x := &v.Reasons[i]
		if x.Start >= 0 && x.End > x.Start && x.End <= len(full) && string(full[x.Start:x.End]) == x.Text {
			x.Text = string(masked[x.Start:x.End])
		} else {
			x.Text = loose(x.Text, values)
		}
	}
	return v
}

// hideText returns a copy of a text of the same length with the places of
// contacts, what is written like them, and long numbers hidden.
func hideText(full []rune, v classify.Verdict, values []string) []rune {
	out := slices.Clone(full)
	for _, e := range v.Entities {
		if from, to := max(e.Start, 0), min(e.End, len(out)); isContact(e) && from < to {
			hide(out[from:to])
		}
	}
	for _, value := range values {
		hideValue(out, full, []rune(value))
	}
	hideNumbers(out)
	return out
}

// hideValue hides value in out wherever text, of the same length, has it,
// whatever the case.
func hideValue(out, text, value []rune) {
	for i := 0; i+len(value) <= len(text); i++ {
		j := 0
		for j < len(value) && unicode.ToLower(text[i+j]) == unicode.ToLower(value[j]) {
			j++
		}
		if j == len(value) {
			hide(out[i : i+j])
			i += j - 1
		}
	}
}

// hide puts asterisks over most of a stretch; white space stays.
func hide(s []rune) {
	first, last := 3, 2
	switch n := len(s); {
	case n <= 2:
		first, last = 0, 0
	case n <= 5:
		first, last = 1, 0
	case n <= 8:
		first, last = 2, 1
	}
	for i := first; i < len(s)-last; i++ {
		if !unicode.IsSpace(s[i]) {
			s[i] = '*'
		}
	}
}

// hideNumbers is Numbers for a text that keeps its length.
func hideNumbers(s []rune) {
	for i := 0; i < len(s); {
		digits, end := 0, i
		for k := i; k < len(s); k++ {
			if unicode.IsNumber(s[k]) {
				digits++
				end = k + 1
			} else if k == i || !strings.ContainsRune(" .-_—·", s[k]) || !unicode.IsNumber(s[k-1]) {
				break
			}
		}
		for k, kept := i, 0; digits >= minNumber && k < end; k++ {
			if !unicode.IsNumber(s[k]) {
				continue
			}
			if kept++; kept > 3 {
				s[k] = '*'
			}
		}
		i = max(end, i+1)
	}
}

// loose masks values and numbers in a text whose length does not matter.
func loose(s string, values []string) string { return Numbers(inAddress(s, values)) }

// inAddress masks values only: addresses of pages are full of numbers.
func inAddress(s string, values []string) string {
	for _, v := range values {
		s = ReplaceFold(s, v, maskWord(v))
	}
	return s
}
