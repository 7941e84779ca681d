package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// queue is a list in Redis, with what the poller uses of it.
type queue struct {
	mu      sync.Mutex
	ids     []string // in Redis
	known   []string // in the copy
	places  []string
	hashes  map[string]*rqcompat.FetchResult
	verdict map[string]route.Routed
	err     error // of the next Sync
	paused  bool
	// fetchErr fails the fetch of that number, from 0.
	fetchErr map[int]error

	// answer is what policy says of jobs that are held, nil for that they may go; asked are the questions.
	answer func(policy.Question) policy.Answer
	asked  []policy.Question

	syncs, closed int
	fetched       [][]string
	found         []route.Found
	// alone is what is decided of heavy jobs, each time anew; each question waits for one of them.
	alone   chan route.Routed
	waited  []time.Duration
	arrived chan struct{}
}

var errBroken = errors.New("broken connection")

func newQueue(ids ...string) *queue {
	return &queue{ids: ids, hashes: map[string]*rqcompat.FetchResult{}, verdict: map[string]route.Routed{}, fetchErr: map[int]error{}, arrived: make(chan struct{}), alone: make(chan route.Routed)}
}

// set changes the queue while a poller runs.
func (l *queue) set(ids []string, err error) {
	l.mu.Lock()
	l.ids, l.err = ids, err
	l.mu.Unlock()
}

func (l *queue) Sync(context.Context) (added, removed []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncs++
	if l.err != nil {
		return nil, nil, l.err
	}
	for _, id := range l.ids {
		if !slices.Contains(l.known, id) {
			added = append(added, id)
		}
	}
	for _, id := range l.known {
		if !slices.Contains(l.ids, id) {
			removed = append(removed, id)
		}
	}
	l.known = slices.Clone(l.ids)
	return added, removed, nil
}

func (l *queue) Drop(id string) {
	l.known = slices.DeleteFunc(l.known, func(k string) bool { return k == id })
}
func (l *queue) Len() int { return len(l.known) }

func (l *queue) Unread() bool { return false }

func (l *queue) ReadOn(context.Context) (added, removed []string, err error) { return nil, nil, nil }

// Place is the number of an id among all that ever had one.
func (l *queue) Place(id string) uint32 {
	if !slices.Contains(l.known, id) {
		return 0
	}
	at := slices.Index(l.places, id)
	if at < 0 {
		at, l.places = len(l.places), append(l.places, id)
	}
	return uint32(at + 1)
}

func (l *queue) At(place uint32) string {
	if id := l.places[place-1]; slices.Contains(l.known, id) {
		return id
	}
	return ""
}
func (l *queue) Clear() { l.known = nil }

func (l *queue) isPaused(context.Context, string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

func (l *queue) pause(on bool) {
	l.mu.Lock()
	l.paused = on
	l.mu.Unlock()
}

func (l *queue) Fetch(_ context.Context, ids []string) (out []*rqcompat.FetchResult, err error) {
	n := len(l.fetched)
	l.fetched = append(l.fetched, slices.Clone(ids))
	if err := l.fetchErr[n]; err != nil {
		return nil, err
	}
	for _, id := range ids {
		result := l.hashes[id]
		if result == nil {
			result = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: id}}
		}
		out = append(out, result)
	}
	return out, nil
}

func (l *queue) Route(_ context.Context, q job.Queue, found []route.Found) []route.Routed {
	out := make([]route.Routed, len(found))
	for i, f := range found {
		out[i] = l.verdict[f.Job.ID]
		out[i].Queued = &job.Queued{Queue: q, ID: f.Job.ID, Seen: f.Seen, Site: f.Job.Origin}
	}
	l.found = append(l.found, found...)
	return out
}

func (l *queue) Alone(ctx context.Context, q job.Queue, f route.Found) (route.Routed, error) {
	select {
	case r := <-l.alone:
		r.Queued = &job.Queued{Queue: q, ID: f.Job.ID, Seen: f.Seen}
		return r, nil
	case <-ctx.Done():
		return route.Routed{}, ctx.Err()
	}
}

func (l *queue) Wait(ctx context.Context, name string, most time.Duration) (bool, error) {
	l.waited = append(l.waited, most)
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-l.arrived:
	}
	return len(l.ids) > 0, nil
}

func (l *queue) Close() error {
	l.closed++
	return nil
}

func (l *queue) poller(own bool) *Poller {
	return NewPoller(PollerParams{
		Queue: job.Queue{Name: "b:q", Kind: "q", Own: own}, List: l, Waiter: l, Fetch: l.Fetch, Router: l,
		Ask: l.ask, Fair: NewFairQueue(1_000_000, nil, plenty(), 0), Paused: l.isPaused, Log: slog.New(slog.DiscardHandler),
	})
}

