package classify

import (
	"strings"
	"unicode"
)

// goesOn reports whether a name that begins as text[i:end] may be longer.
func (x *extractor) goesOn(i, end int) bool {
	return x.spacedBy(i) != 0 || plainNumeral(x.at(end)) || looksLikeO(x.at(end)) || containsRune(joiners+".", x.at(end))
}

// bareAccounts finds account names that nothing announces: a Latin word of 5
// to 30 characters with an underscore, or of letters and then digits, alone
// between Han characters, signs and the ends of lines. Such names are WeChat
// ids practically always. The text must be about our subjects; elsewhere only a
// name is taken that ends the whole text, or stands alone in its clause and
// spells Chinese.
func (x *extractor) bareAccounts() {
	for i := 0; i < len(x.text); i++ {
		if !isLatin(x.text[i]) && !isDigit(x.text[i]) || isASCIIWord(x.at(i-1)) && !x.dashed(i-1) {
			continue
		}
		end := i
		for isASCIIWord(x.at(end)) {
			end++
		}
		if end-i < 5 && !x.goesOn(i, end) {
			i = end
			continue
		}
		code := containsRune(".@=", x.at(end)) && !x.parted(end+1) && !unicode.Is(unicode.Han, x.at(end+1)) && x.spacedBy(i) == 0 && !x.digitsEnd(end+1) || x.at(end) == '(' && !unicode.Is(unicode.Han, x.at(end+1))
		if before := x.at(i - 1); end-i <= maxAccount && (isLatin(x.text[i]) || x.turned) && (!containsRune("./#$", before) || x.dashed(i-1)) && !code {
			if before == '@' {
				x.mention(i, end)
			} else {
				x.bareAccount(i)
			}
		}
		i = end
	}
}

func (x *extractor) bareAccount(i int) {
	name, end := x.readName(i)
	if len(name) < 5 || len(name) > maxAccount {
		return
	}
	if name = x.inOrder(name, i, end); !isLatin(rune(name[0])) {
		return
	}
	last := x.endsText(end)
	alone := x.parted(i-1) && x.parted(end)
	named := looksLikeAccount(name)
	ok := false
	switch {
	case x.subject && named, named && last && !unicode.IsLetter(x.at(i-1)):
		ok = true
	case x.n.ev[i]&(evHidden|evUpsideDown) != 0 && (named || looksShort(name)):
		ok = true // nobody hides or turns another word that looks like this
	case x.subject && alone && looksShort(name) && x.wordedDigits(i, end):
		ok = true
	case !x.code && len(name) >= 6 && looksShort(name) && startsChinese(name) && (x.agreed(end) || x.sentTo(i)):
		ok = true
	case looksShort(name) && x.pointed(i) && x.parted(end):
		ok = true
	case named && last && strings.Contains(name, "_"):
		ok = strings.ContainsAny(name, "0123456789") && !strings.Contains(name, "_19") && !strings.Contains(name, "_20")
	case x.subject && (last || containsRune("加私滴聊详", x.at(end))) && !commonLatin[name] && (looksShort(name) || x.plainName(i, end)):
		ok = !isASCIIWord(x.at(i-2)) || x.at(i-1) != ' '
	case alone && len(name) >= 7 && strings.ContainsAny(name, "0123456789") && named && strings.Contains(name, "_") && !strings.Contains(name, "_19") && !strings.Contains(name, "_20"):
		ok = x.amongHan(i)
	case len(name) >= 7 && strings.ContainsAny(name, "0123456789") && named && strings.Contains(name, "_") && !strings.Contains(name, "_19") && !strings.Contains(name, "_20") && spellsChinese(name):
		ok = x.amongHan(i) && x.parted(i-1)
	case named && alone && strings.Contains(name, "_"), x.subject && alone && strings.Count(name, "-") == 1 && len(name) >= 8 && looksShort(strings.ReplaceAll(name, "-", "")):
		ok = spellsChinese(name) || x.subject && last && leadingLetters(name) >= 4 && x.digitsEnd(i+leadingLetters(name)+1)
	case x.subject && last && len(name) >= 7 && leadingLetters(name) == len(name) && !commonLatin[name]:
		ok = spellsChinese(name) || spellsChinese(name[:len(name)-1]) || spellsChinese(name[:len(name)-2])
	}
	ok = ok && (!x.code || x.subject && startsChinese(name))
	kind := x.home
	if isBot(x.text[:end]) {
		kind = EntityTelegram
	}
	if ok {
		x.add(kind, name, i, end, false)
	}
}

