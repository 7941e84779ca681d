package view

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Queue is one queue of a bench and what is in its registries.
type Queue struct {
	Queue string `json:"queue"` // its type
	Name  string `json:"name"`  // RQ's
	// Role is own, shared or first for the bridge as it is configured, "" for a queue that is only Python's.
	Role      string    `json:"role,omitempty"`
	Waiting   int64     `json:"waiting"`
	Oldest    time.Time `json:"oldest,omitzero"` // since when its first job waits
	Running   int64     `json:"running"`
	Failed    int64     `json:"failed"`
	Scheduled int64     `json:"scheduled"`
	Deferred  int64     `json:"deferred"`
	Bridges   int       `json:"bridges"` // processes
	Python    int       `json:"python"`  // workers
	// Suspended holds for every worker, Paused for bridges only.
	Suspended bool `json:"suspended"`
	Paused    bool `json:"paused"`
}

// Queues looks at all queues of a bench, also at those that only its Redis still knows.
func Queues(ctx context.Context, b *frappe.Bench, cfg bridge.Config, rq *rqcompat.Client) ([]Queue, error) {
	holds, err := rq.Holds(ctx)
	if err != nil {
		return nil, err
	}
	crew, err := Workers(ctx, rq)
	if err != nil {
		return nil, err
	}
	kinds, err := QueueKinds(ctx, b, rq)
	if err != nil {
		return nil, err
	}
	views := make([]Queue, len(kinds))
	for i, kind := range kinds {
		v := Queue{Queue: kind, Name: b.QueueName(kind), Role: roleOf(cfg, kind), Suspended: holds.Suspended}
		v.Paused = slices.Contains(holds.Paused, v.Name)
		for _, w := range crew {
			if slices.Contains(w.Queues, v.Name) && w.Kind == Bridge {
				v.Bridges++
			} else if slices.Contains(w.Queues, v.Name) && w.Kind == Python {
				v.Python++
			}
		}
		if err := v.count(ctx, rq); err != nil {
			return nil, err
		}
		views[i] = v
	}
	return views, nil
}

// QueueKinds are the types of the bench, then those that Redis knows and the configuration no longer does.
func QueueKinds(ctx context.Context, b *frappe.Bench, rq *rqcompat.Client) (kinds []string, err error) {
	for _, t := range b.QueueTypes() {
		kinds = append(kinds, t.Name)
	}
	names, err := rq.Queues(ctx)
	for _, name := range names {
		if kind := b.QueueTypeOf(name); kind != "" && !slices.Contains(kinds, kind) && !strings.HasSuffix(kind, ":intermediate") {
			kinds = append(kinds, kind)
		}
	}
	return kinds, err
}

func roleOf(cfg bridge.Config, kind string) string {
	switch {
	case slices.Contains(cfg.Queues, kind):
		return "own"
	case slices.Contains(cfg.First, kind):
		return "first"
	case slices.Contains(cfg.SharedQueues, kind):
		return "shared"
	}
	return ""
}

func (q *Queue) count(ctx context.Context, rq *rqcompat.Client) (err error) {
	if q.Waiting, err = rq.QueueLen(ctx, q.Name); err != nil {
		return err
	}
	for registry, into := range map[rqcompat.Registry]*int64{
		rqcompat.Wip: &q.Running, rqcompat.Failed: &q.Failed, rqcompat.Scheduled: &q.Scheduled, rqcompat.Deferred: &q.Deferred,
	} {
		if *into, err = rq.Count(ctx, registry, q.Name); err != nil {
			return err
		}
	}
	ids, err := rq.QueueIDs(ctx, q.Name, 0, 0)
	if err != nil || len(ids) == 0 {
		return err
	}
	// An id whose hash is gone or broken is dropped by whoever takes it.
	if j, err := rq.Fetch(ctx, ids[0]); j != nil {
		q.Oldest = j.EnqueuedAt
	} else if rqcompat.Judge(err) != rqcompat.Final {
		return err
	}
	return nil
}

// The kinds of workers.
const (
	Bridge = "bridge" // a process of the bridge
	Slot   = "slot"   // one of its jobs
	Python = "python"
)

// Worker is a process of the bridge, one of the jobs that it runs, or a Python worker.
type Worker struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Hostname   string    `json:"hostname"`
	PID        int       `json:"pid"`
	Version    string    `json:"version,omitempty"` // of the bridge; of a Python worker RQ's
	Queues     []string  `json:"queues"`
	State      string    `json:"state,omitempty"`
	CurrentJob string    `json:"current_job,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	// Process is what a process of the bridge tells about itself.
	Process *rqcompat.Process `json:"process,omitempty"`
}

// Workers lists the bridge's processes, each with the jobs that it runs, then the Python workers. Records that can't be
// read are left out.
func Workers(ctx context.Context, rq *rqcompat.Client) (views []Worker, err error) {
	processes, err := rq.Processes(ctx)
	if err != nil && processes == nil {
		return nil, err
	}
	records, err := rq.Workers(ctx)
	if err != nil && records == nil {
		return nil, err
	}
	known := map[string]bool{}
	for i, p := range processes {
		views = append(views, Worker{
			Kind: Bridge, Name: p.Name, Hostname: p.Hostname, PID: p.PID, Version: p.Version, Queues: p.Queues, Since: p.Birth, Process: &processes[i],
		})
		for _, w := range records {
			if strings.HasPrefix(w.Name, p.Name+"-") {
				known[w.Name] = true
				if w.CurrentJob != "" {
					views = append(views, workerOf(Slot, w))
				}
			}
		}
	}
	for _, w := range records {
		switch {
		case known[w.Name]:
		case strings.HasPrefix(w.Name, bridge.WorkerPrefix):
			views = append(views, workerOf(Slot, w)) // its process doesn't tell about itself (any more)
		default:
			views = append(views, workerOf(Python, w))
		}
	}
	return views, nil
}

func workerOf(kind string, w *rqcompat.Worker) Worker {
	return Worker{
		Kind: kind, Name: w.Name, Hostname: w.Hostname, PID: w.PID, Version: w.Version, Queues: w.Queues, State: w.State, CurrentJob: w.CurrentJob, Since: w.Birth,
	}
}
