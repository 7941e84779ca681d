package opcodes

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

// table has every opcode of protocols 0 to 5 (Lib/pickletools.py).
var table = map[byte]opcode{
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
