package pickle

import (
	"bytes"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func (d *decoder) int([]any) error { return d.push(int64(d.number)) }

func (d *decoder) float([]any) error { return d.push(math.Float64frombits(d.number)) }

// long reads a little-endian two's complement integer.
func (d *decoder) long([]any) error {
	b := d.content
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
	be := slices.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
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
func (d *decoder) textInt([]any) error {
	switch string(d.content) {
	case "00":
		return d.push(false)
	case "01":
		return d.push(true)
	}
	return d.parseInt(d.content)
}

func (d *decoder) textLong([]any) error { return d.parseInt(bytes.TrimSuffix(d.content, []byte("L"))) }

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

// textFloat is FLOAT: what repr() writes, nan and inf included.
func (d *decoder) textFloat([]any) error {
	s := string(d.content)
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
