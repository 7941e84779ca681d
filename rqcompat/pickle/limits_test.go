package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"
)

// nest returns a stream of n tuples around None.
func nest(n int) string { return "N" + strings.Repeat("\x85", n) + "." }

// topDown nests lists from the outside, as CPython does.
func topDown(n int) string {
	return strings.Repeat("]", n) + strings.Repeat("a", n-1) + "."
}

func TestDecodeLimits(t *testing.T) {
	newObjects := "(cm\nC\n" + strings.Repeat("N", 1000) + "tq\x000](" + strings.Repeat("ccopyreg\n__newobj__\nh\x00R", 100) + "e."
	digits := strings.Repeat("9", 50)
	tests := []struct {
		name   string
		limits Limits
		in     string
		limit  string // "" when it just fits
	}{
		{"input", Limits{Input: 3}, "NN0.", "input bytes"},
		{"input fits", Limits{Input: 4}, "NN0.", ""},
		{"work", Limits{Work: 100}, "(NNNNt.", "work"},
		{"work fits", Limits{Work: 300}, "(NNNNt.", ""},
		{"memory", Limits{Memory: 100}, "(NNNNNt.", "memory"},
		{"memory fits", Limits{Memory: 120}, "(NNNNNt.", ""},
		{"memory of a set made of a shared list", Limits{Memory: 1000}, "](NNNNNeq\x000" + "(" + strings.Repeat("cbuiltins\nset\nh\x00\x85R", 10) + "t.", "memory"},
		{"time", Limits{Deadline: time.Unix(0, 0)}, "N.", "time"},
		{"arguments of objects are shared", Limits{Memory: 60_000}, newObjects, ""},
		{"but looked at for each", Limits{Work: 200_000}, newObjects, "work"},
		{"depth of tuples", Limits{Depth: 10}, nest(11), "levels of depth"},
		{"depth of tuples fits", Limits{Depth: 10}, nest(10), ""},
		{"depth of lists", Limits{Depth: 10}, topDown(11), "levels of depth"},
		{"depth of lists fits", Limits{Depth: 10}, topDown(10), ""},
		{"depth by way of the memo", Limits{Depth: 3}, "]q\x00]q\x01]q\x02]q\x03" + "Na0h\x02h\x03a0h\x01h\x02a0h\x00h\x01a0h\x00.", "levels of depth"},
		{"depth in a dict key", Limits{Depth: 3}, "}N\x85\x85\x85\x85Ns.", "levels of depth"},
		{"depth of states fits", Limits{Depth: 3}, "cm\nC\n)\x81cm\nC\n)\x81cm\nC\n)\x81bb.", ""},
		{"depth of states", Limits{Depth: 2}, "cm\nC\n)\x81cm\nC\n)\x81cm\nC\n)\x81bb.", "levels of depth"},
		{"cycles aren't deep", Limits{Depth: 3}, "]q\x00(h\x00h\x00]]]e.", ""},
		{"digits of INT", Limits{IntDigits: 40}, "I" + digits + "\n.", "digits of an integer"},
		{"digits of LONG", Limits{IntDigits: 40}, "L" + digits + "L\n.", "digits of an integer"},
		{"digits of LONG1", Limits{IntDigits: 40}, "\x8a\x19" + strings.Repeat("\x7f", 25) + ".", "digits of an integer"},
		{"digits fit", Limits{IntDigits: 50}, "L" + digits + "L\n.", ""},
		{
			"text converted again and again", Limits{Memory: 5000},
			"V" + strings.Repeat("\xff", 500) + "\np0\n0(" + strings.Repeat("c_codecs\nencode\n(g0\nVlatin1\ntR", 10) + "t.",
			"memory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.limits.Decode([]byte(tt.in))
			if tt.limit == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var got *LimitError
			if !errors.As(err, &got) || got.Limit != tt.limit {
				t.Errorf("got %v, want the limit %q", err, tt.limit)
			}
		})
	}
}

