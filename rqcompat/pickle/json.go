package pickle

import (
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
	c.spend((as.to - as.from) / 8)
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
		if jsonSizes[s[i]] == 1 {
			continue
		}
		c.b = append(c.b, s[from:i]...)
		from = i + 1
		if k := strings.IndexByte(short, s[i]); k >= 0 {
			c.b = append(c.b, '\\', "\"\\nrt"[k])
		} else {
			c.b = appendEscape(c.b, rune(s[i]))
		}
	}
	c.b = append(append(c.b, s[from:]...), '"')
}

// appendEscape writes the escape of a code unit.
func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// short are the bytes of a string that have an escape of two bytes in JSON.
const short = "\"\\\n\r\t"

// jsonSizes is how many bytes a byte of a string takes, pythonSizes how many it takes in Python's ASCII, where the first
// byte of a code point stands for all of it.
var (
	jsonSizes   = sizesOf(short, 1)
	pythonSizes = func() [256]uint8 {
		sizes := sizesOf(short+"\b\f", 6)
		for c := range sizes {
			switch {
			case c == 0x7f:
				sizes[c] = 6
			case c >= 0xf0:
				sizes[c] = 12
			case c >= 0x80 && c < 0xc0:
				sizes[c] = 0
			}
		}
		return sizes
	}()
)

func sizesOf(short string, beyondASCII uint8) (sizes [256]uint8) {
	for c := range sizes {
		switch {
		case strings.IndexByte(short, byte(c)) >= 0:
			sizes[c] = 2
		case c < ' ':
			sizes[c] = 6
		case c >= 0x80:
			sizes[c] = beyondASCII
		default:
			sizes[c] = 1
		}
	}
	return sizes
}

// quotedSize is how many bytes quoted writes.
func (c *converter) quotedSize(s string) int {
	sizes := &jsonSizes
	if c.python {
		sizes = &pythonSizes
	}
	n := 2
	for i := range len(s) {
		n += int(sizes[s[i]])
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
			b = appendEscape(appendEscape(b, high), low)
		default:
			b = appendEscape(b, r)
		}
	}
	return append(b, '"')
}

// mostKey is how many bytes of JSON a key may have that is no text.
const mostKey = 1 << 20

// apart gives the JSON that write writes, which is to become part of a string: nothing in it is remembered.
func (c *converter) apart(write func()) string {
	outside := *c
	c.b, c.counting, c.counted, c.written = nil, false, 0, nil
	c.most = min(outside.most-outside.counted-len(outside.b), mostKey)
	write()
	text := string(c.b)
	c.spend(len(text) * escapeWork)
	c.b, c.counting, c.counted, c.written, c.most = outside.b, outside.counting, outside.counted, outside.written, outside.most
	return text
}