// dashed reports whether the sign at i parts a word of Han from what follows:
// 征信-abc_123.
func (x *extractor) dashed(i int) bool {
	return containsRune("-_/.", x.at(i)) && unicode.Is(unicode.Han, x.at(i-1))
}

// isBot reports whether an account ends as only Telegram's robots may.
func isBot(text []rune) bool {
	n := len(text)
	return n > 4 && text[n-3] == 'b' && text[n-2] == 'o' && text[n-1] == 't' && (text[n-4] == '_' || isDigit(text[n-4]))
}

// agreed reports whether the words after an account at end are those that follow
// one: 备注来意, 通过后.
func (x *extractor) agreed(end int) bool {
	for containsRune(" ,，(。", x.at(end)) && end < len(x.text) {
		end++
	}
	for _, w := range [...]string{"备注", "暗号", "秒通过", "通过后", "验证消息", "加好友", "添加时", "加的时候", "加我备", "说是"} {
		if _, ok := x.hasPrefix(end, w); ok {
			return true
		}
	}
	return false
}

// sentTo reports whether the words before i send the reader to a person, by the
// name that such persons go by: 找周姐, 联系小王.
func (x *extractor) sentTo(i int) bool {
	for containsRune(" :：", x.at(i-1)) {
		i--
	}
	if containsRune("戳滴", x.at(i-1)) || x.at(i-1) == '我' && containsRune("私滴戳", x.at(i-2)) {
		return true
	}
	for n := 2; n <= 4; n++ {
		if !unicode.Is(unicode.Han, x.at(i-n+1)) {
			return false
		}
		if containsRune("找加系询络私", x.at(i-n)) {
			return containsRune("姐哥总师理管服妹弟叔姨工", x.at(i-1)) || containsRune("小老阿", x.at(i-n+1))
		}
	}
	return false
}

// pointed reports whether a sign for a phone or an arrow stands before i.
func (x *extractor) pointed(i int) bool {
	if x.at(i-1) == ' ' {
		i--
	}
	return containsRune("📲📱☎📞💬👉➡→✆📮", x.at(i-1))
}

// wordedDigits reports whether two digits of text[i:end] are written as words or
// in circles.
func (x *extractor) wordedDigits(i, end int) bool {
	n := 0
	for k := i; k < end; k++ {
		if plainNumeral(x.text[k]) && (!isDigit(x.text[k]) || x.n.ev[k]&evDigits != 0) {
			n++
		}
	}
	return n > 1
}

// amongHan reports whether Han, or a sign after Han, stands before i.
func (x *extractor) amongHan(i int) bool {
	for k := i - 1; k >= max(0, i-3); k-- {
		if unicode.Is(unicode.Han, x.text[k]) {
			return true
		}
		if !containsRune(" ,，。:：!！?？", x.text[k]) {
			return false
		}
	}
	return false
}

// plainName reports whether the letters text[i:end] may be a name though no
// digit is among them: published in lower case and alone.
func (x *extractor) plainName(i, end int) bool {
	for _, r := range x.text[i:end] {
		if !isLatin(r) {
			return false
		}
	}
	return x.parted(i - 1)
}

// mention takes @name for an account: of Weibo where the text passes on
// another's, else of Telegram.
func (x *extractor) mention(i, end int) {
	if x.at(i-2) != 0 && isASCIIWord(x.at(i-2)) {
		return
	}
	name := string(x.text[i:end])
	if x.reposts {
		if looksLikeAccount(name) {
			x.add(EntityWeibo, name, i, end, false)
		}
		return
	}
	if x.subject && (looksLikeAccount(name) || looksShort(name) || len(name) >= 5 && !commonLatin[name] && x.parted(end)) || strings.Contains(name, "_") && looksLikeAccount(name) && i > 1 && x.parted(i-2) && x.parted(end) {
		x.add(EntityTelegram, name, i, end, false)
	}
}

