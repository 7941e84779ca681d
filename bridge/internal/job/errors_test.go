package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	base := errors.New("boom")
	tests := []struct {
		name string
		err  error
		want ErrorType
	}{
		{"plain", base, Transient},
		{"permanent", Mark(base, Permanent, 0), Permanent},
		{"wrapped permanent", fmt.Errorf("export: %w", Mark(base, Permanent, 0)), Permanent},
		{"transient around a permanent one", Mark(Mark(base, Permanent, 0), Transient, 0), Transient},
		{"transient around refused parameters", Mark(&ParamsError{Handler: "h", Err: base}, Transient, 0), Transient},
		{"retry after", Mark(base, Transient, time.Second), Transient},
		{"parameters", &ParamsError{Handler: "h", Err: base}, Permanent},
		{"no handler", fmt.Errorf("w: %w", &NoHandlerError{Method: "m", Queue: "go"}), Permanent},
		{"refusal", Refuse("RowError", "no"), Permanent},
		{"panic", recovered("oops"), Transient},
		{"http 400", &HTTPError{Status: 400}, Permanent},
		{"http 404", &HTTPError{Status: 404}, Permanent},
		{"http 408", &HTTPError{Status: 408}, Transient},
		{"http 425", &HTTPError{Status: 425}, Transient},
		{"http 429", &HTTPError{Status: 429}, Transient},
		{"http 499", &HTTPError{Status: 499}, Permanent},
		{"http 500", &HTTPError{Status: 500}, Transient},
		{"http 503", fmt.Errorf("call: %w", &HTTPError{Status: 503}), Transient},
		{"http 399", &HTTPError{Status: 399}, Transient},
		{"http 503 with a permanent class in its text", &HTTPError{Status: 503, Message: "ValidationError: x"}, Transient},
		{"frappe validation", errors.New("frappe.exceptions.ValidationError: bad"), Permanent},
		{"bare class", errors.New("PermissionError: no"), Permanent},
		{"another class", errors.New("TimestampMismatchError: reload"), Transient},
		{"class alone", errors.New("ValidationError"), Transient},
		{"class in the middle", errors.New("server said ValidationError: x"), Transient},
		{"class on a later line", errors.New("x\nValidationError: y"), Transient},
		{"timeout", ErrTimeout, Transient},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := Classify(tc.err); got != tc.want {
				t.Errorf("Classify(%v) = %s, want %s", tc.err, got, tc.want)
			}
		})
	}
	for _, class := range permanentExceptions {
		if got := Classify(errors.New(class + ": x")); got != Permanent {
			t.Errorf("Classify(%s) = %s, want permanent", class, got)
		}
	}
}

func TestMark(t *testing.T) {
	if Mark(nil, Permanent, time.Second) != nil {
		t.Error("marking nil must give nil")
	}
	base := errors.New("boom")
	if err := Mark(base, Permanent, 0); err.Error() != "boom" || !errors.Is(err, base) {
		t.Errorf("a marked error reads %q and is the old one: %v, want boom and true", err, errors.Is(err, base))
	}
}

func TestTracebackEndsLikePython(t *testing.T) {
	tests := []struct {
		name string
		err  error
		last string
	}{
		{"transient", errors.New("no route"), "bridge.TransientError: no route"},
		{"permanent", Mark(errors.New("bad"), Permanent, 0), "bridge.PermanentError: bad"},
		{"timeout", fmt.Errorf("%w", ErrTimeout), "rq.timeouts.JobTimeoutException: " + ErrTimeout.Error()},
		{"timeout in RQ's words", &TimeoutError{Limit: 90 * time.Second}, "rq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (90 seconds)"},
		{"panic", recovered("oops"), "bridge.PanicError: handler panicked: oops"},
		{"parameters", &ParamsError{Handler: "h", Err: errors.New("x")}, `bridge.ParamsError: parameters of "h" don't fit its handler: x`},
		{"refusal", fmt.Errorf("w: %w", Refuse("OrganizationError", "Organization not found: %s", "O")), "bridge.OrganizationError: w: Organization not found: O"},
		{"many lines", errors.New("first\nsecond\n"), "bridge.TransientError: first"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			text := Traceback(tc.err, "app.method")
			if !strings.HasPrefix(text, "Traceback (most recent call last):\n  File \"app.method\", in dartwing-bridge\n") || !strings.HasSuffix(text, "\n") {
				t.Errorf("the frame of the traceback is wrong:\n%s", text)
			}
			lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
			if got := lines[len(lines)-1]; got != tc.last {
				t.Errorf("last line %q, want %q", got, tc.last)
			}
		})
	}
	if text := Traceback(&NoHandlerError{Method: "m", Queue: "go"}, "m"); !strings.Contains(text, "bridge.NoHandlerError: no handler for \"m\" on queue \"go\": register one") {
		t.Errorf("a job without handler: the traceback doesn't say what to do:\n%s", text)
	}
	if text := Traceback(errors.New("first\nsecond"), "m"); !strings.Contains(text, "first\nsecond\n") {
		t.Errorf("the second line of the error is missing:\n%s", text)
	}
	if text := Traceback(recovered("x"), "m"); !strings.Contains(text, "errors_test.go") {
		t.Errorf("the stack of a panic is missing:\n%s", text)
	}
}

func TestFirstLine(t *testing.T) {
	if got := FirstLine(errors.New("first\nsecond")); got != "first" {
		t.Errorf("first line %q, want first", got)
	}
	if got := FirstLine(errors.New(strings.Repeat("ä", 300))); len(got) > 202 || !strings.HasPrefix(got, "ää") || strings.Trim(got, "ä") != "" {
		t.Errorf("first line of 600 bytes is %d bytes: %q, want about 200, whole letters", len(got), got)
	}
}

func TestTimeoutError(t *testing.T) {
	err := fmt.Errorf("w: %w", &TimeoutError{Limit: time.Minute, Abandoned: true})
	if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrCanceled) {
		t.Errorf("%v is a timeout: %v, a cancel: %v, want true, false", err, errors.Is(err, ErrTimeout), errors.Is(err, ErrCanceled))
	}
	if want := "Task exceeded maximum timeout value (60 seconds); " + ErrAbandoned.Error(); !strings.Contains(err.Error(), want) {
		t.Errorf("an abandoned one reads %q, want %q in it", err, want)
	}
}

func TestCauseOf(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	if CauseOf(ctx) != nil {
		t.Error("a live context has no cause")
	}
	cancel(fmt.Errorf("%w by someone", ErrCanceled))
	if !errors.Is(CauseOf(ctx), ErrCanceled) {
		t.Errorf("cause %v, want ErrCanceled", CauseOf(ctx))
	}
	for _, ours := range []error{ErrCanceled, ErrStopped, ErrKilled, ErrTimeout, ErrShutdown, ErrLost} {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(ours)
		if CauseOf(ctx) != ours {
			t.Errorf("cause %v, want %v", CauseOf(ctx), ours)
		}
	}
	foreign, stop := context.WithCancel(context.Background())
	stop()
	if CauseOf(foreign) != nil {
		t.Error("a foreign cancel is not a cause of ours")
	}
}

// recovered is the error of a handler that panics with v.
func recovered(v any) error {
	_, err := Protect(func() (any, error) { panic(v) })
	return err
}
