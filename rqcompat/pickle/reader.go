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

	isJSON bool // it has no opcodes

	// What argument has read.
	number  uint64 // number, length of the content, or bits of a float
	at, end int    // where the content starts and ends: a line without its end, or what the length counts
}

func (r *reader) syntax(msg string) failure {
	return failure{&SyntaxError{Offset: r.start, Opcode: r.op, JSON: r.isJSON, Msg: msg}}
}

func (r *reader) ended() failure {
	r.start, r.op = r.i, 0
	return r.syntax("the pickle has no STOP")
}

func (r *reader) short() failure { return r.syntax("its argument reaches past the end of the input") }

func (r *reader) content() []byte { return r.b[r.at:r.end] }

// argument reads the argument of an opcode that has one.
func (r *reader) argument(f form, width int) {
	switch width {
	case 0:
		r.lines(f)
		return
	case 1: // by far most
		if r.i == len(r.b) {
			panic(r.short())
		}
		r.number = uint64(r.b[r.i])
		r.i++
	default:
		if width > len(r.b)-r.i {
			panic(r.short())
		}
		r.number = littleEndian(r.b[r.i : r.i+width])
		r.i += width
	}
	switch f {
	case signed:
		r.number = uint64(int32(r.number))
	case float:
		r.number = bits.ReverseBytes64(r.number)
	case text, raw, long:
		if r.number > math.MaxInt32 && (r.op == opLong4 || r.op == opBinstring) {
			panic(r.syntax("its length is negative"))
		}
		if r.number > uint64(len(r.b)-r.i) {
			panic(r.short())
		}
		r.at = r.i
		r.i += int(r.number)
		r.end = r.i
	}
}

// lines makes the next line or two the content, without the last newline.
func (r *reader) lines(f form) {
	if f == unknown {
		panic(r.syntax("unknown opcode"))
	}
	r.at = r.i
	for range f - line + 1 {
		end := bytes.IndexByte(r.b[r.i:], '\n')
		if end < 0 {
			panic(r.syntax("its argument has no end of line"))
		}
		r.i += end + 1
	}
	r.end = r.i - 1
}

// littleEndian reads a number of up to 8 bytes.
func littleEndian(b []byte) (n uint64) {
	if len(b) == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}
