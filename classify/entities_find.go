package classify

import (
	"strings"
	"unicode"
)

// accounts finds the names that follow a platform's name.
func (x *extractor) accounts() {
	for i := 0; i < len(x.text); i++ {
		if x.text[i] == '@' {
			x.followed(i)
		}
		for _, c := range traits.cuesAt(x.text[i]) {
			end, ok := x.hasLoose(i, c.runes)
			if !ok || end-i == 3 && x.at(i+1) == '+' && isASCIIWord(x.at(end)) {
				continue // v+xiao_88 is v and a name in x
			}
			if isLatin(rune(c.text[0])) && isLatin(x.at(i-1)) || isLatin(x.at(end)) && x.glued(c, end) {
				continue // inside a longer Latin word
			}
			if sign := x.at(i - 1); len(c.text) == 1 && isASCIIWord(x.at(i-2)) && sign == x.at(end) && (sign == '-' || !isASCIIWord(sign)) {
				continue // l v a n
			}
			if next, ok := x.account(c.cueWord, i, end); ok {
				i = next - 1
				break
			}
		}
	}
}

// glued reports whether cue c, right before the letter at end, may be the
// beginning of a longer word: feijian after feij, xzf_99 after 薇x.
func (x *extractor) glued(c cue, end int) bool {
	latin := isLatin(rune(c.text[0]))
	return c.weak && latin && len(c.text) > 1 && isLatin(x.at(end-1)) || !latin && x.at(end-1) == 'x'
}

// hasLoose is hasRunes for a word that may have one sign between its
// characters: Q.Q, 微*信.
func (x *extractor) hasLoose(i int, word []rune) (int, bool) {
	for j, r := range word {
		if j > 0 && x.at(i) != r && isLatin(r) == isLatin(word[j-1]) && containsRune(" .·-*~|/_+、•丶'", x.at(i)) {
			i++
		}
		if x.at(i) != r {
			return 0, false
		}
		i++
	}
	return i, true
}

