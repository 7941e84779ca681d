package pickle

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// validText accepts UTF-8 in which lone surrogates have their 3-byte form, as Python's error handler surrogatepass
// does.
func validText(s string) bool {
	if utf8.ValidString(s) {
		return true
	}
	for len(s) > 0 {
		_, size, ok := nextRune(s)
		if !ok {
			return false
		}
		s = s[size:]
	}
	return true
}

// nextRune reads the code point at the start of s, which may be a lone surrogate. A byte that starts none is not ok.
func nextRune(s string) (r rune, size int, ok bool) {
	r, size = utf8.DecodeRuneInString(s)
	if r != utf8.RuneError || size != 1 {
		return r, size, true
	}
	if len(s) < 3 || s[0] != 0xed || s[1] < 0xa0 || s[1] > 0xbf || s[2]&0xc0 != 0x80 {
		return r, size, false
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3, true
}

// asciiPrefix is how many bytes at the start of s are ASCII.
func asciiPrefix(s string) int {
	n := 0
	for n < len(s) && s[n] < utf8.RuneSelf {
		n++
	}
	return n
}

func appendSurrogate(b []byte, r rune) []byte {
	return append(b, 0xed, 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
}

// floatText is Python's repr of a float: the shortest digits that read back, with an exponent below 1e-4 and from
// 1e16 on.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
