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

// converter writes the plain form of a value as JSON.
type converter struct {
	b        []byte
	most     int  // size that b may have
	counting bool // b stays empty, and counted is its size
	counted  int
	budget        // of its memory nothing is charged for what is written, which most bounds
	whole    bool // what is beyond a limit is refused, not cut
	python   bool // json.dumps is the model, and what it refuses is refused
	cut      bool // something was cut, and that is named

	around map[any]place // containers on the way to here
	// outermost is the level of the outermost container that what was written since refers back to.
	outermost int
	written   map[any]span // values whose JSON stands by itself

	path  []byte
	lossy []string
	more  int // entries beyond plainLossy
}

// place is where an open container stands: its level among the open ones, and the length of its path.
type place struct{ level, path int }

// span is a part of what was written.
type span struct{ from, to int }

func newConverter(l Limits) *converter {
	c := &converter{around: map[any]place{}, outermost: math.MaxInt, path: []byte("$")}
	c.open(l)
	c.spend(c.lim.Work / 2) // for it is measured before it is written
	c.most = c.lim.Text
	return c
}

func (c *converter) note(what string) {
	if c.python {
		panic(unsupported(readable(c.path) + ": " + what + ", which Python's JSON has no form for"))
	}
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

const truncated = "<truncated>"

// spend charges work. When the budget is used up, fits says so.
func (c *converter) spend(work int) { c.left -= work }

// fits reports whether n more bytes may be written. Of a value that has to be whole it refuses them.
func (c *converter) fits(n int) bool {
	if c.cut {
		return false
	}
	var err error
	if c.counted+len(c.b)+n > c.most {
		err = &LimitError{"bytes of JSON", c.most}
	} else if c.left <= 0 || c.memory < 0 {
		err = c.exceeded()
	}
	if err == nil {
		return true
	}
	if c.whole {
		panic(failure{err})
	}
	c.cut = true
	c.note("truncated, the rest is too large to write out")
	return false
}

func (c *converter) value(v any, depth int) {
	if !c.fits(0) {
		c.quoted(truncated)
		return
	}
	c.spend(valueWork)
	if n := fromGo(v); n != nil {
		v = n
	}
	switch v := v.(type) {
	case nil:
		c.raw("null")
	case bool:
		c.raw(strconv.FormatBool(v))
	case int64:
		c.raw(strconv.FormatInt(v, 10))
	case json.Number:
		c.raw(string(v))
	case string:
		c.text(v)
	case float64:
		c.spend(numberWork)
		c.float(v)
	case *big.Int, *ByteArray, *List, *Tuple, *Dict, *Set, *FrozenSet, *Global, *Object:
		if address(v) == nil {
			c.raw("null")
		} else if as, ok := c.written[v]; ok {
			c.again(as)
		} else {
			c.node(v, depth)
		}
	case Bytes:
		c.bytes(string(v), "bytes")
	default:
		c.note("Go type without a plain form")
		c.text(fmt.Sprintf("<%T>", v))
	}
}

// node converts what can be shared or hold itself. Its JSON is remembered unless it leads back to something around it,
// and so depends on the way to it.
func (c *converter) node(v any, depth int) {
	if at, ok := c.around[v]; ok {
		c.note("cycle")
		c.outermost = min(c.outermost, at.level)
		c.text("<cycle to " + readable(c.path[:at.path]) + ">")
		return
	}
	if depth >= plainDepth {
		if c.whole {
			panic(beyond("levels of depth", plainDepth))
		}
		c.note("too deep")
		c.outermost = 0
		c.quoted("<too deep>")
		return
	}
	level, from, before := len(c.around), c.counted+len(c.b), c.outermost
	c.outermost = math.MaxInt
	c.spend(mapWork)
	c.around[v] = place{level, len(c.path)}
	c.content(v, depth)
	delete(c.around, v)
	if c.outermost < level {
		c.outermost = min(c.outermost, before)
		return
	}
	c.outermost = before
	if as := (span{from, c.counted + len(c.b)}); as.to-as.from >= plainShared {
		c.memory -= mapMemory
		if c.written == nil {
			c.written = map[any]span{}
		}
		c.written[v] = as
	}
}

func (c *converter) content(v any, depth int) {
	switch v := v.(type) {
	case *big.Int:
		c.big(v)
	case *ByteArray:
		c.bytes(string(v.B), "bytearray")
	case *List:
		c.list(v.Items, depth)
	case *Tuple:
		c.list(v.Items, depth)
	case *Set:
		c.note("set written as a list")
		c.list(v.Items, depth)
	case *FrozenSet:
		c.note("frozenset written as a list")
		c.list(v.Items, depth)
	case *Dict:
		c.dict(v.Items, depth)
	case *Global:
		c.note("function or class written as its name")
		c.text(v.DottedName())
	case *Object:
		c.object(v, depth)
	}
}

// within converts v with a longer path.
func (c *converter) within(segment string, v any, depth int) {
	n := len(c.path)
	c.path = append(c.path, segment...)
	c.value(v, depth+1)
	c.path = c.path[:n]
}

func (c *converter) list(items []any, depth int) {
	c.raw("[")
	for i, v := range items {
		if i > 0 {
			c.comma()
		}
		c.within("["+strconv.Itoa(i)+"]", v, depth)
		if c.cut {
			break
		}
	}
	c.raw("]")
}

func (c *converter) dict(items []Pair, depth int) {
	c.raw("{")
	c.fill(nil, items, depth)
	c.raw("}")
}

func (c *converter) text(s string) {
	c.spend(len(s) * jsonWork)
	if !c.python && !utf8.ValidString(s) && c.fits(len(s)) {
		c.spend(len(s) * textWork)
		c.note("lone surrogates replaced")
		s = withoutSurrogates(s)
	}
	if !c.fits(c.quotedSize(s)) {
		s = truncated
	}
	c.quoted(s)
}

func withoutSurrogates(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, size, _ := nextRune(s[i:])
		out = utf8.AppendRune(out, r) // U+FFFD for a surrogate
		i += size
	}
	return string(out)
}

func (c *converter) float(v float64) {
	s := floatText(v)
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		c.raw(s)
		return
	}
	if c.python {
		c.raw(pythonFloats[s])
		return
	}
	c.note("float " + s + " written as text")
	c.quoted(s)
}

// pythonFloats are the floats that JSON lacks as Python writes them all the same.
var pythonFloats = map[string]string{"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

// big writes out an integer. The time for that grows faster than its length.
func (c *converter) big(v *big.Int) {
	c.spend(digitsWork(v.BitLen() / 3))
	if c.fits(v.BitLen() / 4) {
		c.raw(v.String())
	} else {
		c.quoted(truncated)
	}
}

func (c *converter) bytes(s, kind string) {
	c.spend(len(s) * jsonWork)
	if utf8.ValidString(s) {
		c.note(kind + " written as text")
		c.text(s)
		return
	}
	c.note(kind + " written as base64")
	switch n := base64.StdEncoding.EncodedLen(len(s)) + 2; {
	case !c.fits(n):
		c.quoted(truncated)
	case c.counting:
		c.counted += n
	default:
		c.b = append(base64.StdEncoding.AppendEncode(append(c.b, '"'), []byte(s)), '"')
	}
}
