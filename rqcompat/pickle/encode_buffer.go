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
	nodes int

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

// room checks that n more bytes may be written.
func (e *encoder) room(n int) error {
	if n > e.lim.Output-len(e.b) {
		return &LimitError{"output bytes", e.lim.Output}
	}
	return nil
}

// The shortest strings and integers worth remembering, in bytes.
const (
	memoMin = 4
	memoBig = 64
)

func (e *encoder) remember(s string) error {
	if len(s) < memoMin {
		return nil
	}
	return e.put(unsafe.Pointer(unsafe.StringData(s)), len(s))
}

// sized writes a string with the opcode for its length. Text has no short form before protocol 4, and nothing has
// one for 4 GiB.
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