func (l *queue) ask(_ context.Context, q policy.Question) policy.Answer {
	l.asked = append(l.asked, q)
	if l.answer == nil {
		return policy.Answer{}
	}
	return l.answer(q)
}

// look looks once and gives what is new in the fair queue, all of which is dealt.
func look(t *testing.T, p *Poller) []string {
	t.Helper()
	if _, err := p.look(t.Context()); err != nil {
		t.Fatalf("look: %v", err)
	}
	return idsOf(p.Fair.deal(1 << 20))
}

func wantIDs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestEachVerdict(t *testing.T) {
	l := newQueue("ours", "foreign", "unready", "held")
	l.verdict["foreign"] = route.Routed{Verdict: route.Foreign}
	l.verdict["unready"] = route.Routed{Verdict: route.Unready, Again: time.Hour}
	l.verdict["held"] = route.Routed{Verdict: route.Held, Again: time.Hour}
	p := l.poller(true)
	wantIDs(t, "what is ours", look(t, p), "ours")
	wantIDs(t, "what was routed already", look(t, p))
	if len(l.fetched) != 1 || len(p.undecided) != 2 {
		t.Errorf("fetched %v, undecided %v, want one fetch and two undecided", l.fetched, p.undecided)
	}
	l.ids = nil
	look(t, p)
	if len(p.undecided) != 0 {
		t.Errorf("undecided are %v when they have left the list, want none", p.undecided)
	}
}

// TestWhatIsFound: what a router gets of an id.
func TestWhatIsFound(t *testing.T) {
	l := newQueue("fine", "broken", "none")
	l.hashes["broken"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "broken", Origin: "half"}, Err: errBroken}
	l.hashes["none"] = &rqcompat.FetchResult{Err: rqcompat.ErrNoSuchJob}
	look(t, l.poller(true))
	if len(l.found) != 3 {
		t.Fatalf("%d jobs are routed, want 3", len(l.found))
	}
	if f := l.found[0]; f.Job.ID != "fine" || f.Fault != nil || f.Seen.IsZero() {
		t.Errorf("a fine job: %+v", f)
	}
	if f := l.found[1]; f.Job.Origin != "half" || f.Fault != errBroken {
		t.Errorf("a hash that can be read in part: %+v", f)
	}
	if f := l.found[2]; f.Job == nil || f.Job.ID != "none" || !errors.Is(f.Fault, rqcompat.ErrNoSuchJob) {
		t.Errorf("an id without a hash: %+v", f)
	}
}

// TestUndecidedJobsAreLookedAtAgain, each when its time has come, and with the time at which it was first seen.
func TestUndecidedJobsAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := newQueue("soon", "late")
		l.verdict["soon"] = route.Routed{Verdict: route.Unready, Again: 250 * time.Millisecond}
		l.verdict["late"] = route.Routed{Verdict: route.Held, Again: 3 * time.Second}
		p := l.poller(true)
		at := map[string][]time.Duration{}
		for range 7000 {
			if _, err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, f := range l.found {
				at[f.Job.ID] = append(at[f.Job.ID], time.Since(start))
				if !f.Seen.Equal(start) {
					t.Errorf("%s was seen %s after the start, want at the start", f.Job.ID, f.Seen.Sub(start))
				}
			}
			l.found = nil
			time.Sleep(time.Millisecond)
		}
		if got := at["late"]; !slices.Equal(got, []time.Duration{0, 3 * time.Second, 6 * time.Second}) {
			t.Errorf("a job that is held for 3 s was looked at after %v", got)
		}
		if got := at["soon"]; len(got) != 28 || got[1] != 250*time.Millisecond || got[27] != 6750*time.Millisecond {
			t.Errorf("a job that is unready for 250 ms was looked at %d times: %v", len(got), got)
		}
		l.verdict["soon"] = route.Routed{Verdict: route.Ours}
		l.verdict["late"] = route.Routed{Verdict: route.Foreign}
		time.Sleep(3 * time.Second)
		wantIDs(t, "decided at last", look(t, p), "soon")
		if len(p.undecided) != 0 {
			t.Errorf("undecided are %v, want none", p.undecided)
		}
	})
}

