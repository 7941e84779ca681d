package maintenance

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// takeBackLook is how often the newest failed jobs are looked at. A Go job that an idle Python worker took has failed
	// within half a second, and its user waits.
	takeBackLook = 100 * time.Millisecond
	// takeBackAll is how often all of them are.
	takeBackAll = 5 * time.Second
	// takeBackNewest is how many of the newest are looked at. If all of them are new, all are looked at.
	takeBackNewest = 16
	// takeBackAge is how long ago a job may have failed that Python could have run as well: older ones failed before
	// anybody here had a handler for them.
	takeBackAge = time.Hour
)

// pythonCannot are the last lines with which a Python worker fails a job that only Go can run, however long ago.
var pythonCannot = []string{
	"AppNotInstalledError", "ModuleNotFoundError", "is not installed", "AttributeError", "ImportError",
	"Invalid attribute name", // rq/utils.py import_attribute, of plain RQ jobs
}

// TakeBackParams are what TakeBack needs.
type TakeBackParams struct {
	RQ interface {
		Members(ctx context.Context, reg rqcompat.Registry, queue string, from, to int64) ([]rqcompat.Member, error)
		FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
		Results(ctx context.Context, id string) ([]rqcompat.Result, error)
	}
	Route  func(ctx context.Context, queue job.Queue, found []route.Found) []route.Routed
	Queues []job.Queue
	// Paused says that nothing is to be taken from a queue for now.
	Paused func(ctx context.Context, queue string) bool
	// Take takes a job up, to be claimed out of the failed registry.
	Take func(*job.Queued)
	Log  *slog.Logger
}

// TakeBack finds Go jobs in the failed registries that a Python worker took: an idle one is served at the push itself, on
// a shared queue and on an own one that somebody started a Python worker for. They are claimed out of the registry, so
// that Python gets them once.
type TakeBack struct {
	TakeBackParams
	// stays remembers, by queue and id, the entries that are to stay failed, by their score.
	stays map[string]map[string]float64
}

// NewTakeBack prepares the service.
func NewTakeBack(p TakeBackParams) *TakeBack {
	return &TakeBack{p, map[string]map[string]float64{}}
}

// Run looks until ctx ends.
func (s *TakeBack) Run(ctx context.Context) {
	pause := wait.Backoff{Log: s.Log, What: "failed registries can't be looked at"}
	var all time.Time
	for ; ctx.Err() == nil; wait.Sleep(ctx, takeBackLook) {
		newest := int64(takeBackNewest)
		if time.Since(all) >= takeBackAll {
			all, newest = time.Now(), 0
		}
		err := each(s.Queues, func(q job.Queue) error {
			if s.Paused(ctx, q.Name) {
				return nil
			}
			return s.look(ctx, q, newest)
		})
		if err != nil {
			pause.Failed(ctx, err)
			continue
		}
		pause.Succeeded()
	}
}

// look takes up what is ours among the newest failed jobs of a queue; 0 is all of them.
func (s *TakeBack) look(ctx context.Context, q job.Queue, newest int64) error {
	members, err := s.RQ.Members(ctx, rqcompat.Failed, q.Name, -newest, -1)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(members), func(m rqcompat.Member) bool {
		score, known := s.stays[q.Name][m.ID]
		return known && score == m.Score
	})
	if newest > 0 && int64(len(fresh)) == newest {
		return s.look(ctx, q, 0)
	}
	if newest == 0 || s.stays[q.Name] == nil {
		s.forget(q.Name, members)
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.judge(ctx, q, fresh)
}

// forget keeps of what stays only what is still there.
func (s *TakeBack) forget(queue string, members []rqcompat.Member) {
	old := s.stays[queue]
	s.stays[queue] = make(map[string]float64, len(members))
	for _, m := range members {
		if score, known := old[m.ID]; known {
			s.stays[queue][m.ID] = score
		}
	}
}

// judge takes up those of the failed jobs that are ours, and notes those that are to stay. One that can't be judged now
// is looked at again, and so is one that was taken up: the claim may come too late.
func (s *TakeBack) judge(ctx context.Context, q job.Queue, members []rqcompat.Member) error {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	fetched, err := s.RQ.FetchMany(ctx, ids)
	if err != nil {
		return err
	}
	// As on a shared queue, whatever the queue is: what nobody here can run must not become ours to fail.
	q.Own = false
	for i, f := range fetched {
		if f.Job == nil || workers.IsOurs(f.Job.WorkerName) || f.Job.Status != rqcompat.StatusFailed {
			s.stays[q.Name][ids[i]] = members[i].Score
			continue
		}
		routed := s.Route(ctx, q, []route.Found{{Job: f.Job, Fault: f.Err}})[0]
		if routed.Verdict == route.Unready || routed.Verdict == route.Held {
			continue
		}
		why, err := s.pythonsError(ctx, f.Job)
		if err != nil {
			return err
		}
		if routed.Verdict != route.Ours || why == "" {
			s.stays[q.Name][ids[i]] = members[i].Score
			continue
		}
		routed.From, routed.Before = rqcompat.FromFailed, "a Python worker had failed it: "+why
		s.Take(routed.Queued)
	}
	return nil
}

// pythonsError is the last line of the error with which a Python worker failed a job that is to be taken back; "" for one
// that is to stay failed.
func (s *TakeBack) pythonsError(ctx context.Context, j *rqcompat.Job) (string, error) {
	results, err := s.RQ.Results(ctx, j.ID)
	switch {
	case err != nil && rqcompat.Judge(err) != rqcompat.Final:
		return "", err
	case len(results) == 0:
		return "", nil
	}
	exc := strings.TrimRight(results[0].ExcString, "\n")
	last := exc[strings.LastIndexByte(exc, '\n')+1:]
	old := time.Since(j.EndedAt) > takeBackAge
	if old && !slices.ContainsFunc(pythonCannot, func(name string) bool { return strings.Contains(last, name) }) {
		return "", nil
	}
	return last, nil
}

// ReturnPopped puts back what waiters of rqcompat.First popped from a queue when none of them is alive.
type ReturnPopped struct {
	RQ interface {
		ReturnPopped(ctx context.Context, queue string, anyway bool) ([]string, error)
	}
	Queues []job.Queue
	Log    *slog.Logger
}

// Do looks once at every queue.
func (s ReturnPopped) Do(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		ids, err := s.RQ.ReturnPopped(ctx, q.Name, false)
		if len(ids) > 0 {
			s.Log.Warn("a bridge died with jobs that it had popped; they are back in their queue", "queue", q.Name, "jobs", len(ids))
		}
		return err
	})
}
