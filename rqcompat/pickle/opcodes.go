package pickle

// The opcodes that code names, as Python's pickletools does.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opNone            = 'N'
	opReduce          = 'R'
	opAppend          = 'a'
	opBuild           = 'b'
	opTuple           = 't'
	opEmptyTuple      = ')'
	opPopMark         = '1'
	opBinfloat        = 'G'
	opBinint          = 'J'
	opBinint1         = 'K'
	opBinint2         = 'M'
	opBinstring       = 'T'
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
	opBytearray8      = 0x96
)

// form says how an opcode's argument is written.
type form uint8

const (
	unknown form = iota // of a byte that is no opcode
	none
	line     // up to the end of the line
	twoLines // module and name
	unsigned // a little-endian number of width bytes
	signed
	float // big-endian
	text  // counted by a number of width bytes
	raw
	long
)
