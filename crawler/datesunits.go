package crawler

import (
	"strconv"
	"strings"
	"time"
)

// back goes count units back from t.
func back(t time.Time, count, unit string) (time.Time, bool) {
	n, half := 0, false
	switch {
	case count == "半":
		half = true
	case count == "几" || count == "数":
		n = 3
	case count == "a" || count == "an":
		n = 1
	case count[0] >= '0' && count[0] <= '9':
		n = atoi(count)
	default:
		n = chineseNumber(count)
	}
	var step time.Duration
	switch {
	case strings.HasPrefix(unit, "秒"), strings.HasPrefix(unit, "sec"):
		step = time.Second
	case strings.HasPrefix(unit, "分"), strings.HasPrefix(unit, "min"):
		step = time.Minute
	case strings.HasPrefix(unit, "小"), strings.HasPrefix(unit, "钟"), strings.HasPrefix(unit, "鐘"), strings.HasPrefix(unit, "h"):
		step = time.Hour
	case unit == "时辰":
		step = 2 * time.Hour
	case strings.HasPrefix(unit, "天"), strings.HasPrefix(unit, "日"), strings.HasPrefix(unit, "day"):
		step = 24 * time.Hour
	case unit == "星期", unit == "礼拜", unit == "周", unit == "週", strings.HasPrefix(unit, "week"):
		step = 7 * 24 * time.Hour
	case strings.HasSuffix(unit, "月"), strings.HasPrefix(unit, "month"):
		if half {
			return t.AddDate(0, 0, -15), true
		}
		return addMonths(t, -n), true
	case strings.HasPrefix(unit, "年"), strings.HasPrefix(unit, "year"):
		if half {
			return addMonths(t, -6), true
		}
		return addMonths(t, -12*n), true
	default:
		return time.Time{}, false
	}
	if half {
		return t.Add(-step / 2), true
	}
	return t.Add(-time.Duration(n) * step), true
}

// addMonths keeps to the last day of a shorter month, where AddDate would run
// over into the next.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).AddDate(0, n, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

func parseZone(z string) (*time.Location, bool) {
	switch z {
	case "":
		return nil, false
	case "z", "utc", "gmt":
		return time.UTC, true
	case "est":
		return time.FixedZone("EST", -5*3600), true
	}
	digits := strings.ReplaceAll(z[1:], ":", "")
	if len(digits) != 4 {
		return nil, false
	}
	hours, minutes := atoi(digits[:2]), atoi(digits[2:])
	if hours > 14 || minutes > 59 {
		return nil, false
	}
	offset := hours*3600 + minutes*60
	if z[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}

func halfDay(hour int, word string) int {
	switch word {
	case "下午", "傍晚", "晚上", "晚间", "夜里", "pm":
		if hour < 12 {
			return hour + 12
		}
	case "中午":
		if hour < 4 {
			return hour + 12
		}
	case "上午", "凌晨", "午夜", "am":
		if hour == 12 {
			return 0
		}
	}
	return hour
}

func monthNumber(name string) int {
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", name)
	if i < 0 || i%3 != 0 || len(name) != 3 {
		return 0
	}
	return i/3 + 1
}

// chineseNumber reads 一 to 九十九; 0 when it is none.
func chineseNumber(s string) int {
	total, digit := 0, 0
	for _, r := range s {
		if r == '百' {
			total, digit = total+max(digit, 1)*100, 0
			continue
		}
		if r == '十' {
			total, digit = total+max(digit, 1)*10, 0
			continue
		}
		digit = digitOf(r)
	}
	return total + digit
}

func digitOf(r rune) int {
	switch r {
	case '一':
		return 1
	case '二', '两', '兩':
		return 2
	case '三':
		return 3
	case '四':
		return 4
	case '五':
		return 5
	case '六':
		return 6
	case '七':
		return 7
	case '八':
		return 8
	case '九':
		return 9
	}
	return 0
}

// atoi reads a short run of digits that a pattern has matched; "" is 0.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
