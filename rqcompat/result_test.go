package rqcompat_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func TestDecodeResult(t *testing.T) {
	for in, want := range map[string]any{
		"":                             nil,
		"gAVLAy4=":                     int64(3),
		"gAWVBgAAAAAAAACMAm9rlC4=":     "ok",
		"gAWILg==":                     true,
		"gAWVCgAAAAAAAABHP/gAAAAAAAAu": 1.5,
		"gAWVCQAAAAAAAABdlChLAUsCZS4=": &pickle.List{Items: []any{int64(1), int64(2)}},
		"gAWVCgAAAAAAAAB9lIwBYZRLAXMu": &pickle.Dict{Items: []pickle.Pair{{Key: "a", Value: int64(1)}}},
		"Mw==":                         int64(3),
		"eyJhIjogWzEsICJiIl19":         &pickle.Dict{Items: []pickle.Pair{{Key: "a", Value: &pickle.List{Items: []any{int64(1), "b"}}}}},
		base64.StdEncoding.EncodeToString([]byte("I7\n.")): int64(7),
	} {
		got, err := rqcompat.DecodeResult(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
	for _, in := range []string{"!", "AAAA", "gAVL"} {
		if got, err := rqcompat.DecodeResult(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestEncodeResult(t *testing.T) {
	for _, v := range []any{nil, int64(3), "größe", true, 1.5} {
		s, err := rqcompat.EncodeResult(v, rqcompat.PickleSerializer)
		if err != nil {
			t.Fatal(err)
		}
		if v == nil && s != "" {
			t.Errorf("None is %q, want no text", s)
		}
		got, err := rqcompat.DecodeResult(s)
		if err != nil || got != v {
			t.Errorf("%v came back as %v, %v", v, got, err)
		}
	}
	if s, err := rqcompat.EncodeResult(make(chan int), rqcompat.PickleSerializer); err == nil {
		t.Errorf("a channel became %q", s)
	}
}

func TestExcText(t *testing.T) {
	const python = "eJwLKUpMTk1KTM5W0MjNLy5RKEpNTs0rUUhOzMlRyEksLtG04lJQ0NPT4wpLzClNdS0qyi+yUkjKz8/lAgBHgRMW"
	const text = "Traceback (most recent call last):\n  ...\nValueError: boom\n"
	if got, err := rqcompat.DecodeExc(python); err != nil || got != text {
		t.Errorf("got %q, %v", got, err)
	}
	for _, in := range []string{"", text, "größe\n", strings.Repeat("line\n", 10000)} {
		if got, err := rqcompat.DecodeExc(rqcompat.EncodeExc(in)); err != nil || got != in {
			t.Errorf("%.20q came back as %.20q, %v", in, got, err)
		}
	}
	if got, _ := rqcompat.DecodeExc(rqcompat.EncodeExc("a\xffb")); got != "a\ufffdb" {
		t.Errorf("no UTF-8 became %q", got)
	}
	for _, in := range []string{"!", "AAAA", python[:20]} {
		if got, err := rqcompat.DecodeExc(in); err == nil {
			t.Errorf("%q: got %q, want an error", in, got)
		}
	}
}

func TestResults(t *testing.T) {
	b := newPeer(t, "2.10.0")
	const id = "a b|ü"
	if got, err := b.Results(b.ctx, id); err != nil || len(got) != 0 {
		t.Errorf("without a stream: %v, %v", got, err)
	}
	key := "rq:results:" + id
	b.do("XADD", key, "1795434264794-0", "type", "2", "exc_string", rqcompat.EncodeExc("boom\n"))
	b.do("XADD", key, "1795434264795-0", "type", "7", "return_value", "")
	b.do("XADD", key, "1795434264796-0", "type", "1", "worker_name", "w", "return_value", "gAVLAy4=", "execution_id", "x",
		"execution_started_at", "1795434264.5", "execution_ended_at", "1795434264.790012")
	got, err := b.Results(b.ctx, id)
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	at := time.Date(2026, 11, 23, 11, 44, 24, 0, time.UTC)
	want := rqcompat.Result{
		ID: "1795434264796-0", Type: rqcompat.ResultSuccessful, CreatedAt: at.Add(796 * time.Millisecond), WorkerName: "w",
		ReturnValue: []byte("\x80\x05K\x03."),
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("newest (-want +got):\n%s", diff)
	}
	if v, err := got[0].Value(); err != nil || v != int64(3) {
		t.Errorf("value %v, %v", v, err)
	}
	var fe *rqcompat.FieldError
	if !errors.As(got[1].Err, &fe) || !strings.Contains(got[1].Err.Error(), "results.type") || !strings.Contains(got[1].Err.Error(), "results.return_value") {
		t.Errorf("the broken entry has %v", got[1].Err)
	}
	if got[2].Type != rqcompat.ResultFailed || got[2].ExcString != "boom\n" || got[2].Err != nil {
		t.Errorf("oldest: %+v", got[2])
	}
	if v, err := got[2].Value(); err != nil || v != nil {
		t.Errorf("value of a failure: %v, %v", v, err)
	}
}

// TestJSONResults: Python's json.dumps writes floats that JSON lacks, also in texts where they are none.
func TestJSONResults(t *testing.T) {
	const python = `{"a": [NaN, Infinity, -Infinity, -1.5], "NaN": "Infinity \" NaN", "b": "\\"}`
	v, err := rqcompat.DecodeResult(base64.StdEncoding.EncodeToString([]byte(python)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := rqcompat.EncodeResult(v, rqcompat.JSONSerializer)
	if again, _ := base64.StdEncoding.DecodeString(s); err != nil || string(again) != python {
		t.Errorf("came back as %s (%v), want %s", again, err, python)
	}
	for _, in := range []string{`{"a": Nan}`, `NaNs`, `"NaN`} {
		if got, err := rqcompat.DecodeResult(base64.StdEncoding.EncodeToString([]byte(in))); err == nil {
			t.Errorf("%s: got %v, want an error", in, got)
		}
	}
}
