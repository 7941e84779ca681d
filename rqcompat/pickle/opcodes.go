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

var opcodeNames = [256]string{
	opMark:            "MARK",
	opStop:            "STOP",
	opPop:             "POP",
	opDup:             "DUP",
	opFloat:           "FLOAT",
	opInt:             "INT",
	opLong:            "LONG",
	opNone:            "NONE",
	opPersid:          "PERSID",
	opReduce:          "REDUCE",
	opString:          "STRING",
	opUnicode:         "UNICODE",
	opAppend:          "APPEND",
	opBuild:           "BUILD",
	opGlobal:          "GLOBAL",
	opDict:            "DICT",
	opGet:             "GET",
	opInst:            "INST",
	opList:            "LIST",
	opPut:             "PUT",
	opSetitem:         "SETITEM",
	opTuple:           "TUPLE",
	opEmptyTuple:      "EMPTY_TUPLE",
	opPopMark:         "POP_MARK",
	opBinfloat:        "BINFLOAT",
	opBinint:          "BININT",
	opBinint1:         "BININT1",
	opBinint2:         "BININT2",
	opBinpersid:       "BINPERSID",
	opBinstring:       "BINSTRING",
	opShortBinstring:  "SHORT_BINSTRING",
	opBinunicode:      "BINUNICODE",
	opEmptyList:       "EMPTY_LIST",
	opAppends:         "APPENDS",
	opBinget:          "BINGET",
	opLongBinget:      "LONG_BINGET",
	opObj:             "OBJ",
	opBinput:          "BINPUT",
	opLongBinput:      "LONG_BINPUT",
	opSetitems:        "SETITEMS",
	opEmptyDict:       "EMPTY_DICT",
	opProto:           "PROTO",
	opNewobj:          "NEWOBJ",
	opExt1:            "EXT1",
	opExt2:            "EXT2",
	opExt4:            "EXT4",
	opTuple1:          "TUPLE1",
	opTuple2:          "TUPLE2",
	opTuple3:          "TUPLE3",
	opNewtrue:         "NEWTRUE",
	opNewfalse:        "NEWFALSE",
	opLong1:           "LONG1",
	opLong4:           "LONG4",
	opBinbytes:        "BINBYTES",
	opShortBinbytes:   "SHORT_BINBYTES",
	opShortBinunicode: "SHORT_BINUNICODE",
	opBinunicode8:     "BINUNICODE8",
	opBinbytes8:       "BINBYTES8",
	opEmptySet:        "EMPTY_SET",
	opAdditems:        "ADDITEMS",
	opFrozenset:       "FROZENSET",
	opNewobjEx:        "NEWOBJ_EX",
	opStackGlobal:     "STACK_GLOBAL",
	opMemoize:         "MEMOIZE",
	opFrame:           "FRAME",
	opBytearray8:      "BYTEARRAY8",
	opNextBuffer:      "NEXT_BUFFER",
	opReadonlyBuffer:  "READONLY_BUFFER",
}
