package pickle

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// appendJSON writes what converter.value returns, floats as Python does: with a point or an exponent.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case json.Number:
		return append(b, v...)
	case float64:
		return append(b, floatText(v)...)
	case string:
		return appendQuoted(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case *members:
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, k), ':')
			b = appendJSON(b, v.values[i])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if k := strings.IndexByte("\"\\\n\r\t", s[i]); k >= 0 {
			b = append(b, '\\', `"\nrt`[k])
		} else if s[i] < ' ' {
			b = fmt.Appendf(b, `\u%04x`, s[i])
		} else {
			b = append(b, s[i])
		}
	}
	return append(b, '"')
}
