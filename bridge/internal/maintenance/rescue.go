package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// workerDied is what the log of a row says whose worker is gone.
const workerDied = "Worker died"

// Rescue gives back the jobs whose lease lapsed: their worker is dead, or cut off for so long that it has given up.
type Rescue struct {
	RQ interface {
		Lapsed(ctx context.Context, queue string, slack time.Duration) ([]rqcompat.LapsedJob, error)
		Rescue(ctx context.Context, queue string, l rqcompat.LapsedJob, maxKills int) (rqcompat.RescueResult, error)
		Fetch(ctx context.Context, id string) (*rqcompat.Job, error)
	}
	Rows   Rows
	Route  func(ctx context.Context, queue job.Queue, found []route.Found) []route.Routed
	Queues []job.Queue
	// Slack is how much longer than its lease a job stands in RQ's started registry.
	Slack    time.Duration
	MaxKills int
	// Holds reports whether a worker is this process's and still has a job to settle.
	Holds func(worker string) bool
	// Failed is told of each queue whose failed registry grew.
	Failed func(queue string)
	Log    *slog.Logger
}

// Do rescues once on every queue. The row goes first: after a crash in between its delivery is still to be rescued.
func (s Rescue) Do(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		lapsed, err := s.RQ.Lapsed(ctx, q.Name, s.Slack)
		if err != nil {
			return err
		}
		var errs []error
		for _, l := range lapsed {
			// A Python worker's is judged by RQ's own rules; one of this process, after Redis was away, is mended by the next
			// renewal. A job whose site is away waits; it must not keep others.
			if workers.IsOurs(l.WorkerName) && !s.Holds(l.WorkerName) {
				errs = append(errs, s.one(ctx, q, l))
			}
		}
		return errors.Join(errs...)
	})
}

func (s Rescue) one(ctx context.Context, q job.Queue, l rqcompat.LapsedJob) error {
	site, row, err := s.rowOf(ctx, q, l.ID)
	if err != nil {
		return err
	}
	give := func(ctx context.Context) error { return s.giveBack(ctx, q, l) }
	if row != nil && row.Status == rows.StatusRunning && sameInstant(row.StartedAt, l.StartedAt) {
		move := moves.GiveBack(site, row, workerDied)
		if l.Kills+1 >= s.MaxKills {
			move = moves.Poison(site, row, time.Now())
		}
		if result, err := s.Rows.Apply(ctx, move, give); err != nil || result.Applied {
			return err
		}
	}
	return give(ctx)
}

// giveBack returns the delivery to the head of its queue, or fails it as poison.
func (s Rescue) giveBack(ctx context.Context, q job.Queue, l rqcompat.LapsedJob) error {
	result, err := s.RQ.Rescue(ctx, q.Name, l, s.MaxKills)
	if err != nil {
		return err
	}
	log := s.Log.With("job_id", l.ID, "queue", q.Name, "worker", l.WorkerName, "kills", l.Kills+1)
	switch result {
	case rqcompat.RescueRequeued:
		log.Warn("worker died with a job; it is back in its queue")
	case rqcompat.RescuePoisoned:
		log.Error("job took its worker down again and again; it is in the failed registry")
		s.Failed(q.Name)
	}
	return nil
}

// rowOf finds the row that an RQ job delivers; nil if it has none.
func (s Rescue) rowOf(ctx context.Context, q job.Queue, id string) (string, *rows.BackgroundJob, error) {
	j, err := s.RQ.Fetch(ctx, id)
	if j == nil {
		if errors.Is(err, rqcompat.ErrNoSuchJob) {
			err = nil
		}
		return "", nil, err
	}
	r := s.Route(ctx, q, []route.Found{{Job: j, Fault: err}})[0]
	switch {
	case r.Verdict == route.Unready:
		return "", nil, errors.New("the row of job " + id + " can't be read now")
	case r.Row != nil:
		return r.Site, r.Row, nil
	case r.JobType == nil:
		return "", nil, nil
	}
	row, err := s.Rows.RowOfArrival(ctx, r.Site, id)
	if errors.Is(err, rows.ErrNoSuchJob) {
		return "", nil, nil
	}
	return r.Site, row, err
}

