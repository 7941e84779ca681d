package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// picky is a type of a handler that says too much.
type picky struct{}

func (*picky) UnmarshalJSON(b []byte) error { return fmt.Errorf("I don't like %s", b) }

// cut is one that wants more.
type cut struct{}

func (*cut) UnmarshalJSON(b []byte) error {
	return fmt.Errorf("%s ends too early: %w", b, io.ErrUnexpectedEOF)
}

func TestParamsErrorsNameTheFieldAndNotTheValue(t *testing.T) {
	type inner struct {
		Year int
	}
	type params struct {
		Year  int             `json:"year"`
		When  time.Time       `json:"when"`
		Inner inner           `json:"inner"`
		Count int             `json:"count,string"`
		Map   map[int]string  `json:"map"`
		Any   json.RawMessage `json:"any"`
		Big   *big.Int        `json:"big"`
		Digit json.Number     `json:"digit"`
		Own   picky           `json:"own"`
		Cut   cut             `json:"cut"`
		Small int8            `json:"small"`
	}
	tests := map[string]struct {
		json   string
		strict bool
		want   string
	}{
		"wrong type":          {`{"year": "s3cret"}`, false, `parameters of "export" don't fit its handler: "year" is a JSON string, which a int can't hold`},
		"a fraction":          {`{"year": 53.5}`, false, `"year" is a JSON number, which a int can't hold`},
		"inside":              {`{"inner": {"Year": "s3cret"}}`, false, `"inner.Year" is a JSON string`},
		"a key":               {`{"map": {"s3cret": "x"}}`, false, "is a JSON number, which a int can't hold"},
		"a key of words":      {`{"map": {"12 s3cret words": "x"}}`, false, "is a JSON number, which a int can't hold"},
		"a large number":      {`{"big": "s3cret"}`, false, `"big" has a value that its type refuses`},
		"a number as text":    {`{"digit": "s3cret"}`, false, `"digit" has a value that its type refuses`},
		"a handler's type":    {`{"year": 1, "own": {"password": "s3cret"}}`, false, `"own" has a value that its type refuses`},
		"one that wants more": {`{"cut": "s3cret"}`, false, `"cut" has a value that its type refuses`},
		"a number too large":  {`{"small": 5353}`, false, `"small" is a JSON number, which a int8 can't hold`},
		"an odd one":          {`{"year": s3cret}`, false, "it is not JSON at byte "},
		"a list":              {`["s3cret"]`, false, `the whole is a JSON array, which a job.params can't hold`},
		"a time":              {`{"when": "s3cret"}`, false, `not a time.Time such as 2024-02-29T23:59:59Z; what Python sends fits a bridge.Datetime`},
		"a tag":               {`{"count": "s3cret"}`, false, `",string"`},
		"unknown":             {`{"yaer": 53}`, true, `unknown field "yaer"`},
		"more than one":       {`{} {"year": 53}`, false, "more than one JSON value"},
		"not JSON":            {`{"year": `, false, "unexpected EOF"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Params[params]("export", json.RawMessage(tc.json), tc.strict)
			var misfit *ParamsError
			if !errors.As(err, &misfit) || misfit.Handler != "export" || Classify(err) != Permanent {
				t.Fatalf("error %#v, want a permanent *ParamsError", err)
			}
			if text := err.Error(); !strings.Contains(text, tc.want) || strings.Contains(text, "s3cret") || strings.Contains(text, "53") {
				t.Errorf("error %q, want one that says %q and shows no value", text, tc.want)
			}
		})
	}
}

func TestParamsThatFit(t *testing.T) {
	type params struct{ Year int }
	for text, want := range map[string]int{``: 0, `{}`: 0, `null`: 0, `{"Year": 5}`: 5, `{"year": 5, "other": 1}`: 5} {
		if p, err := Params[params]("x", json.RawMessage(text), false); err != nil || p.Year != want {
			t.Errorf("%q: %+v, %v; want %d", text, p, err, want)
		}
	}
}

// bad panics when it is encoded.
type bad struct{}

func (bad) MarshalJSON() ([]byte, error) { panic("on purpose") }

func TestEncodeResult(t *testing.T) {
	type result struct {
		Rows int64 `json:"rows"`
	}
	for name, tc := range map[string]struct {
		result any
		want   string // what RQ's result holds, as JSON
		fails  bool
	}{
		"plain":     {[]any{1, "x"}, `[1,"x"]`, false},
		"a struct":  {result{1 << 60}, `{"rows":1152921504606846976}`, false},
		"a channel": {make(chan int), `"Unserializable return value"`, true},
		"panics":    {bad{}, `"Unserializable return value"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := EncodeResult(tc.result, rqcompat.PickleSerializer)
			if (err != nil) != tc.fails {
				t.Errorf("error %v, want one: %t", err, tc.fails)
			}
			v, err := rqcompat.DecodeResult(encoded)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := pickle.JSON(v)
			if got := string(text); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if encoded, err := EncodeResult(nil, rqcompat.PickleSerializer); encoded != "" || err != nil {
		t.Errorf("nothing: %q, %v; want nothing", encoded, err)
	}
}

func TestPercent(t *testing.T) {
	for in, want := range map[float64]float64{-1: 0, 0: 0, 40.5: 40.5, 100: 100, 101: 100, math.Inf(1): 100} {
		if got := Percent(in); got != want {
			t.Errorf("Percent(%g) = %g, want %g", in, got, want)
		}
	}
	if got := Percent(math.NaN()); got != 0 {
		t.Errorf("Percent(NaN) = %g, want 0", got)
	}
}

// TestStrictParamsKnowTheBridgesOwn argument, wherever it stands, but only at the top and only for who lacks the field.
func TestStrictParamsKnowTheBridgesOwn(t *testing.T) {
	type report struct{ Year int }
	type own struct{ Organization string }
	for _, text := range []string{
		`{"organization": "O", "year": 7}`, `{"year": 7, "organization": "O"}`, `{"year": 7}`,
	} {
		if p, err := Params[report]("h", []byte(text), true); err != nil || p.Year != 7 {
			t.Errorf("%s is %+v (%v), want the year 7", text, p, err)
		}
	}
	if p, err := Params[own]("h", []byte(`{"organization": "O"}`), true); err != nil || p.Organization != "O" {
		t.Errorf("a handler with a field for the organization gets %+v (%v), want O", p, err)
	}
	for _, text := range []string{`{"organization": "O", "yaer": 7}`, `{"organization": "O", "function": "f"}`, `{"year": 7, "organisation": "O"}`} {
		if _, err := Params[report]("h", []byte(text), true); err == nil {
			t.Errorf("%s is taken by a strict handler that has no such field", text)
		}
	}
}

func TestJSONEscapesNoHTML(t *testing.T) {
	b, err := JSON(map[string]string{"a": "<&>"})
	if err != nil || string(b) != `{"a":"<&>"}` {
		t.Errorf("%s, %v; want it as it is, and no line end", b, err)
	}
	if _, err := JSON(make(chan int)); err == nil {
		t.Error("a channel has JSON")
	}
}
