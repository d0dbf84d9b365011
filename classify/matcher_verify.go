package classify

import "strings"

// maxGap is the most skipped runes between two runes of a term.
const maxGap = 8

// matchMode says which stream a candidate comes from.
type matchMode uint8

const (
	modePlain     matchMode = iota
	modeFilled              // letters and digits between ideographs were skipped
	modeCollapsed           // repeated runes were taken once
)

// gapCount is what stands between the runes of a candidate.
type gapCount struct {
	all, clause, newline, filler, repeats int
	usual                                 int  // gaps as ordinary writing has them: a space, a quote
	thrice                                bool // a rune stands three times and more
	ev                                    evasionSet
}

// verify decides on a candidate of a literal layer: first and last are the
// places in n.runes of each of its runes (they differ for a repeated rune).
func verify(n *normalized, v *variant, first, last []int32, mode matchMode) (hit, bool) {
	k := len(first)
	from, to := int(first[0]), int(last[k-1])+1
	if v.headWord && !n.wordStart(from, v.account) || v.tailWord && !n.wordEnd(to, v) {
		return hit{}, false
	}
	if v.ten && from > 0 && (n.class[from-1] == classDigit || strings.ContainsRune("一二三四五六七八九几数两", n.runes[from-1])) {
		return hit{}, false // 五十个w is a price
	}
	if v.named && !n.accountAfter(to) {
		return hit{}, false
	}
	h := hit{id: v.id, start: from, end: to, exact: k, evasions: v.ev | n.ev[from]&evNames}
	if to-from > k || mode != modePlain {
		var g gapCount
		if mode != modePlain && !v.han || !n.gapsBetween(first, last, &g) || !g.acceptable(n, first, mode) {
			return hit{}, false
		}
		h.gaps = g.all
		h.evasions |= g.ev
	}
	for i := range first {
		e := n.ev[first[i]]
		if i == 0 {
			e &= evNames
		}
		h.evasions |= e.closeGaps()
	}
	h.origStart, h.origEnd = n.origin(from, to)
	return h, true
}

// gapsBetween counts what stands between the runes at first[i-1]..last[i-1]
// and first[i]; it reports false when a gap is too wide for any disguise.
func (n *normalized) gapsBetween(first, last []int32, g *gapCount) bool {
	for i := range first {
		if last[i] > first[i] {
			g.repeats++
			if last[i]-first[i] > 1 {
				g.thrice = true
			}
		}
		if i == 0 {
			continue
		}
		a, b := last[i-1], first[i]
		if b-a == 1 {
			continue
		}
		if b-a-1 > maxGap {
			return false
		}
		n.gap(a, b, g)
	}
	return true
}

// gap adds the gap between the runes at a and b to g.
func (n *normalized) gap(a, b int32, g *gapCount) {
	var has uint32
	for _, c := range n.class[a+1 : b] {
		has |= 1 << c
	}
	if has == 1<<classSpace && (n.class[a] != n.class[b]) {
		return // 办理 POS 机: the usual space between scripts
	}
	g.all++
	if has&(1<<classNewline) != 0 {
		g.newline++
		g.ev |= evVertical
	} else if n.usualGap(a, b) {
		g.usual++
	} else if has&(1<<classSpace|1<<classSymbol|1<<classClause) != 0 {
		g.ev |= evSeparators
	}
	if has&(1<<classClause) != 0 {
		g.clause++
	}
	for i := a + 1; i < b; i++ {
		if c := n.class[i]; c == classEmoji || c == classAlias && isEmoji(n.runes[i]) {
			g.ev |= evEmoji
		} else if c == classAlias && !n.usualGap(a, b) {
			g.ev |= evSeparators
		}
	}
	if has&(1<<classLatin|1<<classDigit|1<<classOther|1<<classHan|1<<classBopomofo) != 0 {
		g.filler++
		g.ev |= evFiller
	}
}

// usualGap reports whether what stands between a and b is also found between
// words that hide nothing: 信用卡 养卡, “白户”包装, 话术+模板.
func (n *normalized) usualGap(a, b int32) bool {
	if b-a > 3 {
		return false
	}
	for i := a + 1; i < b; i++ {
		if !strings.ContainsRune(" +/-—|“”‘’\"'", n.runes[i]) {
			return false
		}
	}
	return true
}

// acceptable decides whether the gaps are a disguise or a chance: a clause
// mark, a line break, a filler must come often enough to be meant.
func (g *gapCount) acceptable(n *normalized, first []int32, mode matchMode) bool {
	places := len(first) - 1
	if g.usual > 1 || g.usual == 1 && (places <= 2 || g.all > 1) {
		g.ev |= evSeparators // once between two words is nothing, more is a habit
	}
	if g.clause > 0 && (g.all < 2 || 3*(places-g.all) > places) {
		return false
	}
	if g.newline > 0 && !n.vertical(first, g.newline) {
		return false
	}
	switch mode {
	case modeFilled:
		return g.filler >= 2 && 3*(places-g.filler) <= places
	case modeCollapsed:
		if g.repeats < 2 || 2*g.repeats < len(first) || len(first) < 3 && !g.thrice {
			return false // 干干净净 is a word
		}
		g.ev |= evRepeated
	}
	return true
}

