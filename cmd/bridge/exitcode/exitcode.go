// Package exitcode tells scripts by a number how a command ended. It is shared by the program and its demo.
package exitcode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Exit codes; [Explanation] says what each means. From 64 on they are those of sysexits.h.
const (
	OK          = 0
	Failure     = 1
	Usage       = 2
	NotFound    = 3
	Refused     = 4
	Warnings    = 5
	Data        = 65
	Unavailable = 69
	Temporary   = 75
	Denied      = 77
	Config      = 78
	Interrupted = 130
)

// Explanation is what the program's help says of the codes.
const Explanation = `Exit codes, for scripts:

    0  done
    1  it failed; also: the job that was waited for or watched did not complete
    2  wrong usage: a flag or argument; nothing was done
    3  not found: no such job, site, Job Type or organization
    4  refused: the job's state doesn't allow it, or a job of this id exists
    5  bridge doctor: warnings, but no error (an error is 1); bridge explain:
       the job waits until somebody does something; bridge guard: workers
       left something behind that is still there
   65  unreadable data: no pickle, a broken job
   69  a server can't be reached: Redis, MariaDB or the realtime server
   75  not now: locked rows, a Redis that refuses, or it took too long; try again
   77  access denied by Redis, MariaDB or the realtime server
   78  configuration: no bench, a broken file, an unknown RQ version
  130  interrupted by a signal

Of several jobs in one command, the first that went wrong decides.`

type coded struct {
	error
	code int
}

func (e coded) Unwrap() error { return e.error }

// Usagef is a mistake in the command line.
func Usagef(format string, args ...any) error { return With(Usage, fmt.Errorf(format, args...)) }

// With gives err a code, whatever kind of error it is.
func With(code int, err error) error { return coded{err, code} }

var errSilent = errors.New("the command has said everything already")

// Silent ends the program with a code and without another word.
func Silent(code int) error { return With(code, errSilent) }

// IsSilent reports whether there is nothing to be printed about err.
func IsSilent(err error) bool { return errors.Is(err, errSilent) }

// Of is the code for an error: that which [With] gave one in its chain, else that of its kind; OK for nil.
func Of(err error) int {
	if own, ok := errors.AsType[coded](err); ok {
		return own.code
	}
	switch {
	case err == nil:
		return OK
	case errors.Is(err, context.Canceled):
		return Interrupted
	case isAny(err, bridge.ErrBadRequest, rqcompat.ErrBadRequest):
		return Usage
	case isA[*frappe.ConfigError](err) || isA[*rqcompat.UnsupportedVersionError](err) || isA[*rqcompat.MixedVersionsError](err),
		isAny(err, frappe.ErrNotABench, rows.ErrNoDatabase, rows.ErrTableMissing, rows.ErrColumnMissing, rqcompat.ErrVersionUnknown):
		return Config
	case isAny(err, rows.ErrNoSuchJob, rows.ErrNoSuchBatch, frappe.ErrNoSuchSite, rows.ErrNoSuchOrganization, bridge.ErrNoSuchJobType,
		rqcompat.ErrNoSuchJob, os.ErrNotExist):
		return NotFound
	case isA[*bridge.TransitionError](err), isAny(err, bridge.ErrJobTypeDisabled, bridge.ErrOrganizationDissolved, bridge.ErrNotMember, bridge.ErrDuplicate,
		rqcompat.ErrCanceled, rqcompat.ErrDuplicateJob, rqcompat.ErrNotRequeueable, rqcompat.ErrNotRunning):
		return Refused
	case IsDenied(err):
		return Denied
	case isA[*pickle.SyntaxError](err), isA[*pickle.LimitError](err), isA[*rqcompat.FieldError](err), errors.Is(err, rqcompat.ErrBadCall):
		return Data
	case errors.Is(err, context.DeadlineExceeded):
		return Temporary
	case rqcompat.Judge(err) == rqcompat.Away, isA[*net.DNSError](err), isAny(err, rows.ErrUnavailable, realtime.ErrAway, os.ErrDeadlineExceeded):
		return Unavailable
	case rqcompat.Judge(err) == rqcompat.Refusing, isAny(err, rows.ErrBusy, bridge.ErrRateLimited, bridge.ErrQueueFull):
		return Temporary
	}
	return Failure
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// IsDenied reports whether a server answered and refused who asked.
func IsDenied(err error) bool {
	refused, ok := errors.AsType[*socketio.ConnectError](err)
	return ok && refused.Namespace != "" || errors.Is(err, rows.ErrAccessDenied) ||
		rqcompat.Judge(err) == rqcompat.Denied
}
