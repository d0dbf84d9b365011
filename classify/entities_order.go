package classify

import (
	"slices"
	"strings"
)

// turnWords say that what stands beside them is to be read backwards.
var turnWords = [][]rune{[]rune("倒着"), []rune("倒过来"), []rune("倒念"), []rune("倒读"), []rune("倒看"), []rune("倒序"), []rune("(倒)"), []rune("反着"), []rune("反过来"), []rune("(反)"), []rune("反的"), []rune("逆序"), []rune("逆着"),
	[]rune("倒的"), []rune("倒写"), []rune("倒号"), []rune("倒置"), []rune("倒拨"), []rune("倒加"), []rune("倒着"), []rune("倒排"), []rune("倒叙"), []rune("倒转"), []rune("颠倒"), []rune("反写"), []rune("反念"), []rune("反读"), []rune("反看"), []rune("反序"), []rune("反向"), []rune("逆向"), []rune("逆读"), []rune("逆念"), []rune("镜像"), []rune("镜面"),
	[]rune("从右往左"), []rune("从右到左"), []rune("从右向左"), []rune("右往左"), []rune("右到左"), []rune("右向左"), []rune("从后往前"), []rune("从后到前"), []rune("从后向前"), []rune("后往前"), []rune("往前读"), []rune("往前念"), []rune("往前看"), []rune("往前拨"), []rune("往前数"), []rune("从尾"), []rune("从末"), []rune("末位先"), []rune("尾数先"), []rune("尾号先"), []rune("从屁股")}

// beside are the words allowed between such a word and the account.
const beside = "念读看拨打加搜写就才是为的对要需请手机号码给我微信薇扣群电话企鹅飞q裙到头往前开始从位先数联系方式抠来输序"

// inOrder returns an account as it is meant: backwards if the words beside
// text[start:end] say so. A number that is turned with the phone (倒过来看) and
// has only digits that survive that is turned.
func (x *extractor) inOrder(value string, start, end int) string {
	if !x.turned || x.upsideDown(start) {
		return value
	}
	word := x.turnAfter(end)
	if word == 0 {
		word = x.turnBefore(start)
	}
	if word == 0 {
		return value
	}
	b := []byte(value)
	slices.Reverse(b)
	if back := string(b); isLatin(rune(value[0])) && (!isLatin(rune(back[0])) || spellsChinese(value) && !spellsChinese(back)) {
		return value // the words are backwards, the account is not
	}
	if word == turnPhone && strings.Trim(value, "01689") == "" {
		for i := range b {
			switch b[i] {
			case '6':
				b[i] = '9'
			case '9':
				b[i] = '6'
			}
		}
	}
	return string(b)
}

// How a text is to be read backwards.
const (
	turnText  = 1 + iota
	turnPhone // the phone is to be turned
)

// turnAfter looks for an announcement after the place end: at most eight
// characters on.
func (x *extractor) turnAfter(end int) int {
	phone := false
	for i := end; i < min(end+10, len(x.text)); i++ {
		if x.turnWord(i) > 0 {
			return x.turnKind(i, phone)
		}
		r := x.text[i]
		if r == '手' {
			phone = true
		}
		if isASCIIWord(r) && r != 'q' || r == '\n' || traits.of(r)&traitPlain != 0 || x.n.class[i] == classHan && !strings.ContainsRune(beside, r) {
			return 0
		}
	}
	return 0
}

// turnBefore looks for an announcement that ends before the place start.
func (x *extractor) turnBefore(start int) int {
	for i := start - 1; i >= max(0, start-10); i-- {
		if n := x.turnWord(i); n > 0 {
			return x.turnKind(i, x.at(i-1) == '机')
		}
		r := x.text[i]
		if isASCIIWord(r) && r != 'q' || containsRune("\n,，.。;；!！", r) || x.n.class[i] == classHan && !strings.ContainsRune(beside+"倒着过来反逆序写置右左后尾末镜像面向转排列", r) {
			return 0
		}
	}
	return 0
}

// turnWord returns the length of the announcement at i, or 0.
func (x *extractor) turnWord(i int) int {
	if traits.of(x.text[i])&traitTurn == 0 && x.text[i] != '(' {
		return 0
	}
	for _, w := range turnWords {
		if _, ok := x.hasRunes(i, w); ok {
			return len(w)
		}
	}
	return 0
}

func (x *extractor) turnKind(i int, phone bool) int {
	end := i + x.turnWord(i)
	if phone && x.at(end) != '念' && x.at(end) != '读' || x.at(end) == '看' && phone || phone && x.at(i+1) == '过' {
		return turnPhone
	}
	return turnText
}
