package pickle

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
)

func bigInt(s string) *big.Int {
	v, ok := new(big.Int).SetString(s, 0)
	if !ok {
		panic(s)
	}
	return v
}

// decodeTests are streams that CPython's pickler doesn't write but other programs do, or that only stand in
// pickletools. What they mean was checked with CPython.
var decodeTests = []struct {
	name string
	in   string
	want any
}{
	{"INT", "I42\n.", int64(42)},
	{"INT with space, hex, octal", "(I 1 \nI-0x10\nI017\nI0o17\nt.", &Tuple{[]any{int64(1), int64(-16), int64(15), int64(15)}}},
	{"octal up to 64 bits", "(I0777777777777777777777\nI-010\nI\t017\nL000\nL0_0L\nt.", &Tuple{[]any{int64(math.MaxInt64), int64(-8), int64(15), int64(0), int64(0)}}},
	{"INT as bool", "(I00\nI01\nI 1\nI+1\nI-0\nI1 \nI-1\nt.", &Tuple{[]any{false, true, true, true, false, int64(1), int64(-1)}}},
	{"INT beyond 64 bits", "I9223372036854775808\n.", bigInt("9223372036854775808")},
	{"LONG", "(L5L\nL-5\nL9223372036854775807L\nt.", &Tuple{[]any{int64(5), int64(-5), int64(1<<63 - 1)}}},
	{"LONG1 empty and short", "(\x8a\x00\x8a\x01\xff\x8a\x02\x00\x80t.", &Tuple{[]any{int64(0), int64(-1), int64(-32768)}}},
	{"LONG4 of a small number", "\x8b\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00.", int64(1)},
	{"LONG1 with superfluous sign bytes", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff.", int64(-1)},
	{"LONG1 of 9 bytes", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", bigInt("0x8000000000000000")},
	{"LONG1 of 9 bytes below zero", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff.", bigInt("-0x8000000000000001")},
	{"FLOAT", "(F1\nF-1.5e-3\nF.5\nF1.\nt.", &Tuple{[]any{1.0, -0.0015, 0.5, 1.0}}},
	{"STRING", "(S'abc'\nS\"it's\"\nS''\nt.", &Tuple{[]any{"abc", "it's", ""}}},
	{"STRING with escapes", `S'\\ \' \" \a\b\f\n\r\t\v \x41 \101 \0'` + "\n.", "\\ ' \" \a\b\f\n\r\t\v A A \x00"},
	{"BINSTRING", "(T\x03\x00\x00\x00abcU\x01xt.", &Tuple{[]any{"abc", "x"}}},
	{"UNICODE", `V\u00e4 \U0001f600 \ud800` + " \xe4\n.", "ä 😀 \xed\xa0\x80 ä"},
	{"UNICODE with doubled backslashes", `V\\u0041 \\\u0041 \x41 \` + "\n.", `\\u0041 \\A \x41 \`},
	{"MARK LIST", "(I1\nI2\nl.", &List{[]any{int64(1), int64(2)}}},
	{"MARK DICT", "(Va\nI1\nVb\nI2\nd.", &Dict{[]Pair{{"a", int64(1)}, {"b", int64(2)}}}},
	{"SETITEM with an equal key", "}Va\nI1\nsVb\nI2\nsVa\nI3\ns.", &Dict{[]Pair{{"a", int64(3)}, {"b", int64(2)}}}},
	{"equal numbers as keys", "}(K\x01Va\n\x88Vb\nF1\nVc\nK\x02Vd\nu.", &Dict{[]Pair{{int64(1), "c"}, {int64(2), "d"}}}},
	{"equal tuples as keys", "}(K\x01\x85Va\n\x88\x85Vb\nu.", &Dict{[]Pair{{&Tuple{[]any{int64(1)}}, "b"}}}},
	{"equal members", "\x8f(K\x01K\x01F1\nK\x02\x90.", &Set{[]any{int64(1), int64(2)}}},
	{"equal big numbers", "\x8f(L100000000000000000000\nF1e20\n\x90.", &Set{[]any{bigInt("100000000000000000000")}}},
	{"equal frozensets", "\x8f((K\x01K\x02\x91(K\x02K\x01\x91\x90.", &Set{[]any{&FrozenSet{[]any{int64(1), int64(2)}}}}},
	{"POP, POP_MARK, POP of a MARK", "I1\nI2\n0(I3\nI4\n1(0.", int64(1)},
	{"DUP", "I1\n2\x86.", &Tuple{[]any{int64(1), int64(1)}}},
	{"text PUT and GET", "I7\np10\n0g10\n.", int64(7)},
	{"PUT far away", "I7\nr\xff\xff\xff\xff0j\xff\xff\xff\xff.", int64(7)},
	{"PUT beyond 32 bits", "I7\np99999999999\n0g99999999999\n.", int64(7)},
	{"PUT twice", "I7\nq\x010I8\nq\x010h\x01.", int64(8)},
	{"PUT before and behind a gap", "I7\nr\x00\x10\x00\x00q\x000I8\nq\x010h\x01j\x00\x10\x00\x00\x86.", &Tuple{[]any{int64(8), int64(7)}}},
	{"MEMOIZE counts entries, not indexes", "I7\nq\x050I8\n\x940h\x01.", int64(8)},
	{"GLOBAL of Python 2", "c__builtin__\nunicode\n.", &Global{"builtins", "str"}},
	{"GLOBAL of exceptions", "cexceptions\nStandardError\n.", &Global{"builtins", "Exception"}},
	{"STACK_GLOBAL", "\x80\x04\x8c\x01a\x8c\x03b.c\x93.", &Global{"a", "b.c"}},
	{"getattr of a global", "cbuiltins\ngetattr\n(ca\nB\nVc\ntR.", &Global{"a", "B.c"}},
	{"name that ends in a dot", "cm\nC.\n.", &Global{"m", "C."}},
	{"bytes of protocol 0", "c_codecs\nencode\n(V\\u00ff\\u0001\nVlatin1\ntR.", Bytes("\xff\x01")},
	{"bytes empty of protocol 0", "c__builtin__\nbytes\n)R.", Bytes("")},
	{"bytearray of text", "cbuiltins\nbytearray\n(V\xe9\nVlatin-1\ntR.", &ByteArray{[]byte{0xe9}}},
	{"set of protocol 0", "c__builtin__\nset\n((lp0\nI1\natR.", &Set{[]any{int64(1)}}},
	{"INST", "(I1\nVa\nim\nC\n.", &Object{How: Obj, Callable: &Global{"m", "C"}, Args: &Tuple{[]any{int64(1), "a"}}}},
	{"OBJ", "(cm\nC\nI1\no.", &Object{How: Obj, Callable: &Global{"m", "C"}, Args: &Tuple{[]any{int64(1)}}}},
	{"NEWOBJ_EX", "cm\nC\n)}\x92.", &Object{How: NewObjEx, Callable: &Global{"m", "C"}, Args: &Tuple{}, Kwargs: &Dict{}}},
	{
		"BUILD", "cm\nC\n)\x81}Va\nI1\nsb.",
		&Object{How: NewObj, Callable: &Global{"m", "C"}, Args: &Tuple{}, HasState: true, State: &Dict{[]Pair{{"a", int64(1)}}}},
	},
	{
		"copyreg.__newobj__", "ccopy_reg\n__newobj__\n(cm\nC\nI1\ntR.",
		&Object{How: NewObj, Callable: &Global{"m", "C"}, Args: &Tuple{[]any{int64(1)}}},
	},
	{"frame that an opcode crosses", "\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00\x8c\x01a.", "a"},
	{"bytes after STOP", "N.garbage", nil},
}

func TestDecode(t *testing.T) {
	for _, tt := range decodeTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := difference(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// refusalTests say which stream is refused, where, and in which words.
var refusalTests = []struct {
	name   string
	in     string
	offset int
	opcode byte
	text   string
}{
	{"nothing", "", 0, 0, "no STOP"},
	{"no STOP", "N", 1, 0, "no STOP"},
	{"GLOBAL without a module", "c\nname\n.", 0, 'c', "no module"},
	{"INST without a name", "(im\n\n.", 1, 'i', "no name"},
	{"STOP without a value", ".", 0, opStop, "stack is empty"},
	{"unknown opcode", "N\xff.", 1, 0xff, "unknown opcode"},
	{"protocol 6", "\x80\x06N.", 0, opProto, "above 5"},
	{"text", "hello", 0, 'h', "memo"},
	{"JSON", `{"a": 1}`, 0, '{', "unknown opcode"},
	{"persistent id", "NPid\n.", 1, 'P', "persistent"},
	{"binary persistent id", "NQ.", 1, 'Q', "persistent"},
	{"extension 1", "\x82\x01.", 0, 0x82, "extension"},
	{"extension 2", "\x83\x01\x00.", 0, 0x83, "extension"},
	{"extension 4", "\x84\x01\x00\x00\x00.", 0, 0x84, "extension"},
	{"buffer", "\x97.", 0, 0x97, "out-of-band"},
	{"read-only buffer", "N\x98.", 1, 0x98, "out-of-band"},
	{"lying length", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 0, opBinunicode8, "past the end"},
	{"lying length of a bytearray", "\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", 0, opBytearray8, "past the end"},
	{"lying frame", "\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00N.", 2, 0x95, "past the end"},
	{"negative LONG4", "\x8b\xff\xff\xff\xff.", 0, opLong4, "negative"},
	{"negative BINSTRING", "T\xff\xff\xff\xff.", 0, opBinstring, "negative"},
	{"no end of line", "I42", 0, 'I', "end of line"},
	{"INST of a name beyond ASCII", "(im\nC\u00e9\n.", 1, 'i', "ASCII"},
	{"no integer", "Iabc\n.", 0, 'I', "not an integer"},
	{"octal LONG", "L010\n.", 0, 'L', "not an integer"},
	{"octal LONG with an L", "L-017L\n.", 0, 'L', "not an integer"},
	{"octal INT beyond 64 bits", "I01777777777777777777777777777\n.", 0, 'I', "not an integer"},
	{"octal INT in groups", "I01_0\n.", 0, 'I', "not an integer"},
	{"octal INT with blanks behind", "I010 \n.", 0, 'I', "not an integer"},
	{"empty integer", "I\n.", 0, 'I', "not an integer"},
	{"float too large", "F1e999\n.", 0, 'F', "float"},
	{"Go's hex float", "F0x1p3\n.", 0, 'F', "float"},
	{"no UTF-8", "\x8c\x02\xc3\x28.", 0, opShortBinunicode, "UTF-8"},
	{"overlong UTF-8", "\x8c\x02\xc0\x80.", 0, opShortBinunicode, "UTF-8"},
	{"broken surrogate", "\x8c\x03\xed\xa0\x41.", 0, opShortBinunicode, "UTF-8"},
	{"Python 2 string beyond ASCII", "U\x01\xe9.", 0, 'U', "Python 2"},
	{"STRING without quotes", "Sabc\n.", 0, 'S', "quotes"},
	{"STRING with one quote", "S'\n.", 0, 'S', "quotes"},
	{"STRING with a broken escape", "S'\\x4'\n.", 0, 'S', "escape"},
	{"UNICODE with a broken escape", "V\\u00\n.", 0, 'V', "escape"},
	{"UNICODE out of range", "V\\U00110000\n.", 0, 'V', "escape"},
	{"tuple from an empty stack", "N\x86.", 1, opTuple2, "stack is empty"},
	{"pop below a MARK", "N(\x85.", 2, opTuple1, "finds a MARK"},
	{"TUPLE without MARK", "Nt.", 1, opTuple, "no MARK"},
	{"odd dict", "(Nd.", 2, 'd', "key without a value"},
	{"odd items", "}(Nu.", 3, opSetitems, "key without a value"},
	{"list as a key", "}]Ns.", 3, 's', "can't be a list"},
	{"list in a tuple as a key", "}]\x85Ns.", 5, opStop, "unhashable"},
	{"dict in a tuple as the only member", "(}\x85\x91.", 4, opStop, "unhashable"},
	{"dict as a member", "\x8f(}\x90.", 3, opAdditems, "can't be a dict"},
	{"append to a tuple", ")Na.", 2, opAppend, "not a tuple"},
	{"item into None", "NNNs.", 3, 's', "not None"},
	{"add to a list", "](N\x90.", 3, opAdditems, "not a list"},
	{"unknown memo index", "h\x05.", 0, opBinget, "memo index"},
	{"negative memo index", "Np-1\n.", 1, 'p', "memo index"},
	{"endless memo index", "Ng" + "1111111111111111111111\n.", 1, 'g', "memo index"},
	{"global of numbers", "K\x01K\x02\x93.", 4, opStackGlobal, "two str"},
	{"call of a string", "Vx\n)R.", 4, opReduce, "not a str"},
	{"call without a tuple", "cm\nf\n]R.", 6, opReduce, "not a list"},
	{"new of a number", "K\x01)\x81.", 3, opNewobj, "not a number"},
	{"keyword arguments in a list", "cm\nC\n)]\x92.", 7, opNewobjEx, "not a list"},
	{"OBJ without a class", "(o.", 1, opObj, "no class"},
	{"state of a list", "]Nb.", 2, opBuild, "not a list"},
	{"second state", "cm\nC\n)\x81NbNb.", 10, opBuild, "second state"},
	{"Latin-1 that is none", "c_codecs\nencode\n(V\\u20ac\nVlatin1\ntR.", 34, opReduce, "Latin-1"},
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range refusalTests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Decode([]byte(tt.in))
			var got *SyntaxError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, %v, want a *SyntaxError", v, err)
			}
			if got.Offset != tt.offset || got.Opcode != tt.opcode || !strings.Contains(got.Msg, tt.text) {
				t.Errorf("got %v, want opcode %q at byte %d and %q", got, tt.opcode, tt.offset, tt.text)
			}
		})
	}
}

func TestSyntaxErrorText(t *testing.T) {
	tests := []struct {
		in, want string
	}{
		{"NP1\n.", "pickle: PERSID at byte 1: persistent ids are not supported: only the program that wrote them knows what they mean"},
		{"\xff", "pickle: opcode 0xff at byte 0: unknown opcode"},
		{"N", "pickle: end of input at byte 1: the pickle has no STOP"},
	}
	for _, tt := range tests {
		if _, err := Decode([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

// TestPython2Names: they mean something in protocols 0 to 2 only, and a name that happens to be one can't be
// written there.
func TestPython2Names(t *testing.T) {
	got, err := Decode([]byte("\x80\x03c__builtin__\nunicode\n."))
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(&Global{"__builtin__", "unicode"}, got); d != "" {
		t.Error(d)
	}
	var unsupported *UnsupportedError
	if _, err := (EncodeOptions{Protocol: 2}).Encode(got); !errors.As(err, &unsupported) {
		t.Errorf("protocol 2: got %v, want an *UnsupportedError", err)
	}
	if _, err := (EncodeOptions{Protocol: 3}).Encode(got); err != nil {
		t.Errorf("protocol 3: %v", err)
	}
}

// TestDecodeCopies: the caller may use its buffer again.
func TestDecodeCopies(t *testing.T) {
	for _, size := range []int{10, 600, 5000, 20000} {
		want := &List{[]any{strings.Repeat("x", size), Bytes("some bytes"), "some text", &ByteArray{[]byte("array")}}}
		b, err := EncodeOptions{Protocol: 5}.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if d := difference(want, got); d != "" {
			t.Errorf("%d bytes: %s", size, d)
		}
	}
}

// TestDecodeIndependent: what two calls return has no memory in common.
func TestDecodeIndependent(t *testing.T) {
	in := []byte("(](I1\nI2\nI3\nI4\nI5\nel.")
	first, err := Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode([]byte("((VX\nVX\nVX\nVX\nVX\nVX\nVX\nlt.")); err != nil {
		t.Fatal(err)
	}
	second, err := Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(first, second); d != "" {
		t.Error(d)
	}
}
