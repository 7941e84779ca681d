package maintenance

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// workerDied is what the log of a row says whose worker is gone.
const workerDied = "Worker died"

// Router says what jobs ask for, see route.Router.
type Router interface {
	Route(ctx context.Context, queue job.Queue, found []route.Found) []route.Routed
	Alone(ctx context.Context, queue job.Queue, f route.Found) (route.Routed, error)
}

// Rescue gives back the jobs whose process fell silent, and those whose lease lapsed: their worker's host is gone, or cut off for
// so long that it has given up.
type Rescue struct {
	RQ interface {
		Silent(ctx context.Context, process string) (heard bool, silent []string, err error)
		LeftBy(ctx context.Context, queue string, silent []string) ([]rqcompat.LapsedJob, error)
		Lapsed(ctx context.Context, queue string, slack time.Duration) ([]rqcompat.LapsedJob, error)
		RescueMany(ctx context.Context, ls []rqcompat.Lapsed, maxKills int) ([]rqcompat.Answer[rqcompat.RescueResult], error)
		FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
		FetchSmall(ctx context.Context, ids []string, most int) ([]*rqcompat.FetchResult, error)
		DataMark(ctx context.Context) (string, error)
		Now(ctx context.Context) time.Time
		Writable(ctx context.Context) error
	}
	Rows   Rows
	Router Router
	Queues []job.Queue
	// Process is this one, which is heard. Every is how often lapsed leases are looked for; dead processes are each time.
	Process string
	Every   time.Duration
	// Lease is how long a job is its worker's without renewal; Slack how much longer it stands in RQ's started registry.
	Lease, Slack time.Duration
	MaxKills     int
	// Holds reports whether a worker is this process's and still has a job to settle.
	Holds func(worker string) bool
	// CallBack hands a callback of the job's caller over to Python; sites.Courier.CallBack does it.
	CallBack func(sites.End) (*rqcompat.HandOver, string)
	// Failed is told of each queue whose failed registry grew.
	Failed func(queue string)
	// Poisoned is told of a job that was failed for the workers it took down; info has a name if the job has a row.
	Poisoned func(info job.Info, err error)
	Count    func(kind string)
	Log      *slog.Logger

	vigil   vigil
	once    sync.Once // prepares backs
	backs   batch.Batcher[rqcompat.Lapsed, rqcompat.Answer[rqcompat.RescueResult]]
	looked  time.Time // when lapsed leases were last looked for
	refused time.Time // when Redis last refused a write
	lost    map[string]*lostProcess
}

// Do rescues once on every queue. The row goes first: after a crash in between its delivery is still to be rescued.
//
// While Redis refuses writes, for lack of memory or as a replica, or can't be reached, no worker can renew its leases, and nobody is
// rescued; nor for half a lease afterwards, within which whoever lives has renewed his.
func (s *Rescue) Do(ctx context.Context) error {
	s.vigil.steady = s.steady
	dead, unseen := s.vigil.dead(ctx, s.RQ.Silent, s.Process)
	due := time.Since(s.looked) >= s.Every
	if len(dead) == 0 && !due {
		return unseen
	}
	if err := s.RQ.Writable(ctx); err != nil {
		s.refused = time.Now()
		return err
	}
	if time.Since(s.refused) < s.Lease/2 {
		return unseen
	}
	errs := []error{unseen}
	if len(dead) > 0 {
		errs = append(errs, s.rescueOf(ctx, dead))
	}
	if due {
		s.looked = time.Now()
		errs = append(errs, s.rescueLapsed(ctx))
	}
	return errors.Join(errs...)
}

// rescueLapsed gives back what has lapsed, on every queue.
func (s *Rescue) rescueLapsed(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		lapsed, err := s.RQ.Lapsed(ctx, q.Name, s.Slack)
		if err != nil {
			return err
		}
		// A Python worker's is judged by RQ's own rules; one of this process, after Redis was away, is mended by the next
		// renewal.
		lapsed = slices.DeleteFunc(lapsed, func(l rqcompat.LapsedJob) bool { return !workers.IsOurs(l.WorkerName) || s.Holds(l.WorkerName) })
		return s.rescue(ctx, q, lapsed)
	})
}

// rescueMost is how many jobs are read, and come back, together.
const rescueMost = 200

