package classify

import (
	"cmp"
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

// otherPlatform is where accounts are not looked for: what follows the name of
// such a platform is no account of ours.
const otherPlatform = ""

// cueWord introduces an account: what follows it is one of that type.
type cueWord struct {
	text string
	kind string
	weak bool // also an everyday word or letter: the account must look like one
}

// cueWords are tried longest first at every position of the folded text. They
// hold the disguises of the platforms' names that are words of their own;
// those undone by folding (ｖ, 𝓿, вx) need no line here.
var cueWords = sortedCues(append(soundsLikeWechat(), []cueWord{
	{"微信号", EntityWechat, false}, {"微信id", EntityWechat, false}, {"微信", EntityWechat, false}, {"加微", EntityWechat, false}, {"薇信", EntityWechat, false}, {"威信", EntityWechat, false}, {"徽信", EntityWechat, false}, {"维信", EntityWechat, false}, {"薇芯", EntityWechat, false},
	{"微❤", EntityWechat, false}, {"薇❤", EntityWechat, false}, {"威❤", EntityWechat, false}, {"v❤", EntityWechat, false}, {"❤v", EntityWechat, false}, {"㣲", EntityWechat, false}, {"嶶", EntityWechat, false}, {"溦", EntityWechat, false}, {"葳", EntityWechat, false},
	{"佳伟", EntityWechat, false}, {"佳薇", EntityWechat, false}, {"家薇", EntityWechat, false}, {"嘉薇", EntityWechat, false}, {"加薇", EntityWechat, false}, {"加威", EntityWechat, false}, {"家微", EntityWechat, false}, {"佳微", EntityWechat, false}, {"胃信", EntityWechat, true}, {"喂信", EntityWechat, true}, {"伪信", EntityWechat, true}, {"围信", EntityWechat, true}, {"巍信", EntityWechat, true}, {"唯心", EntityWechat, true}, {"威x", EntityWechat, true}, {"薇x", EntityWechat, true}, {"微星", EntityWechat, true}, {"徽x", EntityWechat, true}, {"w❤", EntityWechat, true}, {"加v", EntityWechat, true}, {"+v", EntityWechat, true}, {"唯信", EntityWechat, true}, {"卫信", EntityWechat, true}, {"微芯", EntityWechat, true}, {"维❤", EntityWechat, false}, {"徽❤", EntityWechat, false}, {"号信微", EntityWechat, false}, {"信微", EntityWechat, false}, {"🛰", EntityWechat, true},
	{"卫星", EntityWechat, true}, {"卫❤", EntityWechat, false}, {"绿泡泡", EntityWechat, false}, {"绿泡", EntityWechat, false}, {"绿色软件", EntityWechat, false}, {"小绿", EntityWechat, true}, {"绿信", EntityWechat, false},
	{"vx", EntityWechat, false}, {"wx", EntityWechat, false}, {"weixin", EntityWechat, false}, {"wechat", EntityWechat, false}, {"v信", EntityWechat, false}, {"v心", EntityWechat, false}, {"vxin", EntityWechat, false}, {"w信", EntityWechat, false}, {"wei信", EntityWechat, false}, {"微xin", EntityWechat, false}, {"微x", EntityWechat, false}, {"微心", EntityWechat, true}, {"薇心", EntityWechat, false}, {"薇", EntityWechat, true}, {"徽", EntityWechat, true}, {"威", EntityWechat, true}, {"微", EntityWechat, true}, {"魏", EntityWechat, true}, {"v", EntityWechat, true}, {"❤", EntityWechat, true}, {"♥", EntityWechat, true}, {"➕", EntityWechat, true}, {"+", EntityWechat, true}, {"加", EntityWechat, true},
	{"咨询", EntityWechat, true}, {"联系", EntityWechat, true}, {"客服", EntityWechat, true}, {"的号", EntityWechat, true}, {"号:", EntityWechat, true}, {"号：", EntityWechat, true}, {"账号", EntityWechat, true}, {"同号", EntityWechat, true}, {"详聊", EntityWechat, true}, {"私聊", EntityWechat, true}, {"找我", EntityWechat, true}, {"找", EntityWechat, true}, {"问", EntityWechat, true}, {"助教", EntityWechat, true}, {"助理", EntityWechat, true}, {"老师", EntityWechat, true}, {"对接", EntityWechat, true}, {"招商", EntityWechat, true}, {"顾问", EntityWechat, true}, {"推", EntityWechat, true}, {"滴滴", EntityWechat, true},
	{"快手", otherPlatform, true}, {"快手号", otherPlatform, true}, {"蝙蝠", otherPlatform, true}, {"陌陌", otherPlatform, true}, {"闲鱼", otherPlatform, true}, {"b站", otherPlatform, true},
	{"频道", EntityTelegram, true}, {"tg群", EntityTelegram, false}, {"tg频道", EntityTelegram, false}, {"电报群", EntityTelegram, false},
	{"qq群号", EntityQQGroup, false}, {"qq群", EntityQQGroup, false}, {"q群", EntityQQGroup, false}, {"扣扣群", EntityQQGroup, false}, {"扣群", EntityQQGroup, false}, {"企鹅群", EntityQQGroup, false}, {"q裙", EntityQQGroup, false}, {"qq裙", EntityQQGroup, false}, {"扣裙", EntityQQGroup, false}, {"扣扣裙", EntityQQGroup, false}, {"企鹅裙", EntityQQGroup, false}, {"🐧群", EntityQQGroup, false}, {"🐧裙", EntityQQGroup, false}, {"qun", EntityQQGroup, true}, {"裙号", EntityQQGroup, false}, {"君羊", EntityQQGroup, true}, {"抠群", EntityQQGroup, false}, {"抠裙", EntityQQGroup, false}, {"球群", EntityQQGroup, false}, {"球球群", EntityQQGroup, false}, {"鹅群", EntityQQGroup, false}, {"群聊号", EntityQQGroup, false}, {"讨论组", EntityQQGroup, true}, {"交流组", EntityQQGroup, true}, {"学习组", EntityQQGroup, true}, {"群聊", EntityQQGroup, true}, {"群号", EntityQQGroup, false}, {"进群", EntityQQGroup, true}, {"加群", EntityQQGroup, true}, {"裙", EntityQQGroup, true}, {"群", EntityQQGroup, true},
	{"qq号", EntityQQ, false}, {"qq", EntityQQ, false}, {"扣扣", EntityQQ, false}, {"抠抠", EntityQQ, false}, {"蔻蔻", EntityQQ, false}, {"球球", EntityQQ, true}, {"企鹅", EntityQQ, false}, {"企鹅号", EntityQQ, false}, {"鹅号", EntityQQ, true}, {"加q", EntityQQ, false}, {"加扣", EntityQQ, false}, {"q", EntityQQ, true}, {"Ԛ", EntityQQ, true}, {"ԛ", EntityQQ, true}, {"扣", EntityQQ, true}, {"抠", EntityQQ, true}, {"叩", EntityQQ, true}, {"寇", EntityQQ, true}, {"蔻", EntityQQ, true}, {"球", EntityQQ, true}, {"秋", EntityQQ, true}, {"鹅", EntityQQ, true}, {"寇寇", EntityQQ, true}, {"丘丘", EntityQQ, true}, {"企额", EntityQQ, true}, {"抠号", EntityQQ, false}, {"扣号", EntityQQ, false}, {"球号", EntityQQ, false}, {"kou", EntityQQ, true}, {"叩叩", EntityQQ, true}, {"秋秋", EntityQQ, true}, {"🐧", EntityQQ, false},
	{"telegram", EntityTelegram, false}, {"电报", EntityTelegram, true}, {"纸飞机", EntityTelegram, false}, {"飞机号", EntityTelegram, false}, {"飞机", EntityTelegram, true}, {"✈", EntityTelegram, true}, {"tg", EntityTelegram, false}, {"纸灰机", EntityTelegram, false}, {"灰机", EntityTelegram, true}, {"飞札", EntityTelegram, true}, {"飞鸽", EntityTelegram, true}, {"纸飞鸡", EntityTelegram, false}, {"飞ji", EntityTelegram, false}, {"fei机", EntityTelegram, false}, {"feiji", EntityTelegram, true}, {"灰鸡", EntityTelegram, true}, {"teiegram", EntityTelegram, false}, {"te1egram", EntityTelegram, false}, {"telgram", EntityTelegram, false}, {"telegarm", EntityTelegram, false}, {"电抱", EntityTelegram, true}, {"电bao", EntityTelegram, true}, {"电宝", EntityTelegram, true}, {"电豹", EntityTelegram, true}, {"电饱", EntityTelegram, true}, {"蓝飞", EntityTelegram, true}, {"纸鸢", EntityTelegram, true}, {"电暴", EntityTelegram, true}, {"dianbao", EntityTelegram, true}, {"fj", EntityTelegram, true}, {"tele", EntityTelegram, true}, {"t:", EntityTelegram, true}, {"飞:", EntityTelegram, true}, {"телеграм", EntityTelegram, false}, {"teлegram", EntityTelegram, false}, {"机飞", EntityTelegram, true}, {"飞鸡", EntityTelegram, true}, {"🛩", EntityTelegram, true}, {"🛫", EntityTelegram, true}, {"t.me/", EntityTelegram, false}, {"telegram.me/", EntityTelegram, false},
	{"whatsapp", EntityWhatsApp, false}, {"wa.me/", EntityWhatsApp, false}, {"whats app", EntityWhatsApp, false}, {"ws号", EntityWhatsApp, true}, {"ws", EntityWhatsApp, true}, {"wa", EntityWhatsApp, true},
	{"支付宝账号", EntityAlipay, false}, {"支付宝", EntityAlipay, true}, {"支付宝号", EntityAlipay, false}, {"alipay", EntityAlipay, true}, {"zfb", EntityAlipay, true},
	{"抖音号", EntityDouyin, false}, {"douyin", EntityDouyin, true}, {"某音", EntityDouyin, true}, {"抖y", EntityDouyin, true}, {"抖in", EntityDouyin, true}, {"抖yin", EntityDouyin, true}, {"抖", EntityDouyin, true}, {"音符", EntityDouyin, true}, {"dou", EntityDouyin, true}, {"抖音", EntityDouyin, true}, {"斗音", EntityDouyin, true}, {"抖印", EntityDouyin, true}, {"d音", EntityDouyin, true}, {"dou音", EntityDouyin, true}, {"dy", EntityDouyin, true}, {"微博", EntityWeibo, true}, {"围脖", EntityWeibo, true}, {"weibo", EntityWeibo, true}, {"小红书号", EntityXiaohongshu, false}, {"小薯", EntityXiaohongshu, true}, {"小某薯", EntityXiaohongshu, true}, {"小红s", EntityXiaohongshu, true}, {"小地瓜", EntityXiaohongshu, true}, {"小hong书", EntityXiaohongshu, true}, {"某书", EntityXiaohongshu, true}, {"小x书", EntityXiaohongshu, true}, {"小红本", EntityXiaohongshu, true}, {"小红叔", EntityXiaohongshu, true}, {"小洪书", EntityXiaohongshu, true}, {"小宏书", EntityXiaohongshu, true}, {"小虹书", EntityXiaohongshu, true}, {"小红书", EntityXiaohongshu, true}, {"红薯", EntityXiaohongshu, true}, {"薯号", EntityXiaohongshu, false}, {"小红薯", EntityXiaohongshu, true}, {"小某书", EntityXiaohongshu, true}, {"红书", EntityXiaohongshu, true}, {"xhs", EntityXiaohongshu, true}, {"🍠", EntityXiaohongshu, true}, {"番薯号", EntityXiaohongshu, false},
}...))

// soundsLikeWechat pairs what is written for 微 with what is written for 信,
// weakly: many of the pairs are also words (卫星, 威信, 维新).
func soundsLikeWechat() []cueWord {
	var cues []cueWord
	for _, wei := range "微薇威维徽唯卫围魏葳溦巍韦伟胃喂危苇纬萎" {
		for _, xin := range "信芯心星鑫欣辛新昕馨❤♥x" {
			cues = append(cues, cueWord{string(wei) + string(xin), EntityWechat, true})
		}
	}
	for _, add := range "加佳家嘉伽茄咖架" {
		for _, wei := range "微薇威维徽唯卫围魏葳溦巍韦伟v" {
			cues = append(cues, cueWord{string(add) + string(wei), EntityWechat, true})
		}
	}
	return cues
}

// sortedCues puts the longest first, and of the same text the strong one.
func sortedCues(cues []cueWord) []cueWord {
	slices.SortStableFunc(cues, func(a, b cueWord) int {
		if n := len([]rune(b.text)) - len([]rune(a.text)); n != 0 || a.text != b.text || a.weak == b.weak {
			return n
		}
		if b.weak {
			return -1
		}
		return 1
	})
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
	text    []rune // folded
	n       *normalized
	out     []Entity
	subject bool   // the text is about our subjects
	home    string // the platform of accounts whose platform is not named
	reposts bool   // the text passes on another's, or speaks to others by name
	code    bool   // the text speaks of programs, where names are often those of things
	turned  bool   // the text may announce that something is to be read backwards
}

// entities returns what is named in n, in order of appearance, and the place of
// each in the normalised text. No two overlap, but that a number which is said
// to be phone and WeChat at once is both, at one place.
//
// bare says that a Latin name standing alone in its clause may be taken for an
// account though nothing announces it: the text is about our subjects.
func (x *extractor) entities(n *normalized, original *sourceText, places []span, bare bool) ([]Entity, []span) {
	x.text, x.n, x.out, x.subject = n.runes, n, x.out[:0], bare
	var seen runeTrait
	for _, r := range x.text {
		seen |= traits.of(r)
	}
	word := seen&traitWord != 0
	x.turned = seen&traitTurn != 0
	if word && seen&traitAt != 0 {
		x.emails()
	}
	if word {
		x.urls()
	}
	if word || seen&traitShow != 0 {
		x.lookAround()
	}
	x.accounts()
	if seen&traitNumeral != 0 {
		x.numbers()
	}
	if word {
		x.afterwords()
		x.bareAccounts()
	}
	if seen&traitPlain != 0 {
		x.bareNumbers()
	}
	if seen&traitCount != 0 {
		x.money()
	}
	if seen&traitFirm != 0 {
		x.companies()
	}
	x.out = slices.DeleteFunc(x.out, func(e Entity) bool { return e.Type == otherPlatform })
	if len(x.out) == 0 {
		return nil, places
	}
	slices.SortFunc(x.out, func(a, b Entity) int { return cmp.Or(a.Start-b.Start, strings.Compare(a.Type, b.Type)) })
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
