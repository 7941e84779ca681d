package job

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// permanentExceptions are Frappe's exception classes that no retry mends (frappe/exceptions.py, 15).
var permanentExceptions = []string{
	"ValidationError", "PermissionError", "DoesNotExistError", "MandatoryError",
	"LinkValidationError", "InvalidAuthorizationHeader", "AuthenticationError",
}

// Classify sorts an error into the two kinds of a Background Job. What a handler said wins; then what the error is;
// anything unknown is transient, since trying once too often costs less than giving up on a job.
func Classify(err error) ErrorType {
	var (
		said    *wish
		answer  *HTTPError
		params  *ParamsError
		missing *NoHandlerError
		refused *Refusal
	)
	switch {
	case errors.As(err, &said):
		return said.kind
	case errors.As(err, &params), errors.As(err, &missing), errors.As(err, &refused):
		return Permanent
	case errors.As(err, &answer):
		if answer.permanent() {
			return Permanent
		}
		return Transient
	case namesPermanentException(err.Error()):
		return Permanent
	}
	return Transient
}

// namesPermanentException looks for a text that starts with one of Frappe's permanent classes, bare or dotted
// ("frappe.exceptions.ValidationError: …"), as a handler relays it that talks to a site.
func namesPermanentException(text string) bool {
	class, _, found := strings.Cut(text, ":")
	if !found || strings.ContainsAny(class, " \n") {
		return false
	}
	return slices.Contains(permanentExceptions, class[strings.LastIndexByte(class, '.')+1:])
}

// PauseAfter is how long to wait before a retry of a job that ended with err: what err asks for, else the policy's.
func PauseAfter(err error, p RetryPolicy, retry int) time.Duration {
	var said *wish
	if errors.As(err, &said) && said.after > 0 {
		return said.after
	}
	return p.Pause(retry)
}
