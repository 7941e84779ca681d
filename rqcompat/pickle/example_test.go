package pickle_test

import (
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// What pickle.dumps((f, None, (42,), {"to": "a@b.c"}), 0) writes.
const call = "(Vmyapp.tasks.send_mail\np0\nN(I42\ntp1\n(dp2\nVto\np3\nVa@b.c\np4\nstp5\n."

func ExampleDecode() {
	v, err := pickle.Decode([]byte(call))
	if err != nil {
		fmt.Println(err)
		return
	}
	items := v.(*pickle.Tuple).Items
	to, _ := items[3].(*pickle.Dict).Get("to")
	fmt.Println(items[0], to)
	// Output: myapp.tasks.send_mail a@b.c
}

// A pickle that would run a command in Python is a description of it here.
func ExampleDecode_hostile() {
	v, err := pickle.Decode([]byte("cos\nsystem\n(S'rm -rf /'\ntR."))
	if err != nil {
		fmt.Println(err)
		return
	}
	o := v.(*pickle.Object)
	fmt.Println(o.How, o.Class().DottedName())
	// Output: REDUCE os.system
}

func ExampleLimits_Decode() {
	_, err := pickle.Limits{Depth: 2}.Decode([]byte("]]]aa."))
	var limit *pickle.LimitError
	fmt.Println(errors.As(err, &limit), err)
	// Output: true pickle: limit exceeded: more than 2 levels of depth
}

func ExampleEncode() {
	kwargs := &pickle.Dict{}
	kwargs.Set("to", "a@b.c")
	kwargs.Set("copies", 2)
	b, err := pickle.Encode(&pickle.Tuple{Items: []any{"myapp.tasks.send_mail", nil, &pickle.Tuple{}, kwargs}})
	fmt.Printf("%q %v\n", b, err)
	// Output: "\x80\x04(\x8c\x15myapp.tasks.send_mail\x94N)}\x94(\x8c\x02to\x8c\x05a@b.c\x94\x8c\x06copies\x94K\x02ut\x94." <nil>
}

func ExampleJSON() {
	v, err := pickle.Decode([]byte("}(X\x04\x00\x00\x00whencdatetime\ndate\n(C\x04\x07\xe8\x02\x1dtRX\x03\x00\x00\x00tag]X\x01\x00\x00\x00xau."))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, lossy := pickle.JSON(v)
	fmt.Println(string(text))
	fmt.Println(lossy)
	// Output:
	// {"when":"2024-02-29","tag":["x"]}
	// [$.when: datetime.date written as text]
}

// What a stream consists of can be looked at even if it can't be decoded.
func ExampleInstructions() {
	for in, err := range pickle.Instructions([]byte("\x80\x02K\x2aP1\n.")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %s(%s)\n", in.Offset, in.Name, in.Argument)
	}
	_, err := pickle.Decode([]byte("\x80\x02K\x2aP1\n."))
	fmt.Println(err)
	// Output:
	// 0 PROTO(2)
	// 2 BININT1(42)
	// 4 PERSID("1")
	// 7 STOP()
	// pickle: PERSID at byte 4: persistent ids are not supported: only the program that wrote them knows what they mean
}

func ExamplePlain() {
	plain, lossy := pickle.Plain(&pickle.Dict{Items: []pickle.Pair{
		{Key: "tags", Value: &pickle.Tuple{Items: []any{"a", "b"}}},
		{Key: 7, Value: pickle.Bytes("raw")},
	}})
	fmt.Println(plain)
	fmt.Println(lossy)
	// Output:
	// map[7:raw tags:[a b]]
	// [$.{key}: key written as text $.7: bytes written as text]
}

func ExampleRepr() {
	fmt.Println(pickle.Repr(&pickle.List{Items: []any{nil, true, 0.1, "it's", pickle.Bytes("\x00")}}, 75))
	fmt.Println(pickle.Repr("a long string", 8))
	// Output:
	// [None, True, 0.1, "it's", b'\x00']
	// 'a long ...
}

// Older readers need older protocols.
func ExampleEncodeOptions_Encode() {
	for _, protocol := range []int{2, 5} {
		b, err := pickle.EncodeOptions{Protocol: protocol}.Encode("größe")
		fmt.Printf("%q %v\n", b, err)
	}
	// Output:
	// "\x80\x02X\a\x00\x00\x00größeq\x00." <nil>
	// "\x80\x05\x8c\agröße\x94." <nil>
}
