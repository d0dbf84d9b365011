package classify

import (
	"slices"
	"strings"
	"unicode"
)

// Entity types.
const (
	EntityWechat      = "wechat"
	EntityQQ          = "qq"
	EntityQQGroup     = "qq_group"
	EntityPhone       = "phone"
	EntityTelegram    = "telegram"
	EntityWhatsApp    = "whatsapp"
	EntityEmail       = "email"
	EntityURL         = "url"
	EntityBankCard    = "bank_card"
	EntityAlipay      = "alipay"
	EntityWeibo       = "weibo"
	EntityDouyin      = "douyin"
	EntityXiaohongshu = "xiaohongshu"
	EntityCompany     = "company"
	EntityAmount      = "amount"
	EntityPercent     = "percent"
)

// contactTypes are the entity types by which a person can be reached.
var contactTypes = []string{EntityWechat, EntityQQ, EntityQQGroup, EntityPhone, EntityTelegram, EntityWhatsApp,
	EntityEmail, EntityURL, EntityAlipay, EntityWeibo, EntityDouyin, EntityXiaohongshu}

// IsContact reports whether entities of this type lead to a person.
func IsContact(entityType string) bool { return slices.Contains(contactTypes, entityType) }

// cueWord introduces an account: what follows it is one of that type.
type cueWord struct {
	text string
	kind string
	weak bool // also an everyday word or letter: the account must look like one
}

// cueWords are tried longest first at every position of the folded text. They
// hold the disguises of the platforms' names that are words of their own;
// those undone by folding (ｖ, 𝓿, вx) need no line here.
var cueWords = sortedCues([]cueWord{
	{"微信号", EntityWechat, false}, {"微信id", EntityWechat, false}, {"微信", EntityWechat, false}, {"加微", EntityWechat, false}, {"薇信", EntityWechat, false}, {"威信", EntityWechat, false}, {"徽信", EntityWechat, false}, {"维信", EntityWechat, false}, {"薇芯", EntityWechat, false},
	{"微❤", EntityWechat, false}, {"薇❤", EntityWechat, false}, {"威❤", EntityWechat, false}, {"v❤", EntityWechat, false}, {"❤v", EntityWechat, false}, {"㣲", EntityWechat, false}, {"嶶", EntityWechat, false}, {"溦", EntityWechat, false}, {"葳", EntityWechat, false},
	{"卫星", EntityWechat, true}, {"卫❤", EntityWechat, false}, {"绿泡泡", EntityWechat, false}, {"绿泡", EntityWechat, false}, {"绿色软件", EntityWechat, false}, {"小绿", EntityWechat, true}, {"绿信", EntityWechat, false},
	{"vx", EntityWechat, false}, {"wx", EntityWechat, false}, {"weixin", EntityWechat, false}, {"wechat", EntityWechat, false}, {"v信", EntityWechat, false}, {"v心", EntityWechat, false}, {"vxin", EntityWechat, false}, {"w信", EntityWechat, false}, {"wei信", EntityWechat, false}, {"微xin", EntityWechat, false}, {"微x", EntityWechat, false}, {"微心", EntityWechat, true}, {"薇心", EntityWechat, false}, {"薇", EntityWechat, true}, {"徽", EntityWechat, true}, {"威", EntityWechat, true}, {"微", EntityWechat, true}, {"魏", EntityWechat, true}, {"v", EntityWechat, true}, {"❤", EntityWechat, true}, {"♥", EntityWechat, true}, {"➕", EntityWechat, true}, {"+", EntityWechat, true}, {"加", EntityWechat, true},
	{"咨询", EntityWechat, true}, {"联系", EntityWechat, true}, {"客服", EntityWechat, true}, {"的号", EntityWechat, true}, {"号:", EntityWechat, true}, {"号：", EntityWechat, true}, {"账号", EntityWechat, true}, {"同号", EntityWechat, true}, {"详聊", EntityWechat, true}, {"私聊", EntityWechat, true}, {"找我", EntityWechat, true},
	{"频道", EntityTelegram, true}, {"tg群", EntityTelegram, false}, {"tg频道", EntityTelegram, false}, {"电报群", EntityTelegram, false},
	{"qq群号", EntityQQGroup, false}, {"qq群", EntityQQGroup, false}, {"q群", EntityQQGroup, false}, {"扣扣群", EntityQQGroup, false}, {"扣群", EntityQQGroup, false}, {"企鹅群", EntityQQGroup, false}, {"裙号", EntityQQGroup, false}, {"群号", EntityQQGroup, false}, {"进群", EntityQQGroup, true}, {"加群", EntityQQGroup, true}, {"裙", EntityQQGroup, true}, {"群", EntityQQGroup, true},
	{"qq号", EntityQQ, false}, {"qq", EntityQQ, false}, {"扣扣", EntityQQ, false}, {"抠抠", EntityQQ, false}, {"蔻蔻", EntityQQ, false}, {"球球", EntityQQ, true}, {"企鹅", EntityQQ, false}, {"企鹅号", EntityQQ, false}, {"鹅号", EntityQQ, true}, {"加q", EntityQQ, false}, {"加扣", EntityQQ, false}, {"q", EntityQQ, true}, {"扣", EntityQQ, true},
	{"telegram", EntityTelegram, false}, {"电报", EntityTelegram, true}, {"纸飞机", EntityTelegram, false}, {"飞机号", EntityTelegram, false}, {"飞机", EntityTelegram, true}, {"✈", EntityTelegram, true}, {"tg", EntityTelegram, false}, {"t.me/", EntityTelegram, false}, {"telegram.me/", EntityTelegram, false},
	{"whatsapp", EntityWhatsApp, false}, {"wa.me/", EntityWhatsApp, false}, {"ws号", EntityWhatsApp, true},
	{"支付宝账号", EntityAlipay, false}, {"支付宝", EntityAlipay, true}, {"alipay", EntityAlipay, true},
	{"抖音号", EntityDouyin, false}, {"抖音", EntityDouyin, true}, {"dy", EntityDouyin, true}, {"微博", EntityWeibo, true}, {"小红书号", EntityXiaohongshu, false}, {"小红书", EntityXiaohongshu, true}, {"红薯", EntityXiaohongshu, true},
})

