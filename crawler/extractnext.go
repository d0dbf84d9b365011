package crawler

import "strconv"

// nextNumber is the variable {next}: the number of the page after this one,
// where the rule's match has a group page. JSON of comments has no links. "" on
// pages without such a group or beyond any real one.
func (x *extractor) nextNumber() string {
	if !x.numbered {
		return ""
	}
	if x.pageNumber == "" {
		return "2"
	}
	n, err := strconv.Atoi(x.pageNumber)
	if err != nil || n < 0 || n > 1_000_000 {
		return ""
	}
	return strconv.Itoa(n + 1)
}
