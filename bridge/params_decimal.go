package bridge

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Decimal is Python's decimal.Decimal, as the string that it was: "1.50" keeps its zero. A JSON number is understood as
// well, with its digits as they were. None is the empty Decimal, both ways.
type Decimal string

var (
	decimalText = regexp.MustCompile(`^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?(\d+))?$`)
	decimalOdd  = regexp.MustCompile(`(?i)^[+-]?(?:inf(?:inity)?|s?nan\d*)$`)
)

// maxExponent keeps a few bytes, "1E+999999999", from becoming a number of gigabytes.
const maxExponent = 6144 // that of IEEE 754's decimal128

// Rat is the exact value. ok is false for the empty Decimal, NaN, the infinities, and an exponent beyond ±6144.
func (d Decimal) Rat() (r *big.Rat, ok bool) {
	m := decimalText.FindStringSubmatch(string(d))
	if m == nil {
		return nil, false
	}
	if exponent, err := strconv.Atoi("0" + m[1]); err != nil || exponent > maxExponent {
		return nil, false
	}
	return new(big.Rat).SetString(string(d))
}

// UnmarshalJSON reads a string or a number.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, ok := stringOf(b)
	if !ok {
		s = string(b)
	}
	s = strings.TrimSpace(s)
	if !decimalText.MatchString(s) && !decimalOdd.MatchString(s) {
		return misfit[Decimal](b, `"1.50"`)
	}
	*d = Decimal(s)
	return nil
}

// MarshalJSON writes the string.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(d))
}
