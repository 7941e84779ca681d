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
// digits. Everything else is an error, as it is to every Python reader.
func ParseTime(s string) (time.Time, error) {
	// time.Parse would also take other zones, an hour of one digit, a comma, more digits and the year 0.
	if len(s) < 20 || len(s) > 27 || s[len(s)-1] != 'Z' || s[13] != ':' || len(s) > 20 && s[19] != '.' {
		return time.Time{}, errTimestamp
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1 {
		return time.Time{}, errTimestamp
	}
	return t, nil
}
