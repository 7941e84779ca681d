package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"golang.org/x/sync/errgroup"
)

// orphanBatch is how many rows of a site are looked at a time.
const orphanBatch = 1000

// OrphansParams are what Orphans needs.
type OrphansParams struct {
	Rows    Rows
	Deliver Deliver
	Alive   func(ctx context.Context, asked []string) (Alive, error)
	// IDs are the RQ ids of the deliveries that a row may have of its own.
	IDs func(site string, row *rows.BackgroundJob) []string
	// Delivers asks RQ whether one of the jobs that bring a row is there.
	Delivers func(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error)
	// Finished asks RQ whether a running row's attempt ended well: a row that refused the end must not run again.
	Finished func(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error)
	// Settled says whether what runs can be told from what doesn't: not in the first seconds after Redis has lost data.
	Settled func(ctx context.Context) bool
	// Handled names those Job Types that have a handler here; other rows are the Python engine's to care for.
	Handled func(map[string]*rows.JobType) []string
	// Age is how long a row must not have moved.
	Age time.Duration
	// Every is how often each site is looked at, and at most how often the queues are.
	Every time.Duration
	Count func(kind string)
	Log   *slog.Logger
}

// Orphans finds rows that should be on their way and have no delivery: the submitter died between COMMIT and enqueue,
// Redis lost its data, or a worker's end was noticed by somebody who knows nothing of rows. They are delivered again;
// should there be a delivery after all, the row's compare-and-swap lets only one run.
type Orphans struct {
	OrphansParams

	// rota is when the sites are looked at; stale are the rows found since the queues were looked at, at counted.
	rota    sites.Rota
	stale   map[string][]*rows.BackgroundJob
	counted time.Time

	mu   sync.Mutex
	seen map[string]rows.Place // by site: up to where it was looked at
}

// NewOrphans prepares the service.
func NewOrphans(p OrphansParams) *Orphans {
	return &Orphans{
		OrphansParams: p, seen: map[string]rows.Place{}, stale: map[string][]*rows.BackgroundJob{},
	}
}

// Do looks at the sites whose time has come, and at the queues for what was found there.
func (s *Orphans) Do(ctx context.Context) error {
	all, err := s.Rows.Names()
	if err != nil {
		return err
	}
	now := time.Now()
	errs := s.find(ctx, s.rota.Due(now, all, func(string) time.Duration { return s.Every }))
	if len(s.stale) == 0 || now.Sub(s.counted) < s.Every {
		return errors.Join(errs...)
	}
	stale := s.stale
	s.stale, s.counted = map[string][]*rows.BackgroundJob{}, now
	alive, err := s.Alive(ctx, s.names(stale))
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if !s.Settled(ctx) {
		return errors.Join(errs...) // they are found again
	}
	for site, orphans := range stale {
		errs = append(errs, s.adoptAll(ctx, site, orphans, alive)...)
	}
	return errors.Join(errs...)
}

// adoptAll delivers rows of a site again that have no delivery, side by side.
func (s *Orphans) adoptAll(ctx context.Context, site string, orphans []*rows.BackgroundJob, alive Alive) []error {
	types, err := s.Rows.JobTypes(ctx, site)
	if err != nil {
		return nil // whoever runs jobs there says so
	}
	handled, errs := s.Handled(types), make([]error, len(orphans))
	var all errgroup.Group
	all.SetLimit(adoptMost)
	for i, row := range orphans {
		if slices.Contains(handled, row.JobType) {
			all.Go(func() error {
				errs[i] = s.adopt(ctx, site, row, alive)
				return nil
			})
		}
	}
	_ = all.Wait() // each row has its own error
	return errs
}

// adoptMost is how many rows are looked at side by side: what they need shares round trips and transactions.
const adoptMost = 100

// names are what the deliveries of rows may be called.
func (s *Orphans) names(stale map[string][]*rows.BackgroundJob) (names []string) {
	for site, orphans := range stale {
		for _, row := range orphans {
			names = append(append(names, s.IDs(site, row)...), sites.ArrivalsOf(row))
		}
	}
	return names
}

// find adds the rows of some sites that have not moved for a while.
func (s *Orphans) find(ctx context.Context, names []string) (errs []error) {
	sites.Each(slices.Values(names), func(site string) {
		s.mu.Lock()
		behind := s.seen[site]
		s.mu.Unlock()
		found, err := s.Rows.Stale(ctx, site, behind, s.Age, orphanBatch)
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err == nil:
			s.seen[site] = goOnBehind(found)
			if len(found) > 0 {
				s.stale[site] = append(s.stale[site], found...)
			}
		case !errors.Is(err, rows.ErrTableMissing) && !s.Rows.IsNoted(site, err):
			errs = append(errs, err)
		}
	})
	return errs
}

// goOnBehind is where a site is looked at next, zero for from the oldest: long-running rows must not hide what follows.
func goOnBehind(found []*rows.BackgroundJob) rows.Place {
	if len(found) < orphanBatch {
		return rows.Place{}
	}
	return found[len(found)-1].Place()
}

// adopt delivers a row again that has no delivery.
func (s *Orphans) adopt(ctx context.Context, site string, row *rows.BackgroundJob, alive Alive) error {
	if delivered, err := s.delivered(ctx, site, row, alive); err != nil || delivered {
		return err
	}
	move, kind := moves.Redeliver(site, row, noDelivery), Redelivered
	switch row.Status {
	case rows.StatusRunning:
		switch finished, err := s.Finished(ctx, site, row); {
		case err != nil:
			return err
		case finished:
			return s.complete(ctx, site, row)
		}
		move, kind = moves.GiveBack(site, row, workerDied), GivenBack
	case rows.StatusQueued:
	default:
		return nil // a Pending row waits to be submitted
	}
	status := row.Status
	result, err := s.Rows.Apply(ctx, move, s.Deliver.of(site, row))
	if result.Applied {
		s.Count(kind)
		s.Log.Warn("row had no delivery; it is delivered again", "site", site, "job", row.Name, "status", status)
	}
	return err
}

