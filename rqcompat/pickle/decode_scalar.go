package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (d *decoder) binInt() error {
	n, err := d.uint(4)
	if err != nil {
		return err
	}
	return d.push(int64(int32(uint32(n))))
}

func (d *decoder) binInt1() error {
	n, err := d.uint(1)
	if err != nil {
		return err
	}
	return d.push(int64(n))
}

func (d *decoder) binInt2() error {
	n, err := d.uint(2)
	if err != nil {
		return err
	}
	return d.push(int64(n))
}

func (d *decoder) long1() error {
	n, err := d.uint(1)
	if err != nil {
		return err
	}
	return d.long(n)
}

func (d *decoder) long4() error {
	n, err := d.uint(4)
	if err != nil {
		return err
	}
	if n > math.MaxInt32 {
		return d.syntax("its length is negative")
	}
	return d.long(n)
}

// long reads a little-endian two's complement integer of n bytes.
func (d *decoder) long(n uint64) error {
	b, err := d.take(n)
	if err != nil {
		return err
	}
	if len(b) <= 8 {
		var v uint64
		for i, c := range b {
			v |= uint64(c) << (8 * i)
		}
		if shift := 64 - 8*len(b); len(b) > 0 { // extend the sign
			v = uint64(int64(v<<shift) >> shift)
		}
		return d.push(int64(v))
	}
	if float64(len(b))*math.Log10(256) > float64(d.lim.IntDigits)+3 {
		return d.tooManyDigits()
	}
	be := make([]byte, len(b))
	negative := b[len(b)-1] >= 0x80
	for i, c := range b {
		if negative {
			c = ^c
		}
		be[len(b)-1-i] = c
	}
	v := new(big.Int).SetBytes(be)
	if negative {
		v.Not(v)
	}
	return d.push(shrink(v))
}

// shrink gives a number its one representation.
func shrink(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

func (d *decoder) tooManyDigits() error {
	return &LimitError{"digits of an integer", d.lim.IntDigits}
}

// textInt is INT: a number, or one of the two words protocol 1 has for bool.
func (d *decoder) textInt() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	switch string(b) {
	case "00":
		return d.push(false)
	case "01":
		return d.push(true)
	}
	return d.parseInt(b)
}

func (d *decoder) textLong() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	if n := len(b); n > 0 && b[n-1] == 'L' {
		b = b[:n-1]
	}
	return d.parseInt(b)
}

// parseInt accepts what int(text, 0) does; like C, 017 is octal.
func (d *decoder) parseInt(b []byte) error {
	if len(b) > d.lim.IntDigits+2 {
		return d.tooManyDigits()
	}
	s := strings.Trim(string(b), " \t\r\f\v")
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return d.push(v)
	}
	if v, ok := new(big.Int).SetString(s, 0); ok {
		return d.push(shrink(v))
	}
	return d.syntax("its argument is not an integer")
}

// index reads the memo index of PUT and GET.
func (d *decoder) index() (uint64, error) {
	b, err := d.line()
	if err != nil {
		return 0, err
	}
	if len(b) > 20 {
		return 0, d.syntax("its memo index is too long")
	}
	i, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0, d.syntax("its memo index is not a number")
	}
	return i, nil
}

func (d *decoder) binFloat() error {
	b, err := d.take(8)
	if err != nil {
		return err
	}
	return d.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// textFloat is FLOAT: what repr() writes, nan and inf included.
func (d *decoder) textFloat() error {
	b, err := d.line()
	if err != nil {
		return err
	}
	s := string(b)
	if strings.ContainsAny(s, "_xXpP") { // Go's own forms
		return d.syntax("its argument is not a float")
	}
	v, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(v) {
		v = math.Float64frombits(0x7ff8 << 48) // Python's, Go's has another bit set
	}
	if err != nil {
		return d.syntax("its argument is not a float, or too large for one")
	}
	return d.push(v)
}

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

// validText accepts UTF-8 in which lone surrogates have their 3-byte form, as
// Python's error handler surrogatepass does.
func validText(s string) bool {
	for !utf8.ValidString(s) {
		i := invalidAt(s)
		if !surrogateAt(s[i:]) {
			return false
		}
		s = s[i+3:]
	}
	return true
}

// invalidAt returns the index of the first byte of s that is not UTF-8, or len(s).
func invalidAt(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return len(s)
}

// surrogateAt reports whether s starts with the 3-byte form of U+D800..U+DFFF.
func surrogateAt(s string) bool {
	return len(s) >= 3 && s[0] == 0xed && s[1] >= 0xa0 && s[1] <= 0xbf && s[2]&0xc0 == 0x80
}

func appendSurrogate(b []byte, r rune) []byte {
	return append(b, 0xed, 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
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
