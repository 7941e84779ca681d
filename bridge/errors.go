package bridge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// Causes of a handler's cancelled context, found with context.Cause. A
// handler that wants to know why it has to stop compares with these.
var (
	// ErrCanceled says that the owner or an administrator cancelled the job.
	ErrCanceled = errors.New("the job was cancelled")
	// ErrStopped says that RQ's stop-job command named the job ("Force Stop" in
	// the desk's RQ Job).
	ErrStopped = errors.New("the job was stopped by a stop-job command")
	// ErrKilled says that RQ's kill-horse command named the job's worker.
	ErrKilled = errors.New("the job was aborted by a kill-horse command")
	// ErrTimeout says that the job's time is over.
	ErrTimeout = errors.New("the job ran into its timeout")
	// ErrShutdown says that this process stops; the job is given back and runs
	// again elsewhere without spending a retry.
	ErrShutdown = errors.New("the bridge is shutting down")
	// ErrLost says that the job belongs to someone else by now (its lease lapsed
	// or its record was deleted); whatever the handler still returns is dropped.
	ErrLost = errors.New("the job no longer belongs to this worker")
)

// Reasons for which a Client refuses a request; they are wrapped with the value
// that is wrong.
var (
	// ErrBadRequest says that an argument is missing or not of its kind.
	ErrBadRequest = errors.New("bad request")
	// ErrNoSuchJobType says that the site has no Job Type of that name.
	ErrNoSuchJobType = errors.New("no such Job Type")
	// ErrJobTypeDisabled says that the Job Type takes no jobs now.
	ErrJobTypeDisabled = errors.New("the Job Type is disabled")
	// ErrOrganizationDissolved says that the organization takes no jobs any more.
	ErrOrganizationDissolved = errors.New("the organization is dissolved")
)

// ErrorType is what the field error_type of a Background Job says.
type ErrorType string

// The two kinds of failure a Background Job knows.
const (
	ErrorTransient ErrorType = "Transient"
	ErrorPermanent ErrorType = "Permanent"
)

// handlerError carries a handler's wish through any wrapping.
type handlerError struct {
	err   error
	kind  ErrorType
	after time.Duration
}

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// Permanent marks err as one that no retry can mend: the job goes to the dead
// letters at once. Permanent(nil) is nil.
func Permanent(err error) error { return mark(err, ErrorPermanent, 0) }

// Transient marks err as one that a retry may mend, whatever it wraps.
// Transient(nil) is nil.
func Transient(err error) error { return mark(err, ErrorTransient, 0) }

// RetryAfter marks err as transient and asks that the next attempt starts d
// from now instead of after the usual backoff. A d below zero counts as zero.
// RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	return mark(err, ErrorTransient, max(d, time.Nanosecond))
}

func mark(err error, kind ErrorType, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &handlerError{err: err, kind: kind, after: after}
}

// PanicError is the error of a handler that panicked. Its text holds the stack.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the goroutine's stack at the panic.
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("handler panicked: %v\n%s", e.Value, e.Stack)
}

func recovered(v any) error {
	return &PanicError{Value: v, Stack: debug.Stack()}
}

// ParamsError says that a job's parameters don't fit the handler's type. It is
// permanent: the same parameters never will.
type ParamsError struct {
	// Handler is the name the handler was registered with.
	Handler string
	// Err is what the JSON decoder found.
	Err error
}

func (e *ParamsError) Error() string {
	return fmt.Sprintf("parameters of %q don't fit its handler: %v", e.Handler, e.Err)
}

func (e *ParamsError) Unwrap() error { return e.Err }

// NoHandlerError says that a job on an own queue names something that this
// bridge has no handler for. The job stays requeueable in the failed registry.
type NoHandlerError struct {
	// Method is what the job wanted to run.
	Method string
	// Queue is where it was found.
	Queue string
}

func (e *NoHandlerError) Error() string {
	return fmt.Sprintf("no handler for %q on queue %q: register one (or set bridge.handlers in the configuration) and requeue the job", e.Method, e.Queue)
}

// timeoutError is ErrTimeout in the words of RQ's JobTimeoutException.
type timeoutError struct {
	limit     time.Duration
	abandoned bool // the handler ignored it
}

func (e *timeoutError) Error() string {
	text := fmt.Sprintf("Task exceeded maximum timeout value (%d seconds)", int(e.limit.Seconds()))
	if e.abandoned {
		text += "; " + errAbandoned.Error()
	}
	return text
}

func (e *timeoutError) Is(target error) bool { return target == ErrTimeout }

// refusal is an error the engine itself makes of a job before it runs.
type refusal struct {
	kind string
	msg  string
}

func (e *refusal) Error() string { return e.msg }

// exceptionName gives the class name that the last line of the recorded
// traceback starts with, as Python's tracebacks do.
func exceptionName(err error) string {
	var (
		panicked *PanicError
		params   *ParamsError
		missing  *NoHandlerError
		refused  *refusal
	)
	switch {
	case errors.Is(err, ErrTimeout):
		return "rq.timeouts.JobTimeoutException"
	case errors.As(err, &panicked):
		return "bridge.PanicError"
	case errors.As(err, &params):
		return "bridge.ParamsError"
	case errors.As(err, &missing):
		return "bridge.NoHandlerError"
	case errors.As(err, &refused):
		return "bridge." + refused.kind
	case classify(err) == ErrorPermanent:
		return "bridge.PermanentError"
	}
	return "bridge.TransientError"
}

// traceback renders err as RQ's tools expect it: the first line announces a
// traceback, the last one is "class: message".
func traceback(err error, where string) string {
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n  File \"")
	b.WriteString(where)
	b.WriteString("\", in dartwing-bridge\n")
	text := strings.TrimRight(err.Error(), "\n")
	var panicked *PanicError
	if errors.As(err, &panicked) {
		for line := range strings.Lines(string(panicked.Stack)) {
			b.WriteString("    " + line)
		}
		b.WriteByte('\n')
		text = fmt.Sprintf("handler panicked: %v", panicked.Value)
	}
	// A multi-line message would hide its first line from tools that show the
	// last one; they get the whole text above and its first line at the end.
	first, rest, more := strings.Cut(text, "\n")
	if more {
		b.WriteString(first + "\n" + rest + "\n")
	}
	b.WriteString(exceptionName(err) + ": " + first + "\n")
	return b.String()
}

// causeOf returns the reason for which ctx ended, if it was one of ours.
func causeOf(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, ErrCanceled), errors.Is(cause, ErrStopped), errors.Is(cause, ErrKilled),
		errors.Is(cause, ErrTimeout), errors.Is(cause, ErrShutdown), errors.Is(cause, ErrLost):
		return cause
	}
	return nil
}
