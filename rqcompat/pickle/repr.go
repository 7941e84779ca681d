package pickle

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Repr returns Python's repr() of a decoded value or of one that Encode takes. What is longer than most code
// points is cut there and ends in "...". Classes that Python alone knows are shown as <module.Class>. The work is
// bounded by most, not by the size of the value.
func Repr(v any, most int) string {
	r := repr{most: most}
	r.value(v)
	if !r.full() {
		return string(r.b)
	}
	end := 0
	for range r.most {
		_, size := utf8.DecodeRune(r.b[end:])
		end += size
	}
	return string(r.b[:end]) + "..."
}

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
	if list, ok := v.([]string); ok {
		v = list[:min(len(list), r.most+1)]
	}
	if n := fromGo(v); n != nil {
		v = n
	}
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
	case Bytes:
		r.bytes(string(v))
	case float64:
		r.ascii(floatText(v))
	case int64:
		r.ascii(strconv.FormatInt(v, 10))
	case *big.Int:
		if v.BitLen() > maxReprBits {
			r.ascii(fmt.Sprintf("<int of %d bits>", v.BitLen()))
		} else {
			r.ascii(v.String())
		}
	case json.Number:
		r.value(fromNumber(v))
	case *Global:
		r.class(v)
	case *Object:
		r.object(v)
	default:
		r.container(v)
	}
}

func (r *repr) container(v any) {
	switch v := v.(type) {
	case *List:
		r.items(v, "[...]", "[", v.Items, "]")
	case *Tuple:
		end := ")"
		if len(v.Items) == 1 {
			end = ",)"
		}
		r.items(v, "(...)", "(", v.Items, end)
	case *Dict:
		r.dict(v, v.Items)
	case *Set:
		r.set(v, "set", "{", v.Items, "}")
	case *FrozenSet:
		r.set(v, "frozenset", "frozenset({", v.Items, "})")
	case *ByteArray:
		r.ascii("bytearray(")
		r.bytes(string(v.B))
		r.ascii(")")
	default:
		r.ascii(fmt.Sprintf("<%T>", v))
	}
}

func (r *repr) items(v any, cycle, open string, items []any, end string) {
	r.each(v, cycle, open, len(items), end, func(i int) { r.value(items[i]) })
}

func (r *repr) set(v any, name, open string, items []any, end string) {
	if len(items) == 0 {
		r.ascii(name + "()")
		return
	}
	r.items(v, name+"(...)", open, items, end)
}

func (r *repr) dict(v any, pairs []Pair) {
	r.each(v, "{...}", "{", len(pairs), "}", func(i int) {
		r.value(pairs[i].Key)
		r.ascii(": ")
		r.value(pairs[i].Value)
	})
}

// each writes the n items of v with commas between them, or cycle when v is inside itself.
func (r *repr) each(v any, cycle, open string, n int, end string, item func(i int)) {
	if slices.Contains(r.open, v) {
		r.ascii(cycle)
		return
	}
	r.open = append(r.open, v)
	r.ascii(open)
	for i := 0; i < n && !r.full(); i++ {
		if i > 0 {
			r.ascii(", ")
		}
		item(i)
	}
	r.ascii(end)
	r.open = r.open[:len(r.open)-1]
}

// maxReprBits is up to where an integer is written out. Python refuses what has more than 4300 digits (int_info,
// CPython 3.11).
const maxReprBits = 14_284

// quote is Python's choice: single quotes unless there are only single ones inside. Of a very long text it sees the start.
func quote(s string) byte {
	s = s[:min(len(s), 1<<16)]
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return '"'
	}
	return '\''
}

func (r *repr) text(s string) {
	q := quote(s)
	r.ascii(string(q))
	for len(s) > 0 && !r.full() {
		c, size, ok := nextRune(s)
		switch {
		case !ok:
			r.escape(rune(s[0]))
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
	k := strings.IndexByte("\\\t\n\r", c)
	switch {
	case c == q:
		r.ascii(`\` + string(q))
	case k >= 0:
		r.ascii(`\` + `\tnr`[k:k+1])
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

// class shows a reference. Whether it is a function or a class only Python knows, and a function's repr has its
// address, so this is not Python's text.
func (r *repr) class(g *Global) {
	r.plain("<" + g.DottedName() + ">")
}

// plain writes text as it is.
func (r *repr) plain(s string) {
	for _, c := range s {
		if r.full() {
			return
		}
		r.b = utf8.AppendRune(r.b, c)
		r.n++
	}
}

// object knows the repr of the classes that are common as arguments and shows others by their class.
func (r *repr) object(o *Object) {
	class := o.Class()
	if class == nil {
		r.ascii("<object>")
		return
	}
	name := class.DottedName()
	if name == "frappe._dict" || name == "frappe.types.frappedict._dict" {
		r.dict(o, o.Entries())
		return
	}
	if read := scalars[name]; read != nil {
		if s, ok := read(o); ok && s.repr != "" {
			r.plain(s.repr)
			return
		}
	}
	r.class(class)
}
