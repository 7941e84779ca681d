package rqcompat

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoSuchJob says that there is no job of this id.
var ErrNoSuchJob = errors.New("no such job")

// ErrNoData says that a hash exists but lacks the data field. To RQ that is no job, so it is an ErrNoSuchJob, too.
var ErrNoData = fmt.Errorf("%w: its hash has no data field", ErrNoSuchJob)

// ErrDuplicateJob says that a job of this id is on its way already.
var ErrDuplicateJob = errors.New("job exists already")

// ErrLarge says that a job is larger than the caller of FetchSmall wants to have in memory together with others.
var ErrLarge = errors.New("job is large")

// ErrCanceled says that a job is canceled already.
var ErrCanceled = errors.New("job is already canceled")

// ErrNotRequeueable says that a job is in no registry from which it could go back to its queue.
var ErrNotRequeueable = errors.New("job can't be requeued")

// ErrNotRunning says that a job is not being executed, so there is nobody to send a command to.
var ErrNotRunning = errors.New("job is not running")

// ErrBadRequest says that a request would write something that a Python reader can't use.
var ErrBadRequest = errors.New("bad request")

// ErrBadCall says that a payload could be read but is not a call. RQ lets such a job fail when it runs.
var ErrBadCall = errors.New("payload is not a call")

// ErrVersionUnknown says that neither configuration nor a live worker nor the bench names an RQ version.
var ErrVersionUnknown = errors.New("rq version unknown: no live Python worker and no installed rq found; set the rq version in the configuration")

// FieldError is a field of a job hash that can't be read. A Python worker that pops such a job exits.
type FieldError struct {
	Field string
	Value string // clipped
	Want  string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("job field %s is %q, want %s", e.Field, e.Value, e.Want)
}

// UnsupportedVersionError refuses to write for an RQ version whose wire format nobody checked.
type UnsupportedVersionError struct {
	Version string
	Source  string // where the version came from; may be empty
}

func (e *UnsupportedVersionError) Error() string {
	from := ""
	if e.Source != "" {
		from = " (from " + e.Source + ")"
	}
	return fmt.Sprintf("rq version %q%s is not supported: supported are 1.15.x, 1.16.x and 2.0 to 2.10; "+
		"set the rq version in the configuration if one of these describes your workers", clip(e.Version), from)
}

// MixedVersionsError says that live Python workers of one Redis write incompatible formats: none is right for all.
type MixedVersionsError struct{ A, B string } // "<worker> (<version>)"

func (e *MixedVersionsError) Error() string {
	return fmt.Sprintf("live workers disagree: %s and %s use incompatible started registries; "+
		"stop one kind, or set the rq version in the configuration", e.A, e.B)
}

// DependencyError says that a dependency has ended in a way that will never release the job.
type DependencyError struct {
	ID         string
	Dependency string
	Status     Status
}

func (e *DependencyError) Error() string {
	return fmt.Sprintf("dependency has failed: job %q depends on %q, which is %s: requeue that one first or drop the dependency",
		clip(e.ID), clip(e.Dependency), e.Status)
}

// wrap is err with what was being done, nil for nil. Where every allocation counts it is written out.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// clip shortens a value that goes into an error message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
