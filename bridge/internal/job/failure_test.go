package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// panics is an error that can't be read in one way or another.
type panics struct{ in string }

func (e panics) Error() string { e.check("Error"); return "odd" }
func (e panics) Unwrap() error { e.check("Unwrap"); return nil }
func (e panics) Is(error) bool { e.check("Is"); return false }
func (e panics) As(any) bool   { e.check("As"); return false }
func (e panics) check(in string) {
	if e.in == in {
		panic("no " + in + " of mine")
	}
}

// endless wraps itself, alone or twice.
type endless struct{ twice bool }

func (endless) Error() string { return "endless" }
func (e endless) Unwrap() []error {
	if e.twice {
		return []error{e, e}
	}
	return []error{e}
}

// chain wraps another one of its kind for ever.
type chain struct{}

func (*chain) Error() string { return "chain" }
func (*chain) Unwrap() error { return new(chain) }

func TestReadErrorOfAnOddOne(t *testing.T) {
	var typed *HTTPError
	self := map[string]any{}
	self["self"] = self
	odd := map[string]error{
		"typed nil": typed, "leads back": endless{}, "leads back twice": endless{twice: true}, "a chain without end": &chain{},
		"a chain in a tree": errors.Join(errors.New("x"), &chain{}), "panics with a map that contains itself": raises{self},
	}
	for _, in := range []string{"Error", "Unwrap", "Is", "As"} {
		odd[in] = panics{in}
		odd["wrapped "+in] = fmt.Errorf("%w; and %w", errors.New("x"), panics{in})
		odd["joined "+in] = errors.Join(errors.New("x"), errors.Join(errors.New("y"), panics{in}))
	}
	delete(odd, "wrapped Error") // fmt reads it, and says PANIC
	for name, err := range odd {
		t.Run(name, func(t *testing.T) {
			got := ReadError(err)
			if !strings.Contains(got.Text, "can't be read") || !strings.Contains(got.Text, fmt.Sprintf("%T", err)) {
				t.Errorf("%q, want a message that names the type %T", got.Text, err)
			}
			if got.Kind != Transient || got.Returned().Error() != got.Text || Traceback(got, "m") == "" {
				t.Errorf("what it became can't be worked with: %+v", got)
			}
		})
	}
}

// raises panics with a value when it is read.
type raises struct{ value any }

func (e raises) Error() string { panic(e.value) }

// TestReadErrorReadsOnce: what the engine does with an error that was read calls nothing of it.
func TestReadErrorReadsOnce(t *testing.T) {
	err := Mark(&shut{error: errors.New("boom")}, Permanent, 7*time.Second)
	f := ReadError(err)
	if inner, ok := errors.AsType[*shut](err); ok {
		inner.closed = true
	}
	if f.Returned() != err {
		t.Errorf("it was %v, want the error itself", f.Returned())
	}
	if again := ReadError(f); again != f {
		t.Errorf("read again it is %+v, want itself", again)
	}
	killed := f.Because(ErrKilled)
	for _, f := range []*Failure{f, killed} {
		if got := Classify(f); got != Permanent {
			t.Errorf("%s is %s, want permanent", f.Text, got)
		}
		if got := PauseAfter(f, RetryPolicy{}, 1); got != 7*time.Second {
			t.Errorf("%s: pause %s, want 7s", f.Text, got)
		}
		if got := Traceback(f, "m"); !strings.Contains(got, "bridge.PermanentError: ") || !strings.Contains(got, "boom") {
			t.Errorf("traceback\n%s", got)
		}
	}
	if killed.Text != ErrKilled.Error()+" (boom)" || !errors.Is(killed.Returned(), ErrKilled) {
		t.Errorf("because of a kill: %q", killed.Text)
	}
	if f := ReadError(nil); f != nil || f.Returned() != nil {
		t.Error("nil must stay nil")
	}
}

// shut panics in every method once it is closed.
type shut struct {
	error
	closed bool
}

