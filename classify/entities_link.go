package classify

import (
	"net/url"
	"slices"
	"strings"
)

// emails finds name@host.tld, also written with 艾特, (at), [at] or # for @ and
// 点 or 。 for the dot.
func (x *extractor) emails() {
	for i := range x.text {
		if traits.of(x.text[i])&traitAt == 0 {
			continue
		}
		after := x.atSign(i)
		if after == 0 {
			continue
		}
		name := i
		if after > i+1 || x.at(after) == ' ' {
			name = x.skipSpace(i, -1)
		}
		start := name
		for name-start < maxName && (isASCIIWord(x.at(start-1)) || x.at(start-1) == '.') {
			start--
		}
		host, end, plain := x.host(after)
		if host == "" && after > i+1 || x.at(after) == ' ' {
			host, end, plain = x.host(x.skipSpace(after, 1))
		}
		if start == name || host == "" || (!plain || x.text[i] != '@' || name != i) && !knownTopLevel(host) {
			continue
		}
		x.add(EntityEmail, string(x.text[start:name])+"@"+host, start, end, false)
	}
}

// atSign returns where the sign or word for @ at i ends, 0 when there is none.
func (x *extractor) atSign(i int) int {
	for _, sign := range []string{"@", "#", "艾特", "圈a", "(at)", "[at]", "【at】"} {
		if end, ok := x.hasPrefix(i, sign); ok {
			return end
		}
	}
	return 0
}

// skipSpace returns the place beyond one space at i, or before i when step
// is -1.
func (x *extractor) skipSpace(i, step int) int {
	if step < 0 && x.at(i-1) == ' ' || step > 0 && x.at(i) == ' ' {
		return i + step
	}
	return i
}

// host reads the name of a host at i; plain when its dots are dots. It is
// empty when there is no dot in it.
func (x *extractor) host(i int) (host string, end int, plain bool) {
	plain = true
	var b strings.Builder
	dots := 0
	for end = i; end-i < maxURL; {
		r := x.at(end)
		if isASCIIWord(r) {
			b.WriteRune(r)
			end++
			continue
		}
		next := x.dotAt(end)
		if next == end || b.Len() == 0 || !isASCIIWord(x.at(next)) {
			break
		}
		plain = plain && r == '.'
		b.WriteByte('.')
		dots++
		end = next
	}
	if dots == 0 {
		return "", i, false
	}
	return b.String(), end, plain
}

// dotAt returns where the dot, the word for one or the dot in brackets at i ends,
// i when there is none.
func (x *extractor) dotAt(i int) int {
	r := x.at(i)
	if r == '.' || worded(r) {
		return i + 1
	}
	if r != '[' && r != '(' && r != '【' {
		return i
	}
	for _, sign := range [...]string{"[.]", "(.)", "[dot]", "(dot)", "【.】", "【点】", "(点)", "[点]"} {
		if end, ok := x.hasPrefix(i, sign); ok {
			return end
		}
	}
	return i
}

// worded reports whether r is written for a dot.
func worded(r rune) bool { return r == '点' || r == '。' || r == '·' }

func knownTopLevel(host string) bool {
	return slices.Contains(topLevels, host[strings.LastIndexByte(host, '.')+1:])
}

// topLevels are the endings by which a bare host name is recognised.
var topLevels = []string{"com", "cn", "net", "org", "top", "xyz", "vip", "shop", "cc", "club", "site", "online", "icu", "info", "me", "io", "app", "link", "fun", "ltd", "work", "pro", "live", "asia", "tv", "co", "wang", "store",
	"biz", "mobi", "name", "tel", "ren", "red", "kim", "ink", "art", "ai", "gg", "la", "pw", "us", "uk", "hk", "tw", "mo", "jp", "kr", "sg", "my", "vn", "th", "ph", "ru", "eu", "ca", "au", "de", "fr", "in", "to", "ws", "im", "plus", "press", "tech", "space", "website", "host", "cloud", "group", "team", "center", "company", "finance", "money", "loan", "loans", "credit", "cash", "bank", "fund", "insure", "law", "legal", "market", "services", "support", "email", "chat", "social", "news", "media", "games", "game", "life", "world", "today", "guru", "run", "love", "baidu", "dev", "page", "blog", "design", "video", "studio", "beer", "cyou", "sbs", "bond", "cfd", "monster", "quest", "buzz", "rest", "fit", "hair", "skin", "lol", "bar",
	"example"} // reserved for texts that must name nobody's (RFC 2606)

