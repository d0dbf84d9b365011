package classify

// inContext settles what one rune alone cannot: letters of other scripts and
// turned letters inside Latin words, and radicals beside their other half. It
// works in place; the text never grows.
func (n *normalized) inContext(t *foldTable) {
	for i := 0; i < len(n.runes); i++ {
		if !letter(n.class[i]) {
			continue
		}
		end, foreign := i, false
		for end < len(n.runes) && letter(n.class[end]) {
			foreign = foreign || n.class[end] == foldForeign
			end++
		}
		if foreign {
			end = n.foldLetters(t, i, end)
		}
		i = end - 1
	}
	if n.has(foldRadical) {
		n.joinRadicals(t)
	}
}

func letter(c class) bool { return c == classLatin || c == foldForeign }

// foldLetters settles the run of letters [from, to) and returns where what it
// settled ends.
func (n *normalized) foldLetters(t *foldTable, from, to int) int {
	strong, turned, latin, alike := 0, 0, 0, 0
	for i := from; i < to; i++ {
		r := n.runes[i]
		like, mapped := t.homoglyph[r]
		if n.class[i] == classLatin {
			latin++
		} else if mapped && !t.loose[r] {
			alike++
		}
		up, ok := t.turned[r]
		if ok && r > 0x7f && up != like {
			strong++
		}
		if !ok {
			_, ok = t.turned[like]
		}
		if ok {
			turned++
		}
	}
	if strong > 0 && turned == to-from {
		if wide, end := n.turnedWord(t, from, to); turned > 1 || end-wide > 2 {
			n.turnOver(t, wide, end)
			return end
		}
	}
	convert := latin > 0 || alike == to-from && alike > 1
	for i := from; i < to; i++ {
		if n.class[i] != foldForeign {
			continue
		}
		n.class[i] = classOther
		if _, ok := t.turned[n.runes[i]]; ok {
			n.class[i] = classLatin
		}
		if like, ok := t.homoglyph[n.runes[i]]; ok && convert {
			n.runes[i], n.class[i] = like, classLatin
			n.ev[i] |= evHomoglyph
		}
	}
	return to
}

// turnedWord widens a run of turned letters to the word it is written in: an
// account such as 88oɐʇ is turned as a whole, digits and all.
func (n *normalized) turnedWord(t *foldTable, from, to int) (start, end int) {
	part := func(i int) bool {
		r := n.runes[i]
		if _, ok := turnedSigns[r]; ok || n.class[i] == classDigit {
			return n.ev[i]&evUpsideDown == 0
		}
		_, ok := t.turned[r]
		return ok && letter(n.class[i]) && n.ev[i]&evUpsideDown == 0
	}
	for from > 0 && part(from-1) {
		from--
	}
	for to < len(n.runes) && part(to) {
		to++
	}
	return from, to
}

// turnedSigns are the digits and signs, other than letters, that are read
// otherwise upside down. Digits that nobody turns stay.
var turnedSigns = map[rune]rune{'6': '9', '9': '6', '_': '_', '‾': '_', 'Ɩ': '1', '⇂': '1', 'ᄅ': '2', 'ᘔ': '2', 'Ɛ': '3', 'ㄣ': '4', 'ᔭ': '4', 'ϛ': '5', 'ㄥ': '7'}

// turnOver reads the run [from, to) from its end with every letter turned.
func (n *normalized) turnOver(t *foldTable, from, to int) {
	for i, j := from, to-1; i < j; i, j = i+1, j-1 {
		n.runes[i], n.runes[j] = n.runes[j], n.runes[i]
		n.start[i], n.start[j] = n.start[j], n.start[i]
		n.end[i], n.end[j] = n.end[j], n.end[i]
		n.ev[i], n.ev[j] = n.ev[j], n.ev[i]
		n.class[i], n.class[j] = n.class[j], n.class[i]
	}
	for i := from; i < to; i++ {
		n.ev[i] |= evUpsideDown
		if sign, ok := turnedSigns[n.runes[i]]; ok {
			n.runes[i], n.class[i] = sign, t.entry(sign).class()
			continue
		}
		if n.class[i] == classDigit {
			continue
		}
		up, ok := t.turned[n.runes[i]]
		if !ok {
			up = t.turned[t.homoglyph[n.runes[i]]]
		}
		n.runes[i], n.class[i] = up, classLatin
	}
}

// joinRadicals puts 亻责 together to 债. What is joined may join again.
func (n *normalized) joinRadicals(t *foldTable) {
	k := 0
	for i := range n.runes {
		n.runes[k], n.start[k], n.end[k], n.class[k], n.ev[k] = n.runes[i], n.start[i], n.end[i], n.class[i], n.ev[i]
		k++
		for k >= 2 && (n.class[k-1] == foldRadical || n.class[k-2] == foldRadical) {
			whole, ok := t.split[[2]rune{n.runes[k-2], n.runes[k-1]}]
			if !ok {
				break
			}
			k--
			n.runes[k-1], n.class[k-1] = whole, t.entry(whole).class()
			n.ev[k-1] |= n.ev[k].closeGaps() | evSplit
			n.start[k-1], n.end[k-1] = min(n.start[k-1], n.start[k]), max(n.end[k-1], n.end[k])
		}
	}
	n.resize(k)
	for i, c := range n.class {
		if c == foldRadical {
			n.class[i] = classHan
		}
	}
}
