package indextest

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"qingyuan/index"
)

// Matches is the naive evaluator that stores are compared with: it reads the
// record itself, looks for substrings, and shares no code with the tokens.
func Matches(e index.Expr, r index.Record) bool {
	switch e := e.(type) {
	case index.All:
		return true
	case index.And:
		return !slices.ContainsFunc(e, func(k index.Expr) bool { return !Matches(k, r) })
	case index.Or:
		return slices.ContainsFunc(e, func(k index.Expr) bool { return Matches(k, r) })
	case index.Not:
		return !Matches(e.X, r)
	case index.Text:
		title := containsText(r.Post.Title, e.Value)
		body := containsText(r.Post.Text, e.Value)
		return e.Field != "text" && title || e.Field != "title" && body
	case index.NumberRange:
		v := r.Verdict.Score
		return (v > e.Low || v == e.Low && !e.ExcludeLow) && (v < e.High || v == e.High && !e.ExcludeHigh)
	case index.TimeRange:
		t := map[string]time.Time{"published": r.Post.PublishedAt, "ingested": r.IngestedAt, "seen": r.LastSeen}[e.Field]
		return !t.IsZero() && !t.Before(e.From) && (e.To.IsZero() || t.Before(e.To))
	case index.Equal:
		return equal(e, r)
	}
	return false
}

func equal(e index.Equal, r index.Record) bool {
	if e.Field == "url" && e.Value != "" {
		return slices.ContainsFunc([]string{r.Post.URL, r.Post.ThreadURL}, func(u string) bool { return atURL(u, e.Value) })
	}
	values := slices.DeleteFunc(valuesOf(e.Field, r), func(v string) bool { return v == "" })
	if e.Value == "" {
		return len(values) == 0
	}
	return slices.Contains(values, e.Value)
}

func valuesOf(field string, r index.Record) []string {
	p, v, t := r.Post, r.Verdict, r.Triage
	single := map[string]string{"source": p.Source, "source_type": p.SourceType, "kind": string(p.Kind), "stance": string(v.Stance),
		"severity": string(v.Severity), "status": string(t.Status), "assignee": t.Assignee, "reason": t.Reason, "id": p.ID,
		"region": p.Region, "campaign": r.Campaign.ID, "flagged": map[bool]string{true: "true", false: "false"}[v.Flagged]}
	if s, ok := single[field]; ok {
		return []string{s}
	}
	var out []string
	switch field {
	case "url":
		return []string{p.URL, p.ThreadURL}
	case "author":
		return []string{index.FieldValue("author", p.Author.Name), index.FieldValue("author", p.Author.ID)}
	case "tag":
		return t.Tags
	case "near":
		return index.NearKeys(r)
	case "category":
		for _, c := range v.Categories {
			out = append(out, c.ID)
		}
		return out
	case "evasion":
		for _, e := range v.Evasion {
			out = append(out, string(e))
		}
		return out
	}
	for _, e := range v.Entities {
		if e.Type == field || field == "contact" && slices.Contains(index.ContactTypes[:], e.Type) {
			out = append(out, e.Value)
		}
	}
	return out
}

func atURL(u, value string) bool {
	if strings.Contains(value, "://") {
		return strings.HasPrefix(u, value)
	}
	if strings.ContainsAny(value, "/:") {
		return strings.HasPrefix(u, "http://"+value) || strings.HasPrefix(u, "https://"+value)
	}
	parsed, err := url.Parse(u)
	return err == nil && (parsed.Hostname() == value || strings.HasSuffix(parsed.Hostname(), "."+value))
}

// containsText looks for the phrase, as written and normalised, in the text
// as published and normalised.
func containsText(text, phrase string) bool {
	plain, needle := Normalize(text), Normalize(phrase)
	return contains(text, phrase) || plain != text && contains(plain, phrase) ||
		needle != phrase && (contains(text, needle) || plain != text && contains(plain, needle))
}

// contains reports whether the text contains the phrase, as analysts mean it:
// case, width, marks and the choice of punctuation do not count; words are
// found by their beginning.
func contains(text, phrase string) bool {
	hay, needle := flatten(text), flatten(phrase)
	if needle == edge {
		return false
	}
	needle = strings.TrimSuffix(needle, edge)
	if first := []rune(strings.TrimPrefix(needle, edge))[0]; unicode.Is(unicode.Han, first) {
		needle = strings.TrimPrefix(needle, edge)
	}
	if last := []rune(needle); unicode.IsSymbol(last[len(last)-1]) {
		needle += edge
	}
	return strings.Contains(hay, needle)
}

const edge = "\x1f"

// flatten puts an edge wherever a run of Han characters, a word or a symbol
// begins or ends, and nothing else between them.
func flatten(s string) string {
	const none, han, word, symbol = 0, 1, 2, 3
	var b strings.Builder
	b.WriteString(edge)
	last, length := none, 0
	for _, r := range strings.ToLower(norm.NFKD.String(s)) {
		class := none
		switch {
		case unicode.Is(unicode.M, r), unicode.Is(unicode.Cf, r):
			continue
		case unicode.Is(unicode.Han, r):
			class = han
		case unicode.IsLetter(r), unicode.IsNumber(r):
			class = word
		case r > 127 && unicode.IsSymbol(r):
			class = symbol
		}
		length++
		if last != none && (class != last || class == symbol || class == word && length > 64) {
			b.WriteString(edge)
			length = 1
		}
		if class != none {
			if last == none {
				length = 1
			}
			b.WriteRune(r)
		}
		last = class
	}
	if last != none {
		b.WriteString(edge)
	}
	return b.String()
}
