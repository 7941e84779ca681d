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

// next reads an opcode; there is none at the end of the input.
func (r *reader) next() bool {
	r.start = r.i
	if r.i >= len(r.b) {
		r.op = 0
		return false
	}
	r.op = r.b[r.i]
	r.i++
	return true
}

func (r *reader) noStop() error { return r.syntax("the pickle has no STOP") }

func (r *reader) syntax(msg string) error {
	return &SyntaxError{Offset: r.start, Opcode: r.op, Msg: msg}
}

// take returns the next n bytes.
func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)-r.i) {
		return nil, r.syntax("its argument reaches past the end of the input")
	}
	b := r.b[r.i : r.i+int(n)]
	r.i += int(n)
	return b, nil
}

// argument reads the argument of the current opcode, which has one.
func (r *reader) argument(f form, width int) (err error) {
	if f == line || f == twoLines {
		return r.lines(f)
	}
	if width == 1 && r.i < len(r.b) { // most of them
		r.number = uint64(r.b[r.i])
		r.i++
	} else if err = r.uint(width); err != nil {
		return err
	}
	switch f {
	case signed:
		r.number = uint64(int32(r.number))
	case float:
		r.number = bits.ReverseBytes64(r.number)
	case text, raw, long:
		if r.number > math.MaxInt32 && (r.op == opLong4 || r.op == opBinstring) {
			return r.syntax("its length is negative")
		}
		r.at = r.i
		r.content, err = r.take(r.number)
	}
	return err
}

// lines makes the next line or two the content, without the last newline.
func (r *reader) lines(f form) error {
	r.at = r.i
	for range f - line + 1 {
		end := bytes.IndexByte(r.b[r.i:], '\n')
		if end < 0 {
			return r.syntax("its argument has no end of line")
		}
		r.i += end + 1
	}
	r.content = r.b[r.at : r.i-1]
	return nil
}

// uint reads a little-endian number of 1, 2, 4 or 8 bytes.
func (r *reader) uint(size int) error {
	b, err := r.take(uint64(size))
	if err != nil {
		return err
	}
	switch size {
	case 1:
		r.number = uint64(b[0])
	case 2:
		r.number = uint64(binary.LittleEndian.Uint16(b))
	case 4:
		r.number = uint64(binary.LittleEndian.Uint32(b))
	default:
		r.number = binary.LittleEndian.Uint64(b)
	}
	return nil
}
