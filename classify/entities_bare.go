package classify

import (
	"slices"
	"strings"
	"unicode"
)

// bareAccounts finds account names that nothing announces: a Latin word of 6
// to 20 characters with an underscore, or of at least three letters and then
// digits, alone between Han characters, signs and the ends of lines. Such names
// are WeChat ids practically always. A bare number of 8 to 10 digits in a
// sentence that speaks of a group is the group's.
//
// Without subject (the text holds no word of ours) only a name that ends the
// whole text is taken.
func (x *extractor) bareAccounts(subject bool) {
	for i := 0; i < len(x.text); i++ {
		if !isLatin(x.text[i]) || isASCIIWord(x.at(i-1)) || containsRune("./@#$", x.at(i-1)) {
			continue
		}
		end := i
		for isASCIIWord(x.at(end)) {
			end++
		}
		if end-i < 5 || end-i > 20 {
			i = end
			continue // no account: see looksLikeAccount
		}
		if name := string(x.text[i:end]); looksLikeAccount(name) && x.at(end) != '.' && x.at(end) != '(' && x.at(end) != '@' && (subject || x.endsText(i, end)) {
			x.add(EntityWechat, name, i, end, false)
		}
		i = end
	}
	if subject && slices.Contains(x.text, '群') {
		x.bareGroups()
	}
}

// endsText reports whether text[i:end] stands alone at the end of the text.
func (x *extractor) endsText(i, end int) bool {
	for _, r := range x.text[end:] {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return false
		}
	}
	return i > 0 && !unicode.IsLetter(x.text[i-1])
}

// afterwords finds accounts whose platform is named after them: 177093321 扣,
// abc_bao tg.
func (x *extractor) afterwords() {
	for i := 0; i < len(x.text); i++ {
		if isASCIIWord(x.at(i-1)) || !isASCIIWord(x.text[i]) {
			continue
		}
		end := i
		for isASCIIWord(x.at(end)) {
			end++
		}
		kind := ""
		after := end
		for after < len(x.text) && after-end < 2 && (x.text[after] == ' ' || x.text[after] == '，' || x.text[after] == ',') {
			after++
		}
		for _, c := range traits.cuesAt(x.at(after)) {
			if stop, ok := x.hasRunes(after, c.runes); ok && afterCues[c.text] && !isASCIIWord(x.at(stop)) {
				kind = c.kind
				break
			}
		}
		if kind == "" {
			i = end
			continue
		}
		word := string(x.text[i:end])
		switch {
		case kind == EntityQQ && allDigits(word) && len(word) >= 6 && len(word) <= 11 && word[0] != '0' && !isMobile(word):
			x.add(kind, word, i, end, false)
		case kind == EntityTelegram && isLatin(rune(word[0])) && len(word) >= 5 && !commonLatin[word], kind == EntityWechat && looksLikeAccount(word):
			x.add(kind, word, i, end, false)
		}
		i = end
	}
}

// afterCues are the platform names that may follow an account.
var afterCues = map[string]bool{"扣": true, "扣扣": true, "企鹅": true, "qq": true, "tg": true, "telegram": true, "飞机": true, "电报": true, "微信": true, "vx": true, "wx": true}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// bareGroups finds the numbers of groups that a sentence speaks of.
func (x *extractor) bareGroups() {
	for i := 0; i < len(x.text); i++ {
		if !isDigit(x.text[i]) || isASCIIWord(x.at(i-1)) {
			continue
		}
		run, ok := x.digitsAt(i)
		if ok && len(run.digits) >= 8 && len(run.digits) <= 10 && run.digits[0] != '0' && !isHotline(run.digits) && !x.orderNumber(run) && !looksLikeDate(run.digits) &&
			!isLatin(x.at(run.end)) && strings.ContainsRune(string(x.text[max(0, run.start-30):run.start]), '群') {
			x.add(EntityQQGroup, run.digits, run.start, run.end, false)
		}
		i = max(i, run.end)
	}
}

func looksLikeDate(d string) bool {
	return len(d) == 8 && (d[:2] == "19" || d[:2] == "20") && d[4] <= '1' && d[6] <= '3'
}

// looksLikeAccount: see bareAccounts.
func looksLikeAccount(name string) bool {
	if len(name) < 5 || len(name) > 20 || strings.Contains(name, "-") || len(name) == 5 && !strings.Contains(name, "_") {
		return false
	}
	letters := 0
	for letters < len(name) && isLatin(rune(name[letters])) {
		letters++
	}
	digits := len(name) - letters
	return strings.Contains(strings.Trim(name, "_"), "_") || letters >= 3 && digits >= 1 && digits <= 6 && !strings.HasPrefix(name, "iphone") && !strings.HasPrefix(name, "covid")
}
