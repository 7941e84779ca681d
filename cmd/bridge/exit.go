package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// Exit codes. From 64 on they are those of sysexits.h.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitData        = 65
	exitUnavailable = 69
	exitTemporary   = 75
	exitDenied      = 77
	exitConfig      = 78
	exitInterrupted = 130
)

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes, for scripts:

    0  done
    1  it failed; also: the job that was waited for or watched did not complete
    2  wrong usage: a flag or argument; nothing was done
    3  not found: no such job, site, Job Type or organization
    4  refused: the job's state doesn't allow it, or a job of this id exists
   65  unreadable data: no pickle, a broken job
   69  a server can't be reached: Redis, MariaDB or the realtime server
   75  not now: locked rows, or the waiting took too long; try again
   77  access denied by Redis, MariaDB or the realtime server
   78  configuration: no bench, a broken file, an unknown RQ version
  130  interrupted by a signal

Of several jobs in one command, the first that went wrong decides.`,
		Example: `  bridge cancel JOB-2026-00007; case $? in 3|4) echo "nothing to cancel";; esac`,
	}
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// configError is a mistake in the bench's configuration.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// exitError ends the program with a code of its own. Without err nothing is
// printed any more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode tells scripts what kind of error err is.
func exitCode(err error) int {
	var exit *exitError
	var misused *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &misused):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case isAny(err, bridge.ErrBadRequest, rqcompat.ErrBadRequest):
		return exitUsage
	case isConfiguration(err):
		return exitConfig
	case isAny(err, frappe.ErrNoSuchJob, frappe.ErrNoSuchSite, frappe.ErrNoSuchOrganization, bridge.ErrNoSuchJobType, rqcompat.ErrNoSuchJob, os.ErrNotExist):
		return exitNotFound
	case isRefused(err):
		return exitRefused
	case isDenied(err):
		return exitDenied
	case isUnreadable(err):
		return exitData
	case isAny(err, context.DeadlineExceeded):
		return exitTemporary
	case isAway(err):
		return exitUnavailable
	case frappe.IsTransient(err):
		return exitTemporary
	}
	return exitFailure
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func isRefused(err error) bool {
	var move *bridge.TransitionError
	return errors.As(err, &move) || isAny(err, bridge.ErrJobTypeDisabled, bridge.ErrOrganizationDissolved, rqcompat.ErrCanceled, rqcompat.ErrDuplicateJob, rqcompat.ErrNotRequeueable, rqcompat.ErrNotRunning)
}

func isConfiguration(err error) bool {
	var own *configError
	var file *frappe.ConfigError
	var version *rqcompat.UnsupportedVersionError
	var mixed *rqcompat.MixedVersionsError
	return errors.As(err, &own) || errors.As(err, &file) || errors.As(err, &version) || errors.As(err, &mixed) ||
		isAny(err, frappe.ErrNotABench, frappe.ErrNoDatabase, frappe.ErrTableMissing, frappe.ErrColumnMissing, rqcompat.ErrVersionUnknown, servers.ErrNotInstalled)
}

func isDenied(err error) bool {
	var refused *frappe.ConnectError
	return errors.Is(err, frappe.ErrAccessDenied) || errors.As(err, &refused) && refused.Namespace != "" ||
		redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

func isUnreadable(err error) bool {
	var syntax *pickle.SyntaxError
	var limit *pickle.LimitError
	var field *rqcompat.FieldError
	return errors.As(err, &syntax) || errors.As(err, &limit) || errors.As(err, &field) || errors.Is(err, rqcompat.ErrBadCall)
}

// isAway reports whether a server can't be reached, as opposed to one that
// answers and refuses.
func isAway(err error) bool {
	var name *net.DNSError
	return bridge.IsAway(err) || errors.As(err, &name) || isAny(err, frappe.ErrUnavailable, frappe.ErrRealtimeAway, os.ErrDeadlineExceeded)
}
