package pickle

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// sharedRows is a list of n rows that share one text of 2 KB.
func sharedRows(n int) *List {
	text := strings.Repeat("x", 2048)
	l := &List{}
	for range n {
		l.Items = append(l.Items, &Dict{[]Pair{{"text", text}}})
	}
	return l
}

// TestSharedValuesAreWhole: a small pickle whose values are shared gives the large JSON that Python would write.
func TestSharedValuesAreWhole(t *testing.T) {
	shared := &List{}
	dict := &Dict{[]Pair{{"a", int64(1)}, {"b", &List{[]any{"some text", strings.Repeat("y", 100)}}}}}
	for range 100_000 {
		shared.Items = append(shared.Items, dict)
	}
	for name, tc := range map[string]struct {
		v    *List
		item string
	}{
		"10,000 rows with one text":     {sharedRows(10_000), `{"text":"` + strings.Repeat("x", 2048) + `"}`},
		"100,000 references to a dict":  {shared, `{"a":1,"b":["some text","` + strings.Repeat("y", 100) + `"]}`},
		"300,000 references to a small": {&List{repeat(&Dict{[]Pair{{"a", nil}}}, 300_000)}, `{"a":null}`},
	} {
		text, lossy, err := Limits{}.JSON(tc.v)
		if err != nil || len(lossy) > 0 {
			t.Errorf("%s: %v, lossy %q", name, err, lossy)
			continue
		}
		n := len(tc.v.Items)
		if want := "[" + strings.Repeat(tc.item+",", n-1) + tc.item + "]"; string(text) != want {
			t.Errorf("%s: %d bytes of JSON, want %d", name, len(text), len(want))
		}
		if size, err := (Limits{}).Measure(tc.v); err != nil || size != len(text) {
			t.Errorf("%s: measured as %d bytes (%v), want %d", name, size, err, len(text))
		}
	}
}

func repeat(v any, n int) (items []any) {
	for range n {
		items = append(items, v)
	}
	return items
}

// TestWhatIsTooLargeIsRefused by the limit's name, soon and before it is written.
func TestWhatIsTooLargeIsRefused(t *testing.T) {
	var laughs, tuples any = "ha", "ha"
	for range 300 {
		laughs, tuples = &List{[]any{laughs, laughs}}, &Tuple{[]any{tuples, tuples}}
	}
	ring := &List{}
	for range 30 {
		ring.Items = append(ring.Items, &List{[]any{ring}})
	}
	for _, v := range ring.Items {
		v.(*List).Items = append(v.(*List).Items, ring.Items...)
	}
	var deep any
	for range plainDepth + 1 {
		deep = &List{[]any{deep}}
	}
	for name, tc := range map[string]struct {
		v     any
		limit string
	}{
		"lists of two":         {laughs, "bytes of JSON"},
		"a key of many tuples": {&Dict{[]Pair{{tuples, nil}}}, "bytes of JSON"},
		"control characters":   {strings.Repeat("\x01", 30<<20), "bytes of JSON"},
		"cycles in each other": {ring, "bytes of JSON"},
		"deep":                 {deep, "levels of depth"},
	} {
		start, before := time.Now(), allocated()
		size, err := Limits{}.Measure(tc.v)
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Limit != tc.limit || size != 0 {
			t.Errorf("%s: measured as %d bytes and %v, want the limit %q", name, size, err, tc.limit)
		}
		if used, took := allocated()-before, time.Since(start); used > 300<<20 || took > 10*time.Second {
			t.Errorf("%s: measuring took %s and %d MiB", name, took, used>>20)
		}
		if b, _, err := (Limits{}).JSON(tc.v); b != nil || !errors.As(err, &limit) || limit.Limit != tc.limit {
			t.Errorf("%s: %d bytes of JSON and %v, want the limit %q", name, len(b), err, tc.limit)
		}
	}
}

// TestCyclesInSharedValues: what leads back to something around it is written anew in each place, and closes there.
func TestCyclesInSharedValues(t *testing.T) {
	a, b := &List{}, &List{[]any{strings.Repeat("x", plainShared)}}
	a.Items, b.Items = append(a.Items, b), append(b.Items, a)
	text, _, err := Limits{}.JSON(&List{[]any{a, b, a}})
	x := `"` + strings.Repeat("x", plainShared) + `"`
	want := `[[[` + x + `,"<cycle to $[0]>"]],[` + x + `,[[` + x + `,"<cycle to $[0]>"]]],[[` + x + `,"<cycle to $[0]>"]]]`
	if err != nil || string(text) != want || !json.Valid(text) {
		t.Errorf("\n got %s (%v)\nwant %s", text, err, want)
	}
}
