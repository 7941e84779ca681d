package intake

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// claimBatch is how many jobs one script claims at most.
const claimBatch = 128

// Claimer takes the jobs whose turn it is from their queues, by id.
type Claimer struct {
	Claim      func(ctx context.Context, claims []rqcompat.Claim, startedAt time.Time, lease time.Duration) ([]rqcompat.ClaimResult, error)
	Suspension *policy.Suspension
	Fair       *FairQueue
	Pollers    map[string]*Poller // by queue
	Slots      *workers.Slots
	// Lease is how long a claim holds without renewal in RQ's started registry.
	Lease time.Duration
	// Start lets a claimed job go: it is this process's from now on. It must not block.
	Start func(q *job.Queued, slot *workers.Slot, lease rqcompat.Lease)
	Log   *slog.Logger
}

// Run waits for jobs and for free slots, and claims, until ctx ends.
func (c *Claimer) Run(ctx context.Context) {
	pause := wait.Backoff{Log: c.Log, What: "jobs can't be claimed"}
	for ctx.Err() == nil {
		if c.Fair.Len() == 0 {
			for _, p := range c.Pollers {
				p.hungry.Raise()
			}
			if !c.Fair.filled.Wait(ctx) {
				return
			}
			continue
		}
		free := c.Slots.Take(claimBatch)
		if len(free) == 0 {
			if !c.Slots.Freed.Wait(ctx) {
				return
			}
			continue
		}
		if a := c.Suspension.Ask(ctx); a.Verdict != policy.Go || ctx.Err() != nil {
			c.Slots.PutBack(free)
			wait.Sleep(ctx, a.Again)
			continue
		}
		if err := c.claim(ctx, c.allowed(ctx, c.Fair.deal(len(free))), free); err != nil {
			pause.Failed(ctx, err)
			continue
		}
		pause.Succeeded()
	}
}

// allowed leaves out the jobs of paused queues, which are found again when the pause is over.
func (c *Claimer) allowed(ctx context.Context, dealt []*job.Queued) []*job.Queued {
	return slices.DeleteFunc(dealt, func(q *job.Queued) bool {
		paused := c.Suspension.Paused(ctx, q.Queue.Name)
		if paused {
			c.Pollers[q.Queue.Name].forget(q.ID)
		}
		return paused
	})
}

// claim claims the dealt jobs for as many slots and starts what was won.
func (c *Claimer) claim(ctx context.Context, dealt []*job.Queued, free []*workers.Slot) error {
	c.Slots.PutBack(free[len(dealt):])
	free = free[:len(dealt)]
	if len(dealt) == 0 {
		return nil
	}
	startedAt := time.Now().Truncate(time.Microsecond)
	claims := make([]rqcompat.Claim, len(dealt))
	for i, q := range dealt {
		claims[i] = rqcompat.Claim{
			Queue: q.Queue.Name, ID: q.ID, Worker: free[i].Worker, Register: !free[i].Registered,
			ExecutionID: rqcompat.NewExecutionID(), From: q.From,
		}
	}
	results, err := c.Claim(ctx, claims, startedAt, c.Lease)
	// Also after an error: what is still in its list must be found again.
	for _, q := range dealt {
		c.Pollers[q.Queue.Name].forget(q.ID)
	}
	if err != nil {
		// If they were claimed nevertheless, maintenance gives them back; the names must not be used again.
		for _, s := range free {
			c.Slots.Rename(s)
		}
		c.Slots.GiveBack(free...)
		return err
	}
	for i, result := range results {
		free[i].Registered = free[i].Registered || result == rqcompat.Claimed
		if result != rqcompat.Claimed {
			c.Slots.GiveBack(free[i])
			continue
		}
		c.Start(dealt[i], free[i], rqcompat.Lease{
			Queue: claims[i].Queue, ID: claims[i].ID, Worker: free[i].Worker.Name, ExecutionID: claims[i].ExecutionID, StartedAt: startedAt,
		})
	}
	return nil
}
