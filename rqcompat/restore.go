package rqcompat

import (
	"context"
	"fmt"
	"time"
)

// Restore is a running job that Redis may have lost, see [Client.DataMark].
type Restore struct {
	Lease Lease
	// Worker is the lease's, as it was given to Claim.
	Worker *Worker
	// Job is the job as it was read, before or after the claim.
	Job *Job
	// Sure says that the caller knows from elsewhere that the attempt is the job's, whatever Redis says of it.
	Sure bool
}

// RestoreResult says what became of a Restore.
type RestoreResult int

// The results of a restore.
const (
	RestoreHeld RestoreResult = 0 // Redis has it, and the lease holds
	RestoreLost RestoreResult = 1 // the job has ended, or is somebody else's
	Restored    RestoreResult = 2 // it is there again
)

var restoreScript = newScript("restore.lua")

// Restore puts running jobs back that Redis has lost, or has as they were some time ago, each in one step: hash, lease and worker's
// record; a full Renew writes the rest. One that somebody else has by now, or that has ended, stays as it is. There is an answer for
// each, in order.
func (c *Client) Restore(ctx context.Context, rs []Restore, lease time.Duration) ([]Answer[RestoreResult], error) {
	now, at := c.Now(ctx), time.Now()
	calls := make([]scriptCall, len(rs))
	for i, r := range rs {
		record, err := c.record(r.Worker)
		if err != nil {
			return nil, fmt.Errorf("restore job %q: %w", clip(r.Lease.ID), err)
		}
		l := r.Lease
		args := append(make([]any, 0, 80), bit(c.d.CompositeWip), FormatTime(at), leaseEnd(now, lease), seconds(recordTTL), bit(r.Sure),
			l.Queue, l.ID, l.Worker, l.ExecutionID, FormatTime(l.StartedAt), FormatTime(r.Job.CreatedAt))
		args = append(args, anys(record[:])...)
		for name, value := range r.Job.Hash() {
			args = append(args, name, value)
		}
		calls[i] = scriptCall{args: args}
	}
	replies, err := c.runScripts(ctx, restoreScript, calls)
	if err != nil {
		return nil, fmt.Errorf("restore %d jobs: %w", len(rs), err)
	}
	answers := make([]Answer[RestoreResult], len(rs))
	for i, reply := range replies {
		n, err := reply.Int()
		answers[i] = Answer[RestoreResult]{RestoreResult(n), wrap(err, "restore job %q", clip(rs[i].Lease.ID))}
	}
	return answers, nil
}

// NewJob is the job that Enqueue would write for a request now; nothing is written.
func (c *Client) NewJob(r Request) (*Job, error) { return c.newJob(r, time.Now()) }

var unstrandScript = newScript("unstrand.lua")

// Unstrand puts a job into its queue that says it is queued or started and stands in no list and in no registry; done says that it did.
// Whoever pops a job without keeping a copy has it so for a moment: a caller has seen for longer that nobody has it.
func (c *Client) Unstrand(ctx context.Context, id string) (done bool, err error) {
	n, err := unstrandScript.Run(ctx, c.rdb, []string{JobKey(id)}, id, FormatTime(time.Now())).Int()
	return n == 1, wrap(err, "put job %q into its queue", clip(id))
}