func sortedCues(cues []cueWord) []cueWord {
	slices.SortStableFunc(cues, func(a, b cueWord) int { return len([]rune(b.text)) - len([]rune(a.text)) })
	return cues
}

// digitOf gives the value of the words and signs that stand for digits in
// disguised numbers.
var digitOf = map[rune]byte{
	'零': '0', '〇': '0', '○': '0', 'o': '0', '洞': '0', '灵': '0', '林': '0',
	'一': '1', '壹': '1', '幺': '1', '妖': '1', '腰': '1', '衣': '1', '依': '1', '医': '1', 'l': '1', 'i': '1',
	'二': '2', '贰': '2', '两': '2', '俩': '2', '尔': '2', '儿': '2', '耳': '2',
	'三': '3', '叁': '3', '伞': '3', '散': '3', '山': '3',
	'四': '4', '肆': '4', '寺': '4', '是': '4', '思': '4',
	'五': '5', '伍': '5', '武': '5', '舞': '5', '午': '5', '吾': '5',
	'六': '6', '陆': '6', '溜': '6', '柳': '6', '遛': '6', '刘': '6',
	'七': '7', '柒': '7', '期': '7', '拐': '7', '气': '7', '起': '7',
	'八': '8', '捌': '8', '吧': '8', '爸': '8', '巴': '8', '罢': '8',
	'九': '9', '玖': '9', '酒': '9', '久': '9', '勾': '9', '韭': '9', '就': '9',
}

// digitRun is a run of characters that read as a number.
type digitRun struct {
	start, end int // in the folded text
	digits     string
	disguised  bool // written with words, or with signs between the digits
}

