package pickle

import (
	"bytes"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (d *decoder) int([]any) {
	d.keep(boxMemory)
	d.push(int64(d.number))
}

func (d *decoder) float([]any) {
	d.keep(boxMemory)
	d.push(math.Float64frombits(d.number))
}

// long reads a little-endian two's complement integer.
func (d *decoder) long([]any) {
	b := d.content()
	if len(b) <= 8 {
		unused := 64 - 8*len(b)
		d.push(int64(littleEndian(b)<<unused) >> unused) // extends the sign
		return
	}
	if float64(len(b))*math.Log10(256) > float64(d.lim.IntDigits)+3 {
		panic(d.tooManyDigits())
	}
	d.spend(numberWork + len(b)*textWork)
	d.keep(containerMemory + len(b))
	be := slices.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	d.push(shortest(v))
}

// shortest is the one representation that a number has.
func shortest(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

func (d *decoder) tooManyDigits() failure { return beyond("digits of an integer", d.lim.IntDigits) }

// textInt is INT: a number, or a bool of protocol 1, 00 and 01. CPython's C unpickler takes each number of two
// characters that is 0 or 1 for one (Modules/_pickle.c load_int, 3.11).
func (d *decoder) textInt([]any) {
	b := d.content()
	v := d.integer(b, true)
	if len(b) == 2 && (v == int64(0) || v == int64(1)) && (b[1] == '0' || b[1] == '1') {
		v = v == int64(1)
	}
	d.push(v)
}

func (d *decoder) textLong([]any) {
	d.push(d.integer(bytes.TrimSuffix(d.content(), []byte("L")), false))
}

// octalForm is how Go's and C's octal numbers start.
var octalForm = regexp.MustCompile(`^[+-]?0[0-9_]`)

// integer accepts what int(text, 0) does, of which 017 is none. INT is read by C's strtol first, for which it is octal, if
// it fits 64 bits (Modules/_pickle.c load_int, load_long).
func (d *decoder) integer(b []byte, octal bool) any {
	if len(b) > d.lim.IntDigits+2 {
		panic(d.tooManyDigits())
	}
	d.spend(numberWork + digitsWork(len(b)))
	d.keep(containerMemory + len(b)/2)
	s := strings.Trim(string(b), " \t\r\f\v")
	v, ok := new(big.Int).SetString(s, 0)
	if ok && octalForm.MatchString(s) && v.Sign() != 0 {
		ok = octal && v.IsInt64() && !strings.Contains(s, "_") && strings.HasSuffix(string(b), s)
	}
	if !ok {
		panic(d.syntax("its argument is not an integer"))
	}
	return shortest(v)
}

// nan is Python's. Go's has another bit set.
var nan = math.Float64frombits(0x7ff8 << 48)

// textFloat is FLOAT: what repr() writes, nan and inf included.
func (d *decoder) textFloat([]any) {
	s := string(d.content())
	d.spend(numberWork + len(s)*floatDigitWork)
	d.keep(boxMemory)
	if strings.ContainsAny(s, "_xXpP") { // Go's own forms
		panic(d.syntax("its argument is not a float"))
	}
	v, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(v) {
		v = nan
	}
	if err != nil {
		panic(d.syntax("its argument is not a float, or too large for one"))
	}
	d.push(v)
}
