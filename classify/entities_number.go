package classify

import (
	"strings"
	"unicode"
)

// isMobile: eleven digits of a mainland mobile number.
func isMobile(d string) bool {
	return len(d) == 11 && d[0] == '1' && d[1] >= '3'
}

// digitsAt reads a run of digits at i, through disguises: numeral words,
// single signs between digits or groups. Words that only sound like digits
// (伞, 吧) count when most of the run are true numerals.
func (x *extractor) digitsAt(i int) (digitRun, bool) {
	run := digitRun{start: i}
	var digits [24]byte
	count, plain, end := 0, 0, i
	for j := i; j < len(x.text) && count < len(digits); {
		r := x.text[j]
		if !plainNumeral(r) && count == 11 && isMobile(string(digits[:count])) {
			break // 19900001111刘主管
		}
		if d, ok := x.digitAt(j, count); ok {
			digits[count] = d
			count++
			if plainNumeral(r) {
				plain++
			}
			if !isDigit(r) || x.n.ev[j] != 0 {
				run.disguised = true
			}
			j++
			end = j
			continue
		}
		if count == 0 || !numberSpacer(r) && !x.evenly(j, count) && !x.bracket(i, j, count) && !x.inThree(j, count) {
			break
		}
		if count == 11 && isMobile(string(digits[:count])) {
			break // the next number is another one
		}
		gap := j
		for gap < len(x.text) && gap-j < 3 && (gap == j || numberSpacer(x.text[gap]) || x.text[gap] == '(') {
			gap++
		}
		if _, ok := x.digitAt(gap, count); !ok {
			break
		}
		if x.ownNumber(gap, digits[:count]) {
			break
		}
		run.disguised = true
		j = gap
	}
	if count == 0 || plain*2 < count {
		return digitRun{}, false
	}
	run.end, run.digits = end, string(digits[:count])
	for k := 1; k <= 2 && count == 11+k && !isDigit(x.text[i]) && isDigit(x.text[i+k]) && !isDigit(x.text[i+k-1]) && end == i+count; k++ {
		if rest := run.digits[k:]; isMobile(rest) {
			run.start, run.digits = i+k, rest // 马三13800001234
		}
	}
	if containsRune("群裙", x.at(i-1)) && count > 8 && !isMobile(run.digits) && !run.mixed(x) && x.n.ev[i]&evDigits != 0 && x.n.ev[i+1] == 0 && isDigit(x.text[i+1]) && isDigit(x.at(i+2)) {
		run.start, run.digits = i+1, run.digits[1:] // 群①700120034: the first of several
	}
	return run, true
}

// mixed reports whether a character of the run but the first is a digit in
// disguise.
func (r digitRun) mixed(x *extractor) bool {
	for _, ev := range x.n.ev[r.start+1 : r.end] {
		if ev&evDigits != 0 {
			return true
		}
	}
	return false
}

// bracket reports whether the bracket at j stands about a group of digits:
// (138)0012, +1 (415) 555 or 138[0012]0034.
func (x *extractor) bracket(start, j, count int) bool {
	switch x.text[j] {
	case '(', '[', '【':
		return count <= 3
	case ')', ']', '】':
		return count <= 7 && (opens(x.at(start-1)) || opens(x.at(j-4)) || opens(x.at(j-5)))
	}
	return false
}

func opens(r rune) bool { return r == '(' || r == '[' || r == '【' }

// inThree reports whether the comma at j parts the groups of a mobile number:
// 138,0012,0034.
func (x *extractor) inThree(j, count int) bool {
	r := x.text[j]
	if r != ',' && r != '，' && r != '、' || count != 3 && count != 7 {
		return false
	}
	for k := 1; k <= 4; k++ {
		if _, ok := readDigit(x.at(j + k)); !ok || !plainNumeral(x.at(j+k)) {
			return false
		}
	}
	return plainNumeral(x.at(j-3)) && (count == 7 && x.at(j-5) == r && x.at(j-8) != '.' || count == 3 && x.at(j+5) == r && plainNumeral(x.at(j+9)) && !plainNumeral(x.at(j+10)))
}

// evenly reports whether the sign at j parts single digits throughout, as in
// 1+3+8, whatever sign it is.
func (x *extractor) evenly(j, count int) bool {
	r := x.text[j]
	if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\n' || r == '%' {
		return false
	}
	return x.at(j+2) == r && (count == 1 || x.at(j-2) == r) || count > 3 && x.at(j-2) == r && x.at(j-4) == r
}

