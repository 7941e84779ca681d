package pickle

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// raw writes what is JSON already.
func (c *converter) raw(s string) {
	if c.counting {
		c.counted += len(s)
		return
	}
	c.b = append(c.b, s...)
}

// comma parts the items of a list and the members of an object.
func (c *converter) comma() {
	if c.raw(","); c.python {
		c.raw(" ")
	}
}

// again writes what was written before, if it still fits.
func (c *converter) again(as span) {
	switch n := as.to - as.from; {
	case !c.fits(n):
		c.quoted(truncated)
	case c.counting:
		c.counted += n
	default:
		c.b = append(c.b, c.b[as.from:as.to]...)
	}
}

// quoted writes a string that is UTF-8. What would be HTML elsewhere stays as it is.
func (c *converter) quoted(s string) {
	switch {
	case c.counting:
		c.counted += c.quotedSize(s)
		return
	case c.python:
		c.b = appendASCII(c.b, s)
		return
	}
	c.b = append(c.b, '"')
	from := 0
	for i := range len(s) {
		if quoting[s[i]] == 0 {
			continue
		}
		c.b = append(c.b, s[from:i]...)
		from = i + 1
		if k := strings.IndexByte(short, s[i]); k >= 0 {
			c.b = append(c.b, '\\', "\"\\nrt"[k])
		} else {
			c.b = fmt.Appendf(c.b, `\u%04x`, s[i])
		}
	}
	c.b = append(append(c.b, s[from:]...), '"')
}

// short are the bytes of a string that have an escape of two bytes in JSON.
const short = "\"\\\n\r\t"

// quoting is how many bytes more than itself a byte of a string takes.
var quoting = func() (more [256]uint8) {
	for c := range ' ' {
		more[c] = uint8(len(`\u0000`) - 1)
	}
	for i := range len(short) {
		more[short[i]] = 1
	}
	return more
}()

// quotedSize is how many bytes quoted writes.
func (c *converter) quotedSize(s string) int {
	n := len(s) + 2
	if c.python {
		return n // at least; what it comes to is checked when it is written
	}
	for i := range len(s) {
		n += int(quoting[s[i]])
	}
	return n
}

// appendASCII writes a string as json.dumps does: in ASCII, lone surrogates included (Lib/json/encoder.py
// py_encode_basestring_ascii, CPython 3.11).
func appendASCII(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		r, size, _ := nextRune(s)
		s = s[size:]
		k := strings.IndexRune("\"\\\n\r\t\b\f", r)
		switch {
		case k >= 0:
			b = append(b, '\\', `"\nrtbf`[k])
		case r >= ' ' && r < 0x7f:
			b = append(b, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}

// apart gives the JSON that write writes, which is to become part of a string: nothing in it is remembered.
func (c *converter) apart(write func()) string {
	outside := *c
	c.b, c.counting, c.counted, c.written = nil, false, 0, map[any]span{}
	c.most = outside.most - outside.counted - len(outside.b)
	write()
	text := string(c.b)
	c.b, c.counting, c.counted, c.written, c.most = outside.b, outside.counting, outside.counted, outside.written, outside.most
	return text
}
