package index

import "slices"

// Normalized returns e with every text term also looked for in its normalised
// form, so that a query in traditional characters, or in disguise itself,
// finds what is written plainly. normalize is the one that the store indexes
// by; nil returns e. Terms that it does not change stay single.
func Normalized(e Expr, normalize func(string) string) Expr {
	if normalize == nil {
		return e
	}
	switch e := e.(type) {
	case Text:
		return normalizedText(e, normalize)
	case Not:
		return Not{X: Normalized(e.X, normalize)}
	case And:
		kids := make(And, len(e))
		for i, k := range e {
			kids[i] = Normalized(k, normalize)
		}
		return kids
	case Or:
		var kids Or
		for _, k := range e {
			if o, ok := Normalized(k, normalize).(Or); ok {
				kids = append(kids, o...)
			} else {
				kids = append(kids, Normalized(k, normalize))
			}
		}
		return kids
	}
	return e
}

func normalizedText(t Text, normalize func(string) string) Expr {
	plain := normalize(t.Value)
	tokens, prefix := Phrase(t.Value)
	other, otherPrefix := Phrase(plain)
	if len(other) == 0 || prefix == otherPrefix && slices.Equal(tokens, other) {
		return t
	}
	return Or{t, Text{Field: t.Field, Value: plain}}
}