// maxEntities bounds the entities of one text: more than these are spam of
// numbers, and the work per entity must not grow with a hostile text.
const maxEntities = 200

// extractor finds entities in folded text. Its buffer is reused.
type extractor struct {
	text []rune // folded
	n    *normalized
	out  []Entity
}

// entities returns what is named in n, in order of appearance, without
// overlaps, and the place of each in the normalised text.
//
// bare says that a Latin name standing alone in its clause may be taken for an
// account though nothing announces it: the text is about our subjects.
func (x *extractor) entities(n *normalized, original *sourceText, places []span, bare bool) ([]Entity, []span) {
	x.text, x.n, x.out = n.runes, n, x.out[:0]
	var seen runeTrait
	for _, r := range x.text {
		seen |= traits.of(r)
	}
	word := seen&traitWord != 0
	if word && seen&traitAt != 0 {
		x.emails()
	}
	if word {
		x.urls()
	}
	x.accounts()
	if seen&traitNumeral != 0 {
		x.numbers()
	}
	if word {
		x.afterwords()
		x.bareAccounts(bare)
	}
	if seen&traitCount != 0 {
		x.money()
	}
	if seen&traitFirm != 0 {
		x.companies()
	}
	if len(x.out) == 0 {
		return nil, places
	}
	slices.SortFunc(x.out, func(a, b Entity) int { return a.Start - b.Start })
	for i := range x.out {
		e := &x.out[i]
		places = append(places, span{int32(e.Start), int32(e.End)})
		e.Start, e.End = n.origin(e.Start, e.End)
		e.Raw = original.slice(e.Start, e.End)
	}
	return slices.Clone(x.out), places
}

// add records text[start:end] as an entity, unless a part of it is taken.
func (x *extractor) add(kind, value string, start, end int, official bool) bool {
	if start >= end || value == "" || len(x.out) >= maxEntities {
		return false
	}
	for _, e := range x.out {
		if start < e.End && e.Start < end {
			return false
		}
	}
	x.out = append(x.out, Entity{Type: kind, Value: value, Start: start, End: end, Official: official})
	return true
}

func isLatin(r rune) bool { return r >= 'a' && r <= 'z' }
func isDigit(r rune) bool { return r >= '0' && r <= '9' }
func isASCIIWord(r rune) bool {
	return isLatin(r) || isDigit(r) || r == '_' || r == '-'
}

// at returns the rune at i, or 0 outside.
func (x *extractor) at(i int) rune {
	if i < 0 || i >= len(x.text) {
		return 0
	}
	return x.text[i]
}

// hasRunes is hasPrefix for a word as characters.
func (x *extractor) hasRunes(i int, word []rune) (int, bool) {
	if len(x.text)-i < len(word) {
		return 0, false
	}
	for j, r := range word {
		if x.text[i+j] != r {
			return 0, false
		}
	}
	return i + len(word), true
}

// hasPrefix reports whether word stands at i, and where it ends.
func (x *extractor) hasPrefix(i int, word string) (int, bool) {
	for _, r := range word {
		if x.at(i) != r {
			return 0, false
		}
		i++
	}
	return i, true
}

// skipFiller passes the signs that stand between a cue and its account: at
// most eight spaces, colons, brackets, arrows, emoji, and words such as 号 是.
func (x *extractor) skipFiller(i int) int {
	for n := 0; n < 8 && i < len(x.text); n++ {
		r := x.text[i]
		if unicode.Is(unicode.Han, r) && !strings.ContainsRune("号码是为我搜加聊扣信心", r) || isLatin(r) || isDigit(r) || r == '_' {
			break
		}
		if strings.ContainsRune("。！？!?；;", r) {
			break
		}
		i++
	}
	if end, ok := x.hasPrefix(i, "id"); ok && !isASCIIWord(x.at(end)) {
		return x.skipFiller(end)
	}
	return i
}