// rescue gives back jobs of a queue: what is asked and written for many shares queries, transactions and round trips.
func (s *Rescue) rescue(ctx context.Context, q job.Queue, left []rqcompat.LapsedJob) error {
	s.once.Do(func() {
		s.backs.Limit, s.backs.Shared = rescueMost, func(err error) bool { return rqcompat.Judge(err) != rqcompat.Final }
		s.backs.Call = func(ctx context.Context, ls []rqcompat.Lapsed) ([]rqcompat.Answer[rqcompat.RescueResult], error) {
			return s.RQ.RescueMany(ctx, ls, s.MaxKills)
		}
	})
	var errs []error
	for some := range slices.Chunk(left, rescueMost) {
		for i := range some {
			process := workers.ProcessOf(some[i].WorkerName)
			if err := s.lookBeside(ctx, process); err != nil {
				return err
			}
			some[i].Ran(s.besides(process, some[i].ID))
		}
		errs = append(errs, s.many(ctx, q, some))
	}
	return errors.Join(errs...)
}

// many gives back jobs side by side. A job whose site is away waits; it must not keep others.
func (s *Rescue) many(ctx context.Context, q job.Queue, some []rqcompat.LapsedJob) error {
	ids := make([]string, len(some))
	for i, l := range some {
		ids[i] = l.ID
	}
	fetched, err := s.RQ.FetchSmall(ctx, ids, wait.LargeItem)
	if err != nil {
		return err
	}
	var there []route.Found
	of := map[string]route.Routed{}
	for _, f := range fetched {
		if f.Job != nil && !errors.Is(f.Err, rqcompat.ErrLarge) {
			there = append(there, route.Found{Job: f.Job, Fault: f.Err})
		}
	}
	if len(there) > 0 {
		for i, r := range s.Router.Route(ctx, q, there) {
			of[there[i].Job.ID] = r
		}
	}
	errs := make([]error, len(some))
	var all sync.WaitGroup
	for i, l := range some {
		all.Go(func() { errs[i] = s.one(ctx, q, l, fetched[i], of[l.ID]) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// steady reports whether Redis has been the same server, with its data, for so long that who lives has had its connection.
func (s *Rescue) steady(ctx context.Context) bool {
	mark, err := s.RQ.DataMark(ctx)
	since, known := rqcompat.DataSince(mark)
	return err == nil && known && s.RQ.Now(ctx).Sub(since) > 2*newPeriod
}

// lostProcess is one that died, or whose jobs lapse, some of them seconds after the first.
type lostProcess struct {
	seen time.Time
	ran  []string
}

// remembered is how long what a dead process ran is remembered.
const remembered = 10 * time.Minute

// lookBeside finds out what a process ran whose first job has lapsed.
func (s *Rescue) lookBeside(ctx context.Context, process string) error {
	if s.lost[process] != nil {
		return nil
	}
	var ran []string
	for _, q := range s.Queues {
		all, err := s.RQ.Lapsed(ctx, q.Name, s.Slack+s.Lease) // those that lapse before long, too
		if err != nil {
			return err
		}
		for _, l := range all {
			if workers.ProcessOf(l.WorkerName) == process {
				ran = append(ran, l.ID)
			}
		}
	}
	s.lose(process, ran)
	return nil
}

// lose remembers what a dead process ran.
func (s *Rescue) lose(process string, ran []string) {
	maps.DeleteFunc(s.lost, func(_ string, d *lostProcess) bool { return time.Since(d.seen) > remembered })
	if s.lost == nil {
		s.lost = map[string]*lostProcess{}
	}
	s.lost[process] = &lostProcess{time.Now(), ran}
}

// besides are the jobs that a process ran beside one of them.
func (s *Rescue) besides(process, id string) []string {
	return slices.DeleteFunc(slices.Clone(s.lost[process].ran), func(other string) bool { return other == id })
}

func (s *Rescue) one(ctx context.Context, q job.Queue, l rqcompat.LapsedJob, f *rqcompat.FetchResult, r route.Routed) error {
	info, row, queued, err := s.rowOf(ctx, q, l.ID, f, r)
	if err != nil {
		return err
	}
	if queued != nil {
		l.Limits, _ = queued.Limits.List()
	}
	// What died between the row's end and RQ's has done its work: its next delivery is tidied up.
	l.Ended = row != nil && (row.Status == rows.StatusCompleted || row.Status == rows.StatusCanceled)
	poisoned, said := l.Kills+1 >= s.MaxKills && !l.Ended, ""
	if poisoned && queued != nil && queued.Callbacks.Any() != "" {
		l.HandOver, said = s.CallBack(sites.End{
			Site: info.Site, ID: l.ID, Kind: rqcompat.CallbackFailure, Callback: queued.Callbacks[rqcompat.CallbackFailure], When: rqcompat.FormatTime(l.StartedAt),
			Class: "rq.exceptions.AbandonedJobError", Message: l.Deaths(), Serializer: queued.Serializer,
		})
	}
	give := func(ctx context.Context) error { return s.giveBack(ctx, q, l, info) }
	if row != nil && row.Status == rows.StatusRunning && row.StartedAs(l.StartedAt) {
		move := moves.GiveBack(info.Site, row, workerDied)
		if poisoned {
			move = moves.Poison(info.Site, row, l.Deaths(), time.Now()).Saying(said)
		}
		if result, err := s.Rows.Apply(ctx, move, give); err != nil || result.Applied {
			return err
		}
	}
	return give(ctx)
}

// giveBack returns the delivery to the head of its queue, or fails it as poison.
func (s *Rescue) giveBack(ctx context.Context, q job.Queue, l rqcompat.LapsedJob, info job.Info) error {
	answer, err := s.backs.Do(ctx, rqcompat.Lapsed{Queue: q.Name, LapsedJob: l})
	if err = cmp.Or(err, answer.Err); err != nil {
		return err
	}
	log := s.Log.With("job_id", l.ID, "queue", q.Name, "worker", l.WorkerName, "kills", l.Kills+1)
	switch answer.Result {
	case rqcompat.RescueRequeued:
		s.Count(map[bool]string{true: RescuedLapsed, false: RescuedDead}[l.Silent() == ""])
		log.Warn("worker died with a job; it is back in its queue")
	case rqcompat.RescuePoisoned:
		s.Count(Poisoned)
		log.Error("job took its worker down again and again; it is in the failed registry", "beside", l.Beside)
		if h := l.HandOver; h != nil {
			log.Info("handed a callback to Python", "kind", h.Kind, "callback", h.Name, "as", h.ID, "on", h.Queue)
		}
		s.Failed(q.Name)
		s.Poisoned(info, errors.New(l.Deaths()))
	}
	return nil
}

// rowOf finds the row that an RQ job delivers, nil if it has none, and what the job asks for, nil if it is gone.
func (s *Rescue) rowOf(ctx context.Context, q job.Queue, id string, f *rqcompat.FetchResult, r route.Routed) (info job.Info, row *rows.BackgroundJob, queued *job.Queued, err error) {
	large := errors.Is(f.Err, rqcompat.ErrLarge)
	if large {
		alone, err := s.RQ.FetchMany(ctx, []string{id})
		if err != nil {
			return info, nil, nil, err
		}
		f = alone[0]
	}
	found := route.Found{Job: f.Job, Fault: f.Err}
	switch {
	case f.Job == nil && errors.Is(f.Err, rqcompat.ErrNoSuchJob):
		return info, nil, nil, nil
	case f.Job == nil:
		return info, nil, nil, f.Err
	case large:
		r, err = route.One(ctx, s.Router, q, found)
	case r.Verdict == route.Heavy:
		r, err = s.Router.Alone(ctx, q, found)
	}
	if err != nil {
		return info, nil, nil, err
	}
	info = job.Info{ID: id, Method: r.Method, Site: r.Site, User: r.User, Queue: q.Name}
	switch {
	case r.Verdict == route.Unready:
		return info, nil, nil, errors.New("the row of job " + id + " can't be read now")
	case r.Row != nil:
		row = r.Row
	case r.JobType != nil:
		if row, err = s.Rows.RowOfArrival(ctx, r.Site, sites.ArrivalOf(f.Job)); errors.Is(err, rows.ErrNoSuchJob) {
			return info, nil, r.Queued, nil
		}
	}
	if row != nil {
		info.Name = row.Name
	}
	return info, row, r.Queued, err
}