// digitAt reads the digit at j. The letter o and its look-alikes are zero
// among digits; words that only sound like a digit need another one after them.
func (x *extractor) digitAt(j, sofar int) (byte, bool) {
	r := x.at(j)
	if sofar > 0 && (r == 'o' || r == 'о') {
		next := x.at(j + 1)
		return '0', isDigit(next) || next == 'o' || next == 'о' || isDigit(x.at(j-1)) && !isASCIIWord(next) || plainNumeral(x.at(j-1)) && plainNumeral(next)
	}
	if sofar == 0 && (r == 'l' || r == 'i') {
		return '1', x.oneAhead(j)
	}
	if sofar > 0 && (r == 'З' || r == 'з') && isDigit(x.at(j-1)) {
		return '3', true
	}
	if sofar > 0 && (r == 'l' || r == 'i') && isDigit(x.at(j-1)) && isDigit(x.at(j+1)) {
		return '1', true
	}
	d, ok := readDigit(r)
	if ok && !plainNumeral(r) {
		_, more := readDigit(x.at(j + 1))
		return d, more || sofar >= 8 && !isDigit(x.at(j-1))
	}
	return d, ok
}

// oneAhead reports whether the letter at j stands for the 1 that a mobile number
// begins with: l3800001234.
func (x *extractor) oneAhead(j int) bool {
	if isASCIIWord(x.at(j - 1)) {
		return false
	}
	for k := 1; k <= 10; k++ {
		if r := x.at(j + k); !isDigit(r) && r != 'o' && r != 'l' && r != 'i' {
			return false
		}
	}
	return isDigit(x.at(j+1)) && isDigit(x.at(j+10)) && !isASCIIWord(x.at(j+11))
}

func readDigit(r rune) (byte, bool) {
	t := traits.of(r)
	return '0' + byte(t>>valueShift), t&traitNumeral != 0
}

func numberSpacer(r rune) bool {
	return r == ' ' || r == '-' || r == '_' || r == '.' || r == '·' || r == '*' || r == '~' || r == '—' || r == '–' || r == '丶' || r == '|' || r == '/' || unicode.Is(unicode.So, r)
}

// hotlines are numbers of authorities, banks and insurers: never a suspect's.
func isHotline(d string) bool {
	switch len(d) {
	case 3:
		return d == "110" || d == "119" || d == "120" || d == "122"
	case 5:
		if d[:2] == "95" || d[:2] == "96" {
			return true
		}
		switch d {
		case "12345", "12378", "12363", "12315", "12337", "12348", "12368", "12388", "12309", "10086", "10010", "10000", "12321", "12377", "12381":
			return true
		}
	}
	return false
}

// numbers finds phone numbers, hotlines and bank cards that no cue announced.
func (x *extractor) numbers() {
	for i := 0; i < len(x.text); {
		if _, ok := x.digitAt(i, 0); !ok || isASCIIWord(x.at(i-1)) && !isDigit(x.text[i]) {
			i++
			continue
		}
		run, ok := x.digitsAt(i)
		if !ok {
			i++
			continue
		}
		x.number(run)
		i = max(run.end, i+1)
	}
}

func (x *extractor) number(run digitRun) {
	d := run.digits
	if isLatin(x.at(run.start-1)) || isLatin(x.at(run.end)) && !run.disguised {
		if !isMobile(d) {
			return
		}
	}
	if rest := strings.TrimPrefix(strings.TrimPrefix(d, "00"), "86"); rest != d && isMobile(rest) {
		d = rest
	}
	if x.dated(run) || x.spacedOut(run) {
		return
	}
	if len(d) == 11 && !isMobile(d) || isMobile(d) && d[10] == '1' {
		if back := x.inOrder(d, run.start, run.end); isMobile(back) {
			d = back
		}
	}
	switch {
	case isMobile(d) && !x.orderNumber(run):
		x.add(EntityPhone, d, run.start, run.end, false)
	case isHotline(d) && !x.counted(run) && (len(d) > 3 || x.called(run)):
		x.add(EntityPhone, d, run.start, run.end, true)
	case len(d) == 10 && (d[:3] == "400" || d[:3] == "800") && !x.orderNumber(run):
		x.add(EntityPhone, d, run.start, run.end, false) // anybody may rent one
	case len(d) >= 10 && len(d) <= 12 && d[0] == '0' && d[1] >= '1' && !x.orderNumber(run) && x.inOrder(d, run.start, run.end) == d:
		x.add(EntityPhone, d, run.start, run.end, false)
	case len(d) >= 16 && len(d) <= 19 && luhn(d) && !x.orderNumber(run):
		x.add(EntityBankCard, d, run.start, run.end, false)
	case len(d) >= 7 && len(d) <= 10 && run.disguised:
		if c, _ := x.afterCue(run.end); c.kind == EntityQQ || c.kind == EntityQQGroup {
			x.add(c.kind, x.inOrder(d, run.start, run.end), run.start, run.end, false)
		}
	}
}

