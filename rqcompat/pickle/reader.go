package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// reader takes opcodes and their arguments out of a stream. Every length in it is compared with what is there
// before anything is made of it.
type reader struct {
	b     []byte
	i     int  // next byte of b
	start int  // where the current opcode stands
	op    byte // current opcode

	// What argument has read.
	number  uint64 // number, length of the content, or bits of a float
	content []byte // line without its end, or what the length counts
	at      int    // where the content starts
}

func (r *reader) syntax(msg string) failure {
	return failure{&SyntaxError{Offset: r.start, Opcode: r.op, Msg: msg}}
}

// take returns the next n bytes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)-r.i) {
		panic(r.syntax("its argument reaches past the end of the input"))
	}
	b := r.b[r.i : r.i+int(n)]
	r.i += int(n)
	return b
}

func (r *reader) argument(f form, width int) {
	if f == line || f == twoLines {
		r.lines(f)
		return
	}
	r.number = r.numberOf(width)
	switch f {
	case signed:
		r.number = uint64(int32(r.number))
	case float:
		r.number = bits.ReverseBytes64(r.number)
	case text, raw, long:
		if r.number > math.MaxInt32 && (r.op == opLong4 || r.op == opBinstring) {
			panic(r.syntax("its length is negative"))
		}
		r.at = r.i
		r.content = r.take(r.number)
	}
}

// numberOf reads a number of 0, 1, 2, 4 or 8 bytes; most have one.
func (r *reader) numberOf(width int) uint64 {
	switch width {
	case 0:
		return 0
	case 1:
		if r.i < len(r.b) {
			r.i++
			return uint64(r.b[r.i-1])
		}
	case 4:
		return uint64(binary.LittleEndian.Uint32(r.take(4)))
	}
	return littleEndian(r.take(uint64(width)))
}

// lines makes the next line or two the content, without the last newline.
func (r *reader) lines(f form) {
	r.at = r.i
	for range f - line + 1 {
		end := bytes.IndexByte(r.b[r.i:], '\n')
		if end < 0 {
			panic(r.syntax("its argument has no end of line"))
		}
		r.i += end + 1
	}
	r.content = r.b[r.at : r.i-1]
}

// littleEndian reads a number of up to 8 bytes.
func littleEndian(b []byte) (n uint64) {
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}
