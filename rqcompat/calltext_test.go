package rqcompat_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// TestDescriptionAsPython compares with what RQ's own Job.create stored and described.
func TestDescriptionAsPython(t *testing.T) {
	b, err := os.ReadFile("../testdata/rq/calls.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Data, Description string }
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 100 {
		t.Fatalf("%d vectors, want at least 100", len(vectors))
	}
	for i, v := range vectors {
		data, err := hex.DecodeString(v.Data)
		if err != nil {
			t.Fatal(err)
		}
		call, err := (&rqcompat.Job{Data: data}).Call()
		if err != nil {
			t.Errorf("vector %d, %s: %v", i, v.Description, err)
			continue
		}
		if got := call.Description(); got != v.Description {
			t.Errorf("vector %d:\n got %s\nwant %s", i, got, v.Description)
		}
	}
}

// TestDescriptionOfMany: what nobody would read to its end has one, and soon, however much it shares.
func TestDescriptionOfMany(t *testing.T) {
	long, big := strings.Repeat("x", 16<<20), new(big.Int).Lsh(big.NewInt(1), 300_000)
	c := rqcompat.Call{Func: "f", Args: slices.Repeat([]any{long, big}, 100_000), Kwargs: &pickle.Dict{}}
	for i := range 2000 {
		c.Kwargs.Items = append(c.Kwargs.Items, pickle.Pair{Key: fmt.Sprintf("k%04d", i), Value: long})
	}
	got := c.Description()
	start := "f('" + long[:74] + "..., <int of 300001 bits>, '"
	if !strings.HasPrefix(got, start) || !strings.Contains(got, ", k0999='xx") || strings.Contains(got, "k1000=") {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

func TestDescriptionOfGoValues(t *testing.T) {
	for _, test := range []struct {
		name string
		arg  any
		want string
	}{
		{"int", 7, "7"},
		{"int8", int8(-7), "-7"},
		{"uint64", uint64(1 << 63), "9223372036854775808"},
		{"big", new(big.Int).Lsh(big.NewInt(1), 70), "1180591620717411303424"},
		{"float32", float32(0.5), "0.5"},
		{"whole number of JSON", json.Number("12"), "12"},
		{"fraction of JSON", json.Number("12.50"), "12.5"},
		{"bytes", []byte("a\x00"), `b'a\x00'`},
		{"slice", []any{1, "a", nil, true}, "[1, 'a', None, True]"},
		{"strings", []string{"a", "b"}, "['a', 'b']"},
		{"map, sorted as it is encoded", map[string]any{"b": 1, "a": []any{}}, "{'a': [], 'b': 1}"},
		{"function", &pickle.Global{Module: "m", Name: "f"}, "<m.f>"},
		{"no text", "a\xffb", `'a\xffb'`},
		{"channel", make(chan int), "<chan int>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := rqcompat.Call{Func: "f", Args: []any{test.arg}}.Description()
			if want := "f(" + test.want + ")"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
