package rqcompat

import (
	"context"
	"time"
)

// Lease is a claimed job's tie to its owner, as long as it runs.
type Lease struct {
	Queue, ID, Worker, ExecutionID string
	StartedAt                      time.Time     // what was given to Claim
	Working                        time.Duration // how long the job has been worked on
	// Limits are those that were given to Claim.
	Limits []Limit
}

// LeaseState says whether a lease was renewed.
type LeaseState int

// The states of a lease. Anything but LeaseHeld means: stop the job, its outcome will be refused or of no use.
const (
	LeaseHeld       LeaseState = 0
	LeaseLost       LeaseState = 1 // the job ended, or is somebody else's
	LeaseJobDeleted LeaseState = 2 // the job's hash is gone
	LeaseCanceled   LeaseState = 3 // the job was canceled while it ran
)

var renewScript = newScript("renew.lua")

// Renew extends leases by lease from now, in one round trip, and says which still hold. A full renewal also writes
// the heartbeats of job, worker and execution and has to happen at least every 30 s; otherwise only the scores in
// the started registry move, which costs a tenth. Nothing is written for a job that was deleted or belongs to
// somebody else. A worker record that vanished is left to Heartbeat. A lease with an error of its own may have been
// extended or not; the others are.
//
// Stands for rq/worker.py maintain_heartbeats, 1.15.1–2.10.
func (c *Client) Renew(ctx context.Context, ls []Lease, lease time.Duration, full bool) ([]Answer[LeaseState], error) {
	now, at := c.Now(ctx), time.Now()
	script := batched[Lease]{script: renewScript, args: func(some []Lease) ([]any, error) {
		args := make([]any, 0, 9+6*len(some))
		args = append(args, bit(c.d.CompositeWip), bit(full), now.Unix(), FormatTime(at), floatTime(at),
			leaseEnd(now, lease), seconds(recordTTL), len(some), now.UnixMilli())
		for _, l := range some {
			args = append(args, l.Queue, l.ID, l.Worker, l.ExecutionID, FormatTime(l.StartedAt), secondsText(l.Working))
		}
		for i, l := range some {
			for _, limit := range l.Limits {
				if limit.Window == 0 {
					args = append(args, i+1, limit.Key, limit.Lease.Milliseconds())
				}
			}
		}
		return args, nil
	}}
	states, err := inBatches[LeaseState](ctx, c, script, ls)
	return states, wrap(err, "renew %d leases", len(ls))
}
