package rqcompat

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// repr writes Python's repr() of values until it has more than most code points; nobody looks at the rest. That
// bounds its work on huge and cyclic values, too: each level and each item writes at least one character.
type repr struct {
	b    []byte
	n    int // code points in b
	most int
	open []any // containers around the current value, for cycles
}

func (r *repr) full() bool { return r.n > r.most }

func (r *repr) ascii(s string) {
	r.b = append(r.b, s...)
	r.n += len(s)
}

func (r *repr) value(v any) {
	switch v := v.(type) {
	case nil:
		r.ascii("None")
	case bool:
		if v {
			r.ascii("True")
		} else {
			r.ascii("False")
		}
	case string:
		r.text(v)
	case pickle.Bytes:
		r.bytes(string(v))
	case []byte:
		r.bytes(string(v))
	case float64:
		r.ascii(pythonFloat(v))
	case float32:
		r.ascii(pythonFloat(float64(v)))
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, *big.Int:
		r.ascii(fmt.Sprint(v))
	case json.Number:
		r.value(jsonNumber(string(v)))
	case *pickle.Global:
		r.class(v)
	case *pickle.Object:
		r.object(v)
	default:
		r.container(v)
	}
}

func (r *repr) container(v any) {
	switch v := v.(type) {
	case []any:
		r.items("[", v, "]")
	case []string:
		items := make([]any, min(len(v), r.most+1))
		for i := range items {
			items[i] = v[i]
		}
		r.items("[", items, "]")
	case map[string]any:
		var pairs []pickle.Pair
		for _, k := range slices.Sorted(maps.Keys(v)) {
			pairs = append(pairs, pickle.Pair{Key: k, Value: v[k]})
		}
		r.dict(pairs)
	case *pickle.List:
		r.guarded(v, "[...]", func() { r.items("[", v.Items, "]") })
	case *pickle.Tuple:
		r.guarded(v, "(...)", func() { r.tuple(v.Items) })
	case *pickle.Dict:
		r.guarded(v, "{...}", func() { r.dict(v.Items) })
	case *pickle.Set:
		r.guarded(v, "set(...)", func() { r.set("set()", "{", v.Items, "}") })
	case *pickle.FrozenSet:
		r.guarded(v, "frozenset(...)", func() { r.set("frozenset()", "frozenset({", v.Items, "})") })
	case *pickle.ByteArray:
		r.ascii("bytearray(")
		r.bytes(string(v.B))
		r.ascii(")")
	default:
		r.ascii(fmt.Sprintf("<%T>", v))
	}
}

// guarded writes a container unless it is inside itself, which Python shows as dots.
func (r *repr) guarded(v any, cycle string, write func()) {
	if slices.Contains(r.open, v) {
		r.ascii(cycle)
		return
	}
	r.open = append(r.open, v)
	write()
	r.open = r.open[:len(r.open)-1]
}

func (r *repr) items(open string, items []any, end string) {
	r.ascii(open)
	for i, v := range items {
		if r.full() {
			return
		}
		if i > 0 {
			r.ascii(", ")
		}
		r.value(v)
	}
	r.ascii(end)
}

func (r *repr) tuple(items []any) {
	if len(items) == 1 {
		r.items("(", items, ",)")
		return
	}
	r.items("(", items, ")")
}

func (r *repr) set(empty, open string, items []any, end string) {
	if len(items) == 0 {
		r.ascii(empty)
		return
	}
	r.items(open, items, end)
}

func (r *repr) dict(pairs []pickle.Pair) {
	r.ascii("{")
	for i, p := range pairs {
		if r.full() {
			return
		}
		if i > 0 {
			r.ascii(", ")
		}
		r.value(p.Key)
		r.ascii(": ")
		r.value(p.Value)
	}
	r.ascii("}")
}

// quote is Python's choice: single quotes unless there are only single ones inside.
func quote(s string) byte {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return '"'
	}
	return '\''
}

func (r *repr) text(s string) {
	q := quote(s)
	r.ascii(string(q))
	for len(s) > 0 && !r.full() {
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && size == 1:
			c, size = surrogate(s)
			r.escape(c)
		case c < utf8.RuneSelf:
			r.byte(byte(c), q)
		case unicode.IsPrint(c):
			r.b = utf8.AppendRune(r.b, c)
			r.n++
		default:
			r.escape(c)
		}
		s = s[size:]
	}
	r.ascii(string(q))
}

// surrogate reads the three bytes of a lone surrogate, or else one byte that is no text.
func surrogate(s string) (rune, int) {
	if len(s) >= 3 && s[0] == 0xed && s[1] >= 0xa0 && s[1] < 0xc0 && s[2] >= 0x80 && s[2] < 0xc0 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return rune(s[0]), 1
}

func (r *repr) bytes(s string) {
	q := quote(s)
	r.ascii("b" + string(q))
	for i := 0; i < len(s) && !r.full(); i++ {
		if s[i] < utf8.RuneSelf {
			r.byte(s[i], q)
		} else {
			r.escape(rune(s[i]))
		}
	}
	r.ascii(string(q))
}

// byte writes one ASCII character of a quoted text.
func (r *repr) byte(c, q byte) {
	switch {
	case c == q || c == '\\':
		r.ascii(`\` + string(c))
	case c == '\t':
		r.ascii(`\t`)
	case c == '\n':
		r.ascii(`\n`)
	case c == '\r':
		r.ascii(`\r`)
	case c < ' ' || c == 0x7f:
		r.escape(rune(c))
	default:
		r.b = append(r.b, c)
		r.n++
	}
}

func (r *repr) escape(c rune) {
	switch {
	case c <= 0xff:
		r.ascii(fmt.Sprintf(`\x%02x`, c))
	case c <= 0xffff:
		r.ascii(fmt.Sprintf(`\u%04x`, c))
	default:
		r.ascii(fmt.Sprintf(`\U%08x`, c))
	}
}

// pythonFloat is repr(float): the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
