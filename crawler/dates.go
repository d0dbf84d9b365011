package crawler

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The years a date may lie in; a number outside is not taken for a date.
const (
	minYear       = 1990
	maxYearsAhead = 1 // a page made on New Year's Eve in another zone
)

// maxDateText bounds the text searched for a date, in bytes.
const maxDateText = 512

// clockPattern is a time of day with an optional 上午/下午 before or after.
const clockPattern = `(?:(凌晨|清晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚间|夜里|午夜|am|pm)? ?(\d{1,2})[:时點点](\d{1,2})?(?:[:分](\d{1,2}))?(?:\.\d+)?秒?分? ?(上午|下午|am|pm)?)`

const numberPattern = `(\d{1,4}|[一二两兩三四五六七八九十百]{1,5}|半|an?|几|数)`

var (
	reEpoch    = regexp.MustCompile(`^(\d{10}|\d{13}|\d{16})(?:\.\d+)?$`)
	reISO      = regexp.MustCompile(`(\d{4})-(\d{1,2})-(\d{1,2})[t ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)? ?(z|utc|gmt|[+-]\d{2}:?\d{2})\b`)
	reUnix     = regexp.MustCompile(`\b([a-z]{3}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (z|utc|gmt|cst|[+-]\d{4}) (\d{4})\b`)
	reRFC      = regexp.MustCompile(`\b(\d{1,2})[ -]([a-z]{3})[a-z]*[ -](\d{4}),? +(\d{1,2}):(\d{2})(?::(\d{2}))? ?(z|utc|gmt|est|[+-]\d{2}:?\d{2})?`)
	reYMD      = regexp.MustCompile(`(?:^|[^\d])(\d{4}) ?[-/.年] ?(\d{1,2}) ?[-/.月] ?(\d{1,2})(?: ?日)?(?: ?\(?(?:星期|周)[一二三四五六日天]\)?)?(?:[ t,]*` + clockPattern + `)?(?:[^\d]|$)`)
	reCompact  = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})(?:[ t]?(\d{2}):?(\d{2})(?::?(\d{2}))?)?$`)
	reShortYMD = regexp.MustCompile(`(?:^|[^\d])(\d{2})[-/.年](\d{1,2})[-/.月](\d{1,2})(?:日)?(?:[ ,]*` + clockPattern + `)?(?:[^\d]|$)`)
	reCJKDate  = regexp.MustCompile(`([〇零○一二三四五六七八九]{4})年([一二三四五六七八九十]{1,3})月([一二三四五六七八九十]{1,3})日`)
	reMonthCJK = regexp.MustCompile(`(十[一二]?|[一二三四五六七八九]|\d{1,2})月 ?(\d{1,2})日?, ?(\d{4})(?:[ ,]*` + clockPattern + `)?`)
	reMonthEN  = regexp.MustCompile(`\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})(?:[ ,]*(?:at )?` + clockPattern + `)?`)
	reNow      = regexp.MustCompile(`^(?:[^\d]*[ 于於])?(?:刚刚|剛剛|刚才|剛才|方才|just now|now|1?秒前)`)
	reAgo      = regexp.MustCompile(numberPattern + ` ?(?:个|個)?(半)? ?(秒|分钟|分鐘|分|小时|小時|钟头|鐘頭|时辰|天|日|星期|礼拜|周|週|个月|月|年|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?:钟)?(半)?(?: ?` + numberPattern + ` ?(秒|分钟|分鐘|分|小时|小時|minutes?|mins?|hours?))? ?(?:以?之?前|ago)`)
	reDay      = regexp.MustCompile(`(今天|今日|昨天|昨日|昨晚|今晚|今早|大前天|前天|前日|yesterday|today)(?:[ ,]*` + clockPattern + `)?`)
	reWeekday  = regexp.MustCompile(`(?:^|[^上\d])(?:本)?(上)?(?:星期|周|週|礼拜)([一二三四五六日天])(?:[ ,]*` + clockPattern + `)?`)
	reMD       = regexp.MustCompile(`(?:^|[^\d\-/.年])(\d{1,2}) ?[-/月] ?(\d{1,2})(?: ?日)?(?:[ ,]*` + clockPattern + `)?(?:[^\d]|$)`)
	reYM       = regexp.MustCompile(`(?:^|[^\d])(\d{4})[-/年](\d{1,2})月?(?:[^\d\-/.日]|$)`)
	reClock    = regexp.MustCompile(`(?:^|[^\d])` + clockPattern)
)

// ParseTime reads a date as Chinese sites write it: absolute (2026-11-1 13:00,
// 2026年11月1日 下午3:05, 十一月 2, 2026, RFC 3339, epoch seconds or
// milliseconds), without a year (06月17日 18:12, 7-6) or relative to now (3小时前,
// 昨天 12:30, 前天, 刚刚). Words around the date are skipped. A missing year is
// the latest that does not put the date after now; a missing clock is midnight
// in loc, and a date without a zone is in loc. ok is false when s holds no
// date, or one before 1990 or more than a year ahead.
func ParseTime(s string, now time.Time, loc *time.Location) (t time.Time, ok bool) {
	if loc == nil {
		loc = time.UTC
	}
	if len(s) > maxDateText {
		s = strings.ToValidUTF8(s[:maxDateText], "")
	}
	d := dateReader{text: foldDate(s), now: now.In(loc), loc: loc}
	if d.text == "" {
		return time.Time{}, false
	}
	for _, read := range []func() (time.Time, bool){
		d.plain, d.epoch, d.compact, d.iso, d.unix, d.rfc, d.yearFirst, d.chineseNumerals, d.monthName,
		d.ago, d.justNow, d.day, d.shortYear, d.monthDay, d.weekday, d.yearMonth, d.clockOnly,
	} {
		t, ok := read()
		if !ok {
			continue
		}
		if t.Year() < minYear || t.Year() > d.now.Year()+maxYearsAhead {
			return time.Time{}, false
		}
		return t, true
	}
	return time.Time{}, false
}

// foldDate decodes entities, folds full-width digits and signs, lowers Latin
// letters and makes every run of spaces one.
func foldDate(s string) string {
	s = html.UnescapeString(s)
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case r >= '０' && r <= '９', r >= 'Ａ' && r <= 'Ｚ', r >= 'ａ' && r <= 'ｚ', r == '：', r == '／', r == '－', r == '，', r == '．':
			r = r - '！' + '!'
		case r == '–' || r == '—' || r == '‑' || r == '−':
			r = '-'
		case r == '\u200b' || r == '\u200c' || r == '\u200d' || r == '\ufeff' || r == '\u200e' || r == '\u200f':
			continue
		}
		if r == ' ' || r == '\u00a0' || r == '\u3000' || r == '\u202f' || r == '\u2009' || r < ' ' {
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// dateReader tries one way of writing a date after the other on one text.
type dateReader struct {
	text string
	now  time.Time
	loc  *time.Location
}

func (d dateReader) epoch() (time.Time, bool) {
	m := reEpoch.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch len(m[1]) {
	case 10:
		return time.Unix(n, 0).In(d.loc), true
	case 13:
		return time.UnixMilli(n).In(d.loc), true
	}
	return time.UnixMicro(n).In(d.loc), true
}

func (d dateReader) compact() (time.Time, bool) {
	m := reCompact.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	return d.date(atoi(m[1]), atoi(m[2]), atoi(m[3]), []string{"", m[4], m[5], m[6], ""})
}

func (d dateReader) iso() (time.Time, bool) {
	m := reISO.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	zone, ok := parseZone(m[7])
	if !ok {
		return time.Time{}, false
	}
	z := dateReader{now: d.now, loc: zone}
	t, ok := z.date(atoi(m[1]), atoi(m[2]), atoi(m[3]), []string{"", m[4], m[5], m[6], ""})
	return t.In(d.loc), ok
}

// unix reads Mon Jun 17 18:12:03 +0800 2024.
func (d dateReader) unix() (time.Time, bool) {
	m := reUnix.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	zone, ok := parseZone(m[6])
	if m[6] == "cst" {
		zone, ok = d.loc, true
	}
	if !ok {
		return time.Time{}, false
	}
	z := dateReader{now: d.now, loc: zone}
	t, ok := z.date(atoi(m[7]), monthNumber(m[1]), atoi(m[2]), []string{"", m[3], m[4], m[5], ""})
	return t.In(d.loc), ok
}

func (d dateReader) rfc() (time.Time, bool) {
	m := reRFC.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	zone, ok := parseZone(m[7])
	if !ok {
		zone = d.loc
	}
	z := dateReader{now: d.now, loc: zone}
	t, ok := z.date(atoi(m[3]), monthNumber(m[2]), atoi(m[1]), []string{"", m[4], m[5], m[6], ""})
	return t.In(d.loc), ok
}

func (d dateReader) yearFirst() (time.Time, bool) {
	m := reYMD.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	return d.date(atoi(m[1]), atoi(m[2]), atoi(m[3]), m[4:9])
}

func (d dateReader) shortYear() (time.Time, bool) {
	m := reShortYMD.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	return d.date(2000+atoi(m[1]), atoi(m[2]), atoi(m[3]), m[4:9])
}

func (d dateReader) chineseNumerals() (time.Time, bool) {
	m := reCJKDate.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	year := 0
	for _, r := range m[1] {
		year = year*10 + digitOf(r)
	}
	return d.date(year, chineseNumber(m[2]), chineseNumber(m[3]), nil)
}

func (d dateReader) monthName() (time.Time, bool) {
	if m := reMonthCJK.FindStringSubmatch(d.text); m != nil {
		month := chineseNumber(m[1])
		if month == 0 {
			month = atoi(m[1])
		}
		return d.date(atoi(m[3]), month, atoi(m[2]), m[4:9])
	}
	if m := reMonthEN.FindStringSubmatch(d.text); m != nil {
		return d.date(atoi(m[3]), monthNumber(m[1]), atoi(m[2]), m[4:9])
	}
	return time.Time{}, false
}

func (d dateReader) justNow() (time.Time, bool) {
	return d.now, reNow.MatchString(d.text)
}

// ago reads 3小时前, 半小时前, 1个半小时前, 5 小时 7 分钟前. Months and years are
// counted on the calendar.
func (d dateReader) ago() (time.Time, bool) {
	m := reAgo.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	t, ok := back(d.now, m[1], m[3])
	if !ok {
		return time.Time{}, false
	}
	if m[2] != "" || m[4] != "" {
		t, _ = back(t, "半", m[3])
	}
	if m[5] != "" {
		if t, ok = back(t, m[5], m[6]); !ok {
			return time.Time{}, false
		}
	}
	return t, true
}

func (d dateReader) day() (time.Time, bool) {
	m := reDay.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	days := map[string]int{"今天": 0, "今日": 0, "今晚": 0, "今早": 0, "today": 0, "昨天": 1, "昨日": 1, "昨晚": 1, "yesterday": 1, "前天": 2, "前日": 2, "大前天": 3}[m[1]]
	if strings.HasSuffix(m[1], "晚") && m[2] == "" {
		m[2] = "晚上"
	}
	day := d.now.AddDate(0, 0, -days)
	return d.date(day.Year(), int(day.Month()), day.Day(), m[2:7])
}

// weekday reads 周三 12:00: the latest such day that is not after now.
func (d dateReader) weekday() (time.Time, bool) {
	m := reWeekday.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	want := digitOf([]rune(m[2])[0]) % 7
	if m[2] == "日" || m[2] == "天" {
		want = 0
	}
	days := (int(d.now.Weekday()) - want + 7) % 7
	if m[1] != "" && days == 0 {
		days = 7
	}
	day := d.now.AddDate(0, 0, -days)
	t, ok := d.date(day.Year(), int(day.Month()), day.Day(), m[3:8])
	if ok && t.After(d.now) {
		t = t.AddDate(0, 0, -7)
	}
	return t, ok
}

// monthDay reads a date without a year: the latest that is not after now.
func (d dateReader) monthDay() (time.Time, bool) {
	m := reMD.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	// 29 February may be up to eight years back.
	for year := d.now.Year(); year >= d.now.Year()-8; year-- {
		t, ok := d.date(year, atoi(m[1]), atoi(m[2]), m[3:8])
		if ok && !t.After(d.now) {
			return t, true
		}
	}
	return time.Time{}, false
}

func (d dateReader) yearMonth() (time.Time, bool) {
	m := reYM.FindStringSubmatch(d.text)
	if m == nil {
		return time.Time{}, false
	}
	return d.date(atoi(m[1]), atoi(m[2]), 1, nil)
}

// clockOnly reads 18:12: today, or yesterday when that is still to come.
func (d dateReader) clockOnly() (time.Time, bool) {
	m := reClock.FindStringSubmatch(d.text)
	if m == nil || m[3] == "" {
		return time.Time{}, false
	}
	t, ok := d.date(d.now.Year(), int(d.now.Month()), d.now.Day(), m[1:6])
	if ok && t.After(d.now) {
		t = t.AddDate(0, 0, -1)
	}
	return t, ok
}

// date builds a time of the calendar. clock is the five groups of clockPattern
// (half of day, hour, minute, second, half of day) or nil.
func (d dateReader) date(year, month, day int, clock []string) (time.Time, bool) {
	if year < minYear || year > 9999 || month < 1 || month > 12 || day < 1 {
		return time.Time{}, false
	}
	hour, minute, second := 0, 0, 0
	if clock != nil && clock[1] != "" {
		minute, second = atoi(clock[2]), atoi(clock[3])
		hour = halfDay(atoi(clock[1]), clock[0]+clock[4])
		if hour > 23 || minute > 59 || second > 60 {
			return time.Time{}, false
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, min(second, 59), 0, d.loc)
	if t.Day() != day {
		return time.Time{}, false
	}
	return t, true
}
