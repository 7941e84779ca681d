package pickle

import (
	"cmp"
	"fmt"
	"math/big"
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

// maxScalar is the longest text that is copied into a scalar: it may be shared by many objects.
const maxScalar = 1024

func decimalScalar(o *Object) (scalar, bool) {
	s, ok := first(o.args()).(string)
	if !ok || len(o.args()) != 1 || len(s) > maxScalar {
		return scalar{}, false
	}
	return scalar{s, "Decimal('" + s + "')"}, true
}

// momentScalar reads (4 bytes of date, 6 bytes of clock[, tzinfo]) of a datetime, date or time. The high bit of the
// month or, in a time, of the hour is fold. There is no repr of values with a time zone, which are left to the class
// name.
func momentScalar(o *Object) (scalar, bool) {
	class, args := o.Class().Name, o.args()
	size := map[string]int{"datetime": 10, "date": 4, "time": 6}[class]
	b, _ := first(args).(Bytes)
	if len(b) != size || len(args) > 2 || len(args) == 2 && class == "date" {
		return scalar{}, false
	}
	var texts, numbers []string
	if class != "time" {
		year, month, day := int(b[0])<<8|int(b[1]), b[2]&0x7f, b[3]
		if month < 1 || month > 12 || day < 1 || day > 31 {
			return scalar{}, false
		}
		texts = append(texts, fmt.Sprintf("%04d-%02d-%02d", year, month, day))
		numbers = append(numbers, fmt.Sprintf("%d, %d, %d", year, month, day))
		b = b[4:]
	}
	if class != "date" {
		hour, minute, second, micro := b[0]&0x7f, b[1], b[2], int(b[3])<<16|int(b[4])<<8|int(b[5])
		if hour > 23 || minute > 59 || second > 59 || micro > 999_999 {
			return scalar{}, false
		}
		texts = append(texts, fmt.Sprintf("%02d:%02d:%02d", hour, minute, second)+microText(int64(micro)))
		numbers = append(numbers, fmt.Sprintf("%d, %d", hour, minute))
		if second != 0 || micro != 0 {
			numbers = append(numbers, fmt.Sprint(second))
		}
		if micro != 0 {
			numbers = append(numbers, fmt.Sprint(micro))
		}
	}
	text := strings.Join(texts, " ")
	if len(args) == 2 && args[1] != nil {
		return scalar{str: text + zoneText(args[1])}, true
	}
	return scalar{text, "datetime." + class + "(" + strings.Join(numbers, ", ") + ")"}, true
}

// microText is a fraction of a second, which Python leaves out when it is zero.
func microText(micro int64) string {
	if micro == 0 {
		return ""
	}
	return fmt.Sprintf(".%06d", micro)
}

// zoneText gives "+05:30" for zones whose pickle has the offset and "[name]" for the others: what offset a name
// means is a matter of the reader's tables.
func zoneText(v any) string {
	o, _ := v.(*Object)
	if o == nil || o.Class() == nil {
		return "[unknown]"
	}
	args := o.args()
	name, _ := first(args).(string)
	name = name[:min(len(name), maxScalar)]
	shown := o.Class().DottedName()
	switch shown {
	case "datetime.timezone":
		if d, ok := first(args).(*Object); ok {
			if seconds, ok := deltaSeconds(d); ok {
				return offsetText(seconds)
			}
		}
	case "pytz._UTC", "dateutil.tz.tz.tzutc":
		return "+00:00"
	case "pytz._p": // (name, offset in seconds, daylight saving, abbreviation)
		if len(args) > 1 {
			if seconds, ok := args[1].(int64); ok && seconds > -86400 && seconds < 86400 {
				return offsetText(seconds)
			}
		}
		shown = name
	case "zoneinfo.ZoneInfo._unpickle":
		shown = name
	}
	return "[" + shown + "]"
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
	s := fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60) + microText(micro)
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
	state, _ := o.State.(*Dict)
	if state == nil || len(state.Items) > 2 { // int and is_safe
		return scalar{}, false
	}
	var n *big.Int
	switch v, _ := state.Get("int"); v := v.(type) {
	case int64:
		n = big.NewInt(v)
	case *big.Int:
		n = v
	}
	if n == nil || n.Sign() < 0 || n.BitLen() > 128 {
		return scalar{}, false
	}
	s := fmt.Sprintf("%032x", n)
	s = s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	return scalar{s, "UUID('" + s + "')"}, true
}
