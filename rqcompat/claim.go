package rqcompat

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Claim asks for one job of a queue, for one worker.
type Claim struct {
	Queue, ID string
	Worker    *Worker // will show the job as its current one, and must not have another one
	// Register writes the worker's whole record with the claim. Without it only what changes is written, unless
	// the record turns out to have expired.
	Register bool
	// From is where the job stands: FromQueue, FromFailed, or the list that a First holds it in.
	From string
	// ExecutionID identifies this run in the records of RQ 2.x: 32 hex digits, see NewExecutionID.
	ExecutionID string
}

// Places from which a job is claimed.
const (
	FromQueue = ""
	// FromFailed is the queue's failed registry: a job that another worker took and failed starts without passing
	// through its queue again. One that isn't failed any more is ClaimGone.
	FromFailed = "failed"
)

// ClaimResult says what became of a Claim.
type ClaimResult int

// The results of a claim. Only Claimed makes the caller the job's owner.
const (
	ClaimGone     ClaimResult = 0 // the job is not where Claim.From says any more; nothing was changed
	Claimed       ClaimResult = 1 // the job is started and belongs to the caller
	ClaimNoHash   ClaimResult = 2 // the job does not exist; its entry was removed, as Python workers do
	ClaimCanceled ClaimResult = 3 // the job is canceled; its entry was removed
	ClaimRunning  ClaimResult = 4 // the job runs already and this was a second copy of its id; the entry was removed
)

// NewExecutionID returns a random execution id, 32 hex digits. rq/executions.py Execution.create.
func NewExecutionID() string {
	return strings.ReplaceAll(uuid.NewString(), "-", "")
}

var claimScript = newScript("claim.lua")

// Claim takes jobs out of their queues, or from where else they stand, and starts them, each in one atomic step: at no
// time is a job neither there nor in the started registry. startedAt, cut to microseconds, becomes the job's started_at and is, with the
// worker's name, what Renew and Settle recognize the owner by. The lease is the time after which cleaners may take the
// job away unless Renew is called. There is one answer per claim, in order; one with an error left its job where it stood,
// unless its start failed halfway. After an error of the whole the caller cannot know whether it owns the jobs. What was
// begun and isn't known lapses on its own, and Rescue returns it. Redis finds an entry by walking the
// list from its head: a claim 10,000 entries deep costs it some 0.2 ms more than one at the head.
//
// Stands for rq/worker.py prepare_execution and prepare_job_execution, 1.15.1–2.10.
func (c *Client) Claim(ctx context.Context, claims []Claim, startedAt time.Time, lease time.Duration) ([]Answer[ClaimResult], error) {
	now := c.Now(ctx)
	script := batched[Claim]{script: claimScript, refuse: c.checkClaim, args: func(some []Claim) ([]any, error) {
		return c.claimArgs(some, now, startedAt, lease)
	}}
	answers, err := inBatches[ClaimResult](ctx, c, script, claims)
	return answers, wrap(err, "claim %d jobs", len(claims))
}

func (c *Client) checkClaim(cl Claim) error {
	if cl.Worker == nil {
		return fmt.Errorf("%w: job %q: no worker given", ErrBadRequest, clip(cl.ID))
	}
	if c.d.CompositeWip && len(cl.ExecutionID) != 32 {
		return fmt.Errorf("%w: job %q: execution id %q is not 32 hex digits", ErrBadRequest, clip(cl.ID), clip(cl.ExecutionID))
	}
	_, err := c.record(cl.Worker)
	return err
}

func (c *Client) claimArgs(claims []Claim, now, startedAt time.Time, lease time.Duration) ([]any, error) {
	workers := make([]*Worker, len(claims))
	for i, cl := range claims {
		workers[i] = cl.Worker
	}
	records, index, err := c.records(workers)
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, 7+len(records)+7*len(claims))
	args = append(args, bit(c.d.CompositeWip), bit(c.d.IntermediateGrace), now.Unix(), FormatTime(startedAt), floatTime(startedAt),
		leaseEnd(now, lease), seconds(recordTTL))
	args = append(args, records...)
	for i, cl := range claims {
		args = append(args, cl.Queue, cl.ID, cl.Worker.Name, cl.ExecutionID, index[i], bit(cl.Register), cl.From)
	}
	return args, nil
}

// leaseEnd is the score of a lease that starts at now, rounded up: RQ compares whole seconds, and none may end early.
func leaseEnd(now time.Time, lease time.Duration) int64 {
	return now.Add(lease + time.Second - 1).Unix()
}