// vertical reports whether the lines that the runes at places stand on are so
// short that the text is written downwards: with two breaks they speak for
// themselves, with one the lines around must be short too.
func (n *normalized) vertical(places []int32, breaks int) bool {
	for i, p := range places {
		if i > 0 && p-places[i-1] == 1 {
			continue
		}
		if !n.shortLine(int(p)) {
			return false
		}
	}
	if breaks >= 2 || len(places) >= 4 {
		return true
	}
	around := 0
	for _, step := range [...]int{-1, 1} {
		i := int(places[0])
		if step > 0 {
			i = int(places[len(places)-1])
		}
		for range 2 {
			if i = n.otherLine(i, step); i < 0 || !n.shortLine(i) {
				break
			}
			around++
		}
	}
	return around >= 2
}

// otherLine finds a content rune in the line before (step -1) or after the one
// at i, or -1.
func (n *normalized) otherLine(i, step int) int {
	breaks := 0
	for j, seen := i+step, 0; j >= 0 && j < len(n.class) && seen < 4*maxGap; j, seen = j+step, seen+1 {
		if n.class[j] == classNewline {
			breaks++
		} else if breaks > 0 && n.class[j].content() {
			return j
		}
	}
	return -1
}

// shortLine reports whether the line around i has at most two content runes.
func (n *normalized) shortLine(i int) bool {
	content := 1
	for j := i - 1; j >= 0 && n.class[j] != classNewline; j-- {
		if n.class[j].content() {
			content++
		}
		if content > 2 || i-j > 2*maxGap {
			return false
		}
	}
	for j := i + 1; j < len(n.class) && n.class[j] != classNewline; j++ {
		if n.class[j].content() {
			content++
		}
		if content > 2 || j-i > 2*maxGap {
			return false
		}
	}
	return true
}

// wordStart reports whether a Latin word may start at i. Digits may stand
// before a contact word: 13800001111vx同号.
func (n *normalized) wordStart(i int, account bool) bool {
	if i == 0 {
		return true
	}
	c := n.class[i-1]
	return c != classLatin && (account || c != classDigit)
}

// wordEnd reports whether a Latin word may end before i. After a contact word
// an account name may follow at once: 加vx123. A single letter (加v) asks for a
// name that looks like one.
func (n *normalized) wordEnd(i int, v *variant) bool {
	if i == len(n.class) || n.class[i] != classLatin && n.class[i] != classDigit {
		return true
	}
	if !v.account {
		return false
	}
	if n.class[i] == classDigit {
		return true
	}
	if v.mixed && !oneLetter(n, i) {
		return true
	}
	if n.runes[i-1] == 'x' {
		return false // 加微 xiubai is no 微x
	}
	for j := i; j < len(n.class) && j < i+24; j++ {
		switch {
		case n.class[j] == classDigit || n.runes[j] == '_':
			return true
		case n.class[j] != classLatin && n.runes[j] != '-':
			return false
		}
	}
	return false
}

// oneLetter reports whether what ends before i ends in a single Latin letter.
func oneLetter(n *normalized, i int) bool {
	return i < 2 || n.class[i-2] != classLatin
}

// accountAfter reports whether the next content rune after i, not far off and
// in the same clause, can begin an account name.
func (n *normalized) accountAfter(i int) bool {
	for end := min(len(n.class), i+maxGap); i < end; i++ {
		switch c := n.class[i]; {
		case c == classLatin || c == classDigit:
			return true
		case c.content() || c == classNewline || c == classClause && n.runes[i] != ':':
			return false
		}
	}
	return false
}

// functionWords stand at the edge of so many phrases (被公司, 修复时) that there
// they are never taken for a homophone.
const functionWords = "的地得了是时在有和与及或被把将先后就才都也还又再不没只这那我你他她它们为以从到向对给让等会能要可着过吗呢吧啊一年月日号人里上下中大小多少好很太说去来用做家个些该每各"

// soundCount is a candidate of the syllable layer, unit by unit.
type soundCount struct {
	first, last                          [maxUnits]int32
	homophones, spelt, bopomofo, letters int
}

// read counts how v's syllables are written from unit from on. It reports
// false when that cannot be a disguise of v.
func (c *soundCount) read(n *normalized, sy *syllableStream, v *variant, from int) bool {
	k := int(v.length)
	for i := range k {
		var kind unitKind
		kind, c.first[i], c.last[i] = sy.unit(from + i)
		switch r := n.runes[c.first[i]]; {
		case kind == unitPinyin:
			c.spelt++
			c.letters += int(c.last[i]-c.first[i]) + 1
		case kind == unitBopomofo:
			c.bopomofo++
		case r != v.text[i]:
			if (i == 0 || i == k-1) && strings.ContainsRune(functionWords, r) {
				return false
			}
			c.homophones++
		}
	}
	exact := c.exact(v)
	switch {
	case exact == k:
		return false // the literal layer has it
	case c.spelt == k && !v.spelt, exact == 0 && c.homophones > 0:
		return false
	case k == 2 && (c.homophones > 0 || exact == 0 && c.spelt < 2 && c.bopomofo < 2):
		return false
	}
	return true
}

