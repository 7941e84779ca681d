package frappe

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth is below the nesting at which Python's encoder gives up.
const maxJSONDepth = 900

// AsJSON renders v byte for byte as frappe.as_json does (frappe/__init__.py, 15.41 to 17): sorted keys, one space per
// level, ASCII only, floats as Python's repr. A job_hash is derived from this string.
//
// It takes what encoding/json takes. Whole numbers in a json.Number or json.RawMessage keep all their digits; a
// time.Time becomes str(datetime) of its wall clock, without a zone. A lone surrogate is kept when it comes as its
// three-byte form; encoding/json replaces it when it is read from JSON.
func AsJSON(v any) ([]byte, error) {
	b, err := appendJSON(nil, v, 0)
	if err != nil {
		return nil, fmt.Errorf("as_json: %w", err)
	}
	return b, nil
}

func appendJSON(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxJSONDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendASCII(b, v), nil
	case float64:
		return appendFloat(b, v), nil
	case json.Number:
		return appendNumber(b, v)
	case time.Time:
		return appendASCII(b, pythonDatetime(v)), nil
	}
	rv := reflect.ValueOf(v)
	_, marshals := v.(json.Marshaler)
	switch kind := rv.Kind(); {
	case kind == reflect.Map && rv.Type().Key().Kind() == reflect.String && !marshals:
		keys := rv.MapKeys()
		// The byte order of UTF-8 is the code point order Python sorts by.
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		return appendAll(b, "{}", len(keys), depth, func(b []byte, i int) ([]byte, error) {
			b = append(appendASCII(b, keys[i].String()), ": "...)
			return appendJSON(b, rv.MapIndex(keys[i]).Interface(), depth+1)
		})
	case kind == reflect.Slice && rv.Type().Elem().Kind() != reflect.Uint8 && !marshals:
		return appendAll(b, "[]", rv.Len(), depth, func(b []byte, i int) ([]byte, error) {
			return appendJSON(b, rv.Index(i).Interface(), depth+1)
		})
	case kind == reflect.Float32:
		return appendFloat(b, rv.Float()), nil
	}
	return appendOther(b, v, depth)
}

// appendAll writes n entries between two brackets, each on a line of its own.
func appendAll(b []byte, brackets string, n, depth int, entry func(b []byte, i int) ([]byte, error)) (_ []byte, err error) {
	if n == 0 {
		return append(b, brackets...), nil
	}
	newline := "\n" + strings.Repeat(" ", depth)
	b = append(b, brackets[0])
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = entry(append(b, newline+" "...), i); err != nil {
			return nil, err
		}
	}
	return append(append(b, newline...), brackets[1]), nil
}

// appendOther lets encoding/json bring v down to the plain values.
func appendOther(b []byte, v any, depth int) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	return appendJSON(b, plain, depth)
}

// appendNumber writes a JSON number as Python would after reading it: an int of any size, or a float.
func appendNumber(b []byte, n json.Number) ([]byte, error) {
	text := n.String()
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return appendFloat(b, f), nil
	}
	i, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return i.Append(b, 10), nil
}

// appendFloat writes Python's repr(f): the shortest digits that read back as f, an exponent below 1e-4 and from 1e16.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !bytes.ContainsRune(b[start:], '.') {
		b = append(b, ".0"...)
	}
	return b
}

var shortEscapes = [utf8.RuneSelf]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't', '\f': 'f', '\b': 'b'}

func appendASCII(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			if surrogate, ok := loneSurrogate(s[i:]); ok {
				r, size = surrogate, 3
			}
		}
		i += size
		switch {
		case r < utf8.RuneSelf && shortEscapes[r] != 0:
			b = append(b, '\\', shortEscapes[r])
		case r >= ' ' && r <= '~':
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

// loneSurrogate reads the three bytes that Python's "surrogatepass" gives a surrogate without a partner.
func loneSurrogate(s string) (rune, bool) {
	if len(s) < 3 || s[0] != 0xed || s[1]&0xe0 != 0xa0 || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), true
}

// pythonDatetime is str(datetime): no fraction when the microseconds are zero.
func pythonDatetime(t time.Time) string {
	return strings.TrimSuffix(t.Format("2006-01-02 15:04:05.000000"), ".000000")
}

// Digest is the hexadecimal SHA-256 of s. A job_hash is its first 16 digits.
func Digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
