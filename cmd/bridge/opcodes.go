package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// opcodeLine is one instruction of a pickle, as Python's pickletools lists it.
type opcodeLine struct {
	Offset   int    `json:"offset"`
	Name     string `json:"name"`
	Argument string `json:"argument,omitempty"`
}

// operand is the form of an instruction's argument.
type operand int

const (
	none operand = iota
	byte1
	word2
	int4
	uint4
	long8
	float8
	line
	twoLines
	text1 // counted by one byte
	text4
	text8
	bytes1
	bytes4
	bytes8
	number1 // a little-endian integer, counted by one byte
	number4
)

type opcode struct {
	name string
	kind operand
}

// opcodeTable has every opcode of protocols 0 to 5 (Lib/pickletools.py).
var opcodeTable = map[byte]opcode{
	'(': {"MARK", none}, '.': {"STOP", none}, '0': {"POP", none}, '1': {"POP_MARK", none}, '2': {"DUP", none},
	'F': {"FLOAT", line}, 'I': {"INT", line}, 'J': {"BININT", int4}, 'K': {"BININT1", byte1}, 'L': {"LONG", line},
	'M': {"BININT2", word2}, 'N': {"NONE", none}, 'P': {"PERSID", line}, 'Q': {"BINPERSID", none}, 'R': {"REDUCE", none},
	'S': {"STRING", line}, 'T': {"BINSTRING", bytes4}, 'U': {"SHORT_BINSTRING", bytes1}, 'V': {"UNICODE", line}, 'X': {"BINUNICODE", text4},
	'a': {"APPEND", none}, 'b': {"BUILD", none}, 'c': {"GLOBAL", twoLines}, 'd': {"DICT", none}, '}': {"EMPTY_DICT", none},
	'e': {"APPENDS", none}, 'g': {"GET", line}, 'h': {"BINGET", byte1}, 'i': {"INST", twoLines}, 'j': {"LONG_BINGET", uint4},
	'l': {"LIST", none}, ']': {"EMPTY_LIST", none}, 'o': {"OBJ", none}, 'p': {"PUT", line}, 'q': {"BINPUT", byte1},
	'r': {"LONG_BINPUT", uint4}, 's': {"SETITEM", none}, 't': {"TUPLE", none}, ')': {"EMPTY_TUPLE", none}, 'u': {"SETITEMS", none},
	'G': {"BINFLOAT", float8}, 'B': {"BINBYTES", bytes4}, 'C': {"SHORT_BINBYTES", bytes1},
	0x80: {"PROTO", byte1}, 0x81: {"NEWOBJ", none}, 0x82: {"EXT1", byte1}, 0x83: {"EXT2", word2}, 0x84: {"EXT4", int4},
	0x85: {"TUPLE1", none}, 0x86: {"TUPLE2", none}, 0x87: {"TUPLE3", none}, 0x88: {"NEWTRUE", none}, 0x89: {"NEWFALSE", none},
	0x8a: {"LONG1", number1}, 0x8b: {"LONG4", number4}, 0x8c: {"SHORT_BINUNICODE", text1}, 0x8d: {"BINUNICODE8", text8},
	0x8e: {"BINBYTES8", bytes8}, 0x8f: {"EMPTY_SET", none}, 0x90: {"ADDITEMS", none}, 0x91: {"FROZENSET", none}, 0x92: {"NEWOBJ_EX", none},
	0x93: {"STACK_GLOBAL", none}, 0x94: {"MEMOIZE", none}, 0x95: {"FRAME", long8}, 0x96: {"BYTEARRAY8", bytes8},
	0x97: {"NEXT_BUFFER", none}, 0x98: {"READONLY_BUFFER", none},
}

// shownArgument is how much of an argument is listed, in characters.
const shownArgument = 60

// disassemble lists a pickle's instructions up to STOP. It only looks; on a
// broken pickle it returns what came before the fault.
func disassemble(b []byte) (lines []opcodeLine, err error) {
	for at := 0; at < len(b); {
		op, ok := opcodeTable[b[at]]
		if !ok {
			return lines, &pickle.SyntaxError{Offset: at, Opcode: b[at], Msg: "unknown opcode"}
		}
		argument, size, ok := readOperand(op.kind, b[at+1:])
		if !ok {
			return lines, &pickle.SyntaxError{Offset: at, Opcode: b[at], Msg: "the argument is cut off"}
		}
		lines = append(lines, opcodeLine{at, op.name, argument})
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
