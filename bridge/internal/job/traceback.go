package job

import (
	"errors"
	"fmt"
	"strings"
)

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
func exceptionName(err error) string {
	var (
		panicked *PanicError
		params   *ParamsError
		missing  *NoHandlerError
		refused  *Refusal
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
		return "bridge." + refused.Kind
	case Classify(err) == Permanent:
		return "bridge.PermanentError"
	}
	return "bridge.TransientError"
}

// Traceback renders the err of method where as RQ's tools expect it: announced, with "class: message" at its end.
func Traceback(err error, where string) string {
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
	// Tools that show the last line get the first line of a longer message there, below the whole of it.
	first, rest, more := strings.Cut(text, "\n")
	if more {
		b.WriteString(first + "\n" + rest + "\n")
	}
	b.WriteString(exceptionName(err) + ": " + first + "\n")
	return b.String()
}