func (e *shut) check() {
	if e.closed {
		panic("read again")
	}
}
func (e *shut) Error() string { e.check(); return e.error.Error() }
func (e *shut) Unwrap() error { e.check(); return e.error }
func (e *shut) Is(error) bool { e.check(); return false }
func (e *shut) As(any) bool   { e.check(); return false }

func TestReadErrorKeepsALongOneShort(t *testing.T) {
	f := ReadError(errors.New("start" + strings.Repeat("ä", 50<<20) + "end"))
	if len(f.Text) > 70<<10 || !strings.HasPrefix(f.Text, "startä") || !strings.HasSuffix(f.Text, "äend") || !strings.Contains(f.Text, "bytes left out") {
		t.Errorf("%d bytes from %.20q, want start and end and what is missing", len(f.Text), f.Text)
	}
	many := ReadError(errors.Join(slicesOf(5000, errors.New("row is wrong"))...))
	if strings.Contains(many.Text, "can't be read") {
		t.Errorf("5000 errors joined read %.100q", many.Text)
	}
}

func slicesOf(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// TestPanicValues: a value that a panic has is shown without walking into it.
func TestPanicValues(t *testing.T) {
	self := map[string]any{}
	self["self"] = self
	type point struct{ X, Y int }
	for want, v := range map[string]any{
		"oops": "oops", "7": 7, "boom": errors.New("boom"), "1s": time.Second,
		"a value of type map[string]interface {}": self, "a value of type job.point": point{1, 2}, "PANIC": raises{"no"},
	} {
		_, err := Protect(func() (any, error) { panic(v) })
		if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.Contains(first, "handler panicked: ") || !strings.Contains(first, want) {
			t.Errorf("a panic with a %T reads %q, want %q in it", v, first, want)
		}
	}
	_, err := Protect(func() (any, error) { panic(nil) })
	if _, ok := errors.AsType[runtime.Error](err.(*PanicError).Value.(error)); !ok {
		t.Errorf("panic(nil) gives %v", err)
	}
}

type refusesJSON struct{}

func (refusesJSON) MarshalJSON() ([]byte, error) { return nil, raises{"no text of mine"} }

func TestEncodeResultOfAnOddOne(t *testing.T) {
	self := map[string]any{}
	self["self"] = self
	deep := any(1)
	for range 5000 {
		deep = []any{deep}
	}
	for _, tc := range []struct {
		name   string
		result any
		large  bool
	}{
		{"contains itself", self, true}, {"deep", deep, true}, {"its error panics", refusesJSON{}, false}, {"a channel", make(chan int), false},
	} {
		for _, s := range []rqcompat.Serializer{rqcompat.PickleSerializer, rqcompat.JSONSerializer} {
			encoded, err := EncodeResult(tc.result, s)
			switch {
			case errors.Is(err, ErrResultTooLarge) != tc.large || err == nil:
				t.Errorf("%s, serializer %d: error %v, want too large: %v", tc.name, s, err, tc.large)
			case tc.large:
				if Classify(err) != Permanent || encoded != "" {
					t.Errorf("%s: %s error with a result of %d bytes", tc.name, Classify(err), len(encoded))
				}
			default:
				if v, _ := rqcompat.DecodeResult(encoded); v != "Unserializable return value" {
					t.Errorf("%s: result %v, want RQ's notice", tc.name, v)
				}
			}
		}
	}
	for limit, long := range map[string]any{"16 MiB": make([]byte, 13<<20), "more than 16 MiB": json.RawMessage(make([]byte, 17<<20)), "than 16 MiB": struct{ B []byte }{make([]byte, 13<<20)}} {
		if _, err := EncodeResult(long, rqcompat.PickleSerializer); !errors.Is(err, ErrResultTooLarge) || !strings.Contains(err.Error(), limit) {
			t.Errorf("a %T of 13 MiB: error %v, want one that names the limit, %s", long, err, limit)
		}
	}
	if _, err := EncodeResult(&pickle.List{Items: []any{"fine"}}, rqcompat.PickleSerializer); err != nil {
		t.Error(err)
	}
}
