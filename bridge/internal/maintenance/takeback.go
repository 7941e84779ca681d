package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"maps"
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
	// takeBackAll is how often takeBackMost of them are; Frappe keeps a thousand.
	takeBackAll  = 5 * time.Second
	takeBackMost = 5000
	// takeBackNewest is how many of the newest are looked at. If all of them are new, all are looked at.
	takeBackNewest = 16
	// takeBackFetch is how many are read in one round trip.
	takeBackFetch = 200
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
		FetchSmall(ctx context.Context, ids []string, most int) ([]*rqcompat.FetchResult, error)
		Results(ctx context.Context, id string) ([]rqcompat.Result, error)
	}
	Router Router
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
	// heavy remembers those that are looked at alone, one in a look, so that they don't keep the others.
	heavy       map[job.Key]bool
	lookedAlone bool
}

// NewTakeBack prepares the service.
func NewTakeBack(p TakeBackParams) *TakeBack {
	return &TakeBack{TakeBackParams: p, stays: map[string]map[string]float64{}, heavy: map[job.Key]bool{}}
}

// Run looks until ctx ends.
func (s *TakeBack) Run(ctx context.Context) {
	pause := wait.Backoff{Log: s.Log, What: "failed registries can't be looked at"}
	var all time.Time
	for ; ctx.Err() == nil; wait.Sleep(ctx, takeBackLook) {
		newest := int64(takeBackNewest)
		if time.Since(all) >= takeBackAll {
			all, newest = time.Now(), takeBackMost
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

// look takes up what is ours among the newest failed jobs of a queue.
func (s *TakeBack) look(ctx context.Context, q job.Queue, newest int64) error {
	s.lookedAlone = false
	members, err := s.RQ.Members(ctx, rqcompat.Failed, q.Name, -newest, -1)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(members), func(m rqcompat.Member) bool {
		score, known := s.stays[q.Name][m.ID]
		return known && score == m.Score
	})
	if newest < takeBackMost && int64(len(fresh)) == newest {
		return s.look(ctx, q, takeBackMost)
	}
	if newest == takeBackMost || s.stays[q.Name] == nil {
		s.forget(q.Name, members)
	}
	if len(fresh) == 0 {
		return nil
	}
	for some := range slices.Chunk(fresh, takeBackFetch) {
		if err := s.judge(ctx, q, some); err != nil {
			return err
		}
	}
	return nil
}

// forget keeps of what is remembered only what is still there.
func (s *TakeBack) forget(queue string, members []rqcompat.Member) {
	old := s.stays[queue]
	s.stays[queue] = make(map[string]float64, len(members))
	there := make(map[string]bool, len(members))
	for _, m := range members {
		there[m.ID] = true
		if score, known := old[m.ID]; known {
			s.stays[queue][m.ID] = score
		}
	}
	maps.DeleteFunc(s.heavy, func(k job.Key, _ bool) bool { return k.Queue == queue && !there[k.ID] })
}

// judge takes up those of the failed jobs that are ours, and notes those that are to stay. One that can't be judged now
// is looked at again, and so is one that was taken up: the claim may come too late.
func (s *TakeBack) judge(ctx context.Context, q job.Queue, members []rqcompat.Member) error {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	fetched, err := s.RQ.FetchSmall(ctx, ids, wait.LargeItem)
	if err != nil {
		return err
	}
	// As on a shared queue, whatever the queue is: what nobody here can run must not become ours to fail.
	q.Own = false
	for i, f := range fetched {
		key := job.Key{Queue: q.Name, ID: ids[i]}
		if s.heavy[key] || errors.Is(f.Err, rqcompat.ErrLarge) {
			if s.heavy[key] = true; s.lookedAlone {
				continue
			}
			s.lookedAlone = true
			one, err := s.RQ.FetchMany(ctx, ids[i:i+1])
			if err != nil {
				return err
			}
			f = one[0]
		}
		if f.Job == nil || workers.IsOurs(f.Job.WorkerName) || f.Job.Status != rqcompat.StatusFailed {
			s.stays[q.Name][ids[i]] = members[i].Score
			continue
		}
		routed, err := s.route(ctx, q, route.Found{Job: f.Job, Fault: f.Err})
		if err != nil {
			return err
		}
		if routed.Verdict == route.Unready || routed.Verdict == route.Held || routed.Verdict == route.Heavy {
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

// route says whose a job is. One that is Heavy is looked at alone the next time.
func (s *TakeBack) route(ctx context.Context, q job.Queue, found route.Found) (route.Routed, error) {
	key := job.Key{Queue: q.Name, ID: found.Job.ID}
	if s.heavy[key] {
		return s.Router.Alone(ctx, q, found)
	}
	routed := s.Router.Route(ctx, q, []route.Found{found})[0]
	if routed.Verdict == route.Heavy {
		s.heavy[key] = true
	}
	return routed, nil
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
	Count  func(kind string, n int)
	Log    *slog.Logger
}

// Do looks once at every queue.
func (s ReturnPopped) Do(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		ids, err := s.RQ.ReturnPopped(ctx, q.Name, false)
		if len(ids) > 0 {
			s.Count(ReturnedPopped, len(ids))
			s.Log.Warn("a bridge died with jobs that it had popped; they are back in their queue", "queue", q.Name, "jobs", len(ids))
		}
		return err
	})
}
