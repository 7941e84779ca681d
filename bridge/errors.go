package bridge

import (
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
)

// Causes of a handler's ended context, as context.Cause gives them.
var (
	// ErrCanceled says that the owner or an administrator canceled the job.
	ErrCanceled = job.ErrCanceled
	// ErrStopped says that RQ's stop-job command named the job ("Force Stop" in the desk's RQ Job).
	ErrStopped = job.ErrStopped
	// ErrKilled says that RQ's kill-horse command named the job's worker.
	ErrKilled = job.ErrKilled
	// ErrTimeout says that the job's time is over.
	ErrTimeout = job.ErrTimeout
	// ErrShutdown says that this process stops; the job is given back and runs again elsewhere without spending a retry.
	ErrShutdown = job.ErrShutdown
	// ErrLost says that the job is someone else's by now; whatever the handler still returns is dropped.
	ErrLost = job.ErrLost
)

// Reasons for which a request is refused; they are wrapped with the value that is wrong.
var (
	// ErrBadRequest says that an argument is missing or not of its kind.
	ErrBadRequest = sites.ErrBadRequest
	// ErrNoSuchJobType says that the site has no Job Type of that name.
	ErrNoSuchJobType = policy.ErrNoSuchJobType
	// ErrJobTypeDisabled says that the Job Type takes no jobs now.
	ErrJobTypeDisabled = policy.ErrJobTypeDisabled
	// ErrOrganizationDissolved says that the organization takes no jobs any more.
	ErrOrganizationDissolved = policy.ErrOrganizationDissolved
	// ErrNotMember says that the user is disabled, or neither belongs to the organization nor is a System Manager, and that
	// Config.TrustEnqueuer isn't set.
	ErrNotMember = policy.ErrNotMember
	// ErrNotPermitted says that the Job Type's requires_permission names a DocType of which the user may create no documents.
	ErrNotPermitted = policy.ErrNotPermitted
	// ErrRateLimited says that the user has submitted as many jobs of the Job Type as its rate_limit allows; the error is a
	// *RateLimitError. System Managers are exempt.
	ErrRateLimited = policy.ErrRateLimited
	// ErrDuplicate says that the same job is on its way already, within the Job Type's deduplication_window; the error is a
	// *DuplicateError that names it.
	ErrDuplicate = policy.ErrDuplicate
	// ErrQueueFull says that as many jobs of the organization wait as Config.QueueLimit has.
	ErrQueueFull = policy.ErrQueueFull
)

// RateLimitError is an ErrRateLimited with the limit and after how long the user may submit another job.
type RateLimitError = policy.RateLimitError

// DuplicateError is an ErrDuplicate with the name and the status of the job that is on its way.
type DuplicateError = policy.DuplicateError

// ErrorType is what the field error_type of a Background Job says.
type ErrorType = job.ErrorType

// The two kinds of failure that a Background Job knows.
const (
	ErrorTransient = job.Transient
	ErrorPermanent = job.Permanent
)

// Classify says which kind of failure err is for the engine. What a handler said with Permanent, Transient or RetryAfter
// wins, through any wrapping; then what a Classifier says (Engine.Classify, WithClassify), which isn't asked here. Permanent are
// an HTTPError with a status of 4xx but for 408, 425 and 429; MariaDB's refusals of a user, a right or a value; Redis's of a
// user, a password or a right; what isn't there or isn't allowed (fs.ErrNotExist, fs.ErrPermission, exec.ErrNotFound,
// sql.ErrNoRows), unless it is a network's; a ParamsError; and a text that begins with the name of one of Frappe's classes that
// no retry mends, as in "frappe.exceptions.ValidationError: …". Anything else is transient: what a network or a name server
// does, certificates, deadlocks, lack of any resource, what nobody knows.
func Classify(err error) ErrorType { return job.Classify(err) }

// Classifier says which kind of failure an error of a handler's is; false says that it doesn't know, and the next one is
// asked, at last Classify.
type Classifier = job.Classifier

// Permanent marks err as one that no retry can mend: a row goes to the dead letters at once, a job without one fails.
// Permanent(nil) is nil.
func Permanent(err error) error { return job.Mark(err, job.Permanent, 0) }

// Transient marks err as one that a retry may mend, whatever it wraps. Transient(nil) is nil.
func Transient(err error) error { return job.Mark(err, job.Transient, 0) }

// RetryAfter marks err as transient, with a pause of d, at least zero, instead of the usual one. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	return job.Mark(err, job.Transient, max(d, time.Nanosecond))
}

// Snooze is what a handler returns that wants to be called again after a pause, above zero and at most 30 days: the attempt ends
// without an error and spends no retry, whatever it is wrapped in, and the row waits, Failed without an error until then. A handler
// may snooze as often as it likes. Any other pause is a permanent error.
func Snooze(pause time.Duration) error { return job.Snooze(pause) }

// HTTPError is a failed answer of a server that a handler called: its HTTP Status, and a Message. Classify knows it.
type HTTPError = job.HTTPError

// PanicError is the error of a handler that panicked: the Value of the panic and the goroutine's Stack, also in its text.
type PanicError = job.PanicError

// ParamsError says that parameters don't fit the type of the named Handler; Err doesn't show the value. It is permanent.
type ParamsError = job.ParamsError

// NoHandlerError says that nothing here handles the Method of a job on an own Queue. The failed job can be requeued.
type NoHandlerError = job.NoHandlerError

// TransitionError says that the status of a Job can't go From one To the other.
type TransitionError = moves.TransitionError
