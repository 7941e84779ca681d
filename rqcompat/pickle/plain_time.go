package pickle

import (
	"fmt"
	"math/big"
)

// The texts of this file are those of Python's str(). They read the states that
// CPython's datetime module pickles (Modules/_datetimemodule.c, 3.11).

// datetimeText reads (10 bytes[, tzinfo]).
func datetimeText(args []any) (string, bool) {
	b, zone, ok := stateBytes(args, 10)
	if !ok {
		return "", false
	}
	date, ok := dateText([]any{b[:4]})
	clock, ok2 := clockText(b[4:])
	return date + " " + clock + zone, ok && ok2
}

// timeText reads (6 bytes[, tzinfo]).
func timeText(args []any) (string, bool) {
	b, zone, ok := stateBytes(args, 6)
	if !ok {
		return "", false
	}
	b = Bytes(append([]byte{b[0] & 0x7f}, b[1:]...)) // the high bit of the hour is fold
	clock, ok := clockText(b)
	return clock + zone, ok
}

func stateBytes(args []any, n int) (b Bytes, zone string, ok bool) {
	if len(args) != 1 && len(args) != 2 {
		return "", "", false
	}
	b, ok = args[0].(Bytes)
	if !ok || len(b) != n {
		return "", "", false
	}
	if len(args) == 2 {
		zone = zoneText(args[1])
	}
	return b, zone, true
}

// dateText reads (4 bytes): year, month with fold as its high bit, day.
func dateText(args []any) (string, bool) {
	if len(args) != 1 {
		return "", false
	}
	b, ok := args[0].(Bytes)
	if !ok || len(b) != 4 {
		return "", false
	}
	month, day := b[2]&0x7f, b[3]
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return "", false
	}
	return fmt.Sprintf("%04d-%02d-%02d", int(b[0])<<8|int(b[1]), month, day), true
}

// clockText reads hour, minute, second and 3 bytes of microseconds.
func clockText(b Bytes) (string, bool) {
	micro := int(b[3])<<16 | int(b[4])<<8 | int(b[5])
	if b[0] > 23 || b[1] > 59 || b[2] > 59 || micro > 999_999 {
		return "", false
	}
	s := fmt.Sprintf("%02d:%02d:%02d", b[0], b[1], b[2])
	if micro != 0 {
		s += fmt.Sprintf(".%06d", micro)
	}
	return s, true
}

// zoneText gives "+05:30" for zones whose pickle has the offset and "[name]"
// for the others: what offset a name means is a matter of the reader's tables.
func zoneText(v any) string {
	if v == nil {
		return ""
	}
	o, _ := v.(*Object)
	if o == nil {
		return "[unknown]"
	}
	class := o.Class()
	args, _ := o.Args.(*Tuple)
	if class == nil || args == nil {
		return "[unknown]"
	}
	name, _ := first(args.Items).(string)
	switch class.DottedName() {
	case "datetime.timezone":
		if d, ok := first(args.Items).(*Object); ok {
			if seconds, ok := deltaSeconds(d); ok {
				return offsetText(seconds)
			}
		}
	case "pytz._UTC", "dateutil.tz.tz.tzutc":
		return "+00:00"
	case "pytz._p": // (name, offset in seconds, daylight saving, abbreviation)
		if len(args.Items) > 1 {
			if seconds, ok := args.Items[1].(int64); ok && seconds > -86400 && seconds < 86400 {
				return offsetText(seconds)
			}
		}
		return "[" + name + "]"
	case "zoneinfo.ZoneInfo._unpickle":
		return "[" + name + "]"
	}
	return "[" + class.DottedName() + "]"
}

func first(items []any) any {
	if len(items) == 0 {
		return nil
	}
	return items[0]
}

// deltaSeconds reads a timedelta of less than a day.
func deltaSeconds(o *Object) (int64, bool) {
	args, _ := o.Args.(*Tuple)
	if class := o.Class(); class == nil || class.DottedName() != "datetime.timedelta" || args == nil {
		return 0, false
	}
	days, seconds, _, ok := deltaParts(args.Items)
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

func timedeltaText(args []any) (string, bool) {
	days, seconds, micro, ok := deltaParts(args)
	if !ok {
		return "", false
	}
	s := fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if micro != 0 {
		s += fmt.Sprintf(".%06d", micro)
	}
	switch days {
	case 0:
		return s, true
	case 1, -1:
		return fmt.Sprintf("%d day, %s", days, s), true
	}
	return fmt.Sprintf("%d days, %s", days, s), true
}

// uuidText reads the state {"int": number}.
func uuidText(o *Object) (string, bool) {
	state, _ := o.State.(*Dict)
	if state == nil {
		return "", false
	}
	v, _ := state.Get("int")
	var n big.Int
	switch v := v.(type) {
	case int64:
		n.SetInt64(v)
	case *big.Int:
		n.Set(v)
	default:
		return "", false
	}
	if n.Sign() < 0 || n.BitLen() > 128 {
		return "", false
	}
	s := fmt.Sprintf("%032x", &n)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}
