package classify

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// emails finds name@host.tld, also written with (at), # or 艾特 for @ and 点 for
// the dot.
func (x *extractor) emails() {
	for i := range x.text {
		if x.text[i] != '@' {
			continue
		}
		start := i
		for i-start < maxName && (isASCIIWord(x.at(start-1)) || x.at(start-1) == '.') {
			start--
		}
		end, dot := i+1, false
		for end-i < maxURL && (isASCIIWord(x.at(end)) || x.at(end) == '.' && isASCIIWord(x.at(end+1))) {
			dot = dot || x.text[end] == '.'
			end++
		}
		if start < i && dot {
			x.add(EntityEmail, string(x.text[start:end]), start, end, false)
		}
	}
}

// topLevels are the endings by which a bare host name is recognised.
var topLevels = []string{"com", "cn", "net", "org", "top", "xyz", "vip", "shop", "cc", "club", "site", "online", "icu", "info", "me", "io", "app", "link", "fun", "ltd", "work", "pro", "live", "asia", "tv", "co", "wang", "store"}

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

func isURLRune(r rune) bool {
	return isASCIIWord(r) || containsRune(".:/?&=%#~+@", r)
}

// readURL recognises a link and normalises it: no scheme, no www.
func readURL(raw string) (value, kind string, ok bool) {
	s := raw
	for _, scheme := range []string{"https://", "http://", "hxxp://", "hxxps://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	hadScheme := s != raw
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
	known := false
	for _, t := range topLevels {
		known = known || host[dot+1:] == t
	}
	if !known && !hadScheme {
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

// accounts finds the names that follow a platform's name.
func (x *extractor) accounts() {
	for i := 0; i < len(x.text); i++ {
		for _, c := range traits.cuesAt(x.text[i]) {
			end, ok := x.hasRunes(i, c.runes)
			if !ok || c.kind == "" {
				continue
			}
			if isLatin(rune(c.text[0])) && isLatin(x.at(i-1)) {
				continue // inside a longer Latin word
			}
			if next, ok := x.account(c.cueWord, i, end); ok {
				i = next - 1
				break
			}
		}
	}
}

// account reads the account of cue c at or after i.
func (x *extractor) account(c cueWord, cueStart, i int) (end int, ok bool) {
	from := x.skipFiller(i)
	if c.weak && from-i > 3 {
		return 0, false
	}
	switch c.kind {
	case EntityQQ, EntityQQGroup:
		run, ok := x.digitsAt(from)
		if !ok || len(run.digits) < 5 || len(run.digits) > 11 || run.digits[0] == '0' {
			return 0, false
		}
		if c.kind == EntityQQ && isMobile(run.digits) {
			return 0, false // a phone number; the number scan takes it
		}
		if c.weak && len(run.digits) < 7 && !run.disguised {
			return 0, false
		}
		return run.end, x.add(c.kind, run.digits, run.start, run.end, false)
	case EntityWechat, EntityAlipay, EntityWhatsApp:
		if run, ok := x.digitsAt(from); ok && isMobile(run.digits) {
			if generalCues[c.text] || c.kind == EntityWhatsApp && run.disguised {
				return 0, false
			}
			return run.end, x.add(c.kind, run.digits, run.start, run.end, false)
		}
	}
	if c.text == "加" {
		if run, ok := x.digitsAt(from); ok && len(run.digits) >= 8 && len(run.digits) <= 10 && run.digits[0] != '0' && !looksLikeDate(run.digits) && !x.counted(run) {
			return run.end, x.add(EntityQQ, run.digits, run.start, run.end, false)
		}
	}
	if isLatin(rune(c.text[0])) && x.at(i) == '_' {
		from = cueStart // wx_zhuce is a name, not a name after wx
	}
	return x.name(c, cueStart, from)
}

// generalCues announce an account of no platform: a number after them is a
// phone's.
var generalCues = map[string]bool{"+": true, "加": true, "➕": true, "咨询": true, "联系": true, "客服": true, "详聊": true, "私聊": true, "找我": true}

// name reads a Latin account name: a letter first, then letters, digits, _ and
// -. Names of a weak cue must hold a digit or an underscore, so that 加oil is
// none. Single signs between the characters (a.b.c) are passed.
func (x *extractor) name(c cueWord, cueStart, from int) (end int, ok bool) {
	if x.at(from) == '@' {
		from++
	}
	var b strings.Builder
	end = from
	for {
		if b.Len() > maxName {
			return 0, false
		}
		r := x.at(end)
		if isASCIIWord(r) {
			b.WriteRune(r)
			end++
			continue
		}
		if b.Len() >= 2 && (r == 'о' && isDigit(x.at(end-1)) || plainNumeral(r) && readsOn(x.at(end+1), r)) {
			d, _ := readDigit(r)
			if r == 'о' {
				d = '0'
			}
			b.WriteByte(d)
			end++
			continue
		}
		if b.Len() > 0 && isSpacer(r) && isASCIIWord(x.at(end+1)) && !isASCIIWord(x.at(end+2)) && x.spaced(from) {
			end++
			continue
		}
		break
	}
	name := strings.TrimRight(b.String(), "-_")
	end -= b.Len() - len(name)
	least := 6
	switch {
	case c.kind == EntityTelegram, c.kind == EntityWhatsApp, c.kind == EntityDouyin, c.kind == EntityXiaohongshu:
		least = 5
	case c.kind == EntityWechat && !c.weak:
		least = 5
	}
	if len(name) < least || len(name) > 30 || name == "" {
		return 0, false
	}
	hasDigit := strings.ContainsAny(name, "0123456789_-")
	if !isLatin(rune(name[0])) && (c.kind != EntityDouyin && c.kind != EntityXiaohongshu && c.kind != EntityWechat || c.weak) {
		return 0, false
	}
	if rest := strings.TrimPrefix(name, "qq"); rest != name && allDigits(rest) && len(rest) >= 5 {
		return end, x.add(EntityQQ, rest, from, end, false)
	}
	if c.weak && !hasDigit && !strings.ContainsRune(":：@", x.at(from-1)) {
		return 0, false
	}
	if !hasDigit && commonLatin[name] {
		return 0, false
	}
	return end, x.add(c.kind, name, from, end, false)
}

// readsOn reports whether a numeral inside an account name goes on as one, or
// ends it.
func readsOn(next, r rune) bool {
	return plainNumeral(next) || !unicode.Is(unicode.Han, next) && !unicode.IsLetter(next) || next == r
}

// commonLatin are Latin words that follow a platform's name without being an
// account.
var commonLatin = map[string]bool{"wechat": true, "weixin": true, "telegram": true, "whatsapp": true, "alipay": true, "iphone": true, "android": true, "windows": true, "office": true, "python": true}

func isSpacer(r rune) bool {
	return r == ' ' || r == '.' || r == '·' || r == '-' || r == '*' || r == '~' || r == '|' || r == '/'
}

// spaced reports whether the first three characters from i stand apart, each
// with a sign between.
func (x *extractor) spaced(i int) bool {
	return isASCIIWord(x.at(i)) && isSpacer(x.at(i+1)) && isASCIIWord(x.at(i+2)) && isSpacer(x.at(i+3))
}
