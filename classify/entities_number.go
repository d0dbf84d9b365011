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
		if count == 0 || !numberSpacer(r) {
			break
		}
		gap := j
		for gap < len(x.text) && gap-j < 3 && numberSpacer(x.text[gap]) {
			gap++
		}
		if _, ok := readDigit(x.at(gap)); !ok {
			break
		}
		run.disguised = true
		j = gap
	}
	if count == 0 || plain*2 < count {
		return digitRun{}, false
	}
	run.end, run.digits = end, string(digits[:count])
	return run, true
}

// digitAt reads the digit at j. The letter o and its look-alikes are zero
// among digits; words that only sound like a digit need another one after them.
func (x *extractor) digitAt(j, sofar int) (byte, bool) {
	r := x.text[j]
	if sofar > 0 && (r == 'o' || r == 'о') {
		next := x.at(j + 1)
		return '0', isDigit(next) || next == 'o' || next == 'о' || isDigit(x.at(j-1)) && !isASCIIWord(next)
	}
	d, ok := readDigit(r)
	if ok && !plainNumeral(r) {
		_, more := readDigit(x.at(j + 1))
		return d, more || sofar >= 8
	}
	return d, ok
}

func readDigit(r rune) (byte, bool) {
	t := traits.of(r)
	return '0' + byte(t>>valueShift), t&traitNumeral != 0
}

func numberSpacer(r rune) bool {
	return r == ' ' || r == '-' || r == '_' || r == '.' || r == '·' || r == '*' || r == '~' || r == '—' || r == '–' || r == '|' || r == '/' || unicode.Is(unicode.So, r)
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
		if _, ok := readDigit(x.text[i]); !ok || isASCIIWord(x.at(i-1)) && !isDigit(x.text[i]) {
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
	if len(d) == 13 && d[:2] == "86" && isMobile(d[2:]) {
		d = d[2:]
	}
	switch {
	case isMobile(d) && !x.orderNumber(run):
		x.add(EntityPhone, d, run.start, run.end, false)
	case isHotline(d) && !x.counted(run) && (len(d) > 3 || x.called(run)):
		x.add(EntityPhone, d, run.start, run.end, true)
	case len(d) == 10 && (d[:3] == "400" || d[:3] == "800") && !x.orderNumber(run):
		x.add(EntityPhone, d, run.start, run.end, false) // anybody may rent one
	case len(d) >= 10 && len(d) <= 12 && d[0] == '0' && d[1] >= '1' && !x.orderNumber(run):
		x.add(EntityPhone, d, run.start, run.end, false)
	case len(d) >= 16 && len(d) <= 19 && luhn(d) && !x.orderNumber(run):
		x.add(EntityBankCard, d, run.start, run.end, false)
	}
}

// orderNumber reports whether the words before a number call it an order,
// parcel, case or licence number.
func (x *extractor) orderNumber(run digitRun) bool {
	before := strings.TrimRight(string(x.text[max(0, run.start-12):run.start]), " :：号码为是#№.(（")
	for _, w := range []string{"订单", "单", "订单编", "编", "运单", "流水", "身份证", "案", "发票", "执业证", "代码", "批次", "合同", "isbn", "证书", "备案"} {
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
	return strings.ContainsRune("元块万千百个套张年月日号%平斤公里米楼层栋kKwW", x.at(run.end)) || x.at(run.end) == '.' || x.at(run.start-1) == '.' || run.disguised
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