// TestDecodeCost: what was spent is told, also by what failed, and what was spent before counts.
func TestDecodeCost(t *testing.T) {
	_, small, err := Limits{}.DecodeCost([]byte("]."))
	if err != nil || small.Work < 10 || small.Work > 1000 || small.Memory < 10 || small.Memory > 1000 {
		t.Errorf("an empty list costs %+v (%v)", small, err)
	}
	in := []byte("](" + strings.Repeat("}", 1000) + "e.")
	_, whole, err := Limits{}.DecodeCost(in)
	if err != nil || whole.Work < 100*small.Work || whole.Memory < 100*small.Memory {
		t.Errorf("a thousand dicts cost %+v (%v), one list %+v", whole, err, small)
	}
	before := Limits{Work: whole.Work + 100}.After(Cost{Work: 50})
	if _, cost, err := before.DecodeCost(in); err != nil || cost.Work < whole.Work+50 {
		t.Errorf("after 50 units: %+v (%v), want 50 more than %+v", cost, err, whole)
	}
	_, cost, err := before.After(Cost{Work: 200}).DecodeCost(in)
	if err == nil || err.Error() != fmt.Sprintf("pickle: limit exceeded: more than %d units of work", whole.Work+100) || cost.Work < 200 {
		t.Errorf("after too much: %v at %+v", err, cost)
	}
	_, _, err = Limits{Memory: 1000}.DecodeCost(in)
	if err == nil || err.Error() != "pickle: limit exceeded: more than 1000 bytes of memory" {
		t.Errorf("within 1000 bytes: %v", err)
	}
	_, _, err = Limits{Deadline: time.Now().Add(-time.Second)}.DecodeCost(in)
	if err == nil || err.Error() != "pickle: limit exceeded: more than 0 milliseconds" {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestEncodeLimits(t *testing.T) {
	var deep any
	var deepSlice, deepMap any
	for range 11 {
		deep, deepSlice, deepMap = &List{[]any{deep}}, []any{deepSlice}, map[string]any{"": deepMap}
	}
	endless := &Tuple{[]any{nil}}
	endless.Items[0] = endless
	loop := map[string]any{}
	loop["loop"] = loop
	tests := []struct {
		name   string
		limits Limits
		v      any
		limit  string
	}{
		{"depth", Limits{Depth: 10}, deep, "levels of depth"},
		{"depth fits", Limits{Depth: 11}, deep, ""},
		{"depth of Go slices", Limits{Depth: 10}, deepSlice, "levels of depth"},
		{"depth of Go slices fits", Limits{Depth: 11}, deepSlice, ""},
		{"depth of Go maps", Limits{Depth: 10}, deepMap, "levels of depth"},
		{"depth of Go maps fits", Limits{Depth: 11}, deepMap, ""},
		{"tuple in itself, which Python can't have", Limits{}, endless, "levels of depth"},
		{"Go map in itself", Limits{}, loop, "levels of depth"},
		{"output", Limits{Output: 100}, strings.Repeat("x", 101), "output bytes"},
		{"output of many", Limits{Output: 100}, make([]any, 101), "output bytes"},
		{"digits", Limits{IntDigits: 40}, new(big.Int).Exp(big.NewInt(10), big.NewInt(50), nil), "digits of an integer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := EncodeOptions{Limits: tt.limits}.Encode(tt.v)
			var got *LimitError
			if tt.limit == "" && err == nil {
				return
			}
			if !errors.As(err, &got) || got.Limit != tt.limit || b != nil {
				t.Errorf("got %d bytes and %v, want the limit %q", len(b), err, tt.limit)
			}
		})
	}
}

// TestBombs has streams that ask for far more than their size. Each has to end soon, in the way that is named, and
// so have its other forms.
func TestBombs(t *testing.T) {
	laughs := "]q\x00(NNNNNNNNNNe" + strings.Repeat("q\x00]q\x01(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00eq\x00", 100) + "."
	tuples := "N" + strings.Repeat("2\x86", 300)
	text := "X\x00\x00\x10\x00" + strings.Repeat("x", 1<<20) + "q\x00"
	bombs := []struct{ name, end, in string }{
		{"ten laughs on 100 levels", "cut", laughs},
		{"tuples of two as a dict key", "cut", "}" + tuples + "Ns."},
		{"tuples of two as members", "cut", "\x8f(" + tuples + tuples + "\x90."},
		{"one text a million times", "cut", text + "0(" + strings.Repeat("h\x00", 200_000) + "t."},
		{"one number a hundred thousand times", "cut", "\x8b\x40\x9c\x00\x00" + strings.Repeat("\x7f", 40_000) + "q\x000(" + strings.Repeat("h\x00", 100_000) + "l."},
		{"a million marks", "whole", strings.Repeat("(", 1<<20) + "t."},
		{"a million lists", "memory", strings.Repeat("]", 1<<20) + "."},
		{"lists in lists", "levels of depth", strings.Repeat("]", 1<<19) + strings.Repeat("a", 1<<19-1) + "."},
		{"tuples in tuples", "levels of depth", nest(1 << 19)},
		{"one list in a hundred thousand sets", "memory", "](NNNNNNNNNNNNNNNNNNNNeq\x000(" + strings.Repeat("cbuiltins\nset\nh\x00\x85R", 100_000) + "t."},
		{"names that grow", "levels of depth", "cm\nC\nq\x00" + strings.Repeat("0cbuiltins\ngetattr\nh\x00X\x01\x00\x00\x00x\x86Rq\x00", 20_000) + "."},
		{"one dict of many keys and many of nine", "whole", "}(" + keys(30_000) + "u(" + strings.Repeat("}("+keys(9)+"u", 5_000) + "t."},
		{"two dicts in turn", "whole", "}q\x000}q\x010" + strings.Repeat("h\x00K\x01Ns0h\x01K\x01Ns0", 30_000) + "h\x00."},
		{"memo indexes in doubles", "whole", func() string {
			var b strings.Builder
			b.WriteString("N")
			for i := uint32(0); i < 1<<17; i++ {
				j := 2*i + 60
				b.Write([]byte{opLongBinput, byte(j), byte(j >> 8), byte(j >> 16), byte(j >> 24)})
			}
			return b.String() + "."
		}()},
	}
	for _, tt := range bombs {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			before := allocated()
			v, err := Decode([]byte(tt.in))
			if used := allocated() - before; used > 400<<20 {
				t.Errorf("decode allocates %d MiB, want at most 400", used>>20)
			}
			if got := endOfBomb(t, v, err); got != tt.end {
				t.Errorf("a bomb of %d bytes ends as %q, want %q", len(tt.in), got, tt.end)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("takes %v", d)
			}
		})
	}
}

// endOfBomb names the limit that refused it, or says whether its plain form is "cut" or "whole".
func endOfBomb(t *testing.T, v any, err error) string {
	t.Helper()
	if limit := (*LimitError)(nil); errors.As(err, &limit) {
		return limit.Limit
	}
	if err != nil {
		return err.Error()
	}
	before := allocated()
	text, lossy := JSON(v)
	if _, err := Encode(v); err != nil {
		t.Errorf("encode: %v", err)
	}
	if used := allocated() - before; used > 1500<<20 {
		t.Errorf("the other forms allocate %d MiB, want at most 1500", used>>20)
	}
	if !bytes.Contains(text, []byte(truncated)) {
		return "whole"
	}
	if len(lossy) == 0 {
		t.Error("cut, and nothing says so")
	}
	return "cut"
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		b.Write([]byte{opBinint, byte(i), byte(i >> 8), byte(i >> 16), 0, opNone})
	}
	return b.String()
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
