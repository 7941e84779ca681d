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
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			if _, ok := surrogateAt(s); !ok {
				return false
			}
			n = 3
		}
		s = s[n:]
	}
	return true
}

// surrogateAt reads the 3-byte form of U+D800..U+DFFF at the start of s.
func surrogateAt(s string) (r rune, ok bool) {
	if len(s) < 3 || s[0] != 0xed || s[1] < 0xa0 || s[1] > 0xbf || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), true
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
