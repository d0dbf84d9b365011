package triage

import "slices"

// change is a run of text that was kept, taken out or put in.
type change struct {
	Op     string // "", "del" or "ins"
	Pieces []piece
}

// maxDiff is the largest product of the lengths, in runes, of two texts that
// are compared character by character; larger ones are shown as replaced.
const maxDiff = 4 << 20

// maxRun is how much of one replaced stretch is shown, in runes.
const maxRun = 4000

// keepRunes is how much unchanged text stays visible around a change.
const keepRunes = 60

// diff returns how before became after, character by character: Chinese has no
// blanks to split words at.
func diff(before, after string) []change {
	a, b := []rune(before), []rune(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	same, endA, endB := a[:head], len(a)-tail, len(b)-tail
	var d differ
	d.add("", shorten(same, true))
	d.middle(a[head:endA], b[head:endB])
	d.add("", shorten(a[endA:], false))
	return d.out
}

// shorten cuts a long unchanged run, keeping the side next to the change.
func shorten(runes []rune, keepEnd bool) []rune {
	if len(runes) <= 2*keepRunes {
		return runes
	}
	if keepEnd {
		return append([]rune("…"), runes[len(runes)-keepRunes:]...)
	}
	return append(slices.Clone(runes[:keepRunes]), '…')
}

type differ struct{ out []change }

func (d *differ) add(op string, runes []rune) {
	if len(runes) > maxRun {
		runes = append(slices.Clone(runes[:maxRun]), '…')
	}
	if len(runes) > 0 {
		d.out = append(d.out, change{Op: op, Pieces: pieces(runes)})
	}
}

// middle compares by the longest common subsequence.
func (d *differ) middle(a, b []rune) {
	if len(a) == 0 || len(b) == 0 || len(a)*len(b) > maxDiff {
		d.add("del", a)
		d.add("ins", b)
		return
	}
	width := len(b) + 1
	lcs := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lcs[i*width+j] = lcs[(i+1)*width+j+1] + 1
			} else {
				lcs[i*width+j] = max(lcs[(i+1)*width+j], lcs[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		startA, startB := i, j
		for i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
		}
		d.add("", a[startA:i])
		startA, startB = i, j
		for i < len(a) && (j == len(b) || a[i] != b[j] && lcs[(i+1)*width+j] >= lcs[i*width+j+1]) {
			i++
		}
		d.add("del", a[startA:i])
		for j < len(b) && (i == len(a) || a[i] != b[j] && lcs[i*width+j+1] > lcs[(i+1)*width+j]) {
			j++
		}
		d.add("ins", b[startB:j])
	}
}
