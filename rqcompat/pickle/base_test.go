package pickle

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// subclassed is a line of testdata/pickle/subclasses.py.
type subclassed struct {
	Name     string
	JSON     string
	Keywords *string
	Pickles  [][]byte
}

// readSubclassed has Python write objects of subclasses of built-in types.
func readSubclassed(t *testing.T) (lines []subclassed) {
	t.Helper()
	cmd := exec.Command(python(t), "subclasses.py")
	cmd.Dir, cmd.Stderr = vectorDir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("subclasses.py: %v", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var line subclassed
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) < 20 {
		t.Fatalf("%d values, want at least 20", len(lines))
	}
	return lines
}

// TestSubclassesAreWhatPythonTakesThemFor: as values they are what json.dumps writes, and as keyword arguments what a
// Python function gets.
func TestSubclassesAreWhatPythonTakesThemFor(t *testing.T) {
	// Nothing in these pickles says what the class derives from.
	untold := []string{"empty tuple subclass"}
	for _, line := range readSubclassed(t) {
		for protocol, b := range line.Pickles {
			v, err := Decode(b)
			if err != nil {
				t.Errorf("%s, protocol %d: %v", line.Name, protocol, err)
				continue
			}
			if text, _, err := (Limits{}).JSON(v); (err != nil || string(text) != line.JSON) && !slices.Contains(untold, line.Name) {
				t.Errorf("%s, protocol %d: JSON is %s (%v), Python's %s", line.Name, protocol, text, err, line.JSON)
			}
			d, ok := Keywords(v)
			if ok != (line.Keywords != nil) {
				t.Errorf("%s, protocol %d: can be keyword arguments: %v, want %v", line.Name, protocol, ok, !ok)
			}
			if !ok || line.Keywords == nil {
				continue
			}
			if text, _ := JSON(d); string(text) != *line.Keywords {
				t.Errorf("%s, protocol %d: keyword arguments %s, Python's function gets %s", line.Name, protocol, text, *line.Keywords)
			}
			for _, p := range d.Items {
				if _, isText := p.Key.(string); !isText {
					t.Errorf("%s, protocol %d: a keyword is a %T, want a string", line.Name, protocol, p.Key)
				}
			}
		}
	}
}

// TestBaseLeavesTheRest: what tells nothing of its class stays an object.
func TestBaseLeavesTheRest(t *testing.T) {
	for name, v := range map[string]any{
		"an Enum":              object("m.Color", int64(1)),
		"a document":           withState(&Object{How: NewObj, Callable: global("m", "Doc"), Args: &Tuple{}}, &Dict{[]Pair{{"a", nil}}}),
		"items and entries":    &Object{How: NewObj, Callable: global("m", "C"), Args: &Tuple{}, Items: []any{nil}, Pairs: []Pair{{"a", nil}}},
		"a list":               &List{},
		"a call with items":    &Object{How: Reduce, Callable: global("collections", "deque"), Args: &Tuple{}, Items: []any{nil}},
		"keyword constructors": &Object{How: NewObjEx, Callable: global("m", "C"), Args: &Tuple{[]any{"x"}}, Kwargs: &Dict{}},
	} {
		if got := Base(v); got != v {
			t.Errorf("%s is taken for %#v", name, got)
		}
		if _, ok := Keywords(v); ok {
			t.Errorf("%s is taken for keyword arguments", name)
		}
	}
}

// TestWhatASubclassLoses is named.
func TestWhatASubclassLoses(t *testing.T) {
	v := withState(&Object{How: NewObj, Callable: global("m", "S"), Args: &Tuple{[]any{"text"}}}, &Dict{[]Pair{{"note", "x"}}})
	_, lossy := JSON(&Dict{[]Pair{{"a", v}}})
	if want := []string{"$.a: m.S written as a str", "$.a: attributes of a str dropped"}; !slices.Equal(lossy, want) {
		t.Errorf("lossy %q, want %q", lossy, want)
	}
}

// TestPythonJSON: what json.dumps writes is written, to the byte, and what it refuses is refused.
func TestPythonJSON(t *testing.T) {
	for want, v := range map[string]any{
		`null`: nil, `true`: true, `12345678901234567890`: bigInt("12345678901234567890"), `[1, 2.0, 1e+16, NaN, Infinity, -Infinity]`: []any{1, 2.0, 1e16, math.NaN(), math.Inf(1), math.Inf(-1)},
		`"gr\u00fc\u00dfe \ud83d\ude80 \u007f \b\f\n\r\t\"\\ \u0001 <"`: "grüße 🚀 \x7f \b\f\n\r\t\"\\ \x01 <", `"\ud800"`: "\xed\xa0\x80",
		`{"a": [], "b": {}, "1": "x", "null": null}`: &Dict{[]Pair{{"a", &List{}}, {"b", &Dict{}}, {int64(1), "x"}, {nil, nil}}},
		`{"d": {"k": "v"}, "t": [1]}`:                &Dict{[]Pair{{"d", withPairs(object("frappe._dict"), Pair{"k", "v"})}, {"t", &Tuple{[]any{int64(1)}}}}},
	} {
		if got, err := PythonJSON(v); err != nil || string(got) != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
	}
	var unsupported *UnsupportedError
	loop := &List{}
	loop.Items = []any{loop}
	for name, v := range map[string]any{
		"bytes": Bytes("x"), "a set": &Set{}, "a function": global("m", "f"), "an object": object("m.C"), "a date": object("datetime.date", Bytes("\x07\xe8\x02\x1d")),
		"a tuple as key": &Dict{[]Pair{{&Tuple{[]any{"x"}}, nil}}}, "a cycle": loop, "a channel": make(chan int),
	} {
		if got, err := PythonJSON(v); !errors.As(err, &unsupported) || got != nil {
			t.Errorf("%s: %s (%v), want an UnsupportedError", name, got, err)
		}
	}
}
