package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

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
