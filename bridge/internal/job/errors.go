package job

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Causes of a handler's ended context. Package bridge publishes and documents them.
var (
	ErrCanceled = errors.New("the job was canceled")
	ErrStopped  = errors.New("the job was stopped by a stop-job command")
	ErrKilled   = errors.New("the job was aborted by a kill-horse command")
	ErrTimeout  = errors.New("the job ran into its timeout")
	ErrShutdown = errors.New("the bridge is shutting down")
	ErrLost     = errors.New("the job no longer belongs to this worker")
)

// ErrAbandoned is the error of an attempt whose handler ignores its context.
var ErrAbandoned = errors.New("the handler ignored its context for the whole grace period and was abandoned")

// ErrSignaled is what the error of a program is that was ended by a signal, and not by this bridge.
var ErrSignaled = errors.New("a signal ended the program")

// CauseOf returns the reason for which ctx ended, if it is one of ours; else nil.
func CauseOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	for _, ours := range []error{ErrCanceled, ErrStopped, ErrKilled, ErrTimeout, ErrShutdown, ErrLost} {
		if errors.Is(cause, ours) {
			return cause
		}
	}
	return nil
}

// ErrorType is what the field error_type of a Background Job says.
type ErrorType string

// The two kinds of failure that a Background Job knows.
const (
	Transient ErrorType = rows.ErrorTransient
	Permanent ErrorType = rows.ErrorPermanent
)

// wish carries what a handler said of its error through any wrapping.
type wish struct {
	err   error
	kind  ErrorType
	after time.Duration // zero: the schedule's pause
}

func (e *wish) Error() string { return e.err.Error() }
func (e *wish) Unwrap() error { return e.err }

// Mark says which kind err is, whatever it wraps; nil stays nil. An after above zero is when to try again.
func Mark(err error, kind ErrorType, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &wish{err: err, kind: kind, after: after}
}

// HTTPError is a failed answer of a server that a handler called.
type HTTPError struct {
	Status  int
	Message string
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

func (e *HTTPError) kind() ErrorType {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Transient
	}
	if e.Status >= 400 && e.Status < 500 {
		return Permanent
	}
	return Transient
}

// PanicError is the error of a handler that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return e.what() + "\n" + string(e.Stack) }

func (e *PanicError) what() string { return "handler panicked: " + valueText(e.Value) }

// valueText shows the value of a panic. Of one that isn't meant to be read it only names the type, as the runtime does:
// one that contains itself would take down the process that prints it.
func valueText(v any) string {
	switch v.(type) {
	case error, fmt.Stringer:
		return fmt.Sprint(v) // which catches what these panic with
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array, reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Sprintf("a value of type %T", v)
	}
	return fmt.Sprint(v)
}

// Protect calls f and makes a *PanicError of a panic.
func Protect(f func() (any, error)) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// ParamsError says that a job's parameters don't fit the handler's type.
type ParamsError struct {
	Handler string
	Err     error
}

func (e *ParamsError) Error() string {
	return fmt.Sprintf("parameters of %q don't fit its handler: %v", e.Handler, e.Err)
}

func (e *ParamsError) Unwrap() error { return e.Err }

// NoHandlerError says that a job on an own queue names something that has no handler.
type NoHandlerError struct {
	Method string
	Queue  string
}

func (e *NoHandlerError) Error() string {
	return fmt.Sprintf("no handler for %q on queue %q: register one (or set bridge.handlers in the configuration) and requeue the job", e.Method, e.Queue)
}

// Refusal is an error that the engine itself makes of a job before it runs: no retry mends it.
type Refusal struct {
	// Kind becomes the class in the recorded traceback, as in bridge.OrganizationError.
	Kind string
	Text string
}

func (e *Refusal) Error() string { return e.Text }

// Refuse makes a Refusal.
func Refuse(kind, format string, args ...any) error {
	return &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// TimeoutError is ErrTimeout in the words of RQ's JobTimeoutException.
type TimeoutError struct {
	Limit     time.Duration
	Abandoned bool // the handler ignored it
}

func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("Task exceeded maximum timeout value (%d seconds)", int(e.Limit.Seconds()))
	if e.Abandoned {
		text += "; " + ErrAbandoned.Error()
	}
	return text
}

// Is makes errors.Is(err, ErrTimeout) true.
func (e *TimeoutError) Is(target error) bool { return target == ErrTimeout }
