package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Step 3: load the row, admit. The row is the truth: a delivery whose row says
// that nothing is to be done is only tidied up.

// admission is what becomes of a claimed job: it runs (the zero value), it is
// refused with err, or its delivery is only tidied up.
type admission struct {
	err  error
	tidy *rqcompat.OutcomeKind
}

func refuse(kind, format string, args ...any) admission {
	return admission{err: &refusal{kind: kind, msg: fmt.Sprintf(format, args...)}}
}

func tidied(kind rqcompat.OutcomeKind) admission { return admission{tidy: &kind} }

// unreadyPause is how long a job is held that must be given back because a
// server is away, so that it doesn't go round and round.
const unreadyPause = time.Second

// admit prepares r to run.
func (e *Engine) admit(r *run) admission {
	if r.broken != nil {
		return admission{err: r.broken}
	}
	if e.held(r.ctx, r.work) {
		// Since it was routed, which may be long ago. Back on its queue it is routed
		// anew, and waits.
		return tidied(rqcompat.OutcomeGivenBack)
	}
	if r.jobType == nil {
		r.timeout = hashTimeout(r.job)
		return admission{}
	}
	a, err := e.admitRow(r)
	cause := causeOf(r.ctx)
	switch {
	case err == nil:
	case errors.Is(cause, ErrStopped), errors.Is(cause, ErrCanceled):
		return admission{err: err}
	case cause == nil && !mendable(err):
		return refuse("RowError", "the row can't be written: %v", err)
	default:
		r.log.Warn().Err(err).Msg("row can't be moved now; the job goes back to its queue")
		sleep(r.ctx, unreadyPause)
		return tidied(rqcompat.OutcomeGivenBack)
	}
	return a
}

// mendable reports whether what keeps a row from being written lies outside the
// job: a server that is away, a password, a missing table. Anything else would
// come back for ever.
func mendable(err error) bool {
	for _, outside := range []error{
		frappe.ErrUnavailable, frappe.ErrAccessDenied, frappe.ErrNoDatabase, frappe.ErrTableMissing, frappe.ErrColumnMissing,
	} {
		if errors.Is(err, outside) {
			return true
		}
	}
	return frappe.IsTransient(err)
}

// admitRow makes sure of the row and moves it to Running.
func (e *Engine) admitRow(r *run) (admission, error) {
	w, err := e.sites.of(r.ctx, r.site)
	if err != nil {
		return admission{}, err
	}
	if r.row == nil {
		a, err := e.arrive(r, w)
		if err != nil || a.err != nil {
			return a, err
		}
	}
	if a, done := e.checkBeforeStart(r, w); done {
		return a, nil
	}
	return e.moveToRunning(r, w)
}

// arrive gives a job that came by frappe.enqueue alone its row.
func (e *Engine) arrive(r *run, w *siteRowsWriter) (admission, error) {
	if r.organization == "" {
		return refuse("OrganizationError", "%s is a Job Type and needs an organization: pass organization=… to frappe.enqueue, or set bridge.default_organization", r.jobType.TypeName), nil
	}
	timeout := r.jobType.DefaultTimeout
	if r.job.Timeout != nil && *r.job.Timeout > 0 {
		timeout = int(*r.job.Timeout)
	}
	row, err := w.arrivals.Do(r.ctx, frappe.NewJob{
		JobType: r.jobType.TypeName, Organization: r.organization, OwnerUser: r.user,
		Priority: r.jobType.DefaultPriority, JobHash: arrivalHash(r.id), MaxRetries: r.jobType.MaxRetries,
		TimeoutSeconds: timeout, InputParameters: r.params(), Status: frappe.StatusQueued,
		CreatedMessage: arrivalMessage + r.id,
	})
	if err != nil {
		return admission{}, err
	}
	r.row = row
	return admission{}, nil
}

