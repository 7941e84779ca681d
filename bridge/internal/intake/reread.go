package intake

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

// rereading are the jobs of one claim of which only notes were kept. Each is waited for by its own attempt.
type rereading struct {
	notes []*Note
	read  []chan *job.Queued
}

// add takes up a job and gives what waits for it.
func (r *rereading) add(n *Note) func(context.Context) *job.Queued {
	read := make(chan *job.Queued, 1)
	r.notes, r.read = append(r.notes, n), append(r.read, read)
	return func(ctx context.Context) *job.Queued {
		select {
		case q := <-read:
			return q
		case <-ctx.Done():
			return nil
		}
	}
}

// reread reads claimed jobs again. What routing says now counts: one that is no longer ours, or may not start yet, goes
// back to its queue, and so do all of them when ctx ends, which is that of claiming.
func (c *Claimer) reread(ctx context.Context, r rereading) {
	of := map[job.Queue][]int{}
	for i, n := range r.notes {
		of[n.Queue()] = append(of[n.Queue()], i)
	}
	for queue, which := range of {
		c.rereadOf(ctx, queue, which, r)
	}
}

// rereadOf reads those of one queue.
func (c *Claimer) rereadOf(ctx context.Context, queue job.Queue, which []int, r rereading) {
	ids := make([]string, len(which))
	for k, i := range which {
		ids[k] = r.notes[i].ID
	}
	var found []route.Found
	c.insist(ctx, queue, func() error {
		fetched, err := c.Fetch(ctx, ids)
		if err == nil {
			found = asFound(ids, fetched, func(k int) time.Time { return r.notes[which[k]].Seen })
		}
		return err
	})
	for k := range found {
		found[k].Whole = true
	}
	routed := c.Router.Route(ctx, queue, found)
	for k, i := range which {
		switch {
		case routed == nil || ctx.Err() != nil:
			r.read[i] <- nil
		case routed[k].Verdict == route.Heavy:
			go func() {
				var alone route.Routed
				c.insist(ctx, queue, func() (err error) {
					alone, err = c.Router.Alone(ctx, queue, found[k])
					return err
				})
				r.settle(i, alone)
			}()
		default:
			r.settle(i, routed[k])
		}
	}
}

// settle tells who waits for a job what it asks for now.
func (r *rereading) settle(i int, routed route.Routed) {
	if routed.Queued == nil || routed.Verdict != route.Ours {
		r.read[i] <- nil
		return
	}
	q, n := routed.Queued, r.notes[i]
	q.From, q.Before, q.Memory = n.From, n.Before, n.Load.Memory
	r.read[i] <- q
}

// insist does what a Redis that is away delays, until it works or ctx ends.
func (c *Claimer) insist(ctx context.Context, queue job.Queue, do func() error) {
	pause := wait.Backoff{Log: c.Log.With("queue", queue.Name), What: "claimed jobs can't be read"}
	for err := do(); err != nil && ctx.Err() == nil; err = do() {
		pause.Failed(ctx, err)
	}
	pause.Succeeded()
}