// account reads the account of cue c at or after i.
func (x *extractor) account(c cueWord, cueStart, i int) (end int, ok bool) {
	from := x.skipFiller(i)
	if c.weak && from-i > 3 {
		return 0, false
	}
	for range 3 {
		next, ok := x.skipRequest(from)
		if !ok || generalCues[c.text] {
			break
		}
		from = x.skipFiller(next)
	}
	if c.weak && x.surname(c.text, cueStart) {
		return 0, false
	}
	switch c.kind {
	case otherPlatform:
		if end = from; strings.ContainsAny(string(x.text[i:from]), ",，、") {
			return 0, false
		}
		for isASCIIWord(x.at(end)) {
			end++
		}
		return end, end-from > 4 && !isMobile(string(x.text[from:end])) && x.add(c.kind, "-", from, end, false)
	case EntityQQ, EntityQQGroup:
		return x.numberAccount(c, from)
	case EntityWhatsApp:
		if run, ok := x.digitsAt(from); ok && len(run.digits) >= 8 && len(run.digits) <= 15 && run.digits[0] != '0' && !x.counts(run.end) {
			return run.end, x.add(c.kind, run.digits, run.start, run.end, false)
		}
	case EntityWechat, EntityAlipay:
		if run, ok := x.digitsAt(from); ok && isMobile(run.digits) {
			if generalCues[c.text] || c.kind == EntityWechat && x.alsoPhone(cueStart, i) {
				return 0, false
			}
			return run.end, x.add(c.kind, run.digits, run.start, run.end, false)
		}
	case EntityDouyin, EntityXiaohongshu, EntityWeibo:
		if run, ok := x.digitsAt(from); ok && len(run.digits) >= 6 && len(run.digits) <= 12 && !isASCIIWord(x.at(run.end)) && !x.counts(run.end) {
			if isMobile(run.digits) {
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
	if end, ok := x.handle(c, i, from); ok {
		return end, true
	}
	if c.kind == EntityAlipay && c.weak && !containsRune(":：", x.at(from-1)) {
		return 0, false // such an account is a phone or mail; the rest is goods
	}
	if isLatin(rune(c.text[0])) && x.at(i) == '_' {
		from = cueStart // wx_zhuce is a name, not a name after wx
	}
	if x.partOfName(c, cueStart, i) {
		from = cueStart
	}
	return x.name(c, cueStart, from)
}

// numberAccount reads the number of a QQ account or group.
func (x *extractor) numberAccount(c cueWord, from int) (end int, ok bool) {
	run, ok := x.digitsAt(from)
	if ok && len(run.digits) <= 2 && containsRune(":：)号", x.at(run.end)) {
		run, ok = x.digitsAt(x.skipFiller(run.end)) // 群2：700120034
	}
	if !ok || len(run.digits) < 5 || len(run.digits) > 11 || x.dated(run) && len(run.digits) != 10 {
		return 0, false
	}
	d := x.inOrder(run.digits, run.start, run.end)
	if containsRune("x*", x.at(run.end)) && x.at(run.end) == x.at(run.end+1) {
		return 0, false // 80120xxx
	}
	if d[0] == '0' || c.kind == EntityQQ && isMobile(d) {
		return 0, false // a phone number; the number scan takes it
	}
	if c.weak && !run.disguised && (len(d) < 7 || len(d) == 7 && d[:2] == "20" && strings.Contains("寇秋鹅球", c.text)) {
		return 0, false
	}
	return run.end, x.add(c.kind, d, run.start, run.end, false)
}

// generalCues announce an account of no platform: a number after them is a
// phone's.
var generalCues = map[string]bool{"+": true, "加": true, "➕": true, "咨询": true, "联系": true, "客服": true, "详聊": true, "私聊": true, "找我": true,
	"找": true, "问": true, "助教": true, "助理": true, "老师": true, "对接": true, "招商": true, "顾问": true, "推": true, "滴滴": true, "号:": true, "号：": true, "的号": true, "账号": true, "同号": true}

// requests may stand between a platform's name and the account.
var requests = [][]rune{[]rune("上找"), []rune("找"), []rune("联系"), []rune("直接"), []rune("倒着看"), []rune("倒过来看"), []rune("倒着读"), []rune("倒着念"), []rune("倒着加"), []rune("反着看"), []rune("反着念"), []rune("反着加"), []rune("倒看"), []rune("反过来"), []rune("倒过来"), []rune("他"), []rune("她"), []rune("微信同号"), []rune("转账"), []rune("收款"), []rune("账户"),
	[]rune("同名"), []rune("账号"), []rune("直播间"), []rune("直播"), []rune("店铺"), []rune("号是"), []rune("名字"), []rune("主页"), []rune("小号"), []rune("大号"), []rune("关注"), []rune("昵称"), []rune("上搜"), []rune("搜索"), []rune("看"), []rune("念"), []rune("读"), []rune("叫")}

// skipRequest passes one of the requests at i.
func (x *extractor) skipRequest(i int) (int, bool) {
	if x.turned && i < len(x.text) {
		if n := x.turnWord(i); n > 0 {
			return i + n, true
		}
	}
	for _, r := range requests {
		if end, ok := x.hasRunes(i, r); ok {
			return end, true
		}
	}
	return i, false
}

// surname reports whether a cue of one character is a person's name here:
// 老魏 13800001234.
func (x *extractor) surname(cue string, at int) bool {
	return cue == "魏" && containsRune("老小姓", x.at(at-1))
}

// name reads a Latin account name: a letter first, then letters, digits, _ and
// -. Names of a weak cue must hold a digit or an underscore, so that 加oil is
// none. Single signs between the characters (a.b.c) are passed.
func (x *extractor) name(c cueWord, cueStart, from int) (end int, ok bool) {
	if x.at(from) == '@' {
		from++
	}
	name, end := x.readName(from)
	if !c.weak {
		name, end = x.withNumber(name, end)
	}
	if len(name) > maxAccount || name == "" || (c.text == "加v" || c.text == "+v") && isLatin(x.at(from-1)) && !startsChinese(name) {
		return 0, false
	}
	value := x.inOrder(name, from, end)
	if !isLatin(rune(value[0])) && (c.kind != EntityDouyin && c.kind != EntityXiaohongshu && c.kind != EntityWechat || c.weak || allDigits(value) && x.counts(end)) {
		return 0, false
	}
	if rest := strings.TrimPrefix(value, "qq"); rest != value && allDigits(rest) && len(rest) >= 5 {
		return end, x.add(EntityQQ, rest, from, end, false)
	}
	if len(value) < x.leastName(c, value, from, end) {
		return 0, false
	}
	hasDigit := strings.ContainsAny(value, "0123456789_-")
	switch {
	case !hasDigit && commonLatin[value]:
		return 0, false
	case (c.text == "找" || c.text == "问" || c.text == "推") && !strings.Contains(value, "_") && !x.endsText(end) && !(x.subject && looksLikeAccount(value)):
		return 0, false
	case c.weak && !hasDigit && !strings.ContainsRune(":：@", x.at(from-1)) && !(x.subject && x.endsText(end)) && !x.upsideDown(from) && !(showing(c.kind) && len(value) >= 8 && spellsChinese(value)):
		return 0, false
	}
	return end, x.add(x.platform(c, end), value, from, end, false)
}

// leastName is the number of characters an account of cue c must have.
func (x *extractor) leastName(c cueWord, name string, from, end int) int {
	if x.upsideDown(from) {
		return 4 // nobody turns an ordinary word
	}
	switch c.kind {
	case EntityTelegram, EntityWhatsApp, EntityDouyin, EntityXiaohongshu:
		return 5
	case EntityWechat:
		if !c.weak || looksShort(name) && (x.at(from-1) == ':' || x.at(from-1) == '：' || x.subject && x.parted(end)) || x.subject && x.endsText(end) {
			return 5
		}
	}
	return 6
}

// platform is the type of the account that cue c announced and that ends at
// end.
func (x *extractor) platform(c cueWord, end int) string {
	if !generalCues[c.text] {
		return c.kind
	}
	if isBot(x.text[:end]) {
		return EntityTelegram
	}
	if after, _ := x.afterCue(end); after.kind == EntityTelegram {
		return after.kind
	}
	return x.home
}

// partOfName reports whether the Latin cue before i only begins an account that
// spells something else without it: visa_zhumeng.
func (x *extractor) partOfName(c cueWord, cueStart, i int) bool {
	if c.kind != EntityWechat || !isLatin(rune(c.text[0])) || !isLatin(x.at(i)) || containsRune("加➕+❤", x.at(cueStart-1)) {
		return false
	}
	name, _ := x.readName(i)
	if !strings.Contains(name, "_") {
		return false
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return !isLatin(r) }) {
		if _, _, n := syllables().parsePinyin([]rune(part)); n == 0 && strings.ContainsAny(part, "aeiou") {
			return true
		}
	}
	return false
}

// maxAccount is the number of characters of the longest account name.
const maxAccount = 30

// readName reads the account name at from; end is where it ends. Signs inside
// are passed where the same one parts all characters, and a few of them between
// groups of characters.
func (x *extractor) readName(from int) (name string, end int) {
	var b strings.Builder
	sign := x.spacedBy(from)
	end = from
	for b.Len() <= maxAccount {
		r := x.at(end)
		switch {
		case sign != 0 && r == sign:
			if !isASCIIWord(x.at(end+1)) || x.at(end+1) == sign || isASCIIWord(x.at(end+2)) && x.at(end+2) != sign {
				sign = 0
				continue
			}
		case isASCIIWord(r):
			b.WriteRune(r)
		case b.Len() > 0 && looksLikeO(r) && isDigit(x.at(end-1)):
			b.WriteByte('0')
		case b.Len() > 0 && plainNumeral(r) && readsOn(x.at(end-1), x.at(end+1), r):
			d, _ := readDigit(r)
			b.WriteByte(d)
		case b.Len() >= 2 && b.Len() < 24 && containsRune(joiners, r) && isASCIIWord(x.at(end+1)):
			// jie*zhai*88
		case r == '.' && b.Len() >= 3 && leadingLetters(b.String()) == b.Len() && x.digitsEnd(end+1):
			// jiezhai.8866
		default:
			return x.trimName(b.String(), end)
		}
		end++
	}
	return x.trimName(b.String(), end)
}

// digitsEnd reports whether three to six digits stand at i, and no word after
// them.
func (x *extractor) digitsEnd(i int) bool {
	end := i
	for isDigit(x.at(end)) {
		end++
	}
	return end-i >= 3 && end-i <= 6 && !isASCIIWord(x.at(end)) && x.at(end) != '.'
}

// startsChinese reports whether the letters that name begins with are pinyin,
// or no word at all.
func startsChinese(name string) bool {
	letters := name[:leadingLetters(name)]
	_, _, n := syllables().parsePinyin([]rune(letters))
	return n > 0 || !strings.ContainsAny(letters, "aeiou")
}

// withNumber adds the digits that stand after a name of letters and a space at
// the end of a clause: 微信 lvan 886.
func (x *extractor) withNumber(name string, end int) (string, int) {
	if len(name) < 3 || len(name) > 10 || leadingLetters(name) != len(name) || x.at(end) != ' ' {
		return name, end
	}
	stop := end + 1
	for isDigit(x.at(stop)) {
		stop++
	}
	if n := stop - end - 1; n < 2 || n > 6 || unicode.IsLetter(x.at(stop)) || containsRune("%./-_", x.at(stop)) {
		return name, end
	}
	return name + string(x.text[end+1:stop]), stop
}

// joiners are the signs passed between groups of characters of a name.
const joiners = "*·•~^丶|丨"

// trimName takes the signs off the end of a name, but for one underscore that
// ends a clause: a name may end in one.
func (x *extractor) trimName(read string, end int) (string, int) {
	name := strings.TrimRight(read, "-_")
	if len(read) == len(name)+1 && x.at(end-1) == '_' && !unicode.IsLetter(x.at(end)) {
		return read, end
	}
	return name, end - (len(read) - len(name))
}

// spacedBy returns the sign that parts the first three characters from i, 0 for
// none.
func (x *extractor) spacedBy(i int) rune {
	sign := x.at(i + 1)
	if sign == 0 || sign == '\n' || sign == '_' || x.at(i+3) != sign || unicode.IsLetter(sign) || unicode.IsDigit(sign) || !isASCIIWord(x.at(i)) || !isASCIIWord(x.at(i+2)) {
		return 0
	}
	return sign
}

// looksLikeO: Cyrillic and Greek o, which are read as a zero beside digits.
func looksLikeO(r rune) bool { return r == 'о' || r == 'ο' || r == 'О' || r == 'Ο' }

// upsideDown reports whether the character at i was published turned.
func (x *extractor) upsideDown(i int) bool {
	return i < len(x.n.ev) && x.n.ev[i]&evUpsideDown != 0
}

// showing reports whether people show themselves on a platform: a name that
// spells Chinese after its name is theirs.
func showing(kind string) bool {
	return kind == EntityDouyin || kind == EntityXiaohongshu || kind == EntityWeibo
}

// readsOn reports whether the numeral r inside an account name, between the
// characters before and after, belongs to it.
func readsOn(before, after, r rune) bool {
	if (isLatin(after) || isDigit(after)) && r != '一' && r != '两' && isASCIIWord(before) {
		return true // dk陆h贰s
	}
	return plainNumeral(after) || !unicode.IsLetter(after) || after == r || plainNumeral(before) && !isDigit(before)
}

// commonLatin are Latin words that follow a platform's name without being an
// account.
var commonLatin = wordSet("wechat weixin telegram whatsapp alipay iphone android windows office python weibo douyin taobao paypal bitcoin " +
	"tether binance crypto online service please thanks hello welcome money credit credits loans loan group admin " +
	"email phone mobile account excel photoshop java english china shanghai beijing google chrome safari apple huawei xiaomi visa master " +
	"mastercard unionpay swift https video black white world house happy lucky money first today tomorrow report offer check xiexie nihao huabei baitiao taoxian zhengxin tuibao daikuan yuqi cuishou jiezhai wangdai xinyongka kaihu sixin zixun lianxi siliao dianhua shouji jiawo sixinwo banka shoujihao")

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
