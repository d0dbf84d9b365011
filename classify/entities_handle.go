package classify

import (
	"strings"
	"unicode"
)

// handle reads what else than a Latin name or a number may follow a platform's
// name: a Weibo name in Han, the mail address of an Alipay account. i is where
// the cue ends and from where the account may begin.
func (x *extractor) handle(c cueWord, i, from int) (end int, ok bool) {
	switch c.kind {
	case EntityAlipay:
		return x.retype(EntityEmail, c.kind, from)
	case EntityWeibo:
		if !x.subject || from == i || from >= len(x.text) || !unicode.Is(unicode.Han, x.text[from]) {
			return 0, false
		}
		if end = x.hanName(from); end == 0 {
			return 0, false
		}
		return end, x.add(c.kind, string(x.text[from:end]), from, end, false)
	}
	return 0, false
}

// retype makes the entity of type was that begins at i one of type kind.
func (x *extractor) retype(was, kind string, i int) (end int, ok bool) {
	for k := range x.out {
		if e := &x.out[k]; e.Start == i && e.Type == was {
			e.Type = kind
			return e.End, true
		}
	}
	return 0, false
}

// hanName returns the end of the name in Han that begins at i, 0 when there is
// none: three to twelve characters up to a sign, and none of the words that only
// sentences are made of.
func (x *extractor) hanName(i int) int {
	end := i
	for end-i <= maxHanName && end < len(x.text) && (unicode.Is(unicode.Han, x.text[end]) || isASCIIWord(x.text[end])) {
		if strings.ContainsRune("了吗呢吧你您他她们这那哪谁么很都也就没", x.text[end]) {
			return 0
		}
		end++
	}
	if end-i < 3 || end-i > maxHanName {
		return 0
	}
	for _, w := range []string{"热搜", "评论", "转发", "私信", "微信", "抖音", "账号", "粉丝", "官方", "大v", "全体", "所有人"} {
		if strings.Contains(string(x.text[i:end]), w) {
			return 0
		}
	}
	return end
}

const maxHanName = 12

// followed takes the name in Han after 关注@ for a Weibo account.
func (x *extractor) followed(at int) {
	if !x.subject || !unicode.Is(unicode.Han, x.at(at+1)) {
		return
	}
	before := at
	if x.at(before-1) == ' ' {
		before--
	}
	end := x.hanName(at + 1)
	bidden := containsRune("看搜找加", x.at(before-1))
	switch string(x.text[max(0, before-2):max(0, before)]) {
	case "关注", "搜索", "私信", "联系", "认准", "博主", "更多", "详见", "账号", "大号", "小号", "本人", "主页", "请戳", "欢迎":
		bidden = true
	}
	for _, w := range [...]string{"私信", "置顶", "主页", "留言", "后台", "合集", "首页"} {
		if _, ok := x.hasPrefix(end+1, w); ok && end > 0 {
			bidden = true
		}
	}
	if end > 0 && bidden {
		x.add(EntityWeibo, string(x.text[at+1:end]), at+1, end, false)
	}
}

// alsoPhone reports whether a mobile number that cue [start, end) announces is
// said to be a phone's and WeChat's at once: 电话(同微), 手机/微信, 微信同号. It
// is listed as the phone it is.
func (x *extractor) alsoPhone(start, end int) bool {
	for _, w := range [...]string{"同号", "同步", "同手机", "同电话", "电话", "手机", "/电话", "/手机", "/电", "和电话", "也是电话", "和手机", "(电话", "(手机", "、电话", "、手机"} {
		if _, ok := x.hasPrefix(end, w); ok {
			return true
		}
	}
	i := start
	for x.at(i-1) == '同' || x.at(i-1) == '号' {
		i--
	}
	if containsRune("/、+()和与及或跟兼&加同 ", x.at(i-1)) {
		i--
	}
	for _, w := range [...]string{"电话", "手机", "热线", "来电", "致电", "座机", "联系方式"} {
		if k := i - len([]rune(w)); k >= 0 {
			if _, ok := x.hasPrefix(k, w); ok {
				return true
			}
		}
	}
	return x.at(i-1) == '电' && i < start
}
