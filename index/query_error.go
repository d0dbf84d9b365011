package index

import "fmt"

// Limits of a query, so that hostile ones stay cheap.
const (
	MaxQueryBytes = 4096 // length of the text
	MaxQueryTerms = 200  // terms and fields
	MaxQueryDepth = 32   // nested parentheses and NOTs
)

// QueryError says what is wrong with a query, where, and what to do, in both
// languages.
type QueryError struct {
	Pos       int    // rune offset in the query, from 0
	Problem   string // in plain words
	Remedy    string // what to write instead; may be empty
	ProblemZh string // Problem in Chinese
	RemedyZh  string // Remedy in Chinese; empty when Remedy is
}

// Error gives the position counted from 1, as people do, in English.
func (e *QueryError) Error() string {
	s := fmt.Sprintf("query, character %d: %s", e.Pos+1, e.Problem)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// In returns the problem and the remedy in a language: Chinese for "zh",
// else English.
func (e *QueryError) In(lang string) (problem, remedy string) {
	if lang == "zh" && e.ProblemZh != "" {
		return e.ProblemZh, e.RemedyZh
	}
	return e.Problem, e.Remedy
}

// wording is one text in both languages.
type wording struct{ en, zh string }

// both formats a text in both languages with the same arguments.
func both(en, zh string, args ...any) wording {
	return wording{en: fmt.Sprintf(en, args...), zh: fmt.Sprintf(zh, args...)}
}

func queryError(pos int, problem, remedy wording) *QueryError {
	return &QueryError{Pos: pos, Problem: problem.en, Remedy: remedy.en, ProblemZh: problem.zh, RemedyZh: remedy.zh}
}

func (p *parser) fail(pos int, problem, remedy wording) error {
	return queryError(pos, problem, remedy)
}
