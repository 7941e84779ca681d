package bridge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Timed chores. They find what a crash left behind: jobs whose worker died,
// rows without a delivery, Go jobs that a Python worker took and failed. Every
// chore is safe to run in several processes at once.

// pace is how often the chores run.
type pace struct {
	// rescue is how often lapsed leases are looked for. With a lease of at most
	// 15 s a job of a dead worker is back in its queue within 20 s.
	rescue time.Duration
	// takeBack is how often the failed registries are searched for Go jobs that
	// Python took.
	takeBack time.Duration
	// orphans is how often rows are searched that should be on their way and have
	// no delivery; orphanAge is how long they must not have moved.
	orphans, orphanAge time.Duration
	// maintain is RQ's own interval for cleaning its registries.
	maintain time.Duration
}

var defaultPace = pace{
	rescue: time.Second, takeBack: 5 * time.Second,
	orphans: 15 * time.Second, orphanAge: 30 * time.Second,
	maintain: 10 * time.Minute,
}

const (
	// choreTick is how often it is looked whether a chore is due.
	choreTick = time.Second
	// orphanBatch is how many rows of a site are looked at a time.
	orphanBatch = 1000
)

type chores struct {
	e *Engine

	mu      sync.Mutex
	failing map[string]bool      // queues whose failed registry grew
	seen    map[string]time.Time // by site, see seenUntil

	// looked remembers failed ids that are to stay failed; owned by run.
	looked map[jobKey]bool
}

func newChores(e *Engine) *chores {
	return &chores{e: e, failing: map[string]bool{}, seen: map[string]time.Time{}, looked: map[jobKey]bool{}}
}

// failed notes that a queue's failed registry grew.
func (c *chores) failed(queue string) {
	c.mu.Lock()
	c.failing[queue] = true
	c.mu.Unlock()
}

func (c *chores) run(ctx context.Context) {
	p := c.e.cfg.pace
	tick := time.NewTicker(min(choreTick, p.rescue, p.orphans))
	defer tick.Stop()
	type chore struct {
		what  string
		every time.Duration
		do    func(context.Context) error
		next  time.Time
	}
	start := time.Now()
	list := []*chore{
		{what: "rescue jobs of dead workers", every: p.rescue, do: c.rescue, next: start},
		{what: "trim failed registries", every: p.rescue, do: c.trimFailed, next: start},
		{what: "give back Go jobs that Python failed", every: p.takeBack, do: c.takeBack, next: start},
		{what: "deliver rows that have no delivery", every: p.orphans, do: c.orphans, next: start.Add(p.orphans)},
		{what: "maintain RQ's registries", every: p.maintain, do: c.maintain, next: start},
	}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, job := range list {
				if now.Before(job.next) {
					continue
				}
				job.next = now.Add(job.every)
				if err := job.do(ctx); err != nil && ctx.Err() == nil {
					c.e.log.Warn().Err(err).Str("chore", job.what).Msg("chore failed; it is tried again")
				}
			}
		}
	}
}

// each runs do for every queue that is worked and joins the errors.
func (c *chores) each(do func(q watched) error) error { return each(c.e.watchedQueues(), do) }

func each(queues []watched, do func(q watched) error) error {
	var errs []error
	for _, q := range queues {
		errs = append(errs, do(q))
	}
	return errors.Join(errs...)
}

// rescue gives back the jobs whose lease lapsed. The row goes first: a crash in
// between leaves a Queued row whose delivery is still to be rescued.
func (c *chores) rescue(ctx context.Context) error {
	return c.each(func(q watched) error {
		lapsed, err := c.e.rq.Lapsed(ctx, q.name, patience)
		if err != nil {
			return err
		}
		var errs []error
		for _, l := range lapsed {
			if !strings.HasPrefix(l.WorkerName, WorkerPrefix) {
				continue // Python's; maintenance judges it by RQ's rules
			}
			if r := c.e.running.worker(l.WorkerName); r != nil && !r.settled.Load() {
				continue // our own, after Redis was away: the next renewal mends it
			}
			// A job whose site is away waits; it must not keep others.
			errs = append(errs, c.rescueOne(ctx, q, l))
		}
		return errors.Join(errs...)
	})
}

