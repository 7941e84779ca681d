package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// settledAge is how long a row must not have moved: it is being delivered, or its end written, by whoever moved it just now.
	settledAge = time.Second
	// putBackTime is how long processes have to put what they run back into Redis before a row counts as run by nobody.
	putBackTime = 4 * time.Second
	// lateTime is how long after a loss some may still deliver to the Redis that was there before, and whose data are lost: programs
	// that have not heard of a failover. lateEvery is how often rows are looked for that have moved since, and how long a site is left to
	// another process that sweeps it before it is asked about again.
	lateTime, lateEvery = 30 * time.Second, 4 * time.Second
	// sweepLock is how long a site is left to the process that sweeps it, unless that says that it goes on.
	sweepLock = 10 * time.Second
)

// EmptiedParams are what Emptied needs.
type EmptiedParams struct {
	Rows    Rows
	Deliver Deliver
	// Mark is the mark of Redis's data, see rqcompat.Client.DataMark.
	Mark func(context.Context) (string, error)
	// Deliveries reads the RQ jobs that bring rows; sites.Courier.DeliveriesOfAll does it.
	Deliveries func(ctx context.Context, site string, all []*rows.BackgroundJob) ([][]*rqcompat.Job, []error)
	Handled    func(map[string]*rows.JobType) []string
	// Lost is told that what waits for its time may be lost as well.
	Lost   func()
	Sweeps Sweeps
	Count  func(kind string)
	Log    *slog.Logger
}

// Emptied delivers rows again as soon as Redis has lost its data, or some. One process at a time sweeps a site, from its oldest
// row on; in Redis it is written down up to which data each site was swept, so that it is also done for what got lost while no
// bridge ran, and by whoever comes next if one dies of it.
type Emptied struct {
	EmptiedParams
	done map[string]progress // by site

	mu    sync.Mutex
	mark  string
	since time.Time // when that mark was first seen
}

// progress is how far a site was swept.
type progress struct {
	step step
	// asked is when it was left to another process that sweeps it, or when what was delivered late was looked for.
	asked time.Time
	// settled is the place of the last row that waited and has been looked at: those behind it have moved since.
	settled rows.Place
}

// step is what was swept: what waited comes first, then what ran, and then again and again what was delivered late.
type step int

const (
	unswept step = iota
	queuedSwept
	allSwept
	over
)

// Do looks whether Redis has lost data, and sweeps the sites that weren't since.
func (s *Emptied) Do(ctx context.Context) error {
	fresh, err := s.look(ctx)
	if err != nil {
		return nil // whoever takes jobs says that Redis is away
	}
	if fresh {
		s.done = map[string]progress{}
	}
	all, err := s.Rows.Names()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(site string) bool { return s.done[site].step == over })
	var mu sync.Mutex
	return sites.Visit(left, s.Rows.IsNoted, func(site string) error {
		mu.Lock()
		was := s.done[site]
		mu.Unlock()
		now, err := s.site(ctx, site, was)
		mu.Lock()
		s.done[site] = now
		mu.Unlock()
		return err
	})
}

// look asks for the mark, and tells whether it is another one.
func (s *Emptied) look(ctx context.Context) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, err := s.Mark(ctx)
	if err != nil || mark == s.mark {
		return s.done == nil, err
	}
	if s.mark != "" {
		s.Lost()
	}
	s.mark, s.since = mark, time.Now()
	return true, nil
}

// Settled reports whether Redis has had its data for so long that all who run something there have put it back: before, nobody can tell
// what nobody runs.
func (s *Emptied) Settled(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark, err := s.Mark(ctx)
	return err == nil && mark == s.mark && time.Since(s.since) >= putBackTime
}

// site sweeps a site as far as it is time to.
func (s *Emptied) site(ctx context.Context, site string, was progress) (progress, error) {
	// By then all that was moved before the loss is old enough to be judged.
	from := map[step]time.Duration{unswept: settledAge, queuedSwept: putBackTime}[was.step]
	if time.Since(s.since) < from || time.Since(was.asked) < lateEvery {
		return was, nil
	}
	switch swept, err := s.Sweeps.Swept(ctx, site); {
	case err != nil:
		return was, nil // Redis is away
	case swept == s.mark:
		return progress{step: over}, nil
	}
	if mine, err := s.Sweeps.Take(ctx, site); err != nil || !mine {
		return progress{asked: time.Now()}, nil
	}
	is, err := s.step(ctx, site, was)
	if err != nil || is.step == over {
		s.Sweeps.Leave(ctx, site)
	}
	return is, err
}

// step sweeps what comes next.
func (s *Emptied) step(ctx context.Context, site string, was progress) (is progress, err error) {
	is = was
	if was.step == queuedSwept {
		_, err = s.sweep(ctx, site, rows.StatusRunning, rows.Place{})
	} else {
		is.settled, err = s.sweep(ctx, site, rows.StatusQueued, was.settled)
	}
	switch {
	case errors.Is(err, rows.ErrTableMissing):
		return progress{step: over}, nil
	case err != nil:
		return was, err
	case was.step < allSwept:
		is.step++
		return is, nil
	case time.Since(s.since) > lateTime:
		is.step, err = over, s.Sweeps.Note(ctx, site, s.mark)
	}
	is.asked = time.Now()
	return is, err
}

