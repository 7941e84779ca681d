package bridge

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
		{"plain", base, ErrorTransient},
		{"permanent", Permanent(base), ErrorPermanent},
		{"wrapped permanent", fmt.Errorf("export: %w", Permanent(base)), ErrorPermanent},
		{"transient around a permanent one", Transient(Permanent(base)), ErrorTransient},
		{"retry after", RetryAfter(time.Second, base), ErrorTransient},
		{"parameters", &ParamsError{Handler: "h", Err: base}, ErrorPermanent},
		{"panic", recovered("oops"), ErrorTransient},
		{"http 404", &HTTPError{Status: 404}, ErrorPermanent},
		{"http 429", &HTTPError{Status: 429}, ErrorTransient},
		{"http 503", fmt.Errorf("call: %w", &HTTPError{Status: 503}), ErrorTransient},
		{"frappe validation", errors.New("frappe.exceptions.ValidationError: bad"), ErrorPermanent},
		{"bare class", errors.New("PermissionError: no"), ErrorPermanent},
		{"class in the middle", errors.New("server said ValidationError: x"), ErrorTransient},
		{"timeout", ErrTimeout, ErrorTransient},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := classify(tc.err); got != tc.want {
				t.Errorf("classify(%v) = %s, want %s", tc.err, got, tc.want)
			}
		})
	}
	if Permanent(nil) != nil || RetryAfter(time.Second, nil) != nil {
		t.Error("marking nil must stay nil")
	}
}

func TestTracebackEndsLikePython(t *testing.T) {
	tests := []struct {
		name string
		err  error
		last string
	}{
		{"transient", errors.New("no route"), "bridge.TransientError: no route"},
		{"permanent", Permanent(errors.New("bad")), "bridge.PermanentError: bad"},
		{"timeout", fmt.Errorf("%w", ErrTimeout), "rq.timeouts.JobTimeoutException: " + ErrTimeout.Error()},
		{"panic", recovered("oops"), "bridge.PanicError: handler panicked: oops"},
		{"many lines", errors.New("first\nsecond"), "bridge.TransientError: first"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			text := traceback(tc.err, "app.method")
			if !strings.HasPrefix(text, "Traceback (most recent call last):\n") || !strings.HasSuffix(text, "\n") {
				t.Errorf("traceback frame is wrong:\n%s", text)
			}
			lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
			if got := lines[len(lines)-1]; got != tc.last {
				t.Errorf("last line %q, want %q", got, tc.last)
			}
		})
	}
	if text := traceback(recovered("x"), "m"); !strings.Contains(text, "errors_test.go") {
		t.Errorf("the stack of a panic is missing:\n%s", text)
	}
}

func TestRetryPolicyPause(t *testing.T) {
	exact := RetryPolicy{Jitter: -1}
	for retry, want := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 16, 60: 16} {
		if got := exact.Pause(retry); got != want*time.Minute {
			t.Errorf("pause before retry %d is %s, want %d min", retry, got, want)
		}
	}
	var low, high bool
	for range 1000 {
		d := RetryPolicy{}.Pause(1)
		if d < 48*time.Second || d > 72*time.Second {
			t.Fatalf("pause %s is outside ±20 %% of a minute", d)
		}
		low, high = low || d < 55*time.Second, high || d > 65*time.Second
	}
	if !low || !high {
		t.Error("1000 pauses show no jitter")
	}
	if got := pauseAfter(fmt.Errorf("w: %w", RetryAfter(7*time.Second, errors.New("x"))), exact, 3); got != 7*time.Second {
		t.Errorf("pause %s, want the 7 s the handler asked for", got)
	}
}

func TestCauseOf(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	if causeOf(ctx) != nil {
		t.Error("a live context has no cause")
	}
	cancel(fmt.Errorf("%w by someone", ErrCanceled))
	if !errors.Is(causeOf(ctx), ErrCanceled) {
		t.Errorf("cause %v, want ErrCanceled", causeOf(ctx))
	}
	foreign, stop := context.WithCancel(context.Background())
	stop()
	if causeOf(foreign) != nil {
		t.Error("a foreign cancel is not a cause of ours")
	}
}
