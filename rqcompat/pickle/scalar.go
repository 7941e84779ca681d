package pickle

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// scalar is an object as Python's str() and repr() show it.
type scalar struct{ str, repr string }

// scalars read the classes that are common as arguments. The states are those that CPython's datetime and uuid modules
// pickle (Modules/_datetimemodule.c, 3.11).
var scalars = map[string]func(*Object) (scalar, bool){
	"datetime.datetime":  momentScalar,
	"datetime.date":      momentScalar,
	"datetime.time":      momentScalar,
	"datetime.timedelta": timedeltaScalar,
	"decimal.Decimal":    decimalScalar,
	"uuid.UUID":          uuidScalar,
}

func decimalScalar(o *Object) (scalar, bool) {
	s, ok := first(o.args()).(string)
	return scalar{s, "Decimal('" + s + "')"}, ok && len(o.args()) == 1
}

// moment is a datetime, date or time.
type moment struct {
	date  []int // year, month, day
	clock []int // hour, minute, second, microsecond
	zone  any   // tzinfo, nil when it has none
}

// momentOf reads (4 bytes of date, 6 bytes of clock[, tzinfo]) of a class in module datetime. The high bit of the
// month or, in a time, of the hour is fold.
func momentOf(class string, args []any) (m moment, ok bool) {
	size := map[string]int{"datetime": 10, "date": 4, "time": 6}[class]
	b, _ := first(args).(Bytes)
	switch {
	case len(b) != size || len(args) > 2 || len(args) == 2 && class == "date":
		return m, false
	case len(args) == 2:
		m.zone = args[1]
	}
	if class != "time" {
		m.date = []int{int(b[0])<<8 | int(b[1]), int(b[2] & 0x7f), int(b[3])}
		if m.date[1] < 1 || m.date[1] > 12 || m.date[2] < 1 || m.date[2] > 31 {
			return m, false
		}
		b = b[4:]
	}
	if class != "date" {
		m.clock = []int{int(b[0] & 0x7f), int(b[1]), int(b[2]), int(b[3])<<16 | int(b[4])<<8 | int(b[5])}
		if m.clock[0] > 23 || m.clock[1] > 59 || m.clock[2] > 59 || m.clock[3] > 999_999 {
			return m, false
		}
	}
	return m, true
}

// momentScalar has no repr of values with a time zone, which are left to the class name.
func momentScalar(o *Object) (scalar, bool) {
	class := o.Class().Name
	m, ok := momentOf(class, o.args())
	if !ok || m.zone != nil {
		return scalar{str: m.text()}, ok
	}
	clock := m.clock
	// Python leaves out microseconds that are zero, then seconds.
	for len(clock) > 2 && clock[len(clock)-1] == 0 {
		clock = clock[:len(clock)-1]
	}
	numbers := strings.Trim(fmt.Sprint(slices.Concat(m.date, clock)), "[]")
	return scalar{m.text(), "datetime." + class + "(" + strings.ReplaceAll(numbers, " ", ", ") + ")"}, true
}

func (m moment) text() string {
	s := ""
	if m.date != nil {
		s = fmt.Sprintf("%04d-%02d-%02d", m.date[0], m.date[1], m.date[2])
	}
	if m.clock != nil {
		if s != "" {
			s += " "
		}
		s += fmt.Sprintf("%02d:%02d:%02d", m.clock[0], m.clock[1], m.clock[2])
		if m.clock[3] != 0 {
			s += fmt.Sprintf(".%06d", m.clock[3])
		}
	}
	return s + zoneText(m.zone)
}

// zoneText gives "+05:30" for zones whose pickle has the offset and "[name]" for the others: what offset a name
// means is a matter of the reader's tables.
func zoneText(v any) string {
	if v == nil {
		return ""
	}
	o, _ := v.(*Object)
	if o == nil || o.Class() == nil {
		return "[unknown]"
	}
	args := o.args()
	name, _ := first(args).(string)
	switch class := o.Class().DottedName(); class {
	case "datetime.timezone":
		if d, ok := first(args).(*Object); ok {
			if seconds, ok := deltaSeconds(d); ok {
				return offsetText(seconds)
			}
		}
		return "[" + class + "]"
	case "pytz._UTC", "dateutil.tz.tz.tzutc":
		return "+00:00"
	case "pytz._p": // (name, offset in seconds, daylight saving, abbreviation)
		if len(args) > 1 {
			if seconds, ok := args[1].(int64); ok && seconds > -86400 && seconds < 86400 {
				return offsetText(seconds)
			}
		}
		return "[" + name + "]"
	case "zoneinfo.ZoneInfo._unpickle":
		return "[" + name + "]"
	default:
		return "[" + class + "]"
	}
}

// deltaSeconds reads a timedelta of less than a day.
func deltaSeconds(o *Object) (int64, bool) {
	if class := o.Class(); class == nil || *class != (Global{"datetime", "timedelta"}) {
		return 0, false
	}
	days, seconds, _, ok := deltaParts(o.args())
	return days*86400 + seconds, ok && days >= -1 && days <= 0
}

func deltaParts(args []any) (days, seconds, micro int64, ok bool) {
	if len(args) != 3 {
		return 0, 0, 0, false
	}
	days, ok1 := args[0].(int64)
	seconds, ok2 := args[1].(int64)
	micro, ok3 := args[2].(int64)
	ok = ok1 && ok2 && ok3 && days > -1e9 && days < 1e9 &&
		seconds >= 0 && seconds < 86400 && micro >= 0 && micro < 1e6
	return days, seconds, micro, ok
}

func offsetText(seconds int64) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	s := fmt.Sprintf("%c%02d:%02d", sign, seconds/3600, seconds/60%60)
	if seconds%60 != 0 {
		s += fmt.Sprintf(":%02d", seconds%60)
	}
	return s
}

func timedeltaScalar(o *Object) (scalar, bool) {
	days, seconds, micro, ok := deltaParts(o.args())
	if !ok {
		return scalar{}, false
	}
	s := fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if micro != 0 {
		s += fmt.Sprintf(".%06d", micro)
	}
	switch days {
	case 0:
	case 1, -1:
		s = fmt.Sprintf("%d day, %s", days, s)
	default:
		s = fmt.Sprintf("%d days, %s", days, s)
	}
	var parts []string
	for i, n := range []int64{days, seconds, micro} {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", []string{"days", "seconds", "microseconds"}[i], n))
		}
	}
	return scalar{s, "datetime.timedelta(" + cmp.Or(strings.Join(parts, ", "), "0") + ")"}, true
}

// uuidScalar reads the state {"int": number}.
func uuidScalar(o *Object) (scalar, bool) {
	v, _ := (&Dict{o.Attributes()}).Get("int")
	var n big.Int
	switch v := v.(type) {
	case int64:
		n.SetInt64(v)
	case *big.Int:
		n.Set(v)
	default:
		return scalar{}, false
	}
	if n.Sign() < 0 || n.BitLen() > 128 {
		return scalar{}, false
	}
	s := fmt.Sprintf("%032x", &n)
	s = s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	return scalar{s, "UUID('" + s + "')"}, true
}
