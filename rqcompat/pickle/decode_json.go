package pickle

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// DecodeJSON reads what Python's json.dumps wrote, as json.loads does (Lib/json/decoder.py, CPython 3.11): NaN and
// Infinity are floats, integers have any size, dicts keep their order and the last of equal keys, lone surrogates stay.
// Limits and errors are those of DecodeCost.
func (l Limits) DecodeJSON(b []byte) (v any, cost Cost, err error) {
	d := decoders.Get().(*decoder)
	defer d.release(&cost, &err)
	d.open(l)
	d.input(b)
	d.isJSON = true
	v = d.jsonValue(0)
	if d.space(); d.i < len(b) {
		panic(d.syntax("more than one JSON value"))
	}
	d.mergeWide()
	return v, Cost{}, nil
}

// IsJSON reports whether b starts as JSON does and no pickle can.
func IsJSON(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case ' ', '\t', '\n', '\r', '"', '[', '{', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 't', 'f', 'n':
		return true
	}
	return bytes.HasPrefix(b, []byte("NaN")) || bytes.HasPrefix(b, []byte("Infinity"))
}

// space skips white space and makes what follows the place that an error names.
func (r *reader) space() {
	for r.i < len(r.b) && (r.b[r.i] == ' ' || r.b[r.i] == '\n' || r.b[r.i] == '\r' || r.b[r.i] == '\t') {
		r.i++
	}
	r.start = r.i
}

// skip passes over s if it comes next.
func (r *reader) skip(s string) bool {
	if len(r.b)-r.i < len(s) || string(r.b[r.i:r.i+len(s)]) != s {
		return false
	}
	r.i += len(s)
	return true
}

func (d *decoder) jsonValue(depth int) any {
	if depth > d.lim.Depth {
		panic(beyond("levels of depth", d.lim.Depth))
	}
	d.spend(opWork)
	d.space()
	switch {
	case d.skip("{"):
		return d.jsonDict(depth)
	case d.skip("["):
		return d.jsonList(depth)
	case d.skip(`"`):
		d.keep(boxMemory)
		return d.jsonText()
	case d.skip("null"):
		return nil
	case d.skip("true"):
		return true
	case d.skip("false"):
		return false
	}
	return d.jsonNumber()
}

func (d *decoder) jsonList(depth int) *List {
	d.container()
	l := &List{}
	for more := d.first("]"); more; more = d.another("]") {
		item := d.jsonValue(depth + 1)
		l.Items = append(grow(&d.budget, l.Items, 1), item)
	}
	return l
}

func (d *decoder) jsonDict(depth int) *Dict {
	d.container()
	v := &Dict{}
	for more := d.first("}"); more; more = d.another("}") {
		if d.space(); !d.skip(`"`) {
			panic(d.syntax("a key has to be a JSON string"))
		}
		key := d.jsonText()
		if d.space(); !d.skip(":") {
			panic(d.syntax("a JSON key has no value"))
		}
		d.keep(boxMemory)
		d.addPairs(v, []any{key, d.jsonValue(depth + 1)})
	}
	return v
}

// first reports whether a container that was just opened holds anything.
func (d *decoder) first(end string) bool {
	d.space()
	return !d.skip(end)
}

// another reports whether a comma follows, and with it one more.
func (d *decoder) another(end string) bool {
	if d.space(); d.skip(end) {
		return false
	}
	if !d.skip(",") {
		panic(d.syntax("neither a comma nor " + end + " follows in JSON"))
	}
	return true
}

// jsonText reads a string behind its first quote.
func (d *decoder) jsonText() string {
	d.at = d.i
	escapes := false
	for ; ; d.i++ {
		if d.i >= len(d.b) {
			panic(d.syntax("a JSON string has no end"))
		}
		c := d.b[d.i]
		if c == '"' {
			break
		}
		if c < ' ' {
			d.start = d.i
			panic(d.syntax("a JSON string has a control character"))
		}
		if c == '\\' {
			escapes = true
			d.i++
		}
	}
	d.end = d.i
	d.i++
	if !utf8.Valid(d.content()) {
		panic(d.syntax("a JSON string is not UTF-8"))
	}
	if !escapes {
		return d.str()
	}
	return d.jsonUnescaped(d.content())
}

func (d *decoder) jsonUnescaped(b []byte) string {
	d.spend(len(b) * escapeWork)
	d.keep(len(b))
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			out = append(out, b[i])
			i++
			continue
		}
		if b[i+1] == 'u' {
			var r rune
			if r, i = d.jsonRune(b, i); r >= 0xd800 && r <= 0xdfff {
				out = appendSurrogate(out, r)
			} else {
				out = utf8.AppendRune(out, r)
			}
			continue
		}
		out = append(out, d.shortEscape(b[i+1]))
		i += 2
	}
	return string(out)
}

func (d *decoder) shortEscape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	panic(d.syntax("a JSON string has an unknown escape"))
}

// jsonRune reads \uXXXX, or two that are a surrogate pair, and returns where it ends.
func (d *decoder) jsonRune(b []byte, i int) (rune, int) {
	unit := func(i int) (rune, bool) {
		if len(b)-i < 6 || b[i] != '\\' || b[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(i)
	if !ok {
		panic(d.syntax("a JSON string has a broken escape"))
	}
	if low, ok := unit(i + 6); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, i + 12
		}
	}
	return r, i + 6
}

// jsonNumber reads a number: without point and exponent an int of any size, else a float.
func (d *decoder) jsonNumber() any {
	d.keep(boxMemory)
	switch {
	case d.skip("NaN"):
		return nan
	case d.skip("Infinity"):
		return math.Inf(1)
	case d.skip("-Infinity"):
		return math.Inf(-1)
	}
	d.at = d.i
	d.skip("-")
	if !d.skip("0") && !d.digits() {
		panic(d.syntax("no JSON value"))
	}
	whole := d.i
	if d.skip(".") && !d.digits() {
		d.i = whole
	}
	end := d.i
	if d.skip("e") || d.skip("E") {
		if !d.skip("+") {
			d.skip("-")
		}
		if !d.digits() {
			d.i = end
		}
	}
	if d.end = d.i; d.end == whole {
		return d.integer(d.content(), false)
	}
	d.spend(numberWork + len(d.content())*floatDigitWork)
	f, _ := strconv.ParseFloat(string(d.content()), 64) // out of range gives the infinity that Python reads, too
	return f
}

// digits skips them and reports whether there are any.
func (r *reader) digits() bool {
	from := r.i
	for r.i < len(r.b) && r.b[r.i] >= '0' && r.b[r.i] <= '9' {
		r.i++
	}
	return r.i > from
}
