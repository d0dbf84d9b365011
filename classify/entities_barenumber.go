package classify

import (
	"slices"
	"strings"
)

// bareNumbers finds the numbers of groups that the text speaks of before, and
// those of 8 to 10 digits alone in their clause, which are QQ's.
func (x *extractor) bareNumbers() {
	for i := 0; i < len(x.text); i++ {
		if !plainNumeral(x.text[i]) || isASCIIWord(x.at(i-1)) || plainNumeral(x.at(i-1)) {
			continue
		}
		if !isDigit(x.text[i]) && !(plainNumeral(x.at(i+1)) && plainNumeral(x.at(i+2)) && plainNumeral(x.at(i+3))) {
			continue // a word, not a number
		}
		run, ok := x.digitsAt(i)
		if !ok {
			continue
		}
		i = max(i, run.end)
		d := run.digits
		if len(d) < 8 || len(d) > 10 || d[0] == '0' || isHotline(d) || looksLikeDate(d) || x.dated(run) || x.orderNumber(run) || isLatin(x.at(run.end)) || x.counts(run.end) {
			continue
		}
		if !x.oneNumber(run) {
			continue // 12378 12315, 4000-20000
		}
		alone := x.aloneNumber(run)
		kind := ""
		switch entered, group := x.ofGroup(run); {
		case group && (len(d) > 8 || entered) && (x.subject || entered && (alone || x.asked(run.start))):
			kind = EntityQQGroup
		case len(d) >= 9 && alone && (x.subject || x.endsText(run.end) && x.at(run.start-1) != ' '), x.subject && x.ofOwner(run),
			len(d) >= 9 && x.subject && x.endsText(run.end) && x.n.class[max(0, run.start-1)] == classHan,
			len(d) == 10 && d[0] <= '3' && x.subject && !run.disguised,
			len(d) == 10 && d[0] <= '3' && (alone && (x.at(run.start-1) != ' ' || x.endsText(run.end)) || x.sentTo(run.start)) && !x.code && !x.labelled(run.start):
			kind = EntityQQ
		default:
			continue
		}
		x.add(kind, x.inOrder(d, run.start, run.end), run.start, run.end, false)
	}
}

// oneNumber reports whether a run is written as one number: together, digit by
// digit, or in three groups or more of at most four digits.
func (x *extractor) oneNumber(run digitRun) bool {
	n := run.end - run.start
	if n == len(run.digits) || n == 2*len(run.digits)-1 {
		return true
	}
	groups, width, times := 1, 0, 0
	for _, r := range x.text[run.start:run.end] {
		if numberSpacer(r) {
			groups, width = groups+1, 0
			if r == '*' {
				times++
			}
		} else if width++; width > 4 {
			return false
		}
	}
	return groups > 2 && times != 2 // 1200*600*750
}

// ofGroup reports whether the words around a number speak of a group, and
// whether they bid to enter it.
func (x *extractor) ofGroup(run digitRun) (entered, group bool) {
	if x.subject && x.talk(run.start) {
		return true, true
	}
	for i := max(0, run.start-40); i < min(run.end+24, len(x.text)); i++ {
		if r := x.text[i]; r != '群' && r != '裙' || i > run.end && !containsRune("进入加", x.at(i-1)) {
			continue
		}
		entered = entered || containsRune("进入加", x.at(i-1)) || x.at(i+1) == '号'
		group = group || entered || i < run.start && x.at(i+1) != '主' && !containsRune("有人建", x.at(i-1))
	}
	return entered, group
}

// asked reports whether the words before i are those that a group's number
// follows.
func (x *extractor) asked(i int) bool {
	before := string(x.text[max(0, i-6):i])
	return containsRune(":加号码群裙搜", x.at(i-1)) || x.talk(i) || strings.Contains(before, "进群") || strings.Contains(before, "入群") || strings.Contains(before, "加群") || strings.Contains(before, "进裙")
}

// talk reports whether a word for what groups do stands before i: 交流 700120034.
func (x *extractor) talk(i int) bool {
	for containsRune(" :：(", x.at(i-1)) {
		i--
	}
	if i < 2 {
		return false
	}
	switch string(x.text[i-2 : i]) {
	case "交流", "讨论", "答疑", "互助", "抱团", "上车", "内部", "进来", "入驻":
		return true
	}
	return false
}

// labelled reports whether a word that ends in 号, 码 or the like names the
// number at i: it is a thing's.
func (x *extractor) labelled(i int) bool {
	for containsRune(" :：(#", x.at(i-1)) {
		i--
	}
	return containsRune("号码编单是为第共约近值到至费款额话戳率数量", x.at(i-1)) || isASCIIWord(x.at(i-1))
}

// ofOwner reports whether a number follows 群主, with at most a name between.
func (x *extractor) ofOwner(run digitRun) bool {
	_, name, found := strings.Cut(string(x.text[max(0, run.start-5):run.start]), "群主")
	return found && !strings.ContainsAny(name, ",，。 ")
}

// aloneNumber reports whether a number is a clause of its own, or begins one
// that asks to get in touch.
func (x *extractor) aloneNumber(run digitRun) bool {
	before := x.at(run.start - 1)
	if before == ':' {
		before = x.at(run.start - 2)
	}
	called := containsRune("系询聊加找服搜", before)
	if !called && (!x.parted(run.start-1) || containsRune(".:#№-/¥￥$=", x.at(run.start-1))) || containsRune("%‰./-", x.at(run.end)) {
		return false
	}
	if x.at(run.start-1) == ' ' && isASCIIWord(x.at(run.start-2)) {
		return false
	}
	return x.parted(run.end) || containsRune("加聊有找私详联来咨招", x.at(run.end))
}

// looksLikeDate: eight digits of a day, or those of a day with an hour or more
// after them.
func looksLikeDate(d string) bool {
	if len(d) < 8 || d[:2] != "19" && d[:2] != "20" {
		return false
	}
	month, day := d[4:6], d[6:8]
	return month >= "00" && month <= "12" && day <= "31" && (len(d) == 8 || len(d) >= 10 && d[8:10] <= "23" && month > "00" && day > "00")
}

// dated reports whether a run is a day, with or without the time: its digits
// are those of one, its signs are a date's, or a clock's colon stands beside it.
func (x *extractor) dated(run digitRun) bool {
	if x.at(run.end) == ':' && isDigit(x.at(run.end+1)) || x.at(run.start-1) == ':' && isDigit(x.at(run.start-2)) && !isDigit(x.at(run.start+2)) {
		return true
	}
	text := x.text[run.start:run.end]
	if len(text) < 8 || !containsRune("-/. ", text[4]) {
		return len(run.digits) <= 14 && looksLikeDate(run.digits)
	}
	year := string(text[:4])
	return (year >= "1900" && year < "2100") && allDigits(year) && slices.Contains([]rune{text[6], text[7]}, text[4])
}
