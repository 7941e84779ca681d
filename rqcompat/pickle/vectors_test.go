package pickle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const vectorDir = "../../testdata/pickle"

// vector is a line of vectors.jsonl: one value, pickled by CPython in protocols 0 to 5 and three variants.
type vector struct {
	Name    string   `json:"name"`
	Repr    string   `json:"repr"`
	Pickles [][]byte `json:"pickles"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open(filepath.Join(vectorDir, "vectors.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("line %d: %v", len(out)+1, err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// python returns the interpreter. A laptop may lack it, CI may not.
func python(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("python3 is not installed")
		}
		t.Fatal("python3 is not installed: apt-get install python3")
	}
	return path
}

// judged is one round trip as testdata/pickle/judge.py reads and answers it.
type judged struct {
	Name     string            `json:"name"`
	Original []byte            `json:"original,omitempty"`
	Encoded  map[string][]byte `json:"encoded,omitempty"`
	JSON     string            `json:"json,omitempty"`
	Pickles  int               `json:"pickles,omitempty"`
	Errors   []string          `json:"errors,omitempty"`
}

func roundTrips(t *testing.T, v vector) []judged {
	t.Helper()
	var out []judged
	for i, b := range v.Pickles {
		if b == nil {
			continue
		}
		name := v.Name + " #" + strconv.Itoa(i)
		value, err := Decode(b)
		if err != nil {
			t.Errorf("%s: decode: %v", name, err)
			continue
		}
		text, _ := JSON(value)
		c := judged{Name: name, Original: b, Encoded: map[string][]byte{}, JSON: string(text)}
		for p := 2; p <= 5; p++ {
			encoded, err := EncodeOptions{Protocol: p}.Encode(value)
			if err != nil {
				t.Errorf("%s: encode in protocol %d: %v", name, p, err)
				continue
			}
			c.Encoded[strconv.Itoa(p)] = encoded
		}
		out = append(out, c)
	}
	return out
}

// judge runs judge.py once over all cases, which are JSON lines.
func judge(t *testing.T, interpreter string, cases []byte) []judged {
	t.Helper()
	cmd := exec.Command(interpreter, "judge.py")
	cmd.Dir, cmd.Stdin, cmd.Stderr = vectorDir, bytes.NewReader(cases), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("judge.py: %v", err)
	}
	var out []judged
	answers := json.NewDecoder(bytes.NewReader(answer))
	for answers.More() {
		var c judged
		if err := answers.Decode(&c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestVectors has Python compare what it wrote with what we made of it.
func TestVectors(t *testing.T) {
	interpreter := python(t)
	var cases bytes.Buffer
	written := json.NewEncoder(&cases)
	want, complete := 0, 0
	for _, v := range readVectors(t) {
		trips := roundTrips(t, v)
		for _, c := range trips {
			want += len(c.Encoded)
			if err := written.Encode(c); err != nil {
				t.Fatal(err)
			}
		}
		if len(v.Pickles) == 9 && len(trips) == 9 {
			complete++
		}
	}
	if complete < 78 {
		t.Errorf("%d values in all protocols, want at least 78", complete)
	}
	got := 0
	for _, c := range judge(t, interpreter, cases.Bytes()) {
		got += c.Pickles
		for _, e := range c.Errors {
			t.Errorf("%s: %s", c.Name, e)
		}
	}
	if got != want || got < 78*6*4 {
		t.Errorf("%d round trips judged, want %d and at least %d", got, want, 78*6*4)
	}
	t.Logf("%d values, %d round trips judged", complete, got)
}

// TestDecodeLikePython has Python judge the streams of decodeTests as well. Some name a module that doesn't exist
// or a memo index that Python has no memory for.
func TestDecodeLikePython(t *testing.T) {
	interpreter := python(t)
	var cases bytes.Buffer
	for _, tt := range decodeTests {
		for _, c := range roundTrips(t, vector{Name: tt.name, Pickles: [][]byte{[]byte(tt.in)}}) {
			if err := json.NewEncoder(&cases).Encode(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	onlyHere := []string{
		"PUT far away #0", "PUT beyond 32 bits #0", "STACK_GLOBAL #0", "getattr of a global #0", "name that ends in a dot #0", "INST #0", "OBJ #0",
		"NEWOBJ_EX #0", "BUILD #0", "copyreg.__newobj__ #0",
	}
	for _, c := range judge(t, interpreter, cases.Bytes()) {
		if slices.Contains(onlyHere, c.Name) {
			if len(c.Errors) != 1 || !strings.HasPrefix(c.Errors[0], "original: M") {
				t.Errorf("%s: %q, want ModuleNotFoundError or MemoryError", c.Name, c.Errors)
			}
		} else if len(c.Errors) > 0 {
			t.Errorf("%s: %q", c.Name, c.Errors)
		}
	}
}

// TestManyRemembered has more remembered strings than one byte can number: CPython reads each of them twice.
func TestManyRemembered(t *testing.T) {
	interpreter := python(t)
	v := &List{}
	for range 2 {
		for i := range 300 {
			v.Items = append(v.Items, "remembered string "+strconv.Itoa(i))
		}
	}
	for i := range 300 { // the same string, not an equal one
		v.Items[300+i] = v.Items[i]
	}
	original, err := json.Marshal(v.Items)
	if err != nil {
		t.Fatal(err)
	}
	for p := 2; p <= 5; p++ {
		encoded, err := EncodeOptions{Protocol: p}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(encoded, []byte("remembered")); n != 300 {
			t.Errorf("protocol %d writes %d strings, want each of the 300 once", p, n)
		}
		cmd := exec.Command(interpreter, "-c", "import json, pickle, sys; print(json.dumps(pickle.load(sys.stdin.buffer)))")
		cmd.Stdin, cmd.Stderr = bytes.NewReader(encoded), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("protocol %d: Python can't read it: %v", p, err)
		} else if got := bytes.ReplaceAll(bytes.TrimSpace(out), []byte(", "), []byte(",")); !bytes.Equal(got, original) {
			t.Errorf("protocol %d: Python reads\n%.300s\nwant\n%.300s", p, got, original)
		}
		if got, err := Decode(encoded); err != nil || difference(v, got) != "" {
			t.Errorf("protocol %d: decodes to something else, %v: %s", p, err, difference(v, got))
		}
	}
}

// TestJudge sees to it that the judge finds what it is there to find.
func TestJudge(t *testing.T) {
	shared := &List{[]any{"x"}}
	tests := []struct {
		name              string
		original, encoded any
	}{
		{"type", int64(1), true},
		{"number", int64(1), int64(2)},
		{"sign of zero", 0.0, math.Copysign(0, -1)},
		{"text", "a", "b"},
		{"bytes for text", "a", Bytes("a")},
		{"list for tuple", &Tuple{[]any{int64(1)}}, &List{[]any{int64(1)}}},
		{"order", &Dict{[]Pair{{"a", nil}, {"b", nil}}}, &Dict{[]Pair{{"b", nil}, {"a", nil}}}},
		{"set for frozenset", &FrozenSet{[]any{"a"}}, &Set{[]any{"a"}}},
		{"member", &Set{[]any{"a"}}, &Set{[]any{"b"}}},
		{"sharing lost", &List{[]any{shared, shared}}, &List{[]any{&List{[]any{"x"}}, &List{[]any{"x"}}}}},
		{"sharing made up", &List{[]any{&List{[]any{"x"}}, &List{[]any{"x"}}}}, &List{[]any{shared, shared}}},
		{"class", global("frappe", "_dict"), global("frappe.types.frappedict", "_dict")},
		{"state", user("jane"), user("john")},
		{"missing item", &List{[]any{nil}}, &List{}},
	}
	interpreter := python(t)
	var cases bytes.Buffer
	for _, tt := range tests {
		original, err := Encode(tt.original)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := Encode(tt.encoded)
		if err != nil {
			t.Fatal(err)
		}
		c := judged{Name: tt.name, Original: original, Encoded: map[string][]byte{"4": encoded}, JSON: "null"}
		if err := json.NewEncoder(&cases).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range judge(t, interpreter, cases.Bytes()) {
		if !slices.ContainsFunc(c.Errors, func(e string) bool { return strings.HasPrefix(e, "to protocol 4: Different") }) {
			t.Errorf("%s: the judge sees no difference: %q", c.Name, c.Errors)
		}
	}
}

func global(module, name string) *Global { return &Global{module, name} }

func user(name string) *Object {
	return &Object{
		How: NewObj, Callable: global("frappe.core.doctype.user.user", "User"), Args: &Tuple{},
		HasState: true, State: &Dict{[]Pair{{"name", name}}},
	}
}

// TestVectorsCut cuts each pickle at every place: a part is an error, never a panic.
func TestVectorsCut(t *testing.T) {
	for _, v := range readVectors(t) {
		for i, b := range v.Pickles {
			for n := 0; n < len(b); n += 1 + len(b)/100 {
				if _, err := Decode(b[:n]); err == nil {
					t.Fatalf("%s #%d: the first %d of %d bytes decode", v.Name, i, n, len(b))
				}
			}
		}
	}
}
