package intake

import (
	"cmp"
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
	Claim func(ctx context.Context, claims []rqcompat.Claim, startedAt time.Time, lease time.Duration) ([]rqcompat.Answer[rqcompat.ClaimResult], error)
	// Fetch and Router read again what was claimed of which only a note was kept, or that is another job by now.
	Fetch      func(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	Router     Router
	Suspension *policy.Suspension
	Fair       *FairQueue
	Pollers    map[string]*Poller // by queue
	Slots      *workers.Slots
	// Lease is how long a claim holds without renewal in RQ's started registry.
	Lease time.Duration
	// Start lets a claimed job go: it is this process's from now on. It must not block. If again isn't nil, q is an outline:
	// again waits for what the job asks for, or gives nil for one that has to go back to its queue.
	Start func(q *job.Queued, again func(context.Context) *job.Queued, slot *workers.Slot, lease rqcompat.Lease)
	Log   *slog.Logger
	// Pulse beats while jobs are claimed; nil for none.
	Pulse *wait.Pulse

	said wait.Seldom
}

// Run waits for jobs and for free slots, and claims, until ctx ends.
func (c *Claimer) Run(ctx context.Context) {
	pause := wait.Backoff{Log: c.Log, What: "jobs can't be claimed"}
	defer c.Pulse.Rest()
	for ctx.Err() == nil {
		c.Pulse.Rest()
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
		c.Pulse.Beat()
		dealt := c.Fair.deal(len(free))
		if len(dealt) == 0 {
			c.Slots.PutBack(free)
			c.Pulse.Rest()
			if c.Fair.Len() > 0 { // all who wait have what they may have, or wait for room, or for limits
				c.Fair.filled.Within(ctx, min(c.Fair.room.untilTurn(), c.Fair.untilOpen()))
			}
			continue
		}
		if err := c.claim(ctx, c.allowed(ctx, dealt), free); err != nil {
			pause.Failed(ctx, err)
			continue
		}
		pause.Succeeded()
	}
}

// allowed leaves out the jobs of paused queues, which are found again when the pause is over.
func (c *Claimer) allowed(ctx context.Context, dealt []*Note) []*Note {
	return slices.DeleteFunc(dealt, func(n *Note) bool {
		queue := n.Queue().Name
		paused := c.Suspension.Paused(ctx, queue)
		if paused {
			c.Fair.letGo(n.holds())
			c.Pollers[queue].forget(n.ID)
		}
		return paused
	})
}

// claim claims the dealt jobs for as many slots and starts what was won.
func (c *Claimer) claim(ctx context.Context, dealt []*Note, free []*workers.Slot) error {
	c.Slots.PutBack(free[len(dealt):])
	free = free[:len(dealt)]
	if len(dealt) == 0 {
		return nil
	}
	startedAt := time.Now().Truncate(time.Microsecond)
	claims := make([]rqcompat.Claim, len(dealt))
	for i, n := range dealt {
		claims[i] = n.claimFor(free[i])
	}
	answers, err := c.Claim(ctx, claims, startedAt, c.Lease)
	if err != nil {
		answers = slices.Repeat([]rqcompat.Answer[rqcompat.ClaimResult]{{Err: err}}, len(claims))
	}
	var again rereading
	held := c.held(dealt, answers, free)
	for i, a := range answers {
		if held[i] {
			continue
		}
		if err = cmp.Or(err, c.tell(dealt[i], a.Err)); a.Err != nil {
			// If it was claimed nevertheless, maintenance gives it back; the name must not be used again.
			c.Slots.Rename(free[i])
		}
		claimed := a.Result == rqcompat.Claimed || a.Result == rqcompat.ClaimedAnother
		free[i].Registered = free[i].Registered || claimed
		if !claimed {
			c.Fair.letGo(dealt[i].holds())
			c.Slots.GiveBack(free[i])
			continue
		}
		lease := rqcompat.Lease{
			Queue: claims[i].Queue, ID: claims[i].ID, Worker: free[i].Worker.Name, ExecutionID: claims[i].ExecutionID, StartedAt: startedAt,
			Limits: claims[i].Limits,
		}
		c.Fair.claimed(dealt[i])
		c.start(dealt[i], a.Result, &again, free[i], lease)
	}
	if len(again.notes) > 0 {
		go c.reread(ctx, again)
	}
	return err
}

// held puts back what limits hold, and says which that is: it goes on waiting where it stood, as if it had not been dealt.
func (c *Claimer) held(dealt []*Note, answers []rqcompat.Answer[rqcompat.ClaimResult], free []*workers.Slot) map[int]bool {
	var held map[int]bool
	var notes []*Note
	for i, a := range answers {
		if _, _, is := a.Result.Held(); is {
			if held == nil {
				held = map[int]bool{}
			}
			held[i] = true
			notes = append(notes, dealt[i])
			c.Slots.GiveBack(free[i])
		}
	}
	if held == nil {
		return nil
	}
	c.Fair.putBack(notes...)
	for i := range held { // after what giving them back tells of room
		nth, after, _ := answers[i].Result.Held()
		c.Fair.heldBy(dealt[i], nth, after)
	}
	return held
}

// claimFor is what a slot asks for of Redis.
func (n *Note) claimFor(slot *workers.Slot) rqcompat.Claim {
	claim := rqcompat.Claim{
		Queue: n.Queue().Name, ID: n.ID, Worker: slot.Worker, Register: !slot.Registered,
		ExecutionID: rqcompat.NewExecutionID(), From: n.From,
	}
	if n.kept != nil {
		claim.CreatedAt = n.kept.CreatedAt
	}
	if n.limits != none {
		limits := n.limits.Value()
		claim.Limits, _ = limits.List()
	}
	return claim
}

// start lets a claimed job go, which is read again unless it was kept and is still the same.
func (c *Claimer) start(n *Note, result rqcompat.ClaimResult, again *rereading, slot *workers.Slot, lease rqcompat.Lease) {
	holds := n.holds()
	slot.Ended = func() { c.Fair.letGo(holds) }
	if q := n.kept; q != nil && result == rqcompat.Claimed {
		q.From, q.Before = n.From, n.Before
		c.Start(q, nil, slot, lease)
		return
	}
	c.Start(n.outline(), again.add(n), slot, lease)
}

// tell tells the poller of a job that was dealt: what is still in its list must be found again. One of which a key holds
// something else is left alone for a while; any other error is returned.
func (c *Claimer) tell(n *Note, err error) error {
	poller := c.Pollers[n.Queue().Name]
	if err == nil || rqcompat.Judge(err) != rqcompat.Final {
		poller.forget(n.ID)
		return err
	}
	c.said.Warn(c.Log, "job can't be claimed; it stays where it is", n.Queue().Name, "error", err, "job_id", n.ID, "queue", n.Queue().Name)
	if n.From != rqcompat.FromQueue {
		poller.forget(n.ID)
		return nil
	}
	poller.refuse(n.ID)
	return nil
}
