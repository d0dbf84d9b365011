package crawler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Expect says what the pages of a site yield when all is well. What is 0, or
// not named, is not looked at; a page that should hold something must hold one
// anyway.
type Expect struct {
	List   int            `yaml:"list"`   // rows, or links to threads, of a list page at least
	Thread int            `yaml:"thread"` // posts of a page with posts at least
	Fields map[string]int `yaml:"fields"` // of 100 posts so many have the field at least; names as in a post rule
	Day    int            `yaml:"day"`    // posts published in a day that are seen at least
}

// expectFields are the fields whose coverage can be expected; see coverage.
var expectFields = []string{"title", "text", "author", "author_id", "time", "region", "images"}

// maxExpectDay bounds expect.day; the ids of so many posts are kept in memory.
const maxExpectDay = 10_000

func (c *sourceCheck) checkExpect() {
	e := c.src.Expect
	for _, n := range []struct {
		key       string
		value, of int
	}{{"list", e.List, maxPageLinks}, {"thread", e.Thread, maxPagePosts}, {"day", e.Day, maxExpectDay}} {
		if n.value < 0 || n.value > n.of {
			c.add(fmt.Sprintf("expect.%s is %d", n.key, n.value), fmt.Sprintf("write a number from 1 to %d, or leave it out", n.of), "expect", n.key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if !slices.Contains(expectFields, name) {
			c.add(fmt.Sprintf("unknown field %q", name), "use "+strings.Join(expectFields, ", "), "expect", "fields", name)
		}
		if p := e.Fields[name]; p < 1 || p > 100 {
			c.add(fmt.Sprintf("expect.fields.%s is %d", name, p), "write of 100 posts how many have it, from 1 to 100", "expect", "fields", name)
		}
	}
}