func (c *chores) rescueOne(ctx context.Context, q watched, l rqcompat.LapsedJob) error {
	log := c.e.log.With().Str("job_id", l.ID).Str("queue", q.name).Str("worker", l.WorkerName).Int("kills", l.Kills+1).Logger()
	poison := l.Kills+1 >= c.e.cfg.MaxKills
	site, row, err := c.rowOfDelivery(ctx, q, l.ID)
	if err != nil {
		return err
	}
	if row != nil && row.Status == frappe.StatusRunning && sameInstant(row.StartedAt, l.StartedAt) {
		move := c.backToQueue(row)
		if poison {
			move.To, move.Via = frappe.StatusDeadLetter, ""
			move.Message = "Job took its worker down again and again"
			move.Set = map[string]any{"error_type": string(ErrorPermanent), "error_message": move.Message, "completed_at": time.Now()}
		}
		if _, err := c.moveAndTell(ctx, site, row, move); err != nil {
			return err
		}
	}
	result, err := c.e.rq.Rescue(ctx, q.name, l, c.e.cfg.MaxKills)
	if err != nil {
		return err
	}
	switch result {
	case rqcompat.RescueRequeued:
		log.Warn().Msg("worker died with a job; it is back in its queue")
	case rqcompat.RescuePoisoned:
		log.Error().Msg("job took its worker down again and again; it is in the failed registry")
		c.failed(q.name)
	}
	return nil
}

// backToQueue is the move of a running row whose worker is gone. It spends no
// retry.
func (c *chores) backToQueue(row *frappe.BackgroundJob) frappe.Transition {
	return frappe.Transition{
		Name: row.Name, From: frappe.StatusRunning, StartedAt: row.StartedAt,
		Via: frappe.StatusFailed, ViaMessage: "Worker died",
		To: frappe.StatusQueued, Message: "Job given back to the queue",
		Set: map[string]any{"started_at": nil},
	}
}

// moveAndTell moves a row and publishes that, and reports whether it won.
func (c *chores) moveAndTell(ctx context.Context, site string, row *frappe.BackgroundJob, move frappe.Transition) (bool, error) {
	w, err := c.e.sites.of(ctx, site)
	if err != nil {
		return false, err
	}
	result, err := c.e.move(ctx, w, move)
	if err != nil || !result.Applied {
		return false, err
	}
	c.e.publishMove(site, row, move, result)
	return true, nil
}

// rowOfDelivery finds the row that an RQ job delivers; nil if it has none.
func (c *chores) rowOfDelivery(ctx context.Context, q watched, id string) (string, *frappe.BackgroundJob, error) {
	job, err := c.e.rq.Fetch(ctx, id)
	if job == nil {
		if errors.Is(err, rqcompat.ErrNoSuchJob) {
			err = nil
		}
		return "", nil, err
	}
	r := router{e: c.e, queue: q}
	routed := r.route(ctx, []found{{job: job, fault: err}})[0]
	switch w := routed.work; {
	case routed.verdict == undecided && routed.again == soon:
		return "", nil, errors.New("the row of job " + id + " can't be read now")
	case w.row != nil:
		return w.site, w.row, nil
	case w.jobType == nil:
		return "", nil, nil
	default:
		var row *frappe.BackgroundJob
		err := c.e.sites.glance(ctx, w.site, func(ctx context.Context, s *siteRowsWriter) (err error) {
			row, err = s.db.FindByHash(ctx, arrivalHash(id))
			return err
		})
		if errors.Is(err, frappe.ErrNoSuchJob) {
			return "", nil, nil
		}
		return w.site, row, err
	}
}

// sameInstant compares fences: MariaDB and RQ keep microseconds.
func sameInstant(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
}

