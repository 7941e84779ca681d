package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// Datetime is Python's datetime.datetime. In JSON it is what str() gives, "2024-02-29 23:59:59.5+01:00"; a T between
// date and time and a Z are understood as well. None is the zero Datetime, both ways.
type Datetime struct {
	// Time is the instant. Of a naive datetime it is the wall clock as if that were UTC: see In.
	Time time.Time
	// Naive says that Python named no zone. Frappe's datetimes are naive and mean the site's time zone.
	Naive bool
}

// In is the instant in zone, which is also where a naive datetime is meant to be.
func (d Datetime) In(zone *time.Location) time.Time {
	t := d.Time
	if d.Naive {
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
	}
	return t.In(zone)
}

const likeDatetime = `"2024-02-29 23:59:59" or "2024-02-29 23:59:59.5+01:00"`

// UnmarshalJSON reads a string. A zone that only has a name must be known to this machine.
func (d *Datetime) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, _ := stringOf(b)
	clock, name, named := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	clock = strings.Replace(clock, "T", " ", 1)
	zone, err := time.LoadLocation(name)
	if err != nil {
		return misfit[Datetime](b, likeDatetime+", in a time zone that this machine knows")
	}
	offsets := []string{"", "Z07:00", "Z07:00:00"}
	if named {
		offsets = offsets[:1]
	}
	for _, offset := range offsets {
		if t, err := time.ParseInLocation(time.DateTime+offset, clock, zone); err == nil {
			*d = Datetime{Time: t, Naive: !named && offset == ""}
			return nil
		}
	}
	return misfit[Datetime](b, likeDatetime)
}

// MarshalJSON writes what str() would, to the microsecond; a zone becomes its offset.
func (d Datetime) MarshalJSON() ([]byte, error) {
	if d.Time.IsZero() {
		return []byte("null"), nil
	}
	layout := time.DateTime
	if d.Time.Nanosecond() >= 1000 {
		layout += ".000000"
	}
	if !d.Naive {
		layout += "-07:00"
		if _, offset := d.Time.Zone(); offset%60 != 0 {
			layout += ":00"
		}
	}
	return json.Marshal(d.Time.Format(layout))
}

// Date is Python's datetime.date: "2024-02-29". None is the zero Date, both ways.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// In is the start of the day in zone.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

func (d Date) String() string { return d.In(time.UTC).Format(time.DateOnly) }

// UnmarshalJSON reads a string.
func (d *Date) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, ok := stringOf(b)
	t, err := time.Parse(time.DateOnly, s)
	if !ok || err != nil {
		return misfit[Date](b, `"2024-02-29"`)
	}
	d.Year, d.Month, d.Day = t.Date()
	return nil
}

// MarshalJSON writes what str() would.
func (d Date) MarshalJSON() ([]byte, error) {
	if d == (Date{}) {
		return []byte("null"), nil
	}
	return json.Marshal(d.String())
}

// Timedelta is Python's datetime.timedelta, below 292 years: "-1 day, 23:59:59.5", or a number of seconds. None is zero.
type Timedelta time.Duration

// Duration is the same in Go's type.
func (d Timedelta) Duration() time.Duration { return time.Duration(d) }

// String is what str() gives: only the days are negative.
func (d Timedelta) String() string {
	const day = 24 * time.Hour
	days, rest := d.Duration()/day, d.Duration()%day
	if rest < 0 {
		days, rest = days-1, rest+day
	}
	s := time.Time{}.Add(rest).Format("15:04:05.000000")
	s = strings.TrimPrefix(strings.TrimSuffix(s, ".000000"), "0")
	switch days {
	case 0:
		return s
	case 1, -1:
		return fmt.Sprintf("%d day, %s", days, s)
	}
	return fmt.Sprintf("%d days, %s", days, s)
}

var timedeltaText = regexp.MustCompile(`^(?:(-?\d{1,9}) days?, )?(\d{1,2}):([0-5]\d):([0-5]\d)(\.\d{1,9})?$`)

// UnmarshalJSON reads a string or a number.
func (d *Timedelta) UnmarshalJSON(b []byte) error {
	const like = `"1:30:00", "2 days, 0:00:00" or a number of seconds`
	if string(b) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(b), 64)
	nanos := 0.0
	if s, ok := stringOf(b); ok {
		m := timedeltaText.FindStringSubmatch(s)
		if m == nil {
			return misfit[Timedelta](b, like)
		}
		err = nil
		whole := number(m[1])*86400 + number(m[2])*3600 + number(m[3])*60 + number(m[4])
		seconds, nanos = whole, math.Round(number("0"+m[5])*1e9)
	}
	if err != nil {
		return misfit[Timedelta](b, like)
	}
	if !(math.Abs(seconds) < math.MaxInt64/1e9-1) {
		return misfit[Timedelta](b, "one of less than 292 years")
	}
	if nanos == 0 {
		whole, part := math.Modf(seconds)
		seconds, nanos = whole, math.Round(part*1e9)
	}
	*d = Timedelta(time.Duration(seconds)*time.Second + time.Duration(nanos))
	return nil
}

// number reads digits that a pattern has let through; none are zero.
func number(digits string) float64 {
	n, _ := strconv.ParseFloat(digits, 64)
	return n
}

// MarshalJSON writes what str() would, to the microsecond.
func (d Timedelta) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// Decimal is Python's decimal.Decimal, as the string that it was: "1.50" keeps its zero. A JSON number is understood as
// well, with its digits as they were. None is the empty Decimal, both ways.
type Decimal string

var (
	decimalText = regexp.MustCompile(`^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?(\d+))?$`)
	decimalOdd  = regexp.MustCompile(`(?i)^[+-]?(?:inf(?:inity)?|s?nan\d*)$`)
)

// maxExponent keeps a few bytes, "1E+999999999", from becoming a number of gigabytes.
const maxExponent = 6144 // that of IEEE 754's decimal128

// Rat is the exact value. ok is false for the empty Decimal, NaN, the infinities, and an exponent beyond ±6144.
func (d Decimal) Rat() (r *big.Rat, ok bool) {
	m := decimalText.FindStringSubmatch(string(d))
	if m == nil {
		return nil, false
	}
	if exponent, err := strconv.Atoi("0" + m[1]); err != nil || exponent > maxExponent {
		return nil, false
	}
	return new(big.Rat).SetString(string(d))
}

// UnmarshalJSON reads a string or a number.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, ok := stringOf(b)
	if !ok {
		s = string(b)
	}
	s = strings.TrimSpace(s)
	if !decimalText.MatchString(s) && !decimalOdd.MatchString(s) {
		return misfit[Decimal](b, `"1.50"`)
	}
	*d = Decimal(s)
	return nil
}

// MarshalJSON writes the string.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(d))
}

// misfit is the error of a JSON value that isn't a T. encoding/json adds the field; nothing of it shows the value.
func misfit[T any](value []byte, like string) error {
	kind := "number"
	switch value[0] {
	case '"':
		kind = "string"
	case '{':
		kind = "object"
	case '[':
		kind = "array"
	case 't', 'f':
		kind = "bool"
	}
	return &json.UnmarshalTypeError{Value: kind + " " + job.Unlike + like, Type: reflect.TypeFor[T]()}
}

// stringOf reads a JSON string; ok is false for another value.
func stringOf(value []byte) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}