// sameInstant compares fences: MariaDB and RQ keep microseconds.
func sameInstant(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
}

// pythonCannot are the last lines with which a Python worker fails a job that only Go can run.
var pythonCannot = []string{
	"AppNotInstalledError", "ModuleNotFoundError", "is not installed", "AttributeError", "ImportError",
	"Invalid attribute name", // rq/utils.py import_attribute, of plain RQ jobs
}

// TakeBackParams are what TakeBack needs.
type TakeBackParams struct {
	RQ interface {
		Members(ctx context.Context, reg rqcompat.Registry, queue string, from, to int64) ([]rqcompat.Member, error)
		Fetch(ctx context.Context, id string) (*rqcompat.Job, error)
		Results(ctx context.Context, id string) ([]rqcompat.Result, error)
		Requeue(ctx context.Context, id string, atFront bool) error
	}
	Route  func(ctx context.Context, queue job.Queue, found []route.Found) []route.Routed
	Queues []job.Queue
	Log    *slog.Logger
}

// TakeBack finds Go jobs in the failed registries that a Python worker took and could not run, and requeues them.
type TakeBack struct {
	TakeBackParams
	// stays remembers, by queue, the failed ids that are to stay failed.
	stays map[string]map[string]bool
}

// NewTakeBack prepares the service; one goroutine uses it.
func NewTakeBack(p TakeBackParams) *TakeBack { return &TakeBack{p, map[string]map[string]bool{}} }

// Do looks once through the failed registries.
func (s *TakeBack) Do(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		members, err := s.RQ.Members(ctx, rqcompat.Failed, q.Name, 0, -1)
		if err != nil {
			return err
		}
		var errs []error
		stays := map[string]bool{}
		for _, m := range members {
			if stays[m.ID] = s.stays[q.Name][m.ID]; stays[m.ID] {
				continue
			}
			stays[m.ID], err = s.one(ctx, q, m.ID)
			if rqcompat.IsAway(err) {
				return err
			}
			// One that can't be read must not keep the others.
			errs = append(errs, err)
		}
		s.stays[q.Name] = stays
		return errors.Join(errs...)
	})
}

// one requeues a failed job that is ours. It reports whether the job is to stay where it is: one that can't be judged
// now is looked at again, and so is a requeued one, since Python may be the faster again.
func (s *TakeBack) one(ctx context.Context, q job.Queue, id string) (stays bool, err error) {
	j, fault := s.RQ.Fetch(ctx, id)
	switch {
	case errors.Is(fault, rqcompat.ErrNoSuchJob):
		return true, nil
	case j == nil:
		return false, fault
	case workers.IsOurs(j.WorkerName):
		return true, nil
	}
	results, err := s.RQ.Results(ctx, id)
	if err != nil {
		return false, err
	}
	if len(results) == 0 || !pythonFailedToFind(results[0].ExcString) {
		return true, nil
	}
	// As on a shared queue, whatever the queue is: what nobody here can run must not become ours to fail.
	q.Own = false
	if verdict := s.Route(ctx, q, []route.Found{{Job: j, Fault: fault}})[0].Verdict; verdict != route.Ours {
		return verdict == route.Foreign, nil
	}
	switch err := s.RQ.Requeue(ctx, id, true); {
	case err == nil:
		s.Log.Info("a Python worker took a Go job and could not run it; it is queued again", "job_id", id, "queue", q.Name)
	case !errors.Is(err, rqcompat.ErrNotRequeueable) && !errors.Is(err, rqcompat.ErrNoSuchJob):
		return false, err
	}
	return false, nil
}

func pythonFailedToFind(exc string) bool {
	exc = strings.TrimRight(exc, "\n")
	last := exc[strings.LastIndexByte(exc, '\n')+1:]
	return slices.ContainsFunc(pythonCannot, func(name string) bool { return strings.Contains(last, name) })
}
