package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

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
	// stays remembers failed ids that are to stay failed.
	stays map[job.Key]bool
}

// NewTakeBack prepares the service; one goroutine uses it.
func NewTakeBack(p TakeBackParams) *TakeBack { return &TakeBack{p, map[job.Key]bool{}} }

// Do looks once through the failed registries.
func (s *TakeBack) Do(ctx context.Context) error {
	return each(s.Queues, func(q job.Queue) error {
		members, err := s.RQ.Members(ctx, rqcompat.Failed, q.Name, 0, -1)
		if err != nil {
			return err
		}
		present := make(map[job.Key]bool, len(members))
		var errs []error
		for _, m := range members {
			key := job.Key{Queue: q.Name, ID: m.ID}
			present[key] = true
			if s.stays[key] {
				continue
			}
			stays, err := s.one(ctx, q, m.ID)
			if j := rqcompat.Judge(err); j == rqcompat.Away || j == rqcompat.Refusing || j == rqcompat.Denied {
				return err
			}
			// One that can't be read must not keep the others.
			errs = append(errs, err)
			if stays {
				s.stays[key] = true
			}
		}
		maps.DeleteFunc(s.stays, func(key job.Key, _ bool) bool { return key.Queue == q.Name && !present[key] })
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
