package pickle

import (
	"cmp"
	"fmt"
)

// marked in place of a number of values means all above the last MARK.
const marked = -1

// opcode has name and argument as Lib/pickletools.py of CPython 3.11 describes them, how many values it takes off the
// stack, and what it does with them.
type opcode struct {
	name  string
	form  form
	width int8
	takes int8
	do    func(d *decoder, taken []any)
}

// opcodes has every opcode of protocols 0 to 5. STOP is the decoder's own.
var opcodes = [256]opcode{
	opMark:            {"MARK", none, 0, 0, (*decoder).mark},
	opStop:            {"STOP", none, 0, 0, nil},
	opPop:             {"POP", none, 0, 0, (*decoder).drop},
	'2':               {"DUP", none, 0, 0, (*decoder).dup},
	'F':               {"FLOAT", line, 0, 0, (*decoder).textFloat},
	'I':               {"INT", line, 0, 0, (*decoder).textInt},
	'L':               {"LONG", line, 0, 0, (*decoder).textLong},
	opNone:            {"NONE", none, 0, 0, func(d *decoder, _ []any) { d.push(nil) }},
	'P':               {"PERSID", line, 0, 0, refusePersistent},
	opReduce:          {"REDUCE", none, 0, 2, (*decoder).reduce},
	'S':               {"STRING", line, 0, 0, (*decoder).python2Line},
	'V':               {"UNICODE", line, 0, 0, (*decoder).unicodeLine},
	opAppend:          {"APPEND", none, 0, 1, (*decoder).extend},
	opBuild:           {"BUILD", none, 0, 1, (*decoder).build},
	'c':               {"GLOBAL", twoLines, 0, 0, (*decoder).global},
	'd':               {"DICT", none, 0, marked, (*decoder).dict},
	'g':               {"GET", line, 0, 0, indexed((*decoder).get)},
	'i':               {"INST", twoLines, 0, marked, (*decoder).inst},
	'l':               {"LIST", none, 0, marked, (*decoder).list},
	'p':               {"PUT", line, 0, 0, indexed((*decoder).put)},
	's':               {"SETITEM", none, 0, 2, (*decoder).setItems},
	opTuple:           {"TUPLE", none, 0, marked, (*decoder).tuple},
	opEmptyTuple:      {"EMPTY_TUPLE", none, 0, 0, (*decoder).tuple},
	opPopMark:         {"POP_MARK", none, 0, marked, (*decoder).dropMark},
	opBinfloat:        {"BINFLOAT", float, 8, 0, (*decoder).float},
	opBinint:          {"BININT", signed, 4, 0, (*decoder).int},
	opBinint1:         {"BININT1", unsigned, 1, 0, (*decoder).int},
	opBinint2:         {"BININT2", unsigned, 2, 0, (*decoder).int},
	'Q':               {"BINPERSID", none, 0, 0, refusePersistent},
	opBinstring:       {"BINSTRING", raw, 4, 0, (*decoder).python2},
	'U':               {"SHORT_BINSTRING", raw, 1, 0, (*decoder).python2},
	opBinunicode:      {"BINUNICODE", text, 4, 0, (*decoder).unicode},
	opEmptyList:       {"EMPTY_LIST", none, 0, 0, (*decoder).list},
	opAppends:         {"APPENDS", none, 0, marked, (*decoder).extend},
	opBinget:          {"BINGET", unsigned, 1, 0, (*decoder).get},
	opLongBinget:      {"LONG_BINGET", unsigned, 4, 0, (*decoder).get},
	opObj:             {"OBJ", none, 0, marked, (*decoder).obj},
	opBinput:          {"BINPUT", unsigned, 1, 0, (*decoder).put},
	opLongBinput:      {"LONG_BINPUT", unsigned, 4, 0, (*decoder).put},
	opSetitems:        {"SETITEMS", none, 0, marked, (*decoder).setItems},
	opEmptyDict:       {"EMPTY_DICT", none, 0, 0, (*decoder).dict},
	opProto:           {"PROTO", unsigned, 1, 0, (*decoder).setProto},
	opNewobj:          {"NEWOBJ", none, 0, 2, (*decoder).newObj},
	0x82:              {"EXT1", unsigned, 1, 0, refuseExtension},
	0x83:              {"EXT2", unsigned, 2, 0, refuseExtension},
	0x84:              {"EXT4", signed, 4, 0, refuseExtension},
	opTuple1:          {"TUPLE1", none, 0, 1, (*decoder).tuple},
	opTuple2:          {"TUPLE2", none, 0, 2, (*decoder).tuple},
	opTuple3:          {"TUPLE3", none, 0, 3, (*decoder).tuple},
	opNewtrue:         {"NEWTRUE", none, 0, 0, func(d *decoder, _ []any) { d.push(true) }},
	opNewfalse:        {"NEWFALSE", none, 0, 0, func(d *decoder, _ []any) { d.push(false) }},
	opLong1:           {"LONG1", long, 1, 0, (*decoder).long},
	opLong4:           {"LONG4", long, 4, 0, (*decoder).long},
	opBinbytes:        {"BINBYTES", raw, 4, 0, (*decoder).bytes},
	opShortBinbytes:   {"SHORT_BINBYTES", raw, 1, 0, (*decoder).bytes},
	opShortBinunicode: {"SHORT_BINUNICODE", text, 1, 0, (*decoder).unicode},
	opBinunicode8:     {"BINUNICODE8", text, 8, 0, (*decoder).unicode},
	opBinbytes8:       {"BINBYTES8", raw, 8, 0, (*decoder).bytes},
	opEmptySet:        {"EMPTY_SET", none, 0, 0, (*decoder).emptySet},
	opAdditems:        {"ADDITEMS", none, 0, marked, (*decoder).addItems},
	opFrozenset:       {"FROZENSET", none, 0, marked, (*decoder).frozenSet},
	opNewobjEx:        {"NEWOBJ_EX", none, 0, 3, (*decoder).newObjEx},
	opStackGlobal:     {"STACK_GLOBAL", none, 0, 2, (*decoder).stackGlobal},
	opMemoize:         {"MEMOIZE", none, 0, 0, (*decoder).memoize},
	0x95:              {"FRAME", unsigned, 8, 0, (*decoder).frame},
	opBytearray8:      {"BYTEARRAY8", raw, 8, 0, (*decoder).byteArray},
	0x97:              {"NEXT_BUFFER", none, 0, 0, refuseBuffer},
	0x98:              {"READONLY_BUFFER", none, 0, 0, refuseBuffer},
}

// next reads an opcode, whose argument has to be read as well.
func (r *reader) next() *opcode {
	if r.i >= len(r.b) {
		panic(r.ended())
	}
	r.start, r.op = r.i, r.b[r.i]
	r.i++
	return &opcodes[r.op]
}

func (e *SyntaxError) Error() string {
	if e.JSON {
		return fmt.Sprintf("pickle: JSON at byte %d: %s", e.Offset, e.Msg)
	}
	name := "end of input"
	if e.Opcode != 0 {
		name = cmp.Or(opcodes[e.Opcode].name, fmt.Sprintf("opcode 0x%02x", e.Opcode))
	}
	return fmt.Sprintf("pickle: %s at byte %d: %s", name, e.Offset, e.Msg)
}
