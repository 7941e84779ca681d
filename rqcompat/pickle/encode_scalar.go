package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
	"unsafe"
)

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, opNewtrue)
	} else {
		e.b = append(e.b, opNewfalse)
	}
}

func (e *encoder) int(v int64) {
	switch {
	case v >= 0 && v <= 0xff:
		e.b = append(e.b, opBinint1, byte(v))
	case v >= 0 && v <= 0xffff:
		e.b = append(e.b, opBinint2, byte(v), byte(v>>8))
	case v == int64(int32(v)):
		e.b = binary.LittleEndian.AppendUint32(append(e.b, opBinint), uint32(v))
	default:
		n := 5
		for v>>(8*n-1) != 0 && v>>(8*n-1) != -1 {
			n++
		}
		e.b = append(e.b, opLong1, byte(n))
		for i := range n {
			e.b = append(e.b, byte(v>>(8*i)))
		}
	}
}

func (e *encoder) float(v float64) {
	e.b = binary.BigEndian.AppendUint64(append(e.b, opBinfloat), math.Float64bits(v))
}

// bigInt writes two's complement, little-endian. CPython never shares integers, but a hand-made pickle can, and
// its long one must not multiply.
func (e *encoder) bigInt(v *big.Int) error {
	if v == nil {
		return &UnsupportedError{"a nil *big.Int has no value"}
	}
	if v.IsInt64() {
		e.int(v.Int64())
		return nil
	}
	if float64(v.BitLen())*math.Log10(2) > float64(e.lim.IntDigits) {
		return &LimitError{"digits of an integer", e.lim.IntDigits}
	}
	if v.BitLen() < 8*memoBig {
		return e.long(v)
	}
	p := unsafe.Pointer(v)
	if i, ok := e.memo.get(p, isNode); ok {
		e.fetch(i)
		return nil
	}
	if err := e.long(v); err != nil {
		return err
	}
	return e.put(p, isNode)
}

func (e *encoder) long(v *big.Int) error {
	negative := v.Sign() < 0
	if negative {
		v = new(big.Int).Not(v)
	}
	n := v.BitLen()/8 + 1 // with a bit for the sign
	if err := e.room(n + 5); err != nil {
		return err
	}
	if n <= 255 {
		e.b = append(e.b, opLong1, byte(n))
	} else {
		e.b = binary.LittleEndian.AppendUint32(append(e.b, opLong4), uint32(n))
	}
	b := v.FillBytes(make([]byte, n))
	slices.Reverse(b)
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	e.b = append(e.b, b...)
	return nil
}

func (e *encoder) text(s string) error {
	if len(s) >= memoMin {
		if i, ok := e.memo.get(unsafe.Pointer(unsafe.StringData(s)), len(s)); ok {
			e.fetch(i)
			return nil
		}
	}
	if !validText(s) {
		return &UnsupportedError{"a string that is not UTF-8 can't be a str; use Bytes"}
	}
	if err := e.sized(s, opShortBinunicode, opBinunicode, opBinunicode8); err != nil {
		return err
	}
	return e.remember(s)
}

func (e *encoder) bytes(s Bytes) error {
	if e.proto < 3 {
		return e.latin1(s)
	}
	if len(s) >= memoMin {
		if i, ok := e.memo.get(unsafe.Pointer(unsafe.StringData(string(s))), ^len(s)); ok {
			e.fetch(i)
			return nil
		}
	}
	if err := e.sized(string(s), opShortBinbytes, opBinbytes, opBinbytes8); err != nil {
		return err
	}
	if len(s) < memoMin {
		return nil
	}
	return e.put(unsafe.Pointer(unsafe.StringData(string(s))), ^len(s))
}

// latin1 writes bytes for protocol 2, which has no opcode for them.
func (e *encoder) latin1(s Bytes) error {
	if len(s) == 0 {
		e.b = append(e.b, "cbuiltins\nbytes\n)R"...)
		return nil
	}
	text := make([]byte, 0, len(s)+len(s)/4)
	for i := range len(s) {
		text = utf8.AppendRune(text, rune(s[i]))
	}
	if err := e.room(len(text) + 64); err != nil {
		return err
	}
	e.b = append(e.b, "c_codecs\nencode\n"...)
	if err := e.sized(string(text), opShortBinunicode, opBinunicode, opBinunicode8); err != nil {
		return err
	}
	e.b = append(e.b, "X\x06\x00\x00\x00latin1\x86R"...)
	return nil
}
