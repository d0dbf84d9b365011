package classify

// maxSentence is the length at which a text without any end mark is cut into
// sentences all the same, so that "in one sentence" keeps a meaning in posts
// that use no punctuation.
const maxSentence = 120

// splitSentences fills sentence (rune → number) and returns the bounds. A
// sentence ends at 。！？!?；; and at line breaks, but not at the line breaks of
// text written one or two characters a line. Every text has at least one
// sentence.
func splitSentences(text []rune, sentence []int32, bounds []span) ([]int32, []span) {
	sentence, bounds = sentence[:0], bounds[:0]
	start, line := 0, 0
	for i, r := range text {
		sentence = append(sentence, int32(len(bounds)))
		end := false
		switch r {
		case '。', '！', '？', '!', '?', '；', ';':
			end = true
		case '\n':
			end = i-line > 2 || i+4 < len(text) && text[i+1] != '\n' && text[i+2] != '\n' && text[i+3] != '\n'
			line = i + 1
		case ' ', '　', ',', '，':
			end = i-start >= maxSentence
		}
		if !end {
			end = i-start >= 2*maxSentence
		}
		if end && i+1 < len(text) {
			bounds = append(bounds, span{int32(start), int32(i + 1)})
			start = i + 1
		}
	}
	return sentence, append(bounds, span{int32(start), int32(len(text))})
}

// quotedSpans returns the places inside quotation marks of at least four
// characters: somebody's words rather than a stressed term.
func quotedSpans(text []rune, out []span) []span {
	out = out[:0]
	open := -1
	var closing rune
	for i, r := range text {
		if open >= 0 {
			if r == closing || i-open > 300 {
				if r == closing && i-open > 4 {
					out = append(out, span{int32(open + 1), int32(i)})
				}
				open = -1
			}
			continue
		}
		switch r {
		case '“':
			open, closing = i, '”'
		case '「':
			open, closing = i, '」'
		case '『':
			open, closing = i, '』'
		case '"':
			open, closing = i, '"'
		case '‘':
			open, closing = i, '’'
		}
	}
	return out
}
