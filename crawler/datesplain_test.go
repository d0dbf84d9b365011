package crawler

import (
	"testing"
	"time"
)

// beforePlain is what ParseTime reads without the short way.
func beforePlain(d dateReader) (time.Time, bool) {
	for _, read := range []func() (time.Time, bool){d.epoch, d.compact, d.iso, d.unix, d.rfc, d.yearFirst} {
		if t, ok := read(); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

func samePlainDate(t *testing.T, s string) (taken bool) {
	t.Helper()
	loc := time.FixedZone("CST", 8*3600)
	d := dateReader{text: foldDate(s), now: time.Date(2026, 11, 22, 12, 0, 0, 0, loc), loc: loc}
	got, ok := d.plain()
	if !ok {
		return false
	}
	if want, known := beforePlain(d); !known || !got.Equal(want) {
		t.Fatalf("%q is %v, want %v (%v)", s, got, want, known)
	}
	return true
}

func TestPlainDatesAreReadAsBefore(t *testing.T) {
	for s, taken := range map[string]bool{
		"2026-11-1 13:00": true, "发表于 2026-10-5 13:05:00": true, "2026-9-1": true, "  2026-9-1　12:01 ": true, "发表于2026-09-01 00:00": true,
		"最后发表：2026-1-31 23:59:60": true, "- 2026-2-28": true,
		"2026-9-1 12": false, "2026-13-1": false, "2026-2-30": false, "12026-9-1": false, "2026-9-1 12:01 +0800": false, "2026-9-1 下午 3:05": false,
		"2026-9-1 12:01:": false, "2026-9-1 ": true, "Posted 2026-9-1": false, "2026/9/1": false, "2026-9-1 24:00": false, "2026-9-1 1:2:3:4": false, "": false, "1": false,
	} {
		if got := samePlainDate(t, s); got != taken {
			t.Errorf("%q is read the short way: %v", s, got)
		}
	}
}

func FuzzPlainDate(f *testing.F) {
	for _, s := range []string{"2026-11-1 13:00", "发表于 2026-10-5 13:05:00", "1-2026-9-1", "2026-9-1 25:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { samePlainDate(t, s) })
}
