package frappe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// judge lets Python render JSON texts as frappe.as_json does, one NUL-ended answer per line of input.
func judge(t *testing.T, texts []string) []string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is needed as the judge")
		}
		t.Skip("python3 is needed as the judge")
	}
	cmd := exec.Command(python, "-c", `
import json, sys
for line in sys.stdin.buffer.read().split(b"\n"):
    v = json.loads(line)
    sys.stdout.write(json.dumps(v, indent=1, sort_keys=True, separators=(",", ": ")) + "\0")
`)
	cmd.Stdin = strings.NewReader(strings.Join(texts, "\n"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, stderr.Bytes())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func compactJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

func TestAsJSONAgainstPython(t *testing.T) {
	texts := []string{
		`null`, `true`, `false`, `0`, `-0`, `-0.0`, `7`, `-12`, `123456789012345678901234567890`,
		`1.0`, `0.1`, `1e5`, `1E400`, `-1e400`, `1e15`, `1e16`, `123456789012345680.0`, `1e22`, `0.0001`, `0.00001`, `5e-324`,
		`1.7976931348623157e308`, `100.0`, `2.5e-7`, `1e-400`,
		`""`, `"a b"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000\u001f\u007f\u0080"`, `"é ü ß"`, `"日本"`, `"😀"`, `"<script>&amp;</script>"`, `"\u2028\u2029"`,
		`[]`, `{}`, `[[]]`, `[{}]`, `{"a": []}`, `{"a": {}}`, `[1,[2,[3]]]`,
		`{"b": [1], "a": {"x": "é"}, "e": {}}`,
		`{"é": 1, "z": 2, "Z": 3, "": 4, "😀": 5, "\uffff": 6, "a\nb": 7}`,
		`{"invoice": "INV-1", "copies": 2, "ratio": 0.30000000000000004, "when": "2025-11-23 10:00:00.123456"}`,
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		f := math.Float64frombits(r.Uint64())
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			texts = append(texts, fmt.Sprintf("%.17e", f))
		}
		texts = append(texts, fmt.Sprintf("%g", float64(r.IntN(100000))/1000))
	}
	for range 300 {
		texts = append(texts, compactJSON(randomValue(r, 4)))
	}
	for i, want := range judge(t, texts) {
		got, err := AsJSON(json.RawMessage(texts[i]))
		if err != nil {
			t.Fatalf("AsJSON(%s): %v", texts[i], err)
		}
		if string(got) != want {
			t.Errorf("AsJSON(%s)\n got %q\nwant %q", texts[i], got, want)
		}
	}
}

func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(8); {
	case n == 0:
		return r.Int64() - math.MaxInt64/2
	case n == 1:
		return r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))
	case n == 2:
		return r.IntN(2) == 0
	case n == 3 || depth == 0:
		return randomText(r)
	case n < 6:
		items := make([]any, r.IntN(4))
		for i := range items {
			items[i] = randomValue(r, depth-1)
		}
		return items
	default:
		m := map[string]any{}
		for range r.IntN(5) {
			m[randomText(r)] = randomValue(r, depth-1)
		}
		return m
	}
}

func randomText(r *rand.Rand) string {
	alphabet := []rune("abcXYZ01 \"\\/<>&\n\t\x01\x7féßж日\ufffd\U0001F600\U0010FFFF")
	runes := make([]rune, r.IntN(6))
	for i := range runes {
		runes[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(runes)
}

func TestAsJSONOfGoValues(t *testing.T) {
	type nested struct {
		B int    `json:"b"`
		A string `json:"a"`
	}
	clock := time.Date(2025, 11, 23, 10, 0, 0, 123456000, time.FixedZone("IST", 19800))
	for name, tc := range map[string]struct {
		v    any
		want string
	}{
		"int":               {3, "3"},
		"uint8":             {uint8(200), "200"},
		"uint64":            {uint64(math.MaxUint64), "18446744073709551615"},
		"big":               {new(big.Int).Lsh(big.NewInt(1), 70), "1180591620717411303424"},
		"float":             {2.0, "2.0"},
		"float32":           {float32(0.5), "0.5"},
		"nan":               {math.NaN(), "NaN"},
		"inf":               {[]any{math.Inf(1), math.Inf(-1)}, "[\n Infinity,\n -Infinity\n]"},
		"strings":           {[]string{"a"}, "[\n \"a\"\n]"},
		"map of ints":       {map[string]int{"b": 1, "a": 2}, "{\n \"a\": 2,\n \"b\": 1\n}"},
		"named map":         {Config{"a": 1.0}, "{\n \"a\": 1.0\n}"},
		"struct":            {nested{1, "<x>"}, "{\n \"a\": \"<x>\",\n \"b\": 1\n}"},
		"nil slice":         {[]any(nil), "[]"},
		"nil map":           {map[string]any(nil), "{}"},
		"raw":               {json.RawMessage(` {"b" : 1.50} `), "{\n \"b\": 1.5\n}"},
		"datetime":          {clock, `"2025-11-23 10:00:00.123456"`},
		"datetime, seconds": {clock.Truncate(time.Second), `"2025-11-23 10:00:00"`},
		"lone surrogate":    {"a\xed\xa0\x80b", `"a\ud800b"`},
		"invalid utf-8":     {"a\xffb", `"a\ufffdb"`},
		"json numbers":      {[]any{json.Number("-0"), json.Number("1e2")}, "[\n 0,\n 100.0\n]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AsJSON(tc.v)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAsJSONRefuses(t *testing.T) {
	deep := any("x")
	for range maxJSONDepth + 2 {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"channel":      make(chan int),
		"broken raw":   json.RawMessage(`{"a":`),
		"no number":    json.Number("abc"),
		"no float":     json.Number("1.x"),
		"too deep":     deep,
		"inner failed": map[string]any{"a": []any{make(chan int)}},
	} {
		if b, err := AsJSON(v); err == nil {
			t.Errorf("%s: no error, got %q", name, b)
		}
	}
}
