package pickle

import "testing"

func TestSmoke(t *testing.T) {
	v := &Tuple{Items: []any{"a.b.c", nil, &Tuple{}, &Dict{Items: []Pair{{"site", "x"}, {"n", int64(-70000)}}}}}
	for p := 2; p <= 5; p++ {
		b, err := EncodeOptions{Protocol: p}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if f, _ := got.(*Tuple).Items[3].(*Dict).Get("n"); f != int64(-70000) {
			t.Errorf("protocol %d: %#v", p, got)
		}
	}
}
