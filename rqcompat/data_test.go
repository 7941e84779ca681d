package rqcompat_test

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// What CPython 3.11 with zlib 1.2.13 stores for myapp.tasks.send_mail(42, to="a@b.c", urgent=True).
const (
	mailPickle = "8005953c00000000000000288c156d796170702e7461736b732e73656e645f6d61696c944e4b2a85947d94288c02746f948c056140622e63948c06757267656e7494887574942e"
	mailData   = "789c6b609d6ac300011a3da2b9958905057a2589c5d9c57ac5a97929f1b989993953fcbcb55aa7d44ed1e8612ac99fd2c39ae890a4973ca587adb4283d35af644a4769c9143d0017ac18ca"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func zlibbed(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// exceptMemory leaves out what only a decoded call has, and what depends on the decoder that was at hand.
var exceptMemory = cmpopts.IgnoreFields(rqcompat.Call{}, "Memory")

func mailCall() *rqcompat.Call {
	return &rqcompat.Call{
		Func: "myapp.tasks.send_mail", Args: []any{int64(42)},
		Kwargs: &pickle.Dict{Items: []pickle.Pair{{Key: "to", Value: "a@b.c"}, {Key: "urgent", Value: true}}},
	}
}

func TestCall(t *testing.T) {
	raw := unhex(t, mailPickle)
	stored := append([]byte{0x78, 0x01, 0x01, 0x47, 0x00, 0xb8, 0xff}, raw...)
	stored = append(stored, 0x17, 0xac, 0x18, 0xca)
	asJSON := `["myapp.tasks.send_mail", null, [42], {"to": "a@b.c", "urgent": true}]`
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"as Python stores it", unhex(t, mailData)},
		{"without frame and memo", zlibbed(unhex(t, "8004288c156d796170702e7461736b732e73656e645f6d61696c4e4b2a857d288c02746f8c056140622e638c06757267656e748875742e"))},
		{"stored block", stored},
		{"with bytes behind the stream", append(unhex(t, mailData), "more"...)},
		{"not compressed", raw},
		{"list for the outer tuple and the arguments", zlibbed([]byte("(lp0\nVmyapp.tasks.send_mail\naNa(lp1\nI42\naa(dp2\nVto\nVa@b.c\nsVurgent\nI01\nsa."))},
		{"JSON serializer", zlibbed([]byte(asJSON))},
		{"JSON serializer, not compressed", []byte(asJSON)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := (&rqcompat.Job{Data: test.data}).Call()
			if err != nil {
				t.Fatal(err)
			}
			want := mailCall()
			if strings.HasPrefix(test.name, "JSON") {
				want.Serializer = rqcompat.JSONSerializer
			}
			if diff := cmp.Diff(want, got, exceptMemory); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			const text = "myapp.tasks.send_mail(42, to='a@b.c', urgent=True)"
			if d := got.Description(); d != text {
				t.Errorf("got %s, want %s", d, text)
			}
		})
	}
}

func TestCallFromJSON(t *testing.T) {
	data := `["f", null, [1, -1.5, 1e3, 123456789012345678901234567890, "\u00fc\ud83d\ude00", [[]], {}], {"z": {"b": 1, "a": 2, "b": 3}, "k": null}]`
	got, err := (&rqcompat.Job{Data: []byte(data)}).Call()
	if err != nil {
		t.Fatal(err)
	}
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	want := &rqcompat.Call{
		Func: "f", Serializer: rqcompat.JSONSerializer,
		Args: []any{int64(1), -1.5, 1000.0, huge, "ü😀", &pickle.List{Items: []any{&pickle.List{}}}, &pickle.Dict{}},
		Kwargs: &pickle.Dict{Items: []pickle.Pair{
			{Key: "z", Value: &pickle.Dict{Items: []pickle.Pair{{Key: "b", Value: int64(3)}, {Key: "a", Value: int64(2)}}}},
			{Key: "k", Value: nil},
		}},
	}
	if diff := cmp.Diff(want, got, exceptMemory, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCallRefuses(t *testing.T) {
	const secret = "hunter2"
	bomb := zlibbed(make([]byte, rqcompat.DefaultPayloadLimit+1))
	for _, test := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, rqcompat.ErrNoData},
		{"garbage", []byte("\x00garbage " + secret), new(pickle.SyntaxError)},
		{"truncated zlib", unhex(t, mailData)[:40], new(pickle.SyntaxError)},
		{"wrong checksum", append(unhex(t, mailData)[:71], 1, 2, 3, 4), new(pickle.SyntaxError)},
		{"zlib of garbage", zlibbed([]byte(secret)), new(pickle.SyntaxError)},
		{"empty pickle", zlibbed(nil), new(pickle.SyntaxError)},
		{"three items", zlibbed([]byte(`["f", null, ["` + secret + `"]]`)), rqcompat.ErrBadCall},
		{"a dict", zlibbed([]byte(`{"` + secret + `": 1}`)), rqcompat.ErrBadCall},
		{"function is a number", zlibbed([]byte(`[1, null, [], {}]`)), rqcompat.ErrBadCall},
		{"arguments are text", zlibbed([]byte(`["f", null, "` + secret + `", {}]`)), rqcompat.ErrBadCall},
		{"keywords are a list", zlibbed([]byte(`["f", null, [], ["` + secret + `"]]`)), rqcompat.ErrBadCall},
		{"zlib bomb", bomb, new(pickle.LimitError)},
		{"too long and not compressed", make([]byte, rqcompat.DefaultPayloadLimit+1), new(pickle.LimitError)},
		{"memo bomb", zlibbed(memoBomb()), new(pickle.LimitError)},
		{"deep nesting", zlibbed(bytes.Repeat([]byte("("), 1<<20)), nil},
		{"deep JSON", zlibbed([]byte(strings.Repeat("[", 9000) + strings.Repeat("]", 9000))), new(pickle.LimitError)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := (&rqcompat.Job{Data: test.data}).Call()
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			ok := true
			switch test.want.(type) {
			case *pickle.SyntaxError:
				ok = errors.As(err, new(*pickle.SyntaxError))
			case *pickle.LimitError:
				ok = errors.As(err, new(*pickle.LimitError))
			case error:
				ok = errors.Is(err, test.want)
			}
			if !ok {
				t.Errorf("got %v, want a %T", err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error shows the payload: %v", err)
			}
		})
	}
}

