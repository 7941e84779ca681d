package pickle

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (d *decoder) unicode(size int) error {
	n, err := d.uint(size)
	if err != nil {
		return err
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	if len(b) <= familiarSize {
		if v := d.familiar.get(b); v != nil {
			return d.push(v)
		}
	}
	s := d.str(d.i-len(b), d.i)
	if !validText(s) {
		return d.syntax("its text is not UTF-8")
	}
	return d.push(s)
}

// unicodeLine is UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX escapes.
func (d *decoder) unicodeLine() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := rune(b[i]), 1
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == 'u' || b[i+1] == 'U') {
			if r, n, err = d.escape(b[i:]); err != nil {
				return err
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
	return d.push(string(out))
}

// escape reads \uXXXX or \UXXXXXXXX at the start of b.
func (d *decoder) escape(b []byte) (rune, int, error) {
	n := 6
	if b[1] == 'U' {
		n = 10
	}
	if len(b) >= n {
		if r, err := strconv.ParseUint(string(b[2:n]), 16, 32); err == nil && r <= utf8.MaxRune {
			return rune(r), n, nil
		}
	}
	return 0, 0, d.syntax("its text has a broken escape")
}

// python2Bytes is BINSTRING and SHORT_BINSTRING.
func (d *decoder) python2Bytes(size int) error {
	n, err := d.uint(size)
	if err != nil {
		return err
	}
	if size == 4 && n > math.MaxInt32 {
		return d.syntax("its length is negative")
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	return d.python2(d.str(d.i-len(b), d.i))
}

func (d *decoder) python2(s string) error {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return d.syntax("a string of Python 2 that is not ASCII has no known encoding")
		}
	}
	return d.push(s)
}

// python2Line is STRING: a quoted literal.
func (d *decoder) python2Line() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	n := len(b)
	if n < 2 || b[0] != b[n-1] || b[0] != '\'' && b[0] != '"' {
		return d.syntax("its text has no quotes")
	}
	s, err := d.unescape(b[1 : n-1])
	if err != nil {
		return err
	}
	return d.python2(s)
}

// unescape undoes the escapes of a Python bytes literal.
func (d *decoder) unescape(b []byte) (string, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		if i == len(b) {
			return "", d.syntax("its text ends in a backslash")
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
				return "", d.syntax("its text has a broken escape")
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
			return "", d.syntax("its text has a broken escape")
		}
		out = append(out, byte(v))
		i += digits - 1
	}
	return string(out), nil
}

func (d *decoder) bytes(size int) error {
	n, err := d.uint(size)
	if err != nil {
		return err
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	return d.push(Bytes(d.str(d.i-len(b), d.i)))
}

func (d *decoder) byteArray() error {
	n, err := d.uint(8)
	if err != nil {
		return err
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	return d.push(&ByteArray{append([]byte(nil), b...)})
}
