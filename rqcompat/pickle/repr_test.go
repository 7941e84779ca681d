package pickle

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestReprIsPythons has CPython say what repr() gives.
func TestReprIsPythons(t *testing.T) {
	const noon = Bytes("\x07\xe8\x01\x02\x0c\x00\x00\x00\x00\x00")
	looped := &List{[]any{"x"}}
	looped.Items = append(looped.Items, looped)
	values := []any{
		nil, true, int64(-7), bigInt("-100000000000000000000"),
		0.0, math.Copysign(0, -1), 0.1, 1.0, -2.5, 1e15, 123456789012345680.0, 1e16, 1e17, 9.999e15, 1e300, 1e-4, 9.9e-5, 5e-324,
		math.NaN(), math.Inf(1), math.Inf(-1),
		"plain", "it's", `"quoted"`, `it's "both"`, "\\ \n\r\t\x00\x1f\x7f", "äöü €漢😀", "\u00ad\u200b\u0600\U000e0001", "lone \xed\xa0\x80\xed\xbf\xbf",
		Bytes("it's\x00\xff\n"), &ByteArray{[]byte{0xff}},
		&List{}, &List{[]any{int64(1), "a"}}, &Tuple{}, &Tuple{[]any{nil}}, &Tuple{[]any{nil, nil}},
		&Dict{[]Pair{{"a", 1.5}, {int64(2), &Tuple{}}}}, &Set{}, &Set{[]any{int64(1)}}, &FrozenSet{}, &FrozenSet{[]any{"a"}}, looped,
		object("datetime.datetime", noon), object("datetime.datetime", Bytes("\x07\xe8\x8c\x1f\x17\x3b\x3b\x0f\x42\x3f")),
		object("datetime.datetime", Bytes("\x07\xe8\x01\x02\x0c\x00\x05\x00\x00\x00")), object("datetime.date", Bytes("\x07\xe8\x02\x1d")),
		object("datetime.time", Bytes("\x00\x00\x00\x00\x00\x00")), object("datetime.time", Bytes("\x02\x1e\x00\x00\x00\x01")),
		delta(0, 0, 0), delta(-1, 3600, 5), delta(7, 0, 0), object("decimal.Decimal", "1.50"),
		withState(object("uuid.UUID"), &Dict{[]Pair{{"int", bigInt("0x6f1c0a527b1e4b7e9d0c2f6b1f0f4c11")}}}),
	}
	var input bytes.Buffer
	for _, v := range values {
		if o, ok := v.(*Object); ok && o.HasState {
			o.How = NewObj
		}
		b, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		input.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
	}
	cmd := exec.Command(python(t), "-c", `
import base64, json, pickle, sys
for line in sys.stdin:
    print(json.dumps(repr(pickle.loads(base64.b64decode(line)))))`)
	cmd.Stdin, cmd.Stderr = &input, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for i, v := range values {
		var want string
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &want) != nil {
			t.Fatalf("no answer to value %d, %q", i, lines.Text())
		}
		// A datetime's fold is not among what is shown here.
		want = strings.ReplaceAll(want, ", fold=1", "")
		if got := Repr(v, 1000); got != want {
			t.Errorf("value %d:\n got %s\nwant %s", i, got, want)
		}
	}
}

func TestReprIsCut(t *testing.T) {
	for _, tt := range []struct {
		v    any
		most int
		want string
	}{
		{"abc", 5, "'abc'"},
		{"abc", 4, "'abc..."},
		{"äöü", 4, "'äöü..."},
		{&List{[]any{int64(1), int64(2)}}, 6, "[1, 2]"},
		{&List{[]any{int64(1), int64(2)}}, 5, "[1, 2..."},
		{strings.Repeat("x", 1<<20), 3, "'xx..."},
		{withState(object("uuid.UUID"), &Dict{[]Pair{{"int", int64(-5)}}}), 75, "<uuid.UUID>"},
		{object("datetime.date", Bytes("\x07\xe8\x0d\x01")), 75, "<datetime.date>"},
		{object("m.C"), 75, "<m.C>"},
	} {
		if got := Repr(tt.v, tt.most); got != tt.want {
			t.Errorf("repr of %.20v cut at %d: got %s, want %s", tt.v, tt.most, got, tt.want)
		}
	}
}
