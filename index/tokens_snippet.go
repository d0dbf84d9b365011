package index

import "strings"

// snippetRunes is how much text a snippet shows around the match.
const snippetRunes = 80

// Snippet returns a line of plain text from title or body around the first
// place where a text term of e stands, or the beginning of the body when none
// stands there as published. Cuts are marked with "…".
func Snippet(title, text string, e Expr) string {
	terms := textTerms(nil, e, false)
	if len(terms) > 0 {
		inTitle, inText := locate(title), locate(text)
		for _, t := range terms {
			if t.Field != "title" {
				if at, n, ok := inText.find(t.Value); ok {
					return cutAround(text, at, n)
				}
			}
			if t.Field != "text" {
				if at, n, ok := inTitle.find(t.Value); ok {
					return cutAround(title, at, n)
				}
			}
		}
	}
	if strings.TrimSpace(text) == "" {
		text = title
	}
	return cutAround(text, 0, 0)
}

// textTerms collects the terms that are looked for, not those excluded.
func textTerms(dst []Text, e Expr, negated bool) []Text {
	switch e := e.(type) {
	case Text:
		if !negated {
			dst = append(dst, e)
		}
	case Not:
		dst = textTerms(dst, e.X, !negated)
	case And:
		for _, k := range e {
			dst = textTerms(dst, k, negated)
		}
	case Or:
		for _, k := range e {
			dst = textTerms(dst, k, negated)
		}
	}
	return dst
}

// snippetBytes is how much of a text is looked at for a snippet; matches that
// stand further back are shown by the beginning.
const snippetBytes = 256 << 10

// located is a text as tokens, each between separators, with the place in
// the text, in runes, that each token came from.
type located struct {
	joined     string
	start, end []int
}

func locate(text string) located {
	if len(text) > snippetBytes {
		text = strings.ToValidUTF8(text[:snippetBytes], "")
	}
	var l located
	var b strings.Builder
	b.WriteByte(' ')
	token := func(run []rune, start, end int) {
		for _, r := range run {
			b.WriteRune(r)
		}
		b.WriteByte(' ')
		l.start, l.end = append(l.start, start), append(l.end, end+1)
	}
	eachRun(text, func(kind runKind, run []rune, at []int) {
		last := len(run) - 1
		if kind != runHan {
			token(run, at[0], at[last])
			return
		}
		for i := range last {
			token(run[i:i+2], at[i], at[i+1])
		}
		token(run[last:], at[last], at[last])
	})
	l.joined = b.String()
	return l
}

// find returns where the phrase stands first, in runes.
func (l located) find(phrase string) (at, length int, ok bool) {
	tokens, prefix := Phrase(phrase)
	if len(tokens) == 0 {
		return 0, 0, false
	}
	needle := " " + strings.Join(tokens, " ")
	if !prefix {
		needle += " "
	}
	i := strings.Index(l.joined, needle)
	if i < 0 {
		return 0, 0, false
	}
	first := strings.Count(l.joined[:i], " ")
	return l.start[first], l.end[first+len(tokens)-1] - l.start[first], true
}

// cutAround returns about snippetRunes runes of text with the match in it.
func cutAround(text string, at, length int) string {
	runes := []rune(text)
	before := max(0, (snippetRunes-length)/3)
	start := max(0, at-before)
	end := min(len(runes), start+snippetRunes)
	s := strings.Join(strings.Fields(string(runes[start:end])), " ")
	if start > 0 {
		s = "…" + s
	}
	if end < len(runes) {
		s += "…"
	}
	return s
}