// maxURL and maxName bound how far a link or an account name is read: longer
// ones are none, and reading them again from each of their characters would
// take time in the square of their length.
const (
	maxURL  = 512
	maxName = 64
)

// urls finds links, with or without a scheme.
func (x *extractor) urls() {
	for i := 0; i < len(x.text); i++ {
		if !isLatin(x.text[i]) && !isDigit(x.text[i]) || isASCIIWord(x.at(i-1)) || x.at(i-1) == '@' || x.at(i-1) == '.' {
			continue
		}
		end := i
		for end-i < maxURL && isURLRune(x.at(end)) {
			end++
		}
		for end > i && strings.ContainsRune(".,:;!?)'-", x.text[end-1]) {
			end--
		}
		if x.wordedURL(i, end) {
			continue
		}
		if !slices.Contains(x.text[i:end], '.') {
			continue
		}
		raw := string(x.text[i:end])
		if value, kind, ok := readURL(raw); ok {
			x.add(kind, value, i, end, officialHost(value))
			i = end
		}
	}
}

// wordedURL records the link at i if a dot of it is a word: abc点com. Such a
// host must end in one of the most common ways, and hold letters or www.
func (x *extractor) wordedURL(i, end int) bool {
	if next := x.dotAt(end); next == end || x.at(end) == '.' || !isLatin(x.at(next)) {
		return false
	}
	for _, scheme := range []string{"https://", "http://", "hxxps://", "hxxp://"} {
		if after, ok := x.hasPrefix(i, scheme); ok {
			i = after
			break
		}
	}
	host, stop, plain := x.host(i)
	if plain || host == "" || isLatin(x.at(stop)) {
		return false
	}
	dot := strings.LastIndexByte(host, '.')
	if !slices.Contains(wordedEndings, host[dot+1:]) || allDigits(host[:dot]) && dot < 3 {
		return false
	}
	value := strings.TrimPrefix(host, "www.")
	return x.add(EntityURL, value, i, stop, officialHost(value))
}

// wordedEndings are the top levels that follow no word for a dot by chance.
var wordedEndings = []string{"com", "cn", "net", "org", "top", "xyz", "vip", "cc", "club", "shop", "example"}

func isURLRune(r rune) bool {
	return isASCIIWord(r) || containsRune(".:/?&=%#~+@", r)
}

// readURL recognises a link and normalises it: no scheme, no www.
func readURL(raw string) (value, kind string, ok bool) {
	s := raw
	for _, scheme := range []string{"https://", "http://", "hxxp://", "hxxps://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	hadScheme := s != raw || strings.HasPrefix(s, "www.")
	s = strings.TrimPrefix(s, "www.")
	host, rest, _ := strings.Cut(s, "/")
	if strings.ContainsAny(host, "@=&%") {
		return "", "", false
	}
	host, _, _ = strings.Cut(host, ":")
	dot := strings.LastIndexByte(host, '.')
	if dot <= 0 || dot == len(host)-1 || strings.Contains(host, "..") {
		return "", "", false
	}
	if !hadScheme && !knownTopLevel(host) {
		return "", "", false
	}
	if _, err := url.Parse("http://" + s); err != nil {
		return "", "", false
	}
	switch host {
	case "t.me", "telegram.me":
		if name := strings.TrimLeft(rest, "+@"); name != "" {
			return name, EntityTelegram, true
		}
	case "wa.me":
		if rest != "" {
			return rest, EntityWhatsApp, true
		}
	}
	return strings.TrimSuffix(s, "/"), EntityURL, true
}

// officialHost: government and well-known regulator domains are no suspect's
// contact.
func officialHost(value string) bool {
	host, _, _ := strings.Cut(value, "/")
	return host == "gov.cn" || strings.HasSuffix(host, ".gov.cn") || strings.HasSuffix(host, "pbccrc.org.cn")
}