// noDelivery is why a row was delivered again that nobody had told of.
const noDelivery = "it was Queued, and nothing would have run it"

// delivered reports whether a row is on its way. That an id of its deliveries is on a queue doesn't tell: another job may
// bear it by now.
func (s *Orphans) delivered(ctx context.Context, site string, row *rows.BackgroundJob, alive Alive) (bool, error) {
	ids := s.IDs(site, row)
	switch {
	case alive.isFar(site, row.Name), alive.brought[row.JobHash] || slices.ContainsFunc(ids, func(id string) bool { return alive.brought[id] }):
		return true, nil
	case alive.waiting[sites.ArrivalsOf(row)] || slices.ContainsFunc(ids, func(id string) bool { return alive.waiting[id] }):
		return s.Delivers(ctx, site, row)
	}
	return false, nil
}

// complete ends a row whose job has finished in RQ.
func (s *Orphans) complete(ctx context.Context, site string, row *rows.BackgroundJob) error {
	move := moves.Complete(site, row, moves.Said{}, time.Now()).Bare()
	result, err := s.Rows.Apply(ctx, move, nil)
	if result.Applied {
		s.Count(Completed)
		s.Log.Warn("row still ran though its job has finished; it is completed", "site", site, "job", row.Name)
	}
	return err
}

// Alive is what is on its way or running.
type Alive struct {
	// brought are the rows whose delivery was read: by their own delivery's id, or by their job_hash if they were made for it.
	brought map[string]bool
	// waiting are the ids of jobs that nobody has read, and how the hashes of rows begin that were made for such a job: of
	// those that somebody asks for. Any number may wait.
	waiting map[string]bool
	// far say of which rows jobs wait whose turn is far, see Census.Far.
	far []func(site, name string) bool
}

func (a Alive) isFar(site, name string) bool {
	return slices.ContainsFunc(a.far, func(names func(site, name string) bool) bool { return names(site, name) })
}

// waits takes note of a job that nobody has read.
func (a Alive) waits(id string) {
	for _, name := range []string{id, sites.ArrivalsHash(id)} {
		if _, asked := a.waiting[name]; asked {
			a.waiting[name] = true
		}
	}
}

// Census finds out what is alive on all queues of the bench, also on those that only others work.
type Census struct {
	RQ interface {
		Queues(ctx context.Context) ([]string, error)
		EachWaiting(ctx context.Context, queue string, do func(ids []string)) error
		EachMember(ctx context.Context, reg rqcompat.Registry, queue string, do func([]rqcompat.Member) error) error
		FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	}
	Bench *frappe.Bench
	// Deliveries reads the RQ jobs that bring a row; sites.Courier.Deliveries does it.
	Deliveries func(ctx context.Context, site string, row *rows.BackgroundJob) ([]*rqcompat.Job, error)
	// Waiting calls yield for each row whose job waits in this process.
	Waiting func(yield func(site, name string))
	// Far gives functions that say of a row whether a job that names it waits in this process, of those of which little else is known.
	Far func() []func(site, name string) bool
}

// Take collects what is alive: of the jobs that nobody has read those asked for, by id or by how the hash of a row begins.
func (c Census) Take(ctx context.Context, asked []string) (Alive, error) {
	alive := Alive{brought: map[string]bool{}, waiting: map[string]bool{}}
	for _, name := range asked {
		alive.waiting[name] = false
	}
	queues, err := c.queues(ctx)
	if err != nil {
		return alive, err
	}
	err = each(queues, func(queue string) error {
		// The queue comes first: a job that is claimed meanwhile is then seen twice and not never.
		err := c.RQ.EachWaiting(ctx, queue, func(ids []string) {
			for _, id := range ids {
				alive.waits(id)
			}
		})
		if err != nil {
			return err
		}
		return c.RQ.EachMember(ctx, rqcompat.Wip, queue, func(members []rqcompat.Member) error {
			return c.started(ctx, members, alive)
		})
	})
	c.Waiting(func(site, name string) { alive.brought[c.Bench.JobID(site, name)] = true })
	alive.far = c.Far()
	return alive, err
}

// Delivers reports whether one of the RQ jobs that bring a row is there.
func (c Census) Delivers(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error) {
	jobs, err := c.Deliveries(ctx, site, row)
	return slices.ContainsFunc(jobs, sites.IsOnItsWay), err
}

// Finished reports whether RQ has it that a running row's attempt ended well.
func (c Census) Finished(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error) {
	jobs, err := c.Deliveries(ctx, site, row)
	return slices.ContainsFunc(jobs, func(j *rqcompat.Job) bool { return hasFinished(row, j) }), err
}

// hasFinished reports whether RQ has it that a running row's attempt ended well.
func hasFinished(row *rows.BackgroundJob, j *rqcompat.Job) bool {
	return j.Status == rqcompat.StatusFinished && row.StartedAs(j.StartedAt)
}

// started collects attempts in a queue's started registry.
func (c Census) started(ctx context.Context, members []rqcompat.Member, alive Alive) error {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	jobs, err := c.RQ.FetchMany(ctx, ids)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		alive.waits(ids[i])
		if j.Job == nil {
			continue
		}
		alive.brought[sites.ArrivalOf(j.Job).Hash()] = true
		// It may bear another id than its row's own delivery; the row is named in the call.
		if call, ok := route.RowOf(j.Job); ok {
			alive.brought[c.Bench.JobID(call.Site, call.Name)] = true
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
