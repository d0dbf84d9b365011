package crawler

import "time"

// plain reads what nearly all forums write, 2026-11-1 13:00:05 with or without
// the clock or its seconds, alone or after words such as 发表于: as yearFirst
// reads it, which none of those before it would take, but without regular
// expressions. FuzzPlainDate compares the two.
func (d dateReader) plain() (time.Time, bool) {
	s := d.text
	at := 0
	for at < len(s) && !isDigit(s[at]) {
		if isLetter(s[at]) {
			return time.Time{}, false
		}
		at++
	}
	var part [6]string // year, month, day, hour, minute, second
	n := 0
	for ; n < len(part); n++ {
		from := at
		for at < len(s) && isDigit(s[at]) {
			at++
		}
		if part[n] = s[from:at]; !plainNumber(n, at-from) {
			return time.Time{}, false
		}
		if at == len(s) {
			n++
			break
		}
		if n == len(part)-1 || s[at] != "-- ::"[n] {
			return time.Time{}, false
		}
		at++
	}
	if at < len(s) || n != 3 && n < 5 {
		return time.Time{}, false
	}
	return d.date(atoi(part[0]), atoi(part[1]), atoi(part[2]), []string{"", part[3], part[4], part[5], ""})
}

// plainNumber tells how many digits the nth part of a date may have.
func plainNumber(n, digits int) bool {
	if n == 0 {
		return digits == 4
	}
	return digits == 1 || digits == 2
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
