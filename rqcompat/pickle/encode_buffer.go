package pickle

import (
	"encoding/binary"
	"math"
	"sync"
	"unsafe"
)

type encoder struct {
	lim   Limits
	proto int
	b     []byte
	memo  memoTable

	calling map[*Object]bool            // calls being written that take lists or dicts
	watched map[unsafe.Pointer]*filling // those lists and dicts
}

// filling is a list or dict that a call being written takes.
type filling struct {
	due  bool // the call has come up again inside its own arguments
	done bool // all items are in
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

func unsupported(why string) failure { return failure{&UnsupportedError{why}} }

// room checks that n more bytes may be written.
func (e *encoder) room(n int) {
	if n > e.lim.Output-len(e.b) {
		panic(beyond("output bytes", e.lim.Output))
	}
}

// below is the depth of what a container at depth holds.
func (e *encoder) below(depth int) int {
	if depth >= e.lim.Depth {
		panic(beyond("levels of depth", e.lim.Depth))
	}
	return depth + 1
}

// The shortest strings and integers worth remembering, in bytes.
const (
	memoMin = 4
	memoBig = 64
)

// sizes are the opcodes for a string by its length.
type sizes struct{ short, normal, long byte }

var (
	textSizes  = sizes{opShortBinunicode, opBinunicode, opBinunicode8}
	bytesSizes = sizes{opShortBinbytes, opBinbytes, opBinbytes8}
)

// sized writes a string with the opcode for its length. Text has no short form before protocol 4, and nothing has
// one for 4 GiB.
func (e *encoder) sized(s string, op sizes) {
	e.room(len(s) + 9)
	switch n := len(s); {
	case n <= 0xff && (e.proto >= 4 || op.short == opShortBinbytes):
		e.b = append(e.b, op.short, byte(n))
	case n <= math.MaxUint32:
		e.b = binary.LittleEndian.AppendUint32(append(e.b, op.normal), uint32(n))
	case e.proto >= 4:
		e.b = binary.LittleEndian.AppendUint64(append(e.b, op.long), uint64(n))
	default:
		panic(unsupported("protocols below 4 have no strings of 4 GiB and more"))
	}
	e.b = append(e.b, s...)
}

// indexed writes an opcode with a memo index.
func (e *encoder) indexed(short, long byte, i int) {
	if i <= 0xff {
		e.b = append(e.b, short, byte(i))
	} else {
		e.b = binary.LittleEndian.AppendUint32(append(e.b, long), uint32(i))
	}
}

// fetch writes the opcode that gets a value, if that was written before; drop is what is dropped in its favor.
func (e *encoder) fetch(p unsafe.Pointer, size int, drop ...byte) bool {
	i, ok := e.memo.get(p, size)
	if ok {
		e.b = append(e.b, drop...)
		e.indexed(opBinget, opLongBinget, i)
	}
	return ok
}

// put remembers the value on top of the reader's stack.
func (e *encoder) put(p unsafe.Pointer, size int) {
	if i := e.memo.put(p, size); e.proto >= 4 {
		e.b = append(e.b, opMemoize)
	} else {
		e.indexed(opBinput, opLongBinput, i)
	}
}
