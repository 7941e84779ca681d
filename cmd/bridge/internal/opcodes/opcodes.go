// Package opcodes lists the instructions of a pickle without running them.
package opcodes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Line is one instruction, as Python's pickletools lists it.
type Line struct {
	Offset   int    `json:"offset"`
	Name     string `json:"name"`
	Argument string `json:"argument,omitempty"`
}

// shownArgument is how much of an argument is listed, in characters.
const shownArgument = 60

// List lists a pickle's instructions up to STOP. Of a broken pickle it returns what comes before the fault, and a
// [pickle.SyntaxError].
func List(b []byte) (lines []Line, err error) {
	for at := 0; at < len(b); {
		op, ok := table[b[at]]
		if !ok {
			return lines, &pickle.SyntaxError{Offset: at, Opcode: b[at], Msg: "unknown opcode"}
		}
		argument, size, ok := readOperand(op.kind, b[at+1:])
		if !ok {
			return lines, &pickle.SyntaxError{Offset: at, Opcode: b[at], Msg: "the argument is cut off"}
		}
		lines = append(lines, Line{at, op.name, argument})
		if b[at] == '.' {
			return lines, nil
		}
		at += 1 + size
	}
	return lines, &pickle.SyntaxError{Offset: len(b), Msg: "there is no STOP"}
}

// readOperand shows an argument and says how many bytes it takes.
func readOperand(kind operand, b []byte) (text string, size int, ok bool) {
	little := binary.LittleEndian
	fixed := map[operand]int{byte1: 1, word2: 2, int4: 4, uint4: 4, long8: 8, float8: 8}[kind]
	if len(b) < fixed {
		return "", 0, false
	}
	switch kind {
	case none:
		return "", 0, true
	case byte1:
		return strconv.Itoa(int(b[0])), 1, true
	case word2:
		return strconv.Itoa(int(little.Uint16(b))), 2, true
	case int4:
		return strconv.Itoa(int(int32(little.Uint32(b)))), 4, true
	case uint4:
		return strconv.FormatUint(uint64(little.Uint32(b)), 10), 4, true
	case long8:
		return strconv.FormatUint(little.Uint64(b), 10), 8, true
	case float8:
		return strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 'g', -1, 64), 8, true
	case line, twoLines:
		return readLines(kind, b)
	}
	return readCounted(kind, b)
}

func readLines(kind operand, b []byte) (text string, size int, ok bool) {
	first, rest, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || kind == line {
		return quoted(first), len(first) + 1, ok
	}
	second, _, ok := bytes.Cut(rest, []byte{'\n'})
	return quoted(append(append(bytes.Clone(first), '.'), second...)), len(first) + len(second) + 2, ok
}

func readCounted(kind operand, b []byte) (text string, size int, ok bool) {
	width := 4
	switch kind {
	case text1, bytes1, number1:
		width = 1
	case text8, bytes8:
		width = 8
	}
	if len(b) < width {
		return "", 0, false
	}
	var count uint64
	for i := width - 1; i >= 0; i-- {
		count = count<<8 | uint64(b[i])
	}
	if count > uint64(len(b)-width) {
		return "", 0, false
	}
	content := b[width : width+int(count)]
	size = width + int(count)
	switch kind {
	case text1, text4, text8:
		return quoted(content), size, true
	case number1, number4:
		return fmt.Sprintf("%d bytes of an integer", count), size, true
	}
	return "b" + quoted(content), size, true
}

// quoted shows text on one line; long text is cut.
func quoted(b []byte) string {
	if len(b) > shownArgument {
		return strconv.QuoteToASCII(string(b[:shownArgument])) + fmt.Sprintf("… (%d bytes)", len(b))
	}
	return strconv.QuoteToASCII(string(b))
}