// memoBomb doubles a list thirty times: 1 GiB of items if it were expanded.
func memoBomb() []byte {
	b := []byte("\x80\x04]\x94")
	for range 30 {
		b = append(b, "]\x94(h\x00h\x00e"...)
	}
	b = append(b, bytes.Repeat([]byte("N"), 4<<20)...)
	return append(b, '.')
}

func TestPayloadLimit(t *testing.T) {
	j := &rqcompat.Job{Data: zlibbed(make([]byte, 1000))}
	if b, err := j.Payload(1000); err != nil || len(b) != 1000 {
		t.Errorf("at the limit: %d bytes, %v", len(b), err)
	}
	_, err := j.Payload(999)
	var le *pickle.LimitError
	if !errors.As(err, &le) || le.Max != 999 {
		t.Errorf("above the limit: %v", err)
	}
}

// TestPooledBuffersAreNotShared decodes one job and then others, which reuse its buffer.
func TestPooledBuffersAreNotShared(t *testing.T) {
	encode := func(fill string) *rqcompat.Job {
		data, err := rqcompat.EncodeCall(rqcompat.Call{Func: "f", Args: []any{strings.Repeat(fill, 100), pickle.Bytes(strings.Repeat(fill, 100)), &pickle.ByteArray{B: []byte(strings.Repeat(fill, 100))}}})
		if err != nil {
			t.Fatal(err)
		}
		return &rqcompat.Job{Data: data}
	}
	a := encode("a")
	first, err := a.Call()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := a.Payload(0)
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(payload)
	for range 50 {
		if _, err := encode("b").Call(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := encode("a").Call()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, first, exceptMemory); diff != "" {
		t.Errorf("a call changed after the next was decoded:\n%s", diff)
	}
	if !bytes.Equal(payload, kept) {
		t.Error("a payload changed after the next was inflated")
	}
	if again, err := encode("a").Payload(0); err != nil || !bytes.Equal(again, kept) {
		t.Errorf("the same call is encoded in two ways, or: %v", err)
	}
}

func TestEncodeCall(t *testing.T) {
	data, err := rqcompat.EncodeCall(*mailCall())
	if err != nil {
		t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || b[0] != 0x80 {
		t.Fatalf("%v, %x", err, b)
	}
	got, err := (&rqcompat.Job{Data: data}).Call()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mailCall(), got, exceptMemory); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncodeCallRefuses(t *testing.T) {
	for name, c := range map[string]rqcompat.Call{
		"no function":        {},
		"number for keyword": {Func: "f", Kwargs: &pickle.Dict{Items: []pickle.Pair{{Key: int64(1)}}}},
		"channel":            {Func: "f", Args: []any{make(chan int)}},
	} {
		if _, err := rqcompat.EncodeCall(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzCall(f *testing.F) {
	f.Add(unhex(f, mailData))
	f.Add(unhex(f, mailPickle))
	f.Add([]byte(`["f", null, [1], {"a": 1}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := (&rqcompat.Job{Data: data}).Call()
		if err != nil {
			return
		}
		_ = c.Description()
		again, err := rqcompat.EncodeCall(*c)
		if err != nil {
			return // such as a keyword that is no text
		}
		if _, err := (&rqcompat.Job{Data: again}).Call(); err != nil {
			t.Errorf("written and not readable: %v", err)
		}
	})
}

// TestCallOfSubclasses: Python calls a function with a dict subclass, a tuple subclass and so on as with what they derive from.
func TestCallOfSubclasses(t *testing.T) {
	object := func(class string, args []any, pairs ...pickle.Pair) *pickle.Object {
		return &pickle.Object{How: pickle.NewObj, Callable: &pickle.Global{Module: "m", Name: class}, Args: &pickle.Tuple{Items: args}, Pairs: pairs}
	}
	for name, kwargs := range map[string]*pickle.Object{
		"entries":    object("Settings", nil, pickle.Pair{Key: object("Text", []any{"a"}), Value: int64(1)}),
		"no entries": object("Settings", nil),
	} {
		b, err := pickle.Encode(&pickle.Tuple{Items: []any{object("Text", []any{"f"}), nil, object("Pair", []any{&pickle.Tuple{Items: []any{"x"}}}), kwargs}})
		if err != nil {
			t.Fatal(err)
		}
		want := &rqcompat.Call{Func: "f", Args: []any{"x"}, Kwargs: &pickle.Dict{}}
		if len(kwargs.Pairs) > 0 {
			want.Kwargs.Set("a", int64(1))
		}
		got, err := (&rqcompat.Job{Data: zlibbed(b)}).Call()
		if diff := cmp.Diff(want, got, exceptMemory); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}
