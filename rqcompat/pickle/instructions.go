package pickle

import (
	"bytes"
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

func (r *reader) instruction() (in Instruction, err error) {
	defer failed(&err)
	op := r.next()
	if op.form != none {
		r.argument(op.form, int(op.width))
	}
	return Instruction{Offset: r.start, Name: op.name, Argument: r.shown(op.form)}, nil
}

// shown is the argument for people.
func (r *reader) shown(f form) string {
	switch f {
	case line, text:
		return quoted(r.content())
	case twoLines:
		return quoted(bytes.Replace(r.content(), []byte("\n"), []byte("."), 1))
	case raw:
		return "b" + quoted(r.content())
	case long:
		return fmt.Sprintf("%d bytes of an integer", r.number)
	case unsigned:
		return strconv.FormatUint(r.number, 10)
	case signed:
		return strconv.FormatInt(int64(r.number), 10)
	case float:
		return strconv.FormatFloat(math.Float64frombits(r.number), 'g', -1, 64)
	}
	return ""
}

// quoted shows content on one line; what is long is cut.
func quoted(b []byte) string {
	const most = 60
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + fmt.Sprintf("… (%d bytes)", len(b))
	}
	return strconv.QuoteToASCII(string(b))
}
