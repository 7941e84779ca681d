package pickle

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
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
	case int64, *big.Int:
		r.ascii(fmt.Sprint(v))
	case json.Number:
		r.number(v)
	case *Global:
		r.class(v)
	case *Object:
		r.object(v)
	default:
		r.container(v)
	}
}

// number writes what Python reads of a JSON number: without point and exponent it is an int of any size.
func (r *repr) number(n json.Number) {
	if i, ok := new(big.Int).SetString(string(n), 10); ok {
		r.ascii(i.String())
		return
	}
	f, _ := n.Float64() // out of range gives an infinity, as in Python
	r.ascii(floatText(f))
}

func (r *repr) container(v any) {
	switch v := v.(type) {
	case *List:
		r.guarded(v, "[...]", func() { r.items("[", v.Items, "]") })
	case *Tuple:
		r.guarded(v, "(...)", func() {
			end := ")"
			if len(v.Items) == 1 {
				end = ",)"
			}
			r.items("(", v.Items, end)
		})
	case *Dict:
		r.guarded(v, "{...}", func() { r.dict(v.Items) })
	case *Set:
		r.guarded(v, "set(...)", func() { r.set("set()", "{", v.Items, "}") })
	case *FrozenSet:
		r.guarded(v, "frozenset(...)", func() { r.set("frozenset()", "frozenset({", v.Items, "})") })
	case *ByteArray:
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
	r.each(open, len(items), end, func(i int) { r.value(items[i]) })
}

func (r *repr) set(empty, open string, items []any, end string) {
	if len(items) == 0 {
		r.ascii(empty)
		return
	}
	r.items(open, items, end)
}

func (r *repr) dict(pairs []Pair) {
	r.each("{", len(pairs), "}", func(i int) {
		r.value(pairs[i].Key)
		r.ascii(": ")
		r.value(pairs[i].Value)
	})
}

// each writes n items with commas between them.
func (r *repr) each(open string, n int, end string, item func(i int)) {
	r.ascii(open)
	for i := range n {
		if r.full() {
			return
		}
		if i > 0 {
			r.ascii(", ")
		}
		item(i)
	}
	r.ascii(end)
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
	r.ascii("<")
	r.plain(g.DottedName())
	r.ascii(">")
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
		r.guarded(o, "{...}", func() { r.dict(o.Entries()) })
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
