package pickle

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// Encode writes v as a pickle of protocol 4 under DefaultLimits.
//
// It takes everything Decode returns and, besides, plain Go values: all integer
// types, float32, []byte (bytes), []any and []string (list), map[string]any
// (dict with sorted keys) and json.Number. A *List, *Dict, *Set, *Tuple, *Object
// or *ByteArray that is referred to twice is one object in Python too.
//
// Errors are *UnsupportedError for values and *LimitError for sizes. Neither
// contains data of v.
func Encode(v any) ([]byte, error) {
	return EncodeOptions{}.Encode(v)
}

// EncodeOptions says how to write. The zero value is what Encode uses.
type EncodeOptions struct {
	// Protocol is 2, 3, 4 or 5. Default 4, which Python reads since 3.4.
	Protocol int
	// Limits bounds the work; of Input nothing is used. Default DefaultLimits.
	Limits Limits
}

// Encode writes v as a pickle, see the function Encode.
func (o EncodeOptions) Encode(v any) ([]byte, error) {
	if o.Protocol == 0 {
		o.Protocol = 4
	}
	if o.Protocol < 2 || o.Protocol > 5 {
		return nil, &UnsupportedError{fmt.Sprintf("protocol %d can't be written, only 2 to 5", o.Protocol)}
	}
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	e.lim, e.proto = o.Limits.resolve(), o.Protocol
	e.b = append(e.b, opProto, byte(o.Protocol))
	if err := e.save(v, 0); err != nil {
		return nil, err
	}
	e.b = append(e.b, opStop)
	if err := e.room(0); err != nil {
		return nil, err
	}
	return append([]byte(nil), e.b...), nil
}

type encoder struct {
	lim   Limits
	proto int
	b     []byte
	memo  memoTable
	nodes int

	calling map[*Object]bool            // calls being written that take lists or dicts
	watched map[unsafe.Pointer]*filling // those lists and dicts
}

var encoders = sync.Pool{New: func() any { return &encoder{b: make([]byte, 0, 1024)} }}

// keepBytes is the largest buffer an idle encoder holds on to.
const keepBytes = 64 << 10

func (e *encoder) release() {
	if cap(e.b) > keepBytes {
		e.b = nil
	}
	e.memo.reset()
	*e = encoder{b: e.b[:0], memo: e.memo}
	encoders.Put(e)
}

// room checks that n more bytes may be written.
func (e *encoder) room(n int) error {
	if n > e.lim.Output-len(e.b) {
		return &LimitError{"output bytes", e.lim.Output}
	}
	return nil
}

// save writes one value and leaves it on top of the reader's stack.
func (e *encoder) save(v any, depth int) error {
	if e.nodes++; e.nodes > e.lim.Nodes {
		return &LimitError{"nodes", e.lim.Nodes}
	}
	if len(e.b) > e.lim.Output {
		return e.room(0)
	}
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, opNone)
	case string:
		return e.text(v)
	case bool:
		e.bool(v)
	case int64:
		e.int(v)
	case float64:
		e.float(v)
	case *Dict, *List, *Tuple, *Object, *Global, *Set, *FrozenSet, *ByteArray:
		return e.node(v, depth)
	case Bytes:
		return e.bytes(v)
	case *big.Int:
		return e.bigInt(v)
	default:
		return e.goValue(v, depth)
	}
	return nil
}

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

// bigInt writes two's complement, little-endian. CPython never shares integers,
// but a hand-made pickle can, and its long one must not multiply.
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

// The shortest strings and integers worth remembering, in bytes.
const (
	memoMin = 4
	memoBig = 64
)

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

func (e *encoder) remember(s string) error {
	if len(s) < memoMin {
		return nil
	}
	return e.put(unsafe.Pointer(unsafe.StringData(s)), len(s))
}

// sized writes a string with the opcode for its length. Text has no short form
// before protocol 4, and nothing has one for 4 GiB.
func (e *encoder) sized(s string, short, normal, long byte) error {
	if err := e.room(len(s) + 9); err != nil {
		return err
	}
	switch n := len(s); {
	case n <= 0xff && (e.proto >= 4 || short == opShortBinbytes):
		e.b = append(e.b, short, byte(n))
	case n <= math.MaxUint32:
		e.b = binary.LittleEndian.AppendUint32(append(e.b, normal), uint32(n))
	case e.proto >= 4:
		e.b = binary.LittleEndian.AppendUint64(append(e.b, long), uint64(n))
	default:
		return &UnsupportedError{"protocols below 4 have no strings of 4 GiB and more"}
	}
	e.b = append(e.b, s...)
	return nil
}

// fetch writes the opcode that gets a remembered value.
func (e *encoder) fetch(i int) {
	if i <= 0xff {
		e.b = append(e.b, opBinget, byte(i))
	} else {
		e.b = binary.LittleEndian.AppendUint32(append(e.b, opLongBinget), uint32(i))
	}
}

// put remembers the value on top of the reader's stack.
func (e *encoder) put(p unsafe.Pointer, size int) error {
	if e.memo.used >= e.lim.Memo {
		return &LimitError{"memo entries", e.lim.Memo}
	}
	i := e.memo.put(p, size)
	switch {
	case e.proto >= 4:
		e.b = append(e.b, opMemoize)
	case i <= 0xff:
		e.b = append(e.b, opBinput, byte(i))
	default:
		e.b = binary.LittleEndian.AppendUint32(append(e.b, opLongBinput), uint32(i))
	}
	return nil
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

// goValue writes the Go types that Decode never returns.
func (e *encoder) goValue(v any, depth int) error {
	switch v := v.(type) {
	case int:
		e.int(int64(v))
	case int32:
		e.int(int64(v))
	case int16:
		e.int(int64(v))
	case int8:
		e.int(int64(v))
	case uint8:
		e.int(int64(v))
	case uint16:
		e.int(int64(v))
	case uint32:
		e.int(int64(v))
	case uint:
		return e.bigInt(new(big.Int).SetUint64(uint64(v)))
	case uint64:
		return e.bigInt(new(big.Int).SetUint64(v))
	case float32:
		e.float(float64(v))
	case []byte:
		return e.bytes(Bytes(v))
	case []any:
		return e.goList(len(v), depth, func(i int) any { return v[i] })
	case []string:
		return e.goList(len(v), depth, func(i int) any { return v[i] })
	case map[string]any:
		return e.goMap(v, depth)
	case json.Number:
		return e.number(v)
	default:
		return &UnsupportedError{fmt.Sprintf("a value of Go type %T has no pickle", v)}
	}
	return nil
}

func (e *encoder) number(n json.Number) error {
	if i, err := n.Int64(); err == nil {
		e.int(i)
		return nil
	}
	if len(n) <= e.lim.IntDigits+1 {
		if i, ok := new(big.Int).SetString(string(n), 10); ok {
			return e.bigInt(i)
		}
	}
	f, err := n.Float64()
	if err != nil {
		return &UnsupportedError{"a json.Number is neither an integer nor a float in range"}
	}
	e.float(f)
	return nil
}
