package job

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Failure is an error as the engine works with it: read once, by ReadError, while the clock of the handler that returned it
// still runs. Afterwards nothing of the handler's runs any more: a method of its error that panics would take the process
// down there, and one that never returns could not be left behind.
type Failure struct {
	// Text is what Error says, at most about 64 KiB of it.
	Text string
	Kind ErrorType
	// After is the pause that was asked for before another attempt; zero means the schedule's.
	After time.Duration
	// Snooze is the pause after which the handler wants to be called again, without having failed; zero if it doesn't.
	Snooze time.Duration
	// Class is the class that the last line of the recorded traceback starts with, as Python's do.
	Class string
	// Stack is that of a panic, and nil for anything else.
	Stack []byte
	// Abandoned and Signaled say that it is an ErrAbandoned or ErrSignaled.
	Abandoned, Signaled bool
	// Err is the error itself, for code of the same program that asked to hear of it.
	Err error

	panicked string // what a panic said, without its stack
}

// Error implements error.
func (f *Failure) Error() string { return f.Text }

// Returned is the error itself; nil for no failure.
func (f *Failure) Returned() error {
	if f == nil {
		return nil
	}
	return f.Err
}

// Because is f as what came of cause.
func (f *Failure) Because(cause error) *Failure {
	of := *f
	of.Text = fmt.Sprintf("%v (%s)", cause, f.Text)
	of.Err = errors.Join(cause, f.Err)
	return &of
}

// mostWrapped is how many errors one may consist of. A tree without end, of an Unwrap that leads back, would exhaust the
// stack in errors.Is, which nothing recovers from.
const mostWrapped = 100_000

// ReadError reads err; nil stays nil, and a *Failure is one already. An error that can't be read, a typed nil or one with a
// method that panics, becomes one that says so.
func ReadError(err error) (f *Failure) {
	if err == nil {
		return nil
	}
	if f, ok := err.(*Failure); ok {
		return f
	}
	defer func() {
		if v := recover(); v != nil {
			f = unreadable(err, valueText(v))
		}
	}()
	if !wrapsFew(err) {
		return unreadable(err, fmt.Sprintf("it wraps more than %d others", mostWrapped))
	}
	text := Clip(err.Error())
	kind := classify(err, text)
	f = &Failure{
		Text: text, Kind: kind, Class: exceptionName(err, kind), Err: err,
		Abandoned: errors.Is(err, ErrAbandoned), Signaled: errors.Is(err, ErrSignaled),
	}
	if said, ok := errors.AsType[*wish](err); ok {
		f.After = said.after
	}
	if snoozed, ok := errors.AsType[*snooze](err); ok {
		f.Snooze = snoozed.pause
	}
	if panicked, ok := errors.AsType[*PanicError](err); ok {
		f.Stack, f.panicked = panicked.Stack, Clip(panicked.what())
	}
	return f
}

func unreadable(err error, why string) *Failure {
	return ReadError(fmt.Errorf("the handler returned an error of type %T that can't be read: %s", err, Clip(why)))
}

// wrapsFew reports whether the tree of err has at most mostWrapped members.
func wrapsFew(err error) bool {
	left := []error{err}
	for n := 0; len(left) > 0; n++ {
		if n > mostWrapped || len(left) > mostWrapped {
			return false
		}
		last := len(left) - 1
		err := left[last]
		left = left[:last]
		switch err := err.(type) {
		case interface{ Unwrap() error }:
			if inner := err.Unwrap(); inner != nil {
				left = append(left, inner)
			}
		case interface{ Unwrap() []error }:
			left = append(left, err.Unwrap()...)
		}
	}
	return true
}

// mostText is how much of either end of a text is kept: far more than anybody reads, far less than what would harm.
const mostText = 32 << 10

// Clip keeps start and end of a text of a handler's, and says how much is missing between them.
func Clip(text string) string {
	left := len(text) - 2*mostText
	if left <= 0 {
		return text
	}
	start, end := strings.ToValidUTF8(text[:mostText], ""), strings.ToValidUTF8(text[len(text)-mostText:], "")
	return fmt.Sprintf("%s\n[%d bytes left out]\n%s", start, left, end)
}

// FirstLine is the first line of an error, at most 200 bytes of it, for a log.
func FirstLine(err error) string {
	text := err.Error()
	for i, c := range text {
		if c == '\n' || i > 200 {
			return text[:i]
		}
	}
	return text
}

// exceptionName gives the class name that the last line of the recorded traceback starts with, as Python's do.
func exceptionName(err error, kind ErrorType) string {
	refused, isRefusal := errors.AsType[*Refusal](err)
	switch {
	case errors.Is(err, ErrTimeout):
		return "rq.timeouts.JobTimeoutException"
	case is[*PanicError](err):
		return "bridge.PanicError"
	case is[*ParamsError](err):
		return "bridge.ParamsError"
	case is[*NoHandlerError](err):
		return "bridge.NoHandlerError"
	case isRefusal:
		return "bridge." + refused.Kind
	case kind == Permanent:
		return "bridge.PermanentError"
	}
	return "bridge.TransientError"
}

// Traceback renders the err of method where as RQ's tools expect it: announced, with "class: message" at its end.
func Traceback(err error, where string) string {
	f := ReadError(err)
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n  File \"" + where + "\", in dartwing-bridge\n")
	text := strings.TrimRight(f.Text, "\n")
	if f.Stack != nil {
		for line := range strings.Lines(string(f.Stack)) {
			b.WriteString("    " + line)
		}
		b.WriteByte('\n')
		text = f.panicked
	}
	// Tools that show the last line get the first line of a longer message there, below the whole of it.
	first, rest, more := strings.Cut(text, "\n")
	if more {
		b.WriteString(first + "\n" + rest + "\n")
	}
	b.WriteString(f.Class + ": " + first + "\n")
	return b.String()
}
