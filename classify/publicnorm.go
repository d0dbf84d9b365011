package classify

import "sync"

// normPool holds normalisers between calls of Normalize.
var normPool = sync.Pool{New: func() any { return new(normalized) }}

// Normalize returns the letters, digits and ideographs of a text with the
// disguises of single characters undone (width, styles, traditional and
// variant forms, split radicals, markup) and everything between them left out,
// so that a search for 停息挂账 finds 停.息.挂.账. It is safe for concurrent use.
func Normalize(text string) string {
	n := normPool.Get().(*normalized)
	defer normPool.Put(n)
	normalize(text, n)
	return string(n.stream)
}
