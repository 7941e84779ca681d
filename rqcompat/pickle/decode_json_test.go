package pickle

import (
	"errors"
	"math"
	"strings"
	"testing"
)

var jsonTexts = []string{
	`null`, ` true `, "\t\n\rfalse", `0`, `-0`, `12`, `-9223372036854775808`, `9223372036854775807`, `9223372036854775808`, `1.0`, `-1.5e3`, `1E400`, `-1e-400`,
	`1e5`, `0.1`, `123456789012345678901234567890`, `NaN`, `Infinity`, `-Infinity`, `[NaN, Infinity]`, `-NaN`, `Infinity1`, `01`, `1.`, `.5`, `1e`, `1e+`, `+1`, `-`, `1_0`, `0x1`,
	`""`, `"a"`, `"ü😀"`, `"\u00fc\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, `"\ud800x"`, `"\"\\\/\b\f\n\r\t"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\u+123"`, "\"\n\"", "\"\x7f\"", "\"\xff\"",
	"\"\xed\xa0\x80\"", `"a`, `"\`, `"`, "\ufeff1", ``, ` `, `[`, `[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[[[[]]]]`, `{}`, `{ }`, `{"a": 1, "b": [2]}`, `{"a":1,"a":2}`, `{"a":1,}`,
	`{a:1}`, `{1:2}`, `{"a" 1}`, `{"a":}`, `{"a":1 "b":2}`, `{"b":1,"a":2,"b":3}`, `1 2`, `null x`, `nul`, `True`, `'a'`, `[1] ]`, `// 1`,
	`{"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"k10":10,"k9":11,"k1":12}`,
}

// TestDecodeJSONIsAsPython: what Python reads is read as the same, what it refuses is refused.
func TestDecodeJSONIsAsPython(t *testing.T) {
	p := startBeside(t)
	for _, text := range jsonTexts {
		sameJSON(t, p, text)
	}
}

func sameJSON(t *testing.T, p *beside, text string) {
	t.Helper()
	b := []byte(text)
	want := p.judge(t, besideCase{JSON: &b})
	v, _, err := Limits{}.DecodeJSON(b)
	if want.Error != "" {
		if syntax := (*SyntaxError)(nil); !errors.As(err, &syntax) || !syntax.JSON || syntax.Offset > len(text) {
			t.Errorf("%.200q is read as %v (%v), and Python refuses it: %s", text, v, err, want.Error)
		}
		return
	}
	expected, err2 := Decode(want.Pickle)
	if limit := (*LimitError)(nil); errors.As(err, &limit) {
		return
	}
	if err != nil || err2 != nil {
		t.Errorf("%.200q: %v, and what Python makes of it: %v", text, err, err2)
		return
	}
	if d := difference(expected, v); d != "" {
		t.Errorf("%.200q: %s", text, d)
	}
	if !IsJSON(b) {
		t.Errorf("%.200q is not known as JSON", text)
	}
}

func TestDecodeJSONLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits Limits
		in     string
		limit  string
	}{
		{"depth", Limits{Depth: 10}, strings.Repeat("[", 12) + strings.Repeat("]", 12), "levels of depth"},
		{"digits", Limits{}, strings.Repeat("7", 20_000_000), "digits of an integer"},
		{"digits of many", Limits{}, "[" + strings.Repeat(strings.Repeat("7", 90_000)+",", 200) + "1]", "work"},
		{"memory", Limits{Memory: 1000}, "[" + strings.Repeat("{},", 100) + "1]", "memory"},
		{"work", Limits{Work: 1000}, "[" + strings.Repeat("1,", 100) + "1]", "work"},
		{"input", Limits{Input: 10}, `"12345678901"`, "input bytes"},
	} {
		_, _, err := tt.limits.DecodeJSON([]byte(tt.in))
		if limit := (*LimitError)(nil); !errors.As(err, &limit) || limit.Limit != tt.limit {
			t.Errorf("%s: %v, want the limit %q", tt.name, err, tt.limit)
		}
	}
}

// TestNoPickleStartsAsJSON, so that the first byte tells.
func TestNoPickleStartsAsJSON(t *testing.T) {
	for c := range 256 {
		if start := []byte{byte(c), '.'}; IsJSON(start) {
			if v, err := Decode(start); err == nil {
				t.Errorf("%q is the pickle of %v", start, v)
			}
		}
	}
	for _, start := range []string{"NaN.", "Infinity\n."} {
		if v, err := Decode([]byte(start)); err == nil {
			t.Errorf("%q is the pickle of %v", start, v)
		}
	}
	if v, _, err := (Limits{}).DecodeJSON([]byte("NaN")); err != nil || !math.IsNaN(v.(float64)) {
		t.Errorf("NaN is %v (%v)", v, err)
	}
}
