package rqcompat

import (
	"errors"
	"time"
)

// timeLayout is RQ's _TIMESTAMP_FORMAT, rq/utils.py: UTC, always six digits, a literal Z.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// FormatTime renders t the way RQ writes timestamps, cut to microseconds. The zero time gives "".
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

var errTimestamp = errors.New("timestamp is not YYYY-MM-DDTHH:MM:SS[.ffffff]Z")

// ParseTime reads a timestamp that RQ's utcparse accepts: UTC with a literal Z and no, or one to six, fraction
// digits. Everything else is an error, as it is to every Python reader. It is written by hand because a job has
// four timestamps and time.Parse costs more than all its other fields together.
func ParseTime(s string) (time.Time, error) {
	if len(s) < 20 || len(s) > 27 || s[len(s)-1] != 'Z' ||
		s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, errTimestamp
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	second, ok6 := digits(s[17:19])
	micro, ok7 := fraction(s[19 : len(s)-1])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || year < 1 || month < 1 || month > 12 || day < 1 ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, errTimestamp
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, time.UTC)
	if t.Day() != day { // 30 February
		return time.Time{}, errTimestamp
	}
	return t, nil
}

func digits(s string) (n int, ok bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// fraction reads "" or ".f" to ".ffffff" as microseconds.
func fraction(s string) (micro int, ok bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != '.' || len(s) < 2 {
		return 0, false
	}
	micro, ok = digits(s[1:])
	for range 7 - len(s) {
		micro *= 10
	}
	return micro, ok
}
