package bridge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// RetryPolicy is the schedule of attempts after a transient failure.
type RetryPolicy struct {
	// Base is the pause before the first retry; each further one doubles it.
	// Default: 60 s.
	Base time.Duration
	// Max is the longest pause. Default: 16 min, the pause before the fifth retry.
	Max time.Duration
	// Jitter is the share by which a pause may be longer or shorter, 0 to 1, so
	// that jobs that failed together don't return together. Default: 0.2. A
	// negative value means none.
	Jitter float64
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Base == 0 {
		p.Base = time.Minute
	}
	if p.Max == 0 {
		p.Max = 16 * p.Base
	}
	if p.Jitter == 0 {
		p.Jitter = 0.2
	}
	p.Jitter = max(p.Jitter, 0)
	return p
}

func (p RetryPolicy) validate() error {
	var errs []error
	if p.Base < 0 {
		errs = append(errs, fmt.Errorf("retry base %s is negative", p.Base))
	}
	if p.Max < p.Base {
		errs = append(errs, fmt.Errorf("retry maximum %s is below the base %s", p.Max, p.Base))
	}
	if p.Jitter > 1 {
		errs = append(errs, fmt.Errorf("retry jitter %g is above 1", p.Jitter))
	}
	return errors.Join(errs...)
}

// Pause returns how long to wait before the given retry (1 is the first):
// Base × 2^(retry−1), at most Max, with jitter.
func (p RetryPolicy) Pause(retry int) time.Duration {
	p = p.withDefaults()
	d := p.Base
	for i := 1; i < retry && d < p.Max; i++ {
		d *= 2
	}
	d = min(d, p.Max)
	return time.Duration(float64(d) * (1 + p.Jitter*(2*rand.Float64()-1)))
}

// HTTPError is a failed answer of a server a handler called. The engine
// classifies it by its status: 408, 425, 429 and 5xx are transient, other 4xx
// permanent.
type HTTPError struct {
	// Status is the HTTP status code.
	Status int
	// Message is what to tell a person about it.
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

// permanentExceptions are Frappe's exception classes that no retry mends.
var permanentExceptions = []string{
	"ValidationError", "PermissionError", "DoesNotExistError", "MandatoryError",
	"LinkValidationError", "InvalidAuthorizationHeader", "AuthenticationError",
}

// classify sorts an error into the two kinds of a Background Job. What a
// handler said wins; then what the error is; anything unknown is transient,
// since trying once too often costs less than giving up on a job.
func classify(err error) ErrorType {
	var (
		said    *handlerError
		answer  *HTTPError
		params  *ParamsError
		missing *NoHandlerError
		refused *refusal
	)
	switch {
	case errors.As(err, &said):
		return said.kind
	case errors.As(err, &params), errors.As(err, &missing), errors.As(err, &refused):
		return ErrorPermanent
	case errors.As(err, &answer):
		if answer.permanent() {
			return ErrorPermanent
		}
		return ErrorTransient
	case namesPermanentException(err.Error()):
		return ErrorPermanent
	}
	return ErrorTransient
}

// namesPermanentException looks for a text that starts with one of Frappe's
// permanent classes, bare or dotted ("frappe.exceptions.ValidationError: …"),
// as a handler relays it that talks to a site.
func namesPermanentException(text string) bool {
	class, _, found := strings.Cut(text, ":")
	if !found || strings.ContainsAny(class, " \n") {
		return false
	}
	class = class[strings.LastIndexByte(class, '.')+1:]
	for _, name := range permanentExceptions {
		if class == name {
			return true
		}
	}
	return false
}

// pauseAfter is how long to wait before the given retry of a job that ended
// with err: what the handler asked for, else the policy's pause.
func pauseAfter(err error, p RetryPolicy, retry int) time.Duration {
	var said *handlerError
	if errors.As(err, &said) && said.after > 0 {
		return said.after
	}
	return p.Pause(retry)
}
