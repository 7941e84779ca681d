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
		ids := make([]string, len(which))
		for k, i := range which {
			ids[k] = r.notes[i].ID
		}
		routed := c.route(ctx, queue, ids)
		for k, i := range which {
			var q *job.Queued
			if routed != nil && routed[k].Verdict == route.Ours {
				q = routed[k].Queued
				q.From, q.Before = r.notes[i].From, r.notes[i].Before
			}
			r.read[i] <- q
		}
	}
}

// route reads and routes jobs of one queue, as soon as Redis can be asked; nil when ctx has ended before.
func (c *Claimer) route(ctx context.Context, queue job.Queue, ids []string) []route.Routed {
	pause := wait.Backoff{Log: c.Log.With("queue", queue.Name), What: "claimed jobs can't be read"}
	for {
		fetched, err := c.Fetch(ctx, ids)
		if err == nil {
			pause.Succeeded()
			now := time.Now()
			return c.Router.Route(ctx, queue, asFound(ids, fetched, func(string) time.Time { return now }))
		}
		if pause.Failed(ctx, err); ctx.Err() != nil {
			return nil
		}
	}
}
