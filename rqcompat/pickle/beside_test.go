package pickle

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// beside is a running beside.py.
type beside struct {
	ask    *json.Encoder
	answer *json.Decoder
}

type besideCase struct {
	Pickle []byte  `json:"pickle,omitempty"`
	Again  []byte  `json:"again,omitempty"`
	JSON   *[]byte `json:"json,omitempty"`

	Error   string `json:"error,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

func startBeside(t testing.TB) *beside {
	t.Helper()
	cmd := exec.Command(python(t), "beside.py")
	cmd.Dir, cmd.Stderr = vectorDir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return &beside{json.NewEncoder(in), json.NewDecoder(out)}
}

func (p *beside) judge(t *testing.T, c besideCase) (answer besideCase) {
	t.Helper()
	if err := p.ask.Encode(c); err != nil {
		t.Fatal(err)
	}
	if err := p.answer.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// withinLimits is the oracle of a fuzzer: nothing costs more than the default limits, whatever became of it.
func withinLimits(t *testing.T, cost Cost, took time.Duration, err error) {
	t.Helper()
	l := Limits{}.resolve()
	// A step that goes beyond is charged before it is taken, and is in the cost all the same.
	if err == nil && (cost.Work > l.Work || cost.Memory > l.Memory) {
		t.Fatalf("costs %+v, and is accepted", cost)
	}
	if took > 20*200*time.Millisecond {
		t.Fatalf("takes %v of %+v", took, cost)
	}
	syntax, limit := (*SyntaxError)(nil), (*LimitError)(nil)
	if err != nil && !errors.As(err, &syntax) && !errors.As(err, &limit) {
		t.Fatalf("an error of type %T: %v", err, err)
	}
}

// FuzzBesidePython: no pickle of up to 64 KB costs more than the limits, and of what is accepted and is made of plain
// values Python's unpickler makes the same.
func FuzzBesidePython(f *testing.F) {
	seed(f)
	p := startBeside(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		start := time.Now()
		v, cost, err := Limits{}.DecodeCost(b)
		withinLimits(t, cost, time.Since(start), err)
		if err != nil || !isPlain(v) {
			return
		}
		start = time.Now()
		if _, err := (Limits{}).Measure(v); err != nil || time.Since(start) > 20*200*time.Millisecond {
			withinLimits(t, cost, time.Since(start), err)
		}
		again, err := Encode(v)
		if err != nil {
			return
		}
		if a := p.judge(t, besideCase{Pickle: b, Again: again}); a.Error != "" {
			t.Fatalf("%s\n%q", a.Error, b)
		}
	})
}

// isPlain reports whether nothing in v is a call or a name, and no nan is looked up by its identity, which it has in Python only.
func isPlain(v any) bool {
	seen := map[any]bool{}
	var walk func(v any) bool
	walk = func(v any) bool {
		switch v.(type) {
		case *Object, *Global:
			return false
		case *List, *Tuple, *Dict, *Set, *FrozenSet:
		default:
			return true
		}
		if seen[v] {
			return true
		}
		seen[v] = true
		items, pairs := contents(v)
		_, isList := v.(*List)
		_, isTuple := v.(*Tuple)
		for _, item := range items {
			if isNaN(item) && !isList && !isTuple || !walk(item) {
				return false
			}
		}
		for _, p := range pairs {
			if isNaN(p.Key) || !walk(p.Key) || !walk(p.Value) {
				return false
			}
		}
		return true
	}
	return walk(v)
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

// FuzzJSON compares with Python what it says of any text, within the limits.
func FuzzJSON(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add(text)
	}
	p := startBeside(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 || strings.Count(text, "[")+strings.Count(text, "{") > 900 {
			return // Python's own limit of depth lies elsewhere
		}
		start := time.Now()
		_, cost, err := Limits{}.DecodeJSON([]byte(text))
		withinLimits(t, cost, time.Since(start), err)
		sameJSON(t, p, text)
	})
}
