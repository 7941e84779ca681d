package pickle

import (
	"bytes"
	"encoding/binary"
)

// reader takes opcodes and their arguments out of a stream. Every length in it is compared with what is there
// before anything is made of it.
type reader struct {
	b     []byte
	i     int  // next byte of b
	start int  // where the current opcode stands
	op    byte // current opcode
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

// line returns the bytes up to the next newline, without it.
func (r *reader) line() ([]byte, error) {
	rest := r.b[r.i:]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return nil, r.syntax("its argument has no end of line")
	}
	r.i += n + 1
	return rest[:n], nil
}

// uint reads a little-endian number of 1, 2, 4 or 8 bytes.
func (r *reader) uint(size int) (uint64, error) {
	b, err := r.take(uint64(size))
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}