// trimFailed keeps the failed registries that grew below Frappe's limit.
func (c *chores) trimFailed(ctx context.Context) error {
	c.mu.Lock()
	queues := c.failing
	c.failing = map[string]bool{}
	c.mu.Unlock()
	limit := int64(c.e.cfg.Bench.Config().Int("rq_failed_jobs_limit", 1000))
	for queue := range queues {
		if _, err := c.e.rq.TrimFailed(ctx, queue, limit); err != nil {
			c.failed(queue)
			return err
		}
	}
	return nil
}

func (c *chores) maintain(ctx context.Context) error {
	err := c.each(func(q watched) error {
		_, err := c.e.rq.Maintain(ctx, q.name, func(worker string) bool { return strings.HasPrefix(worker, WorkerPrefix) })
		return err
	})
	_, groups := c.e.rq.MaintainGroups(ctx)
	return errors.Join(err, groups)
}

// pythonCannot are the last lines with which a Python worker fails a job that
// only Go can run.
var pythonCannot = []string{
	"AppNotInstalledError", "ModuleNotFoundError", "is not installed", "AttributeError", "ImportError",
	"Invalid attribute name", // rq/utils.py import_attribute, of plain RQ jobs
}

// takeBack finds Go jobs in the failed registries that a Python worker took
// and could not run, and requeues them.
func (c *chores) takeBack(ctx context.Context) error {
	return c.each(func(q watched) error {
		members, err := c.e.rq.Members(ctx, rqcompat.Failed, q.name, 0, -1)
		if err != nil {
			return err
		}
		present := make(map[jobKey]bool, len(members))
		var (
			fresh []string
			errs  []error
		)
		for _, m := range members {
			key := jobKey{q.name, m.ID}
			present[key] = true
			if !c.looked[key] {
				fresh = append(fresh, m.ID)
			}
		}
		for key := range c.looked {
			if key.queue == q.name && !present[key] {
				delete(c.looked, key)
			}
		}
		for _, id := range fresh {
			stays, err := c.takeBackOne(ctx, q, id)
			if IsAway(err) {
				return err
			}
			// One that can't be read must not keep the others.
			errs = append(errs, err)
			if stays {
				c.looked[jobKey{q.name, id}] = true
			}
		}
		return errors.Join(errs...)
	})
}

// takeBackOne requeues a failed job that is ours. It reports whether the job is
// to stay where it is: one that can't be judged now is looked at again, and so
// is a requeued one, since Python may be the faster again.
func (c *chores) takeBackOne(ctx context.Context, q watched, id string) (stays bool, err error) {
	job, fault := c.e.rq.Fetch(ctx, id)
	switch {
	case errors.Is(fault, rqcompat.ErrNoSuchJob):
		return true, nil
	case job == nil:
		return false, fault
	case strings.HasPrefix(job.WorkerName, WorkerPrefix):
		return true, nil
	}
	results, err := c.e.rq.Results(ctx, id)
	if err != nil {
		return false, err
	}
	if len(results) == 0 || !pythonFailedToFind(results[0].ExcString) {
		return true, nil
	}
	r := router{e: c.e, queue: watched{name: q.name, kind: q.kind}}
	if verdict := r.route(ctx, []found{{job: job, fault: fault}})[0].verdict; verdict != ours {
		return verdict == foreign, nil
	}
	switch err := c.e.rq.Requeue(ctx, id, true); {
	case err == nil:
		c.e.log.Info().Str("job_id", id).Str("queue", q.name).Msg("a Python worker took a Go job and could not run it; it is queued again")
	case !errors.Is(err, rqcompat.ErrNotRequeueable) && !errors.Is(err, rqcompat.ErrNoSuchJob):
		return false, err
	}
	return false, nil
}

func pythonFailedToFind(exc string) bool {
	exc = strings.TrimRight(exc, "\n")
	last := exc[strings.LastIndexByte(exc, '\n')+1:]
	for _, name := range pythonCannot {
		if strings.Contains(last, name) {
			return true
		}
	}
	return false
}