// lookAround learns from the whole text what a name without a platform is. Where
// prices are in USDT (30U, 168u起) or the escrow groups of Telegram are named,
// or Telegram is spoken of and WeChat is not, its home is Telegram, else WeChat.
func (x *extractor) lookAround() {
	x.home, x.reposts, x.code = EntityWechat, false, false
	usdt, telegram, wechat := false, false, false
	for i, r := range x.text {
		switch r {
		case 'u':
			if !isASCIIWord(x.at(i + 1)) {
				usdt = usdt || isDigit(x.at(i-1)) || containsRune("结付", x.at(i+1)) ||
					containsRune("收出结付回走换打", x.at(i-1)) && x.at(i+1) != '盾' && x.at(i+1) != '盘'
			}
		case '公':
			usdt = usdt || x.at(i+1) == '群' && !unicode.Is(unicode.Han, x.at(i+2))
		case '上':
			usdt = usdt || x.at(i+1) == '押'
		case '微', '薇':
			wechat = wechat || x.at(i+1) == '信'
		case '纸':
			telegram = telegram || x.at(i+1) == '飞' && x.at(i+2) == '机'
		case '电':
			telegram = telegram || x.at(i+1) == '报' && !containsRune("警名告", x.at(i+2))
		case 't':
			telegram = telegram || x.tradeWord(i)
		case '贷', '债':
			x.subject = true
		case '退', '催', '征':
			x.subject = x.subject || containsRune("费保收信", x.at(i+1))
		case '命', '数', '代', '变', '函', '字', '报', '脚', '接', '参':
			x.code = x.code || x.codeWord(i)
		case '@':
			x.reposts = x.reposts || unicode.Is(unicode.Han, x.at(i+1)) || x.at(i-1) == '/' && x.at(i-2) == '/'
		}
	}
	if usdt || telegram && !wechat {
		x.home = EntityTelegram
	}
}

// codeWord reports whether a word of programmers is at i.
func (x *extractor) codeWord(i int) bool {
	for _, w := range [...]string{"命令", "代码", "变量", "函数", "字段", "报错", "脚本", "接口", "参数", "数据库"} {
		if _, ok := x.hasPrefix(i, w); ok {
			return true
		}
	}
	return false
}

// tradeWord reports whether a Latin name of Telegram or its money is at i.
func (x *extractor) tradeWord(i int) bool {
	for _, w := range [...]string{"tg", "trx", "trc20", "telegram"} {
		if end, ok := x.hasPrefix(i, w); ok && !isASCIIWord(x.at(i-1)) && !isASCIIWord(x.at(end)) {
			return true
		}
	}
	return false
}

// parted reports whether no letter or digit stands at i.
func (x *extractor) parted(i int) bool {
	r := x.at(i)
	return r == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
}

// endsText reports whether only signs stand from end on.
func (x *extractor) endsText(end int) bool {
	for i := end; i < len(x.text); i++ {
		if r := x.text[i]; unicode.IsLetter(r) || unicode.IsDigit(r) {
			return false
		}
		if i-end > 16 {
			return false
		}
	}
	return true
}

// spellsChinese reports whether every run of letters in name is pinyin, but for
// one of at most four letters.
func spellsChinese(name string) bool {
	short, spelt := 0, 0
	for i := 0; i < len(name); {
		end := i
		for end < len(name) && isLatin(rune(name[end])) {
			end++
		}
		if end == i {
			i++
			continue
		}
		if _, _, n := syllables().parsePinyin([]rune(name[i:end])); n > 0 {
			spelt++
		} else if short++; end-i > 4 {
			return false
		}
		i = end
	}
	return spelt > 0 && short <= 1
}