// TestBrokenLookLosesNoJob: a queue that is read in several round trips is known as a whole, although one of them
// failed.
func TestBrokenLookLosesNoJob(t *testing.T) {
	const jobs = 2*fetchBatch + 10
	for broken := range 3 {
		l := newQueue()
		for i := range jobs {
			l.ids = append(l.ids, fmt.Sprint("job-", i))
		}
		l.fetchErr[broken] = errBroken
		p := l.poller(true)
		if _, err := p.look(t.Context()); !errors.Is(err, errBroken) {
			t.Fatalf("the look with a broken fetch %d: %v, want its error", broken, err)
		}
		dealt := idsOf(p.Fair.deal(jobs))
		if got, want := len(dealt), broken*fetchBatch; got != want {
			t.Errorf("%d jobs before the broken fetch %d, want %d", got, broken, want)
		}
		dealt = append(dealt, look(t, p)...)
		slices.Sort(dealt)
		if got := len(slices.Compact(dealt)); got != jobs || len(dealt) != jobs {
			t.Errorf("%d jobs, %d of them different, are known after fetch %d was broken, want %d", len(dealt), got, broken, jobs)
		}
		for _, ids := range l.fetched {
			if len(ids) > fetchBatch {
				t.Errorf("%d jobs are fetched in one round trip, want at most %d", len(ids), fetchBatch)
			}
		}
	}
}

// TestWhatComesIsSeenAtOnce, also while a long list is read through, and that goes on however much comes.
func TestWhatComesIsSeenAtOnce(t *testing.T) {
	l := newQueue()
	for i := range 10 * fetchBatch {
		l.ids = append(l.ids, fmt.Sprint("old-", i))
	}
	p := l.poller(true)
	come, gone := 0, 0
	p.Fetch = func(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error) {
		for i := range come {
			if id := fmt.Sprint("new-", i); len(l.fetched) < 10 && !slices.Contains(ids, id) && !p.Fair.has(job.Key{Queue: "b:q", ID: id}) {
				t.Errorf("%s came before round trip %d and isn't in it", id, len(l.fetched))
			}
		}
		if len(l.fetched) < 10 {
			l.ids = append(l.ids, fmt.Sprint("new-", come))
			come++
		}
		if len(l.fetched) == 3 { // others take some that were not read
			l.ids = slices.DeleteFunc(l.ids, func(id string) bool {
				taken := strings.HasPrefix(id, "old-19")
				if taken {
					gone++
				}
				return taken
			})
		}
		return l.Fetch(ctx, ids)
	}
	if got := len(look(t, p)) + len(look(t, p)); got != 10*fetchBatch+come-gone || come != 10 || gone == 0 {
		t.Errorf("%d jobs are ours, want %d; %d came meanwhile and %d left", got, 10*fetchBatch+come-gone, come, gone)
	}
}

// TestBrokenLookOfUndecidedJobs: they are looked at again at once, and keep the time at which they were first seen.
func TestBrokenLookOfUndecidedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := newQueue("a")
		l.verdict["a"] = route.Routed{Verdict: route.Unready, Again: 250 * time.Millisecond}
		p := l.poller(true)
		look(t, p)
		time.Sleep(250 * time.Millisecond)
		l.fetchErr[1] = errBroken
		if _, err := p.look(t.Context()); !errors.Is(err, errBroken) {
			t.Fatalf("the look: %v, want the error of the fetch", err)
		}
		l.verdict["a"] = route.Routed{Verdict: route.Ours}
		time.Sleep(50 * time.Millisecond)
		wantIDs(t, "as soon as it can be read", look(t, p), "a")
		if seen := l.found[1].Seen; !seen.Equal(start) {
			t.Errorf("seen %s after the start, want at the start", seen.Sub(start))
		}
	})
}

func TestASyncThatFails(t *testing.T) {
	l := newQueue("a")
	l.err = errBroken
	p := l.poller(true)
	p.forget("x")
	if _, err := p.look(t.Context()); !errors.Is(err, errBroken) || len(l.fetched) > 0 {
		t.Errorf("look: %v, fetched %v, want the error and nothing", err, l.fetched)
	}
	l.err = nil
	wantIDs(t, "afterwards", look(t, p), "a")
}

// TestADealtJobThatIsBackIsNew: a retried job may be on its list again before the next look.
func TestADealtJobThatIsBackIsNew(t *testing.T) {
	l := newQueue("a", "b")
	p := l.poller(true)
	wantIDs(t, "at first", look(t, p), "a", "b")
	p.forget("a")
	wantIDs(t, "a was dealt and is back", look(t, p), "a")
	wantIDs(t, "nothing happened", look(t, p))
}

// TestAJobThatCanNotBeClaimedIsLeftAlone for a while, and then looked at again.
func TestAJobThatCanNotBeClaimedIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("a", "b")
		p := l.poller(true)
		wantIDs(t, "at first", look(t, p), "a", "b")
		p.refuse("a")
		p.forget("b")
		wantIDs(t, "a can't be claimed", look(t, p), "b")
		time.Sleep(refusedPause)
		wantIDs(t, "a while later", look(t, p), "a")
	})
}

// TestWhatLeftTheListIsNotDealt, though it was routed.
func TestWhatLeftTheListIsNotDealt(t *testing.T) {
	l := newQueue("a", "b")
	p := l.poller(true)
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.ids = []string{"b"}
	wantIDs(t, "a was taken by somebody else", look(t, p), "b")
}