// checkBeforeStart refuses what must not start. The reasons are permanent: the
// job goes to the dead letters and says why.
func (e *Engine) checkBeforeStart(r *run, w *siteRowsWriter) (admission, bool) {
	r.name.Store(&r.row.Name)
	if r.row.Status.Terminal() {
		return e.tidyUp(r), true
	}
	types, err := w.db.JobTypes(r.ctx)
	switch t := types[r.row.JobType]; {
	case err != nil: // what routing saw a moment ago still holds
	case t == nil:
		return refuse("JobTypeError", "Job Type %q no longer exists", r.row.JobType), true
	case !t.Enabled:
		return refuse("JobTypeError", "Job Type %q is disabled", r.row.JobType), true
	}
	org, err := w.db.Organization(r.ctx, r.row.Organization)
	switch {
	case errors.Is(err, frappe.ErrNoSuchOrganization), err == nil && org.Status == frappe.OrganizationDissolved:
		return refuse("OrganizationError", "Organization not found: %s", r.row.Organization), true
	}
	return admission{}, false
}

// moveToRunning is the compare-and-swap that makes this attempt the row's.
func (e *Engine) moveToRunning(r *run, w *siteRowsWriter) (admission, error) {
	r.attempt = r.row.RetryCount + 1
	if r.row.TimeoutSeconds > 0 {
		r.timeout = time.Duration(r.row.TimeoutSeconds) * time.Second
	}
	for {
		from := r.row.Status
		if from == frappe.StatusRunning {
			// Someone else's attempt. If its worker died, the sweep sets the row back
			// and delivers it again.
			r.log.Info().Msg("row is running already; this second delivery is dropped")
			return tidied(rqcompat.OutcomeFinished), nil
		}
		move := frappe.Transition{
			Name: r.row.Name, From: from, To: frappe.StatusRunning, StartedAt: r.startedAt(),
			Message: "Worker started execution",
			Set:     map[string]any{"progress": 0, "progress_message": "", "next_retry_at": nil, "completed_at": nil},
		}
		if from != frappe.StatusQueued {
			// Delivered ahead of its turn: a person requeued it in RQ, or Python
			// enqueued before it moved the row.
			move.Via, move.ViaMessage = frappe.StatusQueued, "Job enqueued"
			if from != frappe.StatusPending {
				r.row.RetryCount++
				r.attempt = r.row.RetryCount + 1
				move.Set["retry_count"] = r.row.RetryCount
			}
		}
		result, err := e.move(context.WithoutCancel(r.ctx), w, move)
		if err != nil {
			return admission{}, err
		}
		if result.Applied {
			e.publishMove(r.site, r.row, move, result)
			return admission{}, nil
		}
		if result.Missing {
			return refuse("RowError", "Background Job %s was deleted", r.row.Name), nil
		}
		if r.row.Status = result.Current; r.row.Status.Terminal() {
			return e.tidyUp(r), nil
		}
	}
}

// tidyUp ends the delivery of a row that is final already, in the words RQ has
// for it.
func (e *Engine) tidyUp(r *run) admission {
	r.log.Debug().Str("status", string(r.row.Status)).Msg("row is final; its delivery is tidied up")
	switch r.row.Status {
	case frappe.StatusCompleted:
		return tidied(rqcompat.OutcomeFinished)
	case frappe.StatusCanceled:
		return tidied(rqcompat.OutcomeStopped)
	}
	return tidied(rqcompat.OutcomeFailed)
}

// move performs one transition through the site's batch, after checking that
// the state machine has it.
func (e *Engine) move(ctx context.Context, w *siteRowsWriter, t frappe.Transition) (frappe.TransitionResult, error) {
	if err := checkMove(t); err != nil {
		return frappe.TransitionResult{}, err
	}
	return w.move(ctx, t)
}

// hashTimeout is the timeout of a job without a row; zero means unlimited.
func hashTimeout(job *rqcompat.Job) time.Duration {
	if job.Timeout == nil {
		return 180 * time.Second // RQ's default for a queue
	}
	return time.Duration(max(*job.Timeout, 0)) * time.Second
}
