package rqcompat

import (
	"context"
	"fmt"
	"slices"
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
	// CreatedAt is that of the job that the caller has read; zero for one who reads it afterwards.
	CreatedAt time.Time
	// From is where the job stands: FromQueue, FromFailed, or the list that a First holds it in.
	From string
	// ExecutionID identifies this run in the records of RQ 2.x, and to limits of starts: 32 hex digits, see NewExecutionID.
	ExecutionID string
	// Limits are those that the job must keep within, at most seven.
	Limits []Limit
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

// The results of a claim. Only Claimed and ClaimedAnother make the caller the job's owner.
const (
	ClaimGone     ClaimResult = 0 // the job is not where Claim.From says any more; nothing was changed
	Claimed       ClaimResult = 1 // the job is started and belongs to the caller
	ClaimNoHash   ClaimResult = 2 // the job does not exist; its entry was removed, as Python workers do
	ClaimCanceled ClaimResult = 3 // the job is canceled; its entry was removed
	ClaimRunning  ClaimResult = 4 // the job runs already and this was a second copy of its id; the entry was removed
	// ClaimedAnother is Claimed, but somebody has enqueued another job with that id since the caller read it: it runs what
	// the hash says now.
	ClaimedAnother ClaimResult = 6

	// Below zero one of the claim's limits holds the job, see ClaimResult.Held; nothing was changed.

	claimLater ClaimResult = 5 // the script has searched long enough: it is asked again
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
// unless its start failed halfway, or the server gave no answer. After an error of the whole the caller cannot know whether
// it owns the jobs. What was begun and isn't known lapses on its own, and Rescue returns it. Redis finds an entry by walking
// the list: one of the 500 at either end of a list at once, one with 100,000 before and behind it in some 2 ms, and others
// are served after every second or third of those.
//
// Stands for rq/worker.py prepare_execution and prepare_job_execution, 1.15.1–2.10.
func (c *Client) Claim(ctx context.Context, claims []Claim, startedAt time.Time, lease time.Duration) ([]Answer[ClaimResult], error) {
	now := c.Now(ctx)
	script := batched[Claim]{script: claimScript, refuse: c.checkClaim, args: func(some []Claim) ([]any, error) {
		return c.claimArgs(some, now, startedAt, lease)
	}}
	answers := slices.Repeat([]Answer[ClaimResult]{{Result: claimLater}}, len(claims))
	for ask := left(answers); len(ask) > 0; ask = left(answers) {
		some := make([]Claim, len(ask))
		for i, at := range ask {
			some[i] = claims[at]
		}
		got, err := inBatches[ClaimResult](ctx, c, script, some)
		if err = wrap(err, "claim %d jobs", len(claims)); err != nil && len(ask) == len(claims) {
			return nil, err
		}
		for i, at := range ask {
			if answers[at].Err = err; err == nil {
				answers[at] = got[i]
			}
		}
	}
	return answers, nil
}

// left lists the claims that are still to be answered.
func left(answers []Answer[ClaimResult]) (at []int) {
	for i, a := range answers {
		if a.Err == nil && a.Result == claimLater {
			at = append(at, i)
		}
	}
	return at
}

func (c *Client) checkClaim(cl Claim) error {
	if cl.Worker == nil {
		return fmt.Errorf("%w: job %q: no worker given", ErrBadRequest, clip(cl.ID))
	}
	if (c.d.CompositeWip || len(cl.Limits) > 0) && len(cl.ExecutionID) != 32 {
		return fmt.Errorf("%w: job %q: execution id %q is not 32 hex digits", ErrBadRequest, clip(cl.ID), clip(cl.ExecutionID))
	}
	if err := checkLimits(cl.Limits); err != nil {
		return fmt.Errorf("%w: job %q: %w", ErrBadRequest, clip(cl.ID), err)
	}
	return c.checkWorker(cl.Worker)
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
	args := make([]any, 0, 9+len(records)+8*len(claims))
	args = append(args, bit(c.d.CompositeWip), bit(c.d.IntermediateGrace), now.Unix(), FormatTime(startedAt), floatTime(startedAt),
		leaseEnd(now, lease), seconds(recordTTL))
	args = append(args, records[0], len(claims), now.UnixMilli())
	args = append(args, records[1:]...)
	for i, cl := range claims {
		args = append(args, cl.Queue, cl.ID, cl.Worker.Name, cl.ExecutionID, index[i], bit(cl.Register), cl.From, FormatTime(cl.CreatedAt))
	}
	for i, cl := range claims {
		for _, l := range cl.Limits {
			args = append(args, i+1, l.Key, l.Most, l.Window.Milliseconds(), l.Lease.Milliseconds())
		}
	}
	return args, nil
}

// leaseEnd is the score of a lease that starts at now, and not less: RQ compares whole seconds, and none may end early. It ends half
// past a second, by which it is known to be this package's, see rescue.lua: RQ's own scores are whole.
func leaseEnd(now time.Time, lease time.Duration) float64 {
	return float64(now.Add(lease+time.Second/2-1).Unix()) + 0.5
}
