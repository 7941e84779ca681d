package pickle

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"sync"
	"testing"
)

// TestEncodeGoValues: what plain Go values are in Python.
func TestEncodeGoValues(t *testing.T) {
	tests := []struct {
		name    string
		v, want any
	}{
		{"int", 5, int64(5)},
		{"int8", int8(-5), int64(-5)},
		{"int16", int16(-500), int64(-500)},
		{"int32", int32(math.MinInt32), int64(math.MinInt32)},
		{"int64", int64(math.MinInt64), int64(math.MinInt64)},
		{"uint", uint(5), int64(5)},
		{"uint8", uint8(255), int64(255)},
		{"uint16", uint16(65535), int64(65535)},
		{"uint32", uint32(math.MaxUint32), int64(math.MaxUint32)},
		{"uint64", uint64(math.MaxUint64), bigInt("18446744073709551615")},
		{"float32", float32(0.5), 0.5},
		{"small big.Int", big.NewInt(-7), int64(-7)},
		{"[]byte", []byte{0xff}, Bytes("\xff")},
		{"[]any", []any{1, "a", nil}, &List{[]any{int64(1), "a", nil}}},
		{"[]string", []string{"a", "b"}, &List{[]any{"a", "b"}}},
		{"map", map[string]any{"b": 1, "a": []any{}}, &Dict{[]Pair{{"a", &List{}}, {"b", int64(1)}}}},
		{"json integer", json.Number("42"), int64(42)},
		{"long json integer", json.Number("100000000000000000000"), bigInt("100000000000000000000")},
		{"json float", json.Number("1.5e3"), 1500.0},
		{"equal lists are two lists", []any{[]any{1}, []any{1}}, &List{[]any{&List{[]any{int64(1)}}, &List{[]any{int64(1)}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for p := 2; p <= 5; p++ {
				b, err := EncodeOptions{Protocol: p}.Encode(tt.v)
				if err != nil {
					t.Fatal(err)
				}
				got, err := Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				if d := difference(tt.want, got); d != "" {
					t.Errorf("protocol %d: %s", p, d)
				}
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	newline := global("m", "a\nb")
	tests := []struct {
		name     string
		protocol int
		v        any
		text     string
	}{
		{"protocol 1", 1, nil, "protocol 1"},
		{"protocol 6", 6, nil, "protocol 6"},
		{"Go type", 4, struct{}{}, "Go type struct {}"},
		{"Go type inside", 4, []any{map[string]any{"a": make(chan int)}}, "Go type chan int"},
		{"nil pointer", 4, (*List)(nil), "nil pointer"},
		{"nil big.Int", 4, (*big.Int)(nil), "nil *big.Int"},
		{"bytes as text", 4, "\xff", "UTF-8"},
		{"json.Number that is none", 4, json.Number("secret"), "json.Number"},
		{"json.Number out of range", 4, json.Number("1e999"), "json.Number"},
		{"list as key", 4, &Dict{[]Pair{{&List{}, nil}}}, "can't be a list"},
		{"set as member", 4, &Set{[]any{&Set{}}}, "can't be a set"},
		{"dict as member", 4, &FrozenSet{[]any{&Dict{}}}, "can't be a dict"},
		{"object without arguments", 4, &Object{Callable: newline}, "*Tuple as Args"},
		{"object without a class", 4, &Object{Args: &Tuple{}}, "as Callable"},
		{"object without keyword arguments", 4, &Object{How: NewObjEx, Callable: newline, Args: &Tuple{}}, "as Kwargs"},
		{"object made somehow", 4, &Object{How: 9, Callable: newline, Args: &Tuple{}}, "unknown How"},
		{"global with a line end", 3, newline, "line end"},
		{"global of Python 2", 2, global("copy_reg", "x"), "protocol 3"},
		{"global that is no text", 4, global("m", "\xff"), "UTF-8"},
		{"global inside a function", 2, global("m", "f.<locals>.g"), "inside a function"},
		{"global with a lone surrogate", 3, global("m", "\xed\xa0\x80"), "UTF-8"},
		{"global with a very long dotted name", 3, global("m", strings.Repeat("ab.", 200)+"x"), "protocol 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := EncodeOptions{Protocol: tt.protocol}.Encode(tt.v)
			var got *UnsupportedError
			if !errors.As(err, &got) || !strings.Contains(got.Msg, tt.text) {
				t.Errorf("got %v, want an *UnsupportedError with %q", err, tt.text)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells data: %v", err)
			}
		})
	}
}

// TestEncodeBytes pins the form: no frame, a memo entry for what may be shared.
func TestEncodeBytes(t *testing.T) {
	call := &Tuple{[]any{"myapp.tasks.send_mail", nil, &Tuple{[]any{int64(42)}}, &Dict{[]Pair{{"to", "a@b.c"}, {"urgent", true}}}}}
	const want = "8004288c156d796170702e7461736b732e73656e645f6d61696c944e4b2a85947d94288c02746f8c056140622e63948c06757267656e7494887574942e"
	b, err := Encode(call)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestEncodeShares: one long text is written once, however often it occurs.
func TestEncodeShares(t *testing.T) {
	b, err := Encode(&List{[]any{strings.Repeat("x", 5000), "short"}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	text := v.(*List).Items[0]
	rows := &List{}
	for range 1000 {
		rows.Items = append(rows.Items, text)
	}
	if b, err = Encode(rows); err != nil || len(b) > 8000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestEncodeAfterError: a failed call leaves nothing behind in the pool.
func TestEncodeAfterError(t *testing.T) {
	shared := &List{[]any{"some text"}}
	want, err := Encode(shared)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := Encode(&List{[]any{shared, make(chan int)}}); err == nil {
			t.Fatal("a channel has a pickle")
		}
		got, err := Encode(shared)
		if err != nil || string(got) != string(want) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

// TestConcurrent: pooled state is not shared between calls at the same time.
func TestConcurrent(t *testing.T) {
	var group sync.WaitGroup
	vectors := readVectors(t)
	for range 4 {
		group.Go(func() {
			for _, v := range vectors {
				value, err := Decode(v.Pickles[5])
				if err != nil {
					t.Error(err)
					return
				}
				b, err := EncodeOptions{Protocol: 5}.Encode(value)
				if err != nil {
					t.Error(err)
					return
				}
				again, err := Decode(b)
				if err != nil {
					t.Error(err)
					return
				}
				if d := difference(value, again); d != "" {
					t.Errorf("%s: %s", v.Name, d)
				}
			}
		})
	}
	group.Wait()
}
