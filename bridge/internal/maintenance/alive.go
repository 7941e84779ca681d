package maintenance

import (
	"context"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Alive are the deliveries that are on their way, and the attempts that somebody holds.
type Alive struct {
	ids    map[string]bool // of jobs, and hashes of rows made on arrival
	fences map[string]bool
}

func (a *Alive) waits(id, hash string) bool     { return a.ids[id] || hash != "" && a.ids[hash] }
func (a *Alive) runs(startedAt time.Time) bool  { return a.fences[fence(startedAt)] }
func fence(t time.Time) string                  { return t.UTC().Format(time.RFC3339Nano) }
func (a *Alive) addID(id string)                { a.ids[id] = true }
func (a *Alive) addWaiting(id string)           { a.addID(id); a.addID(sites.ArrivalHash(id)) }
func (a *Alive) addRunning(startedAt time.Time) { a.fences[fence(startedAt)] = true }

// Census finds out what is alive on all queues of the bench, also on those that only others work.
type Census struct {
	RQ interface {
		Queues(ctx context.Context) ([]string, error)
		QueueIDs(ctx context.Context, queue string, from, to int64) ([]string, error)
		Members(ctx context.Context, reg rqcompat.Registry, queue string, from, to int64) ([]rqcompat.Member, error)
		FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	}
	Bench *frappe.Bench
	// Delivery gives the id of the RQ job that brings a row.
	Delivery func(ctx context.Context, site, name string) (string, error)
	// Waiting calls yield for each row whose job waits in this process.
	Waiting func(yield func(site, name string))
}

// Take collects what is alive.
func (c Census) Take(ctx context.Context) (*Alive, error) {
	alive := &Alive{ids: map[string]bool{}, fences: map[string]bool{}}
	queues, err := c.queues(ctx)
	if err != nil {
		return nil, err
	}
	err = each(queues, func(queue string) error {
		// The queue comes first: a job that is claimed meanwhile is then seen twice and not never.
		waiting, err := c.RQ.QueueIDs(ctx, queue, 0, -1)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			alive.addWaiting(id)
		}
		return c.started(ctx, queue, alive)
	})
	c.Waiting(func(site, name string) { alive.addID(c.Bench.JobID(site, name)) })
	return alive, err
}

// Finished reports whether RQ has it that a running row's attempt ended well.
func (c Census) Finished(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error) {
	id, err := c.Delivery(ctx, site, row.Name)
	if err != nil {
		return false, err
	}
	jobs, err := c.RQ.FetchMany(ctx, []string{id})
	if err != nil {
		return false, err
	}
	j := jobs[0].Job
	return j != nil && j.Status == rqcompat.StatusFinished && sameInstant(j.StartedAt, row.StartedAt), nil
}

// started collects the attempts in a queue's started registry.
func (c Census) started(ctx context.Context, queue string, alive *Alive) error {
	members, err := c.RQ.Members(ctx, rqcompat.Wip, queue, 0, -1)
	if err != nil {
		return err
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	jobs, err := c.RQ.FetchMany(ctx, ids)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		alive.addWaiting(ids[i])
		if j.Job == nil {
			continue
		}
		alive.addRunning(j.Job.StartedAt)
		// A Python worker's attempt has a fence of its own; the row is named in the call.
		if site, name, ok := route.RowOf(j.Job); ok {
			alive.addID(c.Bench.JobID(site, name))
		}
	}
	return nil
}

// queues lists the queues of the bench, also those that only others work.
func (c Census) queues(ctx context.Context) ([]string, error) {
	names, err := c.RQ.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range c.Bench.QueueTypes() {
		names = append(names, c.Bench.QueueName(t.Name))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
