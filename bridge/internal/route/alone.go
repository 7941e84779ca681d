package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// lastNote is how long Redis may take to hear that a call was read.
const lastNote = 2 * time.Second

// Alone decides about a Heavy job, of which f.Job need only have the id. It reads it within the full limits, while few
// others are looked at in this way, and Redis knows meanwhile that this process does: what kills it isn't read for ever.
// An error says nothing of the job: Redis is away, or ctx has ended.
func (r *Router) Alone(ctx context.Context, queue job.Queue, f Found) (Routed, error) {
	if !wait.LargeTurns.Take(ctx) {
		return Routed{}, ctx.Err()
	}
	defer wait.LargeTurns.GiveBack()
	deaths, err := r.RQ.BeginReading(ctx, f.Job.ID, r.Process)
	switch {
	case errors.Is(err, rqcompat.ErrBeingRead):
		return Routed{Queued: unread(queue, f, nil).q, Verdict: Unready, Again: unreadyPause}, nil
	case err != nil:
		return Routed{}, err
	}
	got, err := r.readAlone(ctx, queue, &f, deaths)
	if !errors.Is(got.fault, errUnending) { // it goes on, and may still be the end
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNote)
		defer cancel()
		if err := r.RQ.EndReading(last, f.Job.ID, r.Process); err != nil {
			r.Log.Debug("it is still noted that a job is read", "error", err, "job_id", f.Job.ID)
		}
	}
	if err != nil {
		return Routed{}, err
	}
	got.heavy = false
	routed := r.decideAll(ctx, []reading{got}, []Found{f})[0]
	if deaths >= r.MaxKills || errors.Is(got.fault, errUnending) {
		r.Log.Error("a job can't be read", "error", got.fault, "job_id", f.Job.ID, "queue", queue.Name, "left_to_python", routed.Verdict == Foreign)
	}
	return routed, nil
}

// One decides about a single job for somebody who can wait, alone if need be. r is a Router.
func One(ctx context.Context, r interface {
	Route(ctx context.Context, queue job.Queue, found []Found) []Routed
	Alone(ctx context.Context, queue job.Queue, f Found) (Routed, error)
}, queue job.Queue, f Found) (Routed, error) {
	routed := r.Route(ctx, queue, []Found{f})[0]
	if routed.Verdict != Heavy {
		return routed, nil
	}
	return r.Alone(ctx, queue, f)
}

// readAlone fetches a job and decodes its call, unless too many died of that.
func (r *Router) readAlone(ctx context.Context, queue job.Queue, f *Found, deaths int) (reading, error) {
	if deaths >= r.MaxKills {
		return unread(queue, *f, fmt.Errorf("reading its call killed the process that read it %d times", deaths)), nil
	}
	fetched, err := r.RQ.FetchMany(ctx, []string{f.Job.ID})
	if err != nil {
		return reading{}, err
	}
	if f.Fault = fetched[0].Err; fetched[0].Job != nil {
		f.Job = fetched[0].Job
	}
	found := *f
	got := sideBySide(ctx, wait.NewTurns(1), 1, r.Patience,
		func(int) reading { return r.read(queue, found, alone()) },
		func(int) reading { return unread(queue, found, fmt.Errorf("%w within %s", errUnending, r.Patience)) })[0]
	if ctx.Err() != nil {
		return reading{}, ctx.Err()
	}
	return got, nil
}

// AsideParams are what an Aside needs.
type AsideParams struct {
	// Alone is Router.Alone.
	Alone func(ctx context.Context, queue job.Queue, f Found) (Routed, error)
	Queue job.Queue
	// Looked is called when there is something to Take; it must not block.
	Looked func()
	Log    *slog.Logger
}

// Aside looks at the heavy jobs of one queue one after the other, so that who found them need not wait.
type Aside struct {
	AsideParams
	mu      sync.Mutex
	waiting []sighting
	known   map[string]bool
	looked  []Routed
	filled  wait.Flag
}

// sighting is all that is kept of a job that waits to be looked at: there may be very many.
type sighting struct {
	id   string
	seen time.Time
}

// NewAside prepares an Aside; Run looks.
func NewAside(p AsideParams) *Aside {
	return &Aside{AsideParams: p, known: map[string]bool{}, filled: wait.NewFlag()}
}

// Add takes up a heavy job.
func (a *Aside) Add(f Found) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id := f.Job.ID; !a.known[id] {
		a.known[id] = true
		a.waiting = append(a.waiting, sighting{id, f.Seen})
		a.filled.Raise()
	}
}

// Has reports whether a job was added and not yet taken.
func (a *Aside) Has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[id]
}

// Forget drops jobs that have left their queue.
func (a *Aside) Forget(ids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.known, id)
	}
}

// Clear drops all jobs.
func (a *Aside) Clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.known)
}

// Take gives what was decided since it was last called.
func (a *Aside) Take() (looked []Routed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.looked {
		if a.known[r.ID] {
			delete(a.known, r.ID)
			looked = append(looked, r)
		}
	}
	if a.looked = nil; len(a.known) == 0 {
		a.known = map[string]bool{} // a map that is empty keeps what it has grown to
	}
	return looked
}

// Run looks until ctx ends.
func (a *Aside) Run(ctx context.Context) {
	pause := wait.Backoff{Log: a.Log, What: "jobs that are looked at alone can't be read"}
	for a.filled.Wait(ctx) {
		for f, more := a.next(); more && ctx.Err() == nil; f, more = a.next() {
			routed, err := a.Alone(ctx, a.Queue, f)
			if err != nil {
				pause.Failed(ctx, err)
				continue
			}
			pause.Succeeded()
			a.mu.Lock()
			a.waiting = a.waiting[1:]
			a.looked = append(a.looked, routed)
			a.mu.Unlock()
			a.Looked()
		}
	}
}

// next is the first job that waits and still counts.
func (a *Aside) next() (f Found, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.waiting) > 0 && !a.known[a.waiting[0].id] {
		a.waiting = a.waiting[1:]
	}
	if len(a.waiting) == 0 {
		a.waiting = nil // and with it what it has grown to
		return Found{}, false
	}
	return Found{Job: &rqcompat.Job{ID: a.waiting[0].id}, Seen: a.waiting[0].seen}, true
}
