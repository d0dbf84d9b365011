package classify

import (
	"strings"
	"unicode"
)

// money finds amounts (3万, 20w, 500元, 三千块) and shares (12%, 百分之八, 8个点).
func (x *extractor) money() {
	for i := 0; i < len(x.text); i++ {
		if traits.of(x.text[i])&traitCount == 0 {
			continue
		}
		if end, ok := x.hasPrefix(i, "百分之"); ok {
			stop := end
			for containsRune("零一二三四五六七八九十百点半两0123456789.", x.at(stop)) {
				stop++
			}
			if stop > end {
				x.add(EntityPercent, string(x.text[end:stop])+"%", i, stop, false)
			}
			i = max(i, stop-1)
			continue
		}
		if isASCIIWord(x.at(i-1)) || x.at(i-1) == '.' {
			continue
		}
		end := i
		for traits.of(x.at(end))&traitCount != 0 || (x.at(end) == '.' || x.at(end) == ',') && isDigit(x.at(end+1)) {
			end++
		}
		x.unit(i, end)
		i = max(i, end-1)
	}
}

// unit reads what follows a number at [start,end).
func (x *extractor) unit(start, end int) {
	number := func() string { return strings.ReplaceAll(string(x.text[start:end]), ",", "") }
	switch r := x.at(end); {
	case r == '%' || r == '‰':
		x.add(EntityPercent, number()+string(r), start, end+1, false)
	case r == '个' && x.at(end+1) == '点', r == '个' && x.at(end+1) == '百' && x.at(end+2) == '分':
		x.add(EntityPercent, number()+"%", start, end+2, false)
	case r == '万' || r == '亿' || r == '元' || r == '块' || r == '千' || r == '百' || (r == 'w' || r == 'k') && !isASCIIWord(x.at(end+1)):
		stop := end + 1
		for containsRune("万亿千百元块", x.at(stop)) && stop-end < 4 {
			stop++
		}
		value := strings.ReplaceAll(strings.ReplaceAll(number()+string(x.text[end:stop]), "w", "万"), "k", "千")
		x.add(EntityAmount, value, start, stop, false)
	}
}

// companySuffixes end the name of a firm.
var companySuffixes = []string{"有限责任公司", "股份有限公司", "有限公司", "律师事务所", "信息咨询部", "商务服务部", "咨询中心", "工作室"}

// companies finds firm names: the run of Han and Latin characters before a
// firm's ending, at most 20 long, cut at words that cannot belong to it.
func (x *extractor) companies() {
	for i := 0; i < len(x.text); i++ {
		if traits.of(x.text[i])&traitFirm == 0 {
			continue
		}
		for _, suffix := range companySuffixes {
			end, ok := x.hasPrefix(i, suffix)
			if !ok {
				continue
			}
			start := i
			for start > 0 && i-start < 20 && companyRune(x.text[start-1]) {
				start--
			}
			if i-start >= 2 {
				x.add(EntityCompany, string(x.text[start:end]), start, end, false)
			}
			i = end - 1
			break
		}
	}
}

func companyRune(r rune) bool {
	return (unicode.Is(unicode.Han, r) || isLatin(r) || r == '(' || r == ')') && !strings.ContainsRune("我们你他她它的是在由和与为到去找称某及向从被把让", r)
}
