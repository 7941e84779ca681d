package pickle

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

func (d *decoder) unicode([]any) {
	if b := d.content(); len(b) <= familiarSize {
		if v := d.familiar.get(b); v != nil {
			d.push(v)
			return
		}
	}
	s := d.str()
	d.keep(boxMemory)
	if !validText(s) {
		panic(d.syntax("its text is not UTF-8"))
	}
	d.push(s)
}

// unicodeLine is UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX escapes.
func (d *decoder) unicodeLine([]any) {
	b := d.content()
	d.spend(len(b) * escapeWork)
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := rune(b[i]), 1
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == 'u' || b[i+1] == 'U') {
			var ok bool
			if r, n, ok = escaped(b[i:]); !ok {
				panic(d.syntax(brokenEscape))
			}
		}
		if r >= 0xd800 && r <= 0xdfff {
			out = appendSurrogate(out, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
		// A backslash that escapes nothing hides the next one from being one.
		if n == 1 && r == '\\' && i+1 < len(b) && b[i+1] == '\\' {
			out = append(out, '\\')
			n = 2
		}
		i += n
	}
	d.keep(boxMemory + len(out))
	d.push(string(out))
}

const brokenEscape = "its text has a broken escape"

// escaped reads \uXXXX or \UXXXXXXXX at the start of b.
func escaped(b []byte) (r rune, size int, ok bool) {
	size = 6
	if b[1] == 'U' {
		size = 10
	}
	if len(b) < size {
		return 0, 0, false
	}
	v, err := strconv.ParseUint(string(b[2:size]), 16, 32)
	return rune(v), size, err == nil && v <= utf8.MaxRune
}

// python2 is BINSTRING and SHORT_BINSTRING.
func (d *decoder) python2([]any) { d.pushASCII(d.str()) }

func (d *decoder) pushASCII(s string) {
	if asciiPrefix(s) < len(s) {
		panic(d.syntax("a string of Python 2 that is not ASCII has no known encoding"))
	}
	d.push(s)
}

// python2Line is STRING: a quoted literal.
func (d *decoder) python2Line([]any) {
	b := d.content()
	n := len(b)
	if n < 2 || b[0] != b[n-1] || b[0] != '\'' && b[0] != '"' {
		panic(d.syntax("its text has no quotes"))
	}
	d.spend(n * escapeWork)
	d.keep(boxMemory + n)
	d.pushASCII(d.unescape(b[1 : n-1]))
}

// unescape undoes the escapes of a Python bytes literal.
func (d *decoder) unescape(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		if i == len(b) {
			panic(d.syntax("its text ends in a backslash"))
		}
		if k := strings.IndexByte("\\'\"abfnrtv", b[i]); k >= 0 {
			out = append(out, "\\'\"\a\b\f\n\r\t\v"[k])
			continue
		}
		digits, base := 0, 8
		switch {
		case b[i] == 'x':
			i++
			base, digits = 16, 2
			if i+2 > len(b) {
				panic(d.syntax(brokenEscape))
			}
		case b[i] >= '0' && b[i] <= '7':
			for digits < 3 && i+digits < len(b) && b[i+digits] >= '0' && b[i+digits] <= '7' {
				digits++
			}
		default:
			out = append(out, '\\', b[i])
			continue
		}
		v, err := strconv.ParseUint(string(b[i:i+digits]), base, 16)
		if err != nil {
			panic(d.syntax(brokenEscape))
		}
		out = append(out, byte(v))
		i += digits - 1
	}
	return string(out)
}

func (d *decoder) bytes([]any) {
	d.keep(boxMemory)
	d.push(Bytes(d.str()))
}

func (d *decoder) byteArray([]any) {
	d.keep(containerMemory + len(d.content()))
	d.push(&ByteArray{append([]byte(nil), d.content()...)})
}