// spacedOut reports whether a run that is no mobile number is written as several:
// in five groups or more (03 07 12 18 25 31), or as the parts of an address of a
// network (192.168.10.254).
func (x *extractor) spacedOut(run digitRun) bool {
	groups, dots, width, widest := 1, 0, 0, 0
	for _, r := range x.text[run.start:run.end] {
		if !numberSpacer(r) {
			width++
			widest = max(widest, width)
			continue
		}
		groups, width = groups+1, 0
		if r == '.' {
			dots++
		}
	}
	if dots == 3 && groups == 4 && widest <= 3 {
		return true
	}
	if groups == 3 && widest == 6 && len(run.digits) == 18 {
		return true // 600519 000858 300750
	}
	return !isMobile(run.digits) && widest > 1 && groups > 4 && len(run.digits) < 16
}

// ownNumber reports whether the digits at gap, after a sign that may stand
// inside a number, are a number of their own: a whole mobile number, or what
// follows an account number long enough.
func (x *extractor) ownNumber(gap int, before []byte) bool {
	end := gap
	for end-gap < 12 && isDigit(x.at(end)) {
		end++
	}
	if end-gap == 11 && isMobile(string(x.text[gap:end])) && string(before) != "86" && string(before) != "0086" {
		return true
	}
	return len(before) >= 8 && (end-gap >= 8 || x.counts(end) && end-gap <= 4) && len(before) < 12 && !containsRune("-", x.at(gap-1))
}

// orderNumber reports whether the words before a number call it an order,
// parcel, case or licence number.
func (x *extractor) orderNumber(run digitRun) bool {
	words := string(x.text[max(0, run.start-12):run.start])
	before := strings.TrimRight(words, " :：号码为是#№.(（")
	if strings.HasSuffix(before, "单") && strings.ContainsAny(words[len(before):], ":：号") {
		return true
	}
	if isMobile(run.digits) && !strings.ContainsAny(words[len(before):], ":：号码#№") {
		return false // 办身份证13800001234
	}
	for _, w := range []string{"申请", "注册", "登记", "交易", "会员", "受理", "参考", "取件", "提取", "工", "学", "考", "书", "卡", "户", "证", "表", "车架", "引擎", "税", "座"} {
		if strings.HasSuffix(before, w) {
			return strings.ContainsAny(words[len(before):], "号码")
		}
	}
	for _, w := range []string{"订单", "快递单", "保单", "账单", "工单", "订单编", "编", "运单", "流水", "身份证", "案", "发票", "执业证", "代码", "批次", "合同", "isbn", "证书", "备案", "学", "考证", "邮编", "验证", "型", "版本", "尾"} {
		if strings.HasSuffix(before, w) {
			return true
		}
	}
	return false
}

// called reports whether the words before a number say to dial it.
func (x *extractor) called(run digitRun) bool {
	before := string(x.text[max(0, run.start-4):run.start])
	return strings.ContainsAny(before, "打拨警话线")
}

// counted reports whether a number counts or prices something (110元, 120平).
func (x *extractor) counted(run digitRun) bool {
	return x.counts(run.end) || x.at(run.end) == '.' || x.at(run.start-1) == '.' || run.disguised
}

// counts reports whether a unit stands at i.
func (x *extractor) counts(i int) bool {
	return containsRune("元块万千百个套张年月日号%平斤公里米楼层栋kKwW", x.at(i))
}

// luhn checks a card number's check digit (ISO/IEC 7812-1, annex B).
func luhn(d string) bool {
	sum := 0
	for i := range len(d) {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
