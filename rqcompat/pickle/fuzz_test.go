package pickle

import (
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"unicode/utf8"
)

// fuzzLimits keep one input of the fuzzer fast.
var fuzzLimits = Limits{Input: 1 << 16, Work: 5_000_000, Memory: 1 << 20, Depth: 200, IntDigits: 5000, Output: 1 << 20}

func seed(f *testing.F) {
	for _, v := range readVectors(f) {
		for _, b := range v.Pickles {
			if len(b) < 2000 {
				f.Add(b)
			}
		}
	}
	for _, tt := range decodeTests {
		f.Add([]byte(tt.in))
	}
	for _, tt := range refusalTests {
		f.Add([]byte(tt.in))
	}
}

// FuzzDecode: any input gives a value or one of the two errors, and a value has a plain form, which is JSON.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := fuzzLimits.Decode(b)
		if err != nil {
			var syntax *SyntaxError
			var limit *LimitError
			if !errors.As(err, &syntax) && !errors.As(err, &limit) {
				t.Fatalf("an error of type %T: %v", err, err)
			}
			if syntax != nil && (syntax.Offset < 0 || syntax.Offset > len(b)) {
				t.Fatalf("offset %d of %d bytes", syntax.Offset, len(b))
			}
			return
		}
		c := newConverter(Limits{Text: 1 << 20, Work: 500_000})
		if c.value(v, 0); !json.Valid(c.b) || !utf8.Valid(c.b) {
			t.Fatalf("not JSON: %.200q", c.b)
		}
		whole := Limits{Text: 1 << 20}
		text, _, err := whole.JSON(v)
		if size, err2 := whole.Measure(v); size != len(text) || (err == nil) != (err2 == nil) {
			t.Fatalf("measured as %d bytes and %v, written as %d and %v", size, err2, len(text), err)
		}
	})
}

// FuzzRoundTrip: what decodes can be encoded, and decodes to the same then.
func FuzzRoundTrip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := fuzzLimits.Decode(b); err == nil {
			roundTrip(t, v)
		}
	})
}

func roundTrip(t *testing.T, v any) {
	t.Helper()
	for p := 2; p <= 5; p++ {
		encoded, err := EncodeOptions{Protocol: p, Limits: fuzzLimits}.Encode(v)
		var limit *LimitError
		var unsupported *UnsupportedError
		if errors.As(err, &limit) || p < 4 && errors.As(err, &unsupported) {
			continue // a cycle can be deeper than it looks; old protocols have no form for odd names
		}
		if err != nil {
			t.Fatalf("protocol %d: encode: %v", p, err)
		}
		again, err := Limits{}.Decode(encoded)
		if err != nil {
			t.Fatalf("protocol %d: decode again: %v\n%q", p, err, encoded)
		}
		if d := difference(v, again); d != "" {
			t.Fatalf("protocol %d: %s\n%q", p, d, encoded)
		}
	}
}

// unlucky are the errors that a program can't foresee.
var unlucky = regexp.MustCompile("unhashable|can't be|second state")

// FuzzProgram does the same with streams that are programs by construction, as random bytes seldom get far: each
// byte chooses what to do next.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{8, 20, 0, 20, 1, 11, 21, 2, 12, 9, 3, 10})
	f.Add([]byte{15, 16, 17, 18, 5, 5, 5, 14, 20, 30, 13, 9, 4})
	f.Fuzz(func(t *testing.T, choices []byte) {
		p := program{choices: choices}
		b := p.write()
		v, err := fuzzLimits.Decode(b)
		if err != nil {
			var limit *LimitError
			if errors.As(err, &limit) || unlucky.MatchString(err.Error()) {
				return
			}
			t.Fatalf("%v\n%q", err, b)
		}
		roundTrip(t, v)
	})
}
