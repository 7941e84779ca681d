package pickle

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"
)

// Instruction is one opcode of a pickle with its argument, as Python's pickletools lists it.
type Instruction struct {
	// Offset is where the opcode stands, in bytes from the start.
	Offset int `json:"offset"`
	// Name is the opcode's, such as "SHORT_BINUNICODE".
	Name string `json:"name"`
	// Argument is the argument for people: a number, or the content in quotes, cut after 60 bytes; empty when the
	// opcode has none.
	Argument string `json:"argument,omitempty"`
}

// Instructions yields the opcodes of a pickle in order, the last of them STOP. It only looks, so it also shows
// what Decode refuses. A broken pickle ends with a *SyntaxError in place of an instruction.
func Instructions(b []byte) iter.Seq2[Instruction, error] {
	return func(yield func(Instruction, error) bool) {
		r := reader{b: b}
		for {
			in, err := r.instruction()
			if !yield(in, err) || err != nil || r.op == opStop {
				return
			}
		}
	}
}

func (r *reader) instruction() (Instruction, error) {
	if !r.next() {
		return Instruction{}, r.noStop()
	}
	name := opcodes[r.op].name
	if name == "" {
		return Instruction{}, r.syntax("unknown opcode")
	}
	argument, err := r.argument()
	if err != nil {
		return Instruction{}, err
	}
	return Instruction{Offset: r.start, Name: name, Argument: argument}, nil
}

// argument reads the argument of the current opcode and returns it for people.
func (r *reader) argument() (string, error) {
	op := opcodes[r.op]
	switch op.form {
	case none:
		return "", nil
	case line:
		b, err := r.line()
		return quoted(b), err
	case twoLines:
		module, err := r.line()
		if err != nil {
			return "", err
		}
		name, err := r.line()
		return quoted([]byte(string(module) + "." + string(name))), err
	case float:
		b, err := r.take(8)
		if err != nil {
			return "", err
		}
		return strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 'g', -1, 64), nil
	}
	n, err := r.uint(op.width)
	switch {
	case err != nil:
		return "", err
	case op.form == unsigned:
		return strconv.FormatUint(n, 10), nil
	case op.form == signed:
		return strconv.Itoa(int(int32(n))), nil
	}
	return r.counted(op.form, n)
}

func (r *reader) counted(as form, n uint64) (string, error) {
	content, err := r.take(n)
	switch {
	case err != nil:
		return "", err
	case as == long:
		return fmt.Sprintf("%d bytes of an integer", n), nil
	case as == raw:
		return "b" + quoted(content), nil
	}
	return quoted(content), nil
}

// quoted shows content on one line; what is long is cut.
func quoted(b []byte) string {
	const most = 60
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + fmt.Sprintf("… (%d bytes)", len(b))
	}
	return strconv.QuoteToASCII(string(b))
}
