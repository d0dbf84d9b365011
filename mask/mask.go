// Package mask hides contacts in what leaves the circle of those who may see
// them: most of each is replaced by asterisks, and what is left tells two of
// them apart for somebody who knows them.
//
// What comes in: values, texts and records. What goes out: the same, masked.
// The package does not know who may see what. It hides what the classifier
// recognised as a contact, wherever that is written, and runs of digits; a
// contact that the classifier did not see and that is no number stays.
package mask

import (
	"strings"
	"unicode"

	"qingyuan/classify"
)

// ReplaceFold replaces old by new whatever the case of its ASCII letters.
func ReplaceFold(s, old, with string) string {
	low, find := lower(s), lower(old)
	var out strings.Builder
	for {
		i := strings.Index(low, find)
		if i < 0 || find == "" {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		out.WriteString(with)
		s, low = s[i+len(find):], low[i+len(find):]
	}
}

// lower maps ASCII letters only, so that offsets stay.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// minNumber is how many digits make a number that could be a contact.
const minNumber = 7

// Numbers hides the middle of runs of seven digits or more, also with
// single blanks, dots or hyphens between them and in any script's digits.
func Numbers(s string) string {
	in := []rune(s)
	var out strings.Builder
	for i := 0; i < len(in); {
		digits, j := 0, i
		for k := i; k < len(in); k++ {
			if unicode.IsNumber(in[k]) {
				digits++
				j = k + 1
			} else if k == i || !strings.ContainsRune(" .-_—·", in[k]) || !unicode.IsNumber(in[k-1]) {
				break
			}
		}
		if digits < minNumber {
			out.WriteString(string(in[i:max(j, i+1)]))
			i = max(j, i+1)
			continue
		}
		kept := 0
		for k := i; k < j && kept < 3; k++ {
			if unicode.IsNumber(in[k]) {
				out.WriteRune(in[k])
				kept++
			}
		}
		out.WriteString("****")
		i = j
	}
	return out.String()
}

// Contact hides most of a contact and keeps what tells two of them apart
// for somebody who knows them.
func Contact(kind, value string) string {
	switch kind {
	case classify.EntityURL:
		return maskURL(value)
	case classify.EntityEmail:
		if name, host, ok := strings.Cut(value, "@"); ok {
			return maskWord(name) + "@" + host
		}
	case classify.EntityBankCard:
		if r := []rune(value); len(r) > 8 {
			return "****" + string(r[len(r)-4:])
		}
	}
	return maskWord(value)
}

func maskWord(s string) string {
	r := []rune(s)
	switch n := len(r); {
	case n <= 2:
		return "**"
	case n <= 5:
		return string(r[:1]) + "***"
	case n <= 8:
		return string(r[:2]) + "****" + string(r[n-1:])
	default:
		return string(r[:3]) + "****" + string(r[n-2:])
	}
}

// maskURL keeps the top of the host and says that there was a path.
func maskURL(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	host, path, _ := strings.Cut(s, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	host, _, _ = strings.Cut(host, "?")
	name, top := host, ""
	if i := strings.LastIndexByte(host, '.'); i >= 0 {
		name, top = host[:i], host[i:]
	}
	if name = maskWord(strings.TrimPrefix(name, "www.")) + top; path != "" {
		name += "/…"
	}
	return name
}
