package pickle

// The opcodes of protocols 0 to 5, named as in Python's pickletools.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opDup             = '2'
	opFloat           = 'F'
	opInt             = 'I'
	opLong            = 'L'
	opNone            = 'N'
	opPersid          = 'P'
	opReduce          = 'R'
	opString          = 'S'
	opUnicode         = 'V'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opDict            = 'd'
	opGet             = 'g'
	opInst            = 'i'
	opList            = 'l'
	opPut             = 'p'
	opSetitem         = 's'
	opTuple           = 't'
	opEmptyTuple      = ')'
	opPopMark         = '1'
	opBinfloat        = 'G'
	opBinint          = 'J'
	opBinint1         = 'K'
	opBinint2         = 'M'
	opBinpersid       = 'Q'
	opBinstring       = 'T'
	opShortBinstring  = 'U'
	opBinunicode      = 'X'
	opEmptyList       = ']'
	opAppends         = 'e'
	opBinget          = 'h'
	opLongBinget      = 'j'
	opObj             = 'o'
	opBinput          = 'q'
	opLongBinput      = 'r'
	opSetitems        = 'u'
	opEmptyDict       = '}'
	opProto           = 0x80
	opNewobj          = 0x81
	opExt1            = 0x82
	opExt2            = 0x83
	opExt4            = 0x84
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewtrue         = 0x88
	opNewfalse        = 0x89
	opLong1           = 0x8a
	opLong4           = 0x8b
	opBinbytes        = 'B'
	opShortBinbytes   = 'C'
	opShortBinunicode = 0x8c
	opBinunicode8     = 0x8d
	opBinbytes8       = 0x8e
	opEmptySet        = 0x8f
	opAdditems        = 0x90
	opFrozenset       = 0x91
	opNewobjEx        = 0x92
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
	opBytearray8      = 0x96
	opNextBuffer      = 0x97
	opReadonlyBuffer  = 0x98
)

// form says how an opcode's argument is written.
type form uint8

const (
	none     form = iota
	unsigned      // a little-endian number of width bytes
	signed
	float    // big-endian
	line     // up to the end of the line
	twoLines // module and name
	text     // counted by a number of width bytes
	raw
	long
)

// opcodes has the name and the argument of every opcode, as Lib/pickletools.py of CPython 3.11 describes them.
var opcodes = [256]struct {
	name  string
	form  form
	width int
}{
	opMark:            {"MARK", none, 0},
	opStop:            {"STOP", none, 0},
	opPop:             {"POP", none, 0},
	opDup:             {"DUP", none, 0},
	opFloat:           {"FLOAT", line, 0},
	opInt:             {"INT", line, 0},
	opLong:            {"LONG", line, 0},
	opNone:            {"NONE", none, 0},
	opPersid:          {"PERSID", line, 0},
	opReduce:          {"REDUCE", none, 0},
	opString:          {"STRING", line, 0},
	opUnicode:         {"UNICODE", line, 0},
	opAppend:          {"APPEND", none, 0},
	opBuild:           {"BUILD", none, 0},
	opGlobal:          {"GLOBAL", twoLines, 0},
	opDict:            {"DICT", none, 0},
	opGet:             {"GET", line, 0},
	opInst:            {"INST", twoLines, 0},
	opList:            {"LIST", none, 0},
	opPut:             {"PUT", line, 0},
	opSetitem:         {"SETITEM", none, 0},
	opTuple:           {"TUPLE", none, 0},
	opEmptyTuple:      {"EMPTY_TUPLE", none, 0},
	opPopMark:         {"POP_MARK", none, 0},
	opBinfloat:        {"BINFLOAT", float, 8},
	opBinint:          {"BININT", signed, 4},
	opBinint1:         {"BININT1", unsigned, 1},
	opBinint2:         {"BININT2", unsigned, 2},
	opBinpersid:       {"BINPERSID", none, 0},
	opBinstring:       {"BINSTRING", raw, 4},
	opShortBinstring:  {"SHORT_BINSTRING", raw, 1},
	opBinunicode:      {"BINUNICODE", text, 4},
	opEmptyList:       {"EMPTY_LIST", none, 0},
	opAppends:         {"APPENDS", none, 0},
	opBinget:          {"BINGET", unsigned, 1},
	opLongBinget:      {"LONG_BINGET", unsigned, 4},
	opObj:             {"OBJ", none, 0},
	opBinput:          {"BINPUT", unsigned, 1},
	opLongBinput:      {"LONG_BINPUT", unsigned, 4},
	opSetitems:        {"SETITEMS", none, 0},
	opEmptyDict:       {"EMPTY_DICT", none, 0},
	opProto:           {"PROTO", unsigned, 1},
	opNewobj:          {"NEWOBJ", none, 0},
	opExt1:            {"EXT1", unsigned, 1},
	opExt2:            {"EXT2", unsigned, 2},
	opExt4:            {"EXT4", signed, 4},
	opTuple1:          {"TUPLE1", none, 0},
	opTuple2:          {"TUPLE2", none, 0},
	opTuple3:          {"TUPLE3", none, 0},
	opNewtrue:         {"NEWTRUE", none, 0},
	opNewfalse:        {"NEWFALSE", none, 0},
	opLong1:           {"LONG1", long, 1},
	opLong4:           {"LONG4", long, 4},
	opBinbytes:        {"BINBYTES", raw, 4},
	opShortBinbytes:   {"SHORT_BINBYTES", raw, 1},
	opShortBinunicode: {"SHORT_BINUNICODE", text, 1},
	opBinunicode8:     {"BINUNICODE8", text, 8},
	opBinbytes8:       {"BINBYTES8", raw, 8},
	opEmptySet:        {"EMPTY_SET", none, 0},
	opAdditems:        {"ADDITEMS", none, 0},
	opFrozenset:       {"FROZENSET", none, 0},
	opNewobjEx:        {"NEWOBJ_EX", none, 0},
	opStackGlobal:     {"STACK_GLOBAL", none, 0},
	opMemoize:         {"MEMOIZE", none, 0},
	opFrame:           {"FRAME", unsigned, 8},
	opBytearray8:      {"BYTEARRAY8", raw, 8},
	opNextBuffer:      {"NEXT_BUFFER", none, 0},
	opReadonlyBuffer:  {"READONLY_BUFFER", none, 0},
}