// sweep delivers a site's rows of a status behind a place again that have no delivery, and returns the place up to which that is done.
func (s *Emptied) sweep(ctx context.Context, site string, status rows.Status, behind rows.Place) (settled rows.Place, err error) {
	settled = behind
	types, err := s.Rows.JobTypes(ctx, site)
	if err != nil {
		return settled, err
	}
	handled := s.Handled(types)
	begin, age := time.Now(), settledAge
	if status == rows.StatusRunning {
		age = putBackTime // what began since is in Redis
	}
	var errs []error
	for ctx.Err() == nil {
		found, err := s.Rows.Stuck(ctx, site, []rows.Status{status}, behind, age, orphanBatch)
		if err != nil {
			return settled, errors.Join(append(errs, err)...)
		}
		for _, row := range found {
			if behind = row.Place(); row.Modified.Before(begin) { // none whose local time is still to come
				settled = behind
			}
		}
		more := len(found) == orphanBatch && found[0].Modified.Before(begin) // what was moved since was delivered since
		found = slices.DeleteFunc(found, func(row *rows.BackgroundJob) bool { return !slices.Contains(handled, row.JobType) })
		if err := s.deliver(ctx, site, found); err != nil {
			errs = append(errs, err)
		}
		if !more {
			break
		}
		if mine, err := s.Sweeps.Take(ctx, site); err != nil || !mine {
			return settled, errors.Join(append(errs, errors.New("site "+site+": the sweep for lost deliveries was broken off"))...)
		}
	}
	return settled, errors.Join(append(errs, ctx.Err())...)
}

// deliver delivers those of some rows again that have no delivery.
func (s *Emptied) deliver(ctx context.Context, site string, found []*rows.BackgroundJob) error {
	deliveries, errs := s.Deliveries(ctx, site, found)
	var (
		moving errgroup.Group
		mu     sync.Mutex
		n      int
	)
	moving.SetLimit(orphanBatch / 2)
	for i, row := range found {
		if errs[i] != nil || slices.ContainsFunc(deliveries[i], func(j *rqcompat.Job) bool { return onItsWay(row, j) }) {
			continue
		}
		moving.Go(func() error {
			applied, err := s.again(ctx, site, row, deliveries[i])
			mu.Lock()
			defer mu.Unlock()
			if errs[i] = err; applied {
				n++
			}
			return nil
		})
	}
	_ = moving.Wait() // each row has its own error
	if n > 0 {
		s.Log.Warn("Redis has lost deliveries; their rows are delivered again", "site", site, "jobs", n)
	}
	return errors.Join(errs...)
}

// again gives a row a delivery.
func (s *Emptied) again(ctx context.Context, site string, row *rows.BackgroundJob, deliveries []*rqcompat.Job) (bool, error) {
	move, kind := moves.Redeliver(site, row, deliveryLost), RedeliveredLost
	if row.Status == rows.StatusRunning {
		if slices.ContainsFunc(deliveries, func(j *rqcompat.Job) bool { return hasFinished(row, j) }) {
			return false, nil // which Orphans completes
		}
		move, kind = moves.GiveBack(site, row, runLost), GivenBackLost
	}
	result, err := s.Rows.Apply(ctx, move, s.Deliver.of(site, row))
	if result.Applied {
		s.Count(kind)
	}
	return result.Applied, err
}

const (
	deliveryLost = "Redis had lost its delivery"
	runLost      = "Nobody runs it since Redis lost its data"
)

// onItsWay reports whether a job brings a row that waits, or is the attempt at one that runs.
func onItsWay(row *rows.BackgroundJob, j *rqcompat.Job) bool {
	if row.Status == rows.StatusRunning {
		return j.Status == rqcompat.StatusStarted && row.StartedAs(j.StartedAt)
	}
	return sites.IsOnItsWay(j)
}

// Sweeps keep in Redis who sweeps a site, and since which loss of data it was swept.
type Sweeps struct {
	Redis   redis.UniversalClient
	Process string
}

// sweptKey is the HASH of the marks up to which sites were swept; sweepKey is the STRING with the process that sweeps one.
const sweptKey = "rq:bridge:swept"

func sweepKey(site string) string { return "rq:bridge:sweep:" + site }

var (
	takeSweep = redis.NewScript(`local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)
	leaveSweep = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0`)
)

// Swept is the mark up to which a site was swept, "" if it never was.
func (s Sweeps) Swept(ctx context.Context, site string) (string, error) {
	mark, err := s.Redis.HGet(ctx, sweptKey, site).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return mark, err
}

// Note writes down that a site was swept.
func (s Sweeps) Note(ctx context.Context, site, mark string) error {
	return s.Redis.HSet(ctx, sweptKey, site, mark).Err()
}

// Take makes a site this process's to sweep for a while, unless another one has it.
func (s Sweeps) Take(ctx context.Context, site string) (bool, error) {
	n, err := takeSweep.Run(ctx, s.Redis, []string{sweepKey(site)}, s.Process, sweepLock.Milliseconds()).Int()
	return n == 1, err
}

// Leave gives a site up.
func (s Sweeps) Leave(ctx context.Context, site string) {
	_ = leaveSweep.Run(context.WithoutCancel(ctx), s.Redis, []string{sweepKey(site)}, s.Process).Err() // it lapses
}
