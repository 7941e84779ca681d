package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// orphans finds rows that should be on their way and have no delivery: the
// submitter died between COMMIT and enqueue, Redis lost its data, or a worker's
// end was noticed by somebody who knows nothing of rows. They are delivered
// again; should there be a delivery after all, the row's compare-and-swap lets
// only one run.
func (c *chores) orphans(ctx context.Context) error {
	sites, err := c.e.cfg.Bench.Sites()
	if err != nil {
		return err
	}
	sites = slices.DeleteFunc(slices.Clone(sites), func(site string) bool { return !c.e.sites.isOpen(site) })
	stale, errs := c.stale(ctx, sites)
	if len(stale) == 0 {
		return errors.Join(errs...)
	}
	alive, err := c.alive(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for site, rows := range stale {
		for _, row := range rows {
			errs = append(errs, c.adopt(ctx, site, row, alive))
		}
	}
	return errors.Join(errs...)
}

// stale reads the rows that have not moved for a while.
func (c *chores) stale(ctx context.Context, sites []string) (map[string][]*frappe.BackgroundJob, []error) {
	var (
		mu    sync.Mutex
		stale = map[string][]*frappe.BackgroundJob{}
		errs  []error
	)
	atOnce(slices.Values(sites), func(site string) {
		var rows []*frappe.BackgroundJob
		err := c.e.sites.glance(ctx, site, func(ctx context.Context, w *siteRowsWriter) (err error) {
			rows, err = w.db.Stale(ctx, c.seenUntil(site), w.db.Now().Add(-c.e.cfg.pace.orphanAge), orphanBatch)
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			c.goOnAfter(site, rows)
		}
		switch {
		case err == nil && len(rows) > 0:
			stale[site] = rows
		case err != nil && !errors.Is(err, frappe.ErrTableMissing) && !c.e.sites.isNoted(site, err):
			errs = append(errs, err)
		}
	})
	return stale, errs
}

// seenUntil is where the last look at a site's stale rows ended; zero means that
// it starts from the oldest. Thousands of rows that run for hours must not hide
// the ones behind them.
func (c *chores) seenUntil(site string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[site]
}

func (c *chores) goOnAfter(site string, rows []*frappe.BackgroundJob) {
	var next time.Time
	if len(rows) == orphanBatch {
		// Rows moved in one transaction share their time, so that one is read again;
		// unless it is all there was.
		if next = rows[len(rows)-1].Modified; next.Equal(rows[0].Modified) {
			next = next.Add(time.Microsecond)
		}
	}
	c.mu.Lock()
	c.seen[site] = next
	c.mu.Unlock()
}

// everyQueue lists the queues of the bench, also those that only others work.
func (c *chores) everyQueue(ctx context.Context) ([]watched, error) {
	names, err := c.e.rq.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range c.e.cfg.Bench.QueueTypes() {
		names = append(names, c.e.cfg.Bench.QueueName(t.Name))
	}
	slices.Sort(names)
	var qs []watched
	for _, name := range slices.Compact(names) {
		qs = append(qs, watched{name: name, kind: c.e.cfg.Bench.QueueTypeOf(name)})
	}
	return qs, nil
}

// alive collects the fences of all attempts that somebody holds, and the ids of
// all jobs that wait, on all queues: a row may be on its way through a queue
// that another bridge, or Python alone, works.
func (c *chores) alive(ctx context.Context) (map[string]bool, error) {
	alive := map[string]bool{}
	queues, err := c.everyQueue(ctx)
	if err != nil {
		return nil, err
	}
	err = each(queues, func(q watched) error {
		// The queue comes first: a job that is claimed meanwhile is then seen twice
		// and not never.
		waiting, err := c.e.rq.QueueIDs(ctx, q.name, 0, -1)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			alive[id], alive[arrivalHash(id)] = true, true
		}
		members, err := c.e.rq.Members(ctx, rqcompat.Wip, q.name, 0, -1)
		if err != nil {
			return err
		}
		ids := make([]string, len(members))
		for i, m := range members {
			ids[i] = m.ID
		}
		jobs, err := c.e.rq.FetchMany(ctx, ids)
		if err != nil {
			return err
		}
		r := router{e: c.e, queue: q}
		for _, j := range jobs {
			if j.Job == nil {
				continue
			}
			alive[fence(j.Job.StartedAt)] = true
			// A Python worker's attempt has a fence of its own; the row is named in
			// the call.
			w := &work{job: j.Job}
			if r.decode(w) == nil && w.rowName != "" {
				alive[c.e.cfg.Bench.JobID(w.site, w.rowName)] = true
			}
		}
		return nil
	})
	for _, w := range c.e.turns.rows() {
		alive[c.e.cfg.Bench.JobID(w.site, w.rowName)] = true
	}
	return alive, err
}

// handles reports whether a row's Job Type has a handler here; other rows are
// the Python engine's to care for.
func (e *Engine) handles(ctx context.Context, site string, row *frappe.BackgroundJob) bool {
	types, err := e.sites.jobTypes(ctx, site)
	if err != nil || types[row.JobType] == nil {
		return false
	}
	return e.handlerOf(types[row.JobType]) != nil
}

// handled names those of a site's Job Types that have a handler here.
func (e *Engine) handled(types map[string]*frappe.JobType) (names []string) {
	for name, t := range types {
		if e.handlerOf(t) != nil {
			names = append(names, name)
		}
	}
	return names
}

func fence(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// adopt delivers a row again that has no delivery.
func (c *chores) adopt(ctx context.Context, site string, row *frappe.BackgroundJob, alive map[string]bool) error {
	id := c.e.cfg.Bench.JobID(site, row.Name)
	if alive[id] || row.JobHash != "" && alive[row.JobHash] || !c.e.handles(ctx, site, row) {
		return nil
	}
	switch row.Status {
	case frappe.StatusRunning:
		if alive[fence(row.StartedAt)] {
			return nil
		}
		won, err := c.moveAndTell(ctx, site, row, c.backToQueue(row))
		if err != nil || !won {
			return err
		}
	case frappe.StatusQueued:
		// It may have run, and even ended, since it was read.
		if moved, err := c.hasMoved(ctx, site, row); err != nil || moved {
			return err
		}
	default: // a Pending row waits for something else
		return nil
	}
	c.e.log.Warn().Str("site", site).Str("job", row.Name).Str("status", string(row.Status)).
		Msg("row had no delivery; it is delivered again")
	return c.e.enqueueRow(ctx, c.e.cfg, site, row)
}

// hasMoved reports whether a row is no longer as it was read.
func (c *chores) hasMoved(ctx context.Context, site string, row *frappe.BackgroundJob) (moved bool, err error) {
	err = c.e.sites.glance(ctx, site, func(ctx context.Context, w *siteRowsWriter) error {
		now, err := w.db.BackgroundJob(ctx, row.Name)
		if errors.Is(err, frappe.ErrNoSuchJob) {
			moved, err = true, nil
		} else if err == nil {
			moved = now.Status != row.Status || !now.Modified.Equal(row.Modified)
		}
		return err
	})
	return moved, err
}
