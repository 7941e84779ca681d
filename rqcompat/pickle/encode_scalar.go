package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
	"unsafe"
)

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
		e.b = binary.LittleEndian.AppendUint64(e.b, uint64(v))[:len(e.b)+n]
	}
}

func (e *encoder) float(v float64) {
	e.b = binary.BigEndian.AppendUint64(append(e.b, opBinfloat), math.Float64bits(v))
}

// bigInt writes two's complement, little-endian. CPython never shares integers, but a hand-made pickle can, and
// its long one must not multiply.
func (e *encoder) bigInt(v *big.Int) {
	switch {
	case v == nil:
		panic(unsupported("a nil *big.Int has no value"))
	case v.IsInt64():
		e.int(v.Int64())
	case float64(v.BitLen())*math.Log10(2) > float64(e.lim.IntDigits):
		panic(beyond("digits of an integer", e.lim.IntDigits))
	case v.BitLen() < 8*memoBig:
		e.long(v)
	case !e.fetch(unsafe.Pointer(v), isNode):
		e.long(v)
		e.put(unsafe.Pointer(v), isNode)
	}
}

func (e *encoder) long(v *big.Int) {
	n := v.BitLen()/8 + 1 // with a bit for the sign
	if v.Sign() < 0 {
		n = new(big.Int).Not(v).BitLen()/8 + 1
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	e.room(n + 5)
	if n <= 255 {
		e.b = append(e.b, opLong1, byte(n))
	} else {
		e.b = binary.LittleEndian.AppendUint32(append(e.b, opLong4), uint32(n))
	}
	b := v.FillBytes(make([]byte, n))
	slices.Reverse(b)
	e.b = append(e.b, b...)
}

func (e *encoder) text(s string) {
	p := unsafe.Pointer(unsafe.StringData(s))
	if len(s) >= memoMin {
		if i, ok := e.memo.get(p, len(s)); ok { // as fetch, without a call for each text
			e.indexed(opBinget, opLongBinget, i)
			return
		}
	}
	if !validText(s) {
		panic(unsupported("a string that is not UTF-8 can't be a str; use Bytes"))
	}
	if e.sized(s, textSizes); len(s) >= memoMin {
		e.put(p, len(s))
	}
}

// bytes remembers what it writes under another size than text at the same address has.
func (e *encoder) bytes(s Bytes) {
	if e.proto < 3 {
		e.latin1(s)
		return
	}
	p := unsafe.Pointer(unsafe.StringData(string(s)))
	if len(s) >= memoMin && e.fetch(p, ^len(s)) {
		return
	}
	if e.sized(string(s), bytesSizes); len(s) >= memoMin {
		e.put(p, ^len(s))
	}
}

// latin1 writes bytes for protocol 2, which has no opcode for them.
func (e *encoder) latin1(s Bytes) {
	if len(s) == 0 {
		e.b = append(e.b, "cbuiltins\nbytes\n)R"...)
		return
	}
	text := make([]byte, 0, len(s)+len(s)/4)
	for i := range len(s) {
		text = utf8.AppendRune(text, rune(s[i]))
	}
	e.room(len(text) + 64)
	e.b = append(e.b, "c_codecs\nencode\n"...)
	e.sized(string(text), textSizes)
	e.b = append(e.b, "X\x06\x00\x00\x00latin1\x86R"...)
}