// afterCue returns the platform named at or closely after i.
func (x *extractor) afterCue(i int) (cueWord, int) {
	after := i
	for after < len(x.text) && after-i < 2 && containsRune(" ，,(（", x.text[after]) {
		after++
	}
	if end, ok := x.hasPrefix(after, "是反的"); ok {
		after = end
	}
	for _, c := range traits.cuesAt(x.at(after)) {
		stop, ok := x.hasRunes(after, c.runes)
		if !ok || isASCIIWord(x.at(stop)) {
			continue
		}
		if afterCues[c.text] || strongAfter[c.text] && !unicode.Is(unicode.Han, x.at(stop)) || strongAfter[c.text] && containsRune("搜倒反", x.at(stop)) {
			return c.cueWord, stop
		}
	}
	return cueWord{}, 0
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
		c, stop := x.afterCue(end)
		if c.kind == "" || isDigit(x.at(x.skipFiller(stop))) && stop < len(x.text) && x.at(stop) != ' ' {
			i = end
			continue
		}
		word := x.inOrder(string(x.text[i:end]), i, end)
		switch {
		case (c.kind == EntityQQ || c.kind == EntityQQGroup) && allDigits(word) && len(word) >= 6 && len(word) <= 11 && word[0] != '0' && !isMobile(word):
			x.add(c.kind, word, i, end, false)
		case c.kind == EntityTelegram && isLatin(rune(word[0])) && len(word) >= 5 && (!commonLatin[word] || x.upsideDown(i)),
			c.kind == EntityWechat && !modelName(word) && (looksLikeAccount(word) || looksShort(word) || len(word) >= 6 && isLatin(rune(word[0])) && strings.ContainsAny(word, "0123456789") || x.upsideDown(i) && len(word) >= 4):
			x.add(c.kind, word, i, end, false)
		}
		i = end
	}
}

// afterCues are the platform names that may follow an account; strongAfter
// those that do so only at the end of a clause.
var (
	afterCues   = map[string]bool{"抠": true, "扣": true, "扣扣": true, "企鹅": true, "qq": true, "tg": true, "telegram": true, "飞机": true, "电报": true, "微信": true, "vx": true, "wx": true, "机飞": true, "qq群": true, "q群": true, "扣群": true, "q裙": true}
	strongAfter = map[string]bool{"微": true, "薇": true, "徽❤": true, "薇❤": true, "威❤": true, "微❤": true, "v❤": true, "v": true, "薇信": true, "信微": true, "q": true, "加微": true, "威": true, "徽": true, "维": true, "威信": true, "徽信": true, "维信": true, "唯信": true, "w": true}
)

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// looksLikeAccount: see bareAccounts.
func looksLikeAccount(name string) bool {
	if len(name) < 5 || len(name) > maxAccount || strings.Contains(name, "-") || len(name) == 5 && !strings.Contains(name, "_") || modelName(name) {
		return false
	}
	if strings.Contains(strings.Trim(name, "_"), "_") {
		return true
	}
	letters := leadingLetters(name)
	digits := len(name) - letters
	return len(name) <= 20 && letters >= 3 && digits >= 1 && digits <= 6
}

// looksShort reports whether name has two letters and a digit at least.
func looksShort(name string) bool {
	return len(name) >= 5 && len(name) <= 20 && leadingLetters(name) >= 2 && strings.ContainsAny(name, "0123456789") && !strings.Contains(name, "-") && !modelName(name)
}

func leadingLetters(name string) int {
	n := 0
	for n < len(name) && isLatin(rune(name[n])) {
		n++
	}
	return n
}

// modelName reports whether name is a product's or a standard's.
func modelName(name string) bool {
	for _, p := range modelPrefixes {
		if rest, ok := strings.CutPrefix(name, p); ok && (rest == "" || !isLatin(rune(rest[0]))) {
			return true
		}
	}
	letters := leadingLetters(name)
	if rest := name[letters:]; letters <= 4 && len(rest) >= 12 && allDigits(rest) {
		return true // a parcel's
	}
	return strings.HasPrefix(name, "iphone")
}

var modelPrefixes = []string{"iphone", "ipad", "covid", "rtx", "gtx", "mate", "windows", "win", "android", "ios", "mp", "gpt", "chatgpt", "ddr", "usb", "iso", "gb", "hsk", "python", "html", "utf", "redmi", "nova", "reno", "macbook", "office", "excel", "intel", "amd", "core", "ryzen", "sha", "md", "base", "web", "part", "vol", "page", "note", "pro", "plus", "max", "version", "ver", "top", "vip", "level", "day", "room", "xiaomi", "huawei", "oppo", "vivo", "honor"}
