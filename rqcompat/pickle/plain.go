package pickle

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Plain converts a decoded value to map[string]any, []any, string, bool, int64, json.Number (integers beyond
// int64), float64 and nil, for display and for handlers. It never fails and always returns a finite tree.
//
// Tuples become lists and frappe._dict, OrderedDict and defaultdict become maps. Every other change of meaning is
// named in lossy as "path: what happened", where the path starts with $:
//
//   - date, time, datetime, timedelta, Decimal and UUID are the text str() gives;
//     a time zone without a fixed offset follows in brackets
//   - a function or class is "module.name"
//   - another object is {"__class__": "module.name"} with its attributes, and as
//     far as it has them __args__, __kwargs__, __state__, __items__, __entries__
//   - sets are lists; bytes are text when they are UTF-8, else base64
//   - nan, inf and -inf are text; lone surrogates are U+FFFD
//   - keys that aren't text are written as JSON would; equal ones get " (2)"
//   - "<cycle to PATH>", "<too deep>" and "<truncated>" stand where a cycle
//     closes, below 1000 levels, and where the tree would get more than 1,048,576
//     nodes or 64 MiB of text, as shared values can make it
//
// After 100 entries lossy ends with a count of the others.
func Plain(v any) (plain any, lossy []string) {
	c := newConverter()
	tree := c.value(v, 0)
	return unordered(tree), c.named()
}

// JSON is Plain written as JSON, with dicts in their order.
func JSON(v any) (b []byte, lossy []string) {
	c := newConverter()
	tree := c.value(v, 0)
	return appendJSON(make([]byte, 0, 512), tree), c.named()
}

const (
	plainDepth = 1000
	plainNodes = 1 << 20
	plainText  = 64 << 20
	plainLossy = 100
)

type converter struct {
	nodes, text int         // what is left of the budgets
	open        map[any]int // containers on the way to here: length of their path
	path        []byte
	lossy       []string
	more        int  // entries beyond plainLossy
	cut         bool // truncation has been named
}

func newConverter() *converter {
	return &converter{nodes: plainNodes, text: plainText, open: map[any]int{}, path: []byte("$")}
}

func (c *converter) note(what string) {
	if len(c.lossy) >= plainLossy {
		c.more++
		return
	}
	c.lossy = append(c.lossy, readable(c.path)+": "+what)
}

// readable cuts the middle out of a path that nobody would read to its end.
func readable(path []byte) string {
	const half = 120
	if len(path) <= 2*half {
		return string(path)
	}
	s := string(path[:half]) + "…" + string(path[len(path)-half:])
	return strings.ToValidUTF8(s, "")
}

func (c *converter) named() []string {
	if c.more > 0 {
		return append(c.lossy, fmt.Sprintf("and %d more", c.more))
	}
	return c.lossy
}

// members is a JSON object in order.
type members struct {
	keys   []string
	values []any
}

func (m *members) add(key string, v any) {
	m.keys, m.values = append(m.keys, key), append(m.values, v)
}

func unordered(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = unordered(v[i])
		}
	case *members:
		m := make(map[string]any, len(v.keys))
		for i, k := range v.keys {
			m[k] = unordered(v.values[i])
		}
		return m
	}
	return v
}

const truncated = "<truncated>"

// spent reports that a budget is used up, and names it once.
func (c *converter) spent() bool {
	if c.nodes > 0 && c.text > 0 {
		return false
	}
	if !c.cut {
		c.cut = true
		c.note("truncated, the rest is too large to write out")
	}
	return true
}

func (c *converter) value(v any, depth int) any {
	if c.spent() {
		return truncated
	}
	c.nodes--
	if n := fromGo(v); n != nil {
		v = n
	}
	switch v := v.(type) {
	case nil, bool, int64, json.Number:
		return v
	case string:
		return c.string(v)
	case float64:
		return c.float(v)
	case *big.Int:
		return c.big(v)
	case Bytes:
		return c.bytes(string(v), "bytes")
	case *ByteArray, *List, *Tuple, *Dict, *Set, *FrozenSet, *Global, *Object:
		if address(v) == nil {
			return nil
		}
		return c.node(v, depth)
	}
	c.note("Go type without a plain form")
	return fmt.Sprintf("<%T>", v)
}

// node converts what can hold itself.
func (c *converter) node(v any, depth int) any {
	if at, ok := c.open[v]; ok {
		c.note("cycle")
		return c.string("<cycle to " + readable(c.path[:at]) + ">")
	}
	if depth >= plainDepth {
		c.note("too deep")
		return "<too deep>"
	}
	c.open[v] = len(c.path)
	out := c.content(v, depth)
	delete(c.open, v)
	return out
}

func (c *converter) content(v any, depth int) any {
	switch v := v.(type) {
	case *ByteArray:
		return c.bytes(string(v.B), "bytearray")
	case *List:
		return c.list(v.Items, depth)
	case *Tuple:
		return c.list(v.Items, depth)
	case *Set:
		c.note("set written as a list")
		return c.list(v.Items, depth)
	case *FrozenSet:
		c.note("frozenset written as a list")
		return c.list(v.Items, depth)
	case *Dict:
		return c.dict(v.Items, depth)
	case *Global:
		c.note("function or class written as its name")
		return c.string(v.DottedName())
	case *Object:
		return c.object(v, depth)
	}
	return nil
}

// within converts v with a longer path.
func (c *converter) within(segment string, v any, depth int) any {
	n := len(c.path)
	c.path = append(c.path, segment...)
	out := c.value(v, depth+1)
	c.path = c.path[:n]
	return out
}

func (c *converter) list(items []any, depth int) any {
	out := make([]any, 0, min(len(items), c.nodes+1))
	for i, v := range items {
		out = append(out, c.within("["+strconv.Itoa(i)+"]", v, depth))
		if c.cut {
			break
		}
	}
	return out
}

func (c *converter) dict(items []Pair, depth int) *members {
	n := min(len(items), c.nodes+1)
	m := &members{make([]string, 0, n), make([]any, 0, n)}
	c.fill(m, items, depth)
	return m
}

func (c *converter) string(s string) any {
	c.text -= len(s)
	if utf8.ValidString(s) {
		return s
	}
	c.note("lone surrogates replaced")
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, size, _ := nextRune(s[i:])
		out = utf8.AppendRune(out, r) // U+FFFD for a surrogate
		i += size
	}
	return string(out)
}

func (c *converter) float(v float64) any {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		return v
	}
	s := floatText(v)
	c.note("float " + s + " written as text")
	return s
}

// big writes out an integer. The time for that grows faster than its length, so a very long one costs more of the
// budget than its text.
func (c *converter) big(v *big.Int) any {
	if v == nil {
		return nil
	}
	if v.IsInt64() {
		return v.Int64()
	}
	s := v.String()
	c.text -= len(s) + len(s)*len(s)/500
	return json.Number(s)
}

func (c *converter) bytes(s, kind string) any {
	form := "text"
	if !utf8.ValidString(s) {
		form, s = "base64", base64.StdEncoding.EncodeToString([]byte(s))
	}
	c.note(kind + " written as " + form)
	c.text -= len(s)
	return s
}