// exact is the number of runes that are the pattern's own.
func (c *soundCount) exact(v *variant) int {
	return int(v.length) - c.homophones - c.spelt - c.bopomofo
}

// evasions names the ways of writing that occurred.
func (c *soundCount) evasions() evasionSet {
	ev := evasionSet(0)
	if c.homophones > 0 {
		ev |= evHomophone
	}
	if c.spelt > 0 {
		ev |= evPinyin
	}
	if c.bopomofo > 0 {
		ev |= evBopomofo
	}
	return ev
}

// verifySound decides on a candidate of the syllable layer that starts at unit
// from.
func verifySound(n *normalized, sy *syllableStream, v *variant, from int, veto func([]rune) bool) (hit, bool) {
	var c soundCount
	if !c.read(n, sy, v, from) {
		return hit{}, false
	}
	k := int(v.length)
	first, last := c.first[:k], c.last[:k]
	start, end := int(first[0]), int(last[k-1])+1
	// A long run of letters may be a sentence in pinyin; a short one is a word.
	inside := c.spelt == k && c.letters >= 14
	if c.spelt == k && n.inIdentifier(start, end) {
		return hit{}, false
	}
	if !inside && (n.class[start] == classLatin && !n.wordStart(start, false) || n.class[end-1] == classLatin && !n.wordEnd(end, v)) {
		return hit{}, false
	}
	var g gapCount
	if !n.soundGaps(first, last, &g) || !g.acceptable(n, first, modePlain) {
		return hit{}, false
	}
	if c.homophones > 0 && g.all > 0 && g.all < k-1 {
		return hit{}, false // two chances at once: 公司 | 沪 is no 公司户
	}
	if c.homophones > 0 && veto != nil && n.homophonesAreWords(sy, v, from, veto) {
		return hit{}, false
	}
	h := hit{id: v.id, start: start, end: end, exact: c.exact(v), gaps: g.all, evasions: v.ev | g.ev | c.evasions()}
	for i := range k {
		for j := first[i]; j <= last[i]; j++ {
			e := n.ev[j]
			if int(j) == start {
				e &= evNames
			}
			h.evasions |= e.closeGaps()
		}
	}
	h.origStart, h.origEnd = n.origin(start, end)
	return h, true
}

// inIdentifier reports whether [start, end) is part of an account name or
// address: zhengxin_88.
func (n *normalized) inIdentifier(start, end int) bool {
	word := func(i int) bool {
		return i >= 0 && i < len(n.class) && (n.class[i] == classLatin || n.class[i] == classDigit)
	}
	joint := func(i int) bool { return i >= 0 && i < len(n.runes) && strings.ContainsRune("_-.@/", n.runes[i]) }
	return joint(end) && word(end+1) || joint(start-1) && word(start-2) || word(end) && n.class[end] == classDigit
}

// soundGaps is gapsBetween for syllables, which are longer than one rune; tone
// marks between them are no disguise.
func (n *normalized) soundGaps(first, last []int32, g *gapCount) bool {
	for i := 1; i < len(first); i++ {
		a, b := last[i-1], first[i]
		if b-a-1 > maxGap {
			return false
		}
		for a+1 < b && isToneMark(n.runes[a+1]) {
			a++
		}
		if b-a > 1 {
			n.gap(a, b, g)
		}
	}
	return true
}

func isToneMark(r rune) bool { return r >= 0x2b0 && r <= 0x2ff }

// homophonesAreWords reports whether every homophone of a candidate belongs,
// where it stands, to an ordinary word: 整形 is no disguise of 征信.
func (n *normalized) homophonesAreWords(sy *syllableStream, v *variant, from int, isWord func([]rune) bool) bool {
	for i := range int(v.length) {
		kind, at, _ := sy.unit(from + i)
		if kind != unitHan || n.runes[at] == v.text[i] {
			continue
		}
		if !n.inWord(int(at), isWord) {
			return false
		}
	}
	return true
}

// inWord reports whether a word of two to four runes covers the rune at i.
func (n *normalized) inWord(i int, isWord func([]rune) bool) bool {
	for size := 2; size <= 4; size++ {
		for from := max(0, i-size+1); from <= i && from+size <= len(n.runes); from++ {
			whole := true
			for _, c := range n.class[from : from+size] {
				whole = whole && c == classHan
			}
			if whole && isWord(n.runes[from:from+size]) {
				return true
			}
		}
	}
	return false
}
