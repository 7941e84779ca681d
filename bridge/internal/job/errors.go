package job

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

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

func (e *HTTPError) permanent() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// PanicError is the error of a handler that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v\n%s", e.Value, e.Stack) }

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

// Safe makes an error that can be read: a handler's typed nil, or an Error, Unwrap or Is that panics, would otherwise
// take the process down outside the handler. Such an error becomes a text that says so.
func Safe(err error) (safe error) {
	if err == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			safe = fmt.Errorf("the handler returned an error of type %T that can't be read: %v", err, v)
		}
	}()
	_ = err.Error()
	_ = Classify(err)
	_ = errors.Is(err, ErrTimeout)
	return err
}
