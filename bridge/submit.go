package bridge

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/bridge/internal/submit"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// SubmitRequest describes a Background Job to be submitted.
type SubmitRequest struct {
	// Site is the site's directory name. Required, but for a submission from a handler: its job's.
	Site string
	// JobType is the Job Type's name. Required; it must be enabled.
	JobType string
	// Organization is the tenant, in any spelling that the site's database takes for it. Default: Config.DefaultOrganization.
	Organization string
	// User is who submits and owns the job. He has to belong to the organization, unless he is a System Manager, the organization
	// is the default one or Config.TrustEnqueuer is set. Default: Administrator.
	User string
	// Priority is Low, Normal, High or Critical. Default: the Job Type's.
	Priority string
	// Parameters is anything that encodes to a JSON object. Default: {}.
	Parameters any
	// Key makes the submission repeatable: of submissions with the same key, Job Type and organization only the first
	// makes a job, and the others get that one, whatever became of it. Default: every submission makes a job.
	Key string
	// DependsOn names Background Jobs of the same organization, at most 10,000, that have to be completed before this one starts. If one
	// of them ends otherwise, this one becomes a dead letter; one between retries holds it. Default: none.
	DependsOn []string
	// Batch names the batch that the job is to be in, one of its organization that is still open. Default: none.
	Batch string
	// RunAfter is when it may start at the earliest. Default: at once.
	RunAfter time.Time
}

// Submit creates the row of a job and enqueues its delivery. If the delivery can't be enqueued the row is taken back;
// should even that fail, an engine delivers the row within a minute. A job that has to wait for its time or for another job is
// Pending until then, without a delivery. The errors are ErrBadRequest, ErrNoSuchJobType, ErrJobTypeDisabled,
// ErrOrganizationDissolved, ErrNotMember, ErrNotPermitted, ErrRateLimited, ErrDuplicate, ErrQueueFull, rows.ErrDependency, rows.ErrBatch, rows.ErrNoSuchOrganization, frappe.ErrNoSuchSite, and servers' own.
func (c *Client) Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error) {
	results, _ := c.submitter.Submit(ctx, []submit.Request{submit.Request(r)}, nil) // its error is the result's
	return results[0].Row, results[0].Err
}

// SubmitTx is Submit in a transaction of the caller's on the site's database, begun with any driver: the job is there when it
// is committed, together with what else the caller wrote, or not at all, and is delivered within 200 ms after the commit. It is
// Pending until then, also in the row that is returned. A Client that ends meanwhile leaves the delivery to the engines, which
// need some seconds. A request with a Key, or of a Job Type with a deduplication_window, keeps others from submitting on the site
// until the commit: submit last. What it takes of limits stays taken after a rollback.
func (c *Client) SubmitTx(ctx context.Context, tx *sql.Tx, r SubmitRequest) (*rows.BackgroundJob, error) {
	return c.submitter.SubmitTx(ctx, tx, submit.Request(r))
}

// SubmitResult is what became of one of many submissions: the row, or why there is none.
type SubmitResult struct {
	// Row is the job, or, of a key that was submitted before, the one that was made then; nil with an error.
	Row *rows.BackgroundJob
	// Created is false for a row that was there before.
	Created bool
	// Err is one of Submit's.
	Err error
}

// SubmitOption changes how many jobs are submitted.
type SubmitOption func(*submitting)

type submitting struct{ done func(n int) }

// OnSubmitted has f called, again and again, with how many of the submissions have been dealt with.
func OnSubmitted(f func(n int)) SubmitOption { return func(s *submitting) { s.done = f } }

// SubmitMany is Submit for any number of jobs, in their order, a few hundred of them in one transaction and one round trip. Each
// has a result of its own at its place: one that is refused keeps no other from being submitted. The error is a server's, or
// that of ctx, and says that not all could be tried; these have it as well. With a Key for each, what is submitted again
// makes only what isn't there yet.
func (c *Client) SubmitMany(ctx context.Context, rs []SubmitRequest, options ...SubmitOption) ([]SubmitResult, error) {
	var with submitting
	for _, o := range options {
		o(&with)
	}
	requests := make([]submit.Request, len(rs))
	for i, r := range rs {
		requests[i] = submit.Request(r)
	}
	found, err := c.submitter.Submit(ctx, requests, with.done)
	results := make([]SubmitResult, len(found))
	for i, r := range found {
		results[i] = SubmitResult(r)
	}
	return results, err
}

// EnqueueRequest describes a call of frappe.enqueue.
type EnqueueRequest struct {
	// Site and Method are required; Method is a dotted Python path or the name of a Go handler.
	Site, Method string
	// User is the session user. Default: Administrator.
	User string
	// Queue is the queue type. Default: "default".
	Queue string
	// ID is the job's id without the site's prefix; one on its way already is refused. Default: a UUID.
	ID string
	// Kwargs are the keyword arguments: JSON-like values.
	Kwargs map[string]any
	// Timeout is in seconds. Default: the queue's.
	Timeout int64
	// At is when to start; zero means now.
	At time.Time
	// AtFront puts the job before those that wait.
	AtFront bool
}

// Enqueue does what frappe.enqueue does: whoever works the queue runs the job. The errors are ErrBadRequest,
// frappe.ErrNoSuchSite, rqcompat.ErrDuplicateJob and those of a Redis that is away.
func (c *Client) Enqueue(ctx context.Context, r EnqueueRequest) (*rqcompat.Job, error) {
	if r.Site == "" || r.Method == "" {
		return nil, fmt.Errorf("%w: enqueue needs a site and a method", ErrBadRequest)
	}
	kwargs := map[string]any{} // an object for Python also where there are none
	maps.Copy(kwargs, r.Kwargs)
	call := frappe.Call{Site: r.Site, User: cmp.Or(r.User, access.Administrator), Method: r.Method, IsAsync: true, Kwargs: kwargs}
	request, err := c.deliveries.Request(cmp.Or(r.Queue, "default"), cmp.Or(r.ID, uuid.NewString()), r.Timeout, call)
	if err != nil {
		return nil, err
	}
	request.At, request.AtFront, request.Deduplicate = r.At, r.AtFront, r.ID != ""
	return c.rq.Enqueue(ctx, request)
}
