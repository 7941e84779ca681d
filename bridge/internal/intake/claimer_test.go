package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"pgregory.net/rapid"
)

// claims is Redis as the claimer sees it, and who gets what was claimed.
type claims struct {
	mu        sync.Mutex
	result    map[string]rqcompat.ClaimResult // by id; Claimed if it isn't there
	err       error
	odd       map[string]error // by id
	suspended atomic.Bool
	paused    map[string]bool

	calls   [][]rqcompat.Claim
	at      []time.Time
	lease   time.Duration
	started []string
	queued  []*job.Queued
	again   []func(context.Context) *job.Queued
	slots   []*workers.Slot
	leases  []rqcompat.Lease
}

func (r *claims) Claim(_ context.Context, cs []rqcompat.Claim, startedAt time.Time, lease time.Duration) ([]rqcompat.Answer[rqcompat.ClaimResult], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, slices.Clone(cs))
	r.at, r.lease = append(r.at, startedAt), lease
	if r.err != nil {
		return nil, r.err
	}
	out := make([]rqcompat.Answer[rqcompat.ClaimResult], len(cs))
	for i, c := range cs {
		out[i].Result = rqcompat.Claimed
		if result, ok := r.result[c.ID]; ok {
			out[i].Result = result
		}
		if err := r.odd[c.ID]; err != nil {
			out[i] = rqcompat.Answer[rqcompat.ClaimResult]{Err: err}
		}
	}
	return out, nil
}

func (r *claims) start(q *job.Queued, again func(context.Context) *job.Queued, slot *workers.Slot, lease rqcompat.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = append(r.started, q.ID)
	r.queued = append(r.queued, q)
	r.again = append(r.again, again)
	r.slots = append(r.slots, slot)
	r.leases = append(r.leases, lease)
}

// claimer makes a claimer with n slots and one poller, of the queue "q".
func (r *claims) claimer(n int) *Claimer {
	log := slog.New(slog.DiscardHandler)
	fair := NewFairQueue(n, nil, plenty(), 0)
	return &Claimer{
		Claim: r.Claim,
		Suspension: &policy.Suspension{Log: log, Read: func(context.Context) (bool, []string, error) {
			return r.suspended.Load(), slices.Collect(maps.Keys(r.paused)), nil
		}},
		Fair: fair, Pollers: map[string]*Poller{"q": NewPoller(PollerParams{Queue: job.Queue{Name: "q"}, Fair: fair, Router: newQueue(), Log: log})},
		Slots: workers.NewSlots(n, []string{"q"}), Lease: 90 * time.Second, Start: r.start, Log: log,
	}
}

// runClaimer runs c in the background until the returned function is called.
func runClaimer(t *testing.T, c *Claimer) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

func addJobs(c *Claimer, ids ...string) {
	jobs := make([]*job.Queued, len(ids))
	for i, id := range ids {
		jobs[i] = waitingJob("s", "o", id, "Normal")
	}
	c.Fair.Add(jobs...) // at once, so that one claim can have them all
}

// TestASlotIsKeptForOthers: the claimer rests while those who wait have their share, and goes on when somebody else comes
// or one of their jobs ends.
func TestASlotIsKeptForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{result: map[string]rqcompat.ClaimResult{"gone": rqcompat.ClaimGone}}
		c := r.claimer(8)
		stop := runClaimer(t, c)
		defer stop()
		addJobs(c, "gone", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9")
		started := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(r.started, want) {
				t.Errorf("started %v, want %v", r.started, want)
			}
			r.started = nil
		}
		started("a1", "a2", "a3", "a4", "a5", "a6", "a7")
		b := waitingJob("s", "another", "b", "Normal")
		c.Fair.Add(b)
		started("b")
		c.Slots.GiveBack(r.slots[0])
		started()
		c.Slots.GiveBack(r.slots[1])
		started("a8")
	})
}

func TestClaimStartsWhatItGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1234 * time.Nanosecond)
		r := &claims{}
		c := r.claimer(5)
		stop := runClaimer(t, c)
		addJobs(c, "a", "b", "c")
		synctest.Wait()
		stop()
		if len(r.calls) == 0 || !slices.Equal(r.started, []string{"a", "b", "c"}) {
			t.Fatalf("started %v in %d calls, want a, b, c", r.started, len(r.calls))
		}
		var all []rqcompat.Claim
		for _, call := range r.calls {
			all = append(all, call...)
		}
		workersOf := map[string]bool{}
		for i, cl := range all {
			want := rqcompat.Lease{Queue: "q", ID: cl.ID, Worker: cl.Worker.Name, ExecutionID: cl.ExecutionID, StartedAt: r.leases[i].StartedAt}
			if !reflect.DeepEqual(r.leases[i], want) || r.slots[i].Worker != cl.Worker {
				t.Errorf("claim %+v became the lease %+v", cl, r.leases[i])
			}
			if cl.Queue != "q" || !cl.Register || len(cl.ExecutionID) != 32 || !r.slots[i].Registered {
				t.Errorf("claim %+v of a new slot, registered afterwards: %v, want a registration", cl, r.slots[i].Registered)
			}
			workersOf[cl.Worker.Name] = true
		}
		if len(workersOf) != 3 {
			t.Errorf("three jobs have %d workers", len(workersOf))
		}
		for _, at := range r.at {
			if !at.Equal(at.Truncate(time.Microsecond)) {
				t.Errorf("fence %s isn't cut to microseconds, as rows and RQ keep them", at)
			}
		}
		if r.lease != 90*time.Second {
			t.Errorf("claimed for %s, want the lease", r.lease)
		}
		if got := c.Pollers["q"].dealt; !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("the poller is told of %v, want a, b, c", got)
		}
	})
}

// TestARegisteredSlotIsNotRegisteredAgain: its record is in Redis already.
func TestARegisteredSlotIsNotRegisteredAgain(t *testing.T) {
	r := &claims{}
	c := r.claimer(1)
	for i, id := range []string{"a", "b"} {
		addJobs(c, id)
		if err := c.claim(t.Context(), c.Fair.deal(1), c.Slots.Take(1)); err != nil {
			t.Fatal(err)
		}
		if got := r.calls[i][0].Register; got != (i == 0) {
			t.Errorf("claim %d registers: %v, want only the first", i, got)
		}
		c.Slots.GiveBack(r.slots[i])
	}
}

// TestOnlyWhatIsClaimedKeepsItsSlot.
func TestOnlyWhatIsClaimedKeepsItsSlot(t *testing.T) {
	r := &claims{result: map[string]rqcompat.ClaimResult{
		"gone": rqcompat.ClaimGone, "no hash": rqcompat.ClaimNoHash, "canceled": rqcompat.ClaimCanceled, "running": rqcompat.ClaimRunning,
	}}
	c := r.claimer(10)
	addJobs(c, "gone", "no hash", "a", "canceled", "running")
	if err := c.claim(t.Context(), c.Fair.deal(10), c.Slots.Take(10)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.started, []string{"a"}) {
		t.Errorf("started %v, want a", r.started)
	}
	free := c.Slots.Take(10)
	if len(free) != 9 {
		t.Errorf("%d of 10 slots are free beside one job, want 9", len(free))
	}
	for _, f := range free {
		if f.Registered {
			t.Errorf("slot %s counts as registered, which only a claim does", f.Worker.Name)
		}
	}
	if got := c.Pollers["q"].dealt; len(got) != 5 {
		t.Errorf("the poller is told of %v, want all five", got)
	}
}

// TestABadClaimKeepsNobodyElse: jobs that can't be claimed as they are beside others, in every mixture.
func TestABadClaimKeepsNobodyElse(t *testing.T) {
	odd, away := fmt.Errorf("%w: odd data", rqcompat.ErrBadRequest), errBroken
	rapid.Check(t, func(t *rapid.T) {
		r := &claims{odd: map[string]error{}}
		c := r.claimer(30) // one tenant doesn't get all
		var ids, healthy, refused, again []string
		for i := range rapid.IntRange(1, 20).Draw(t, "n") {
			id := fmt.Sprint("job-", i)
			ids = append(ids, id)
			r.odd[id] = rapid.SampledFrom([]error{nil, nil, odd, away}).Draw(t, "error")
			switch r.odd[id] {
			case nil:
				healthy, again = append(healthy, id), append(again, id)
			case odd:
				refused = append(refused, id)
			case away:
				again = append(again, id)
			}
		}
		addJobs(c, ids...)
		err := c.claim(context.Background(), c.Fair.deal(40), c.Slots.Take(40))
		if (err != nil) != (len(again) > len(healthy)) {
			t.Fatalf("%v after %v", err, r.odd)
		}
		same := func(what string, got, want []string) {
			got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
		same("started", r.started, healthy)
		same("left alone", c.Pollers["q"].refused, refused)
		same("to be found again", c.Pollers["q"].dealt, again)
		names := map[string]bool{}
		for _, f := range c.Slots.Take(30) {
			names[f.Worker.Name] = true
		}
		if len(names) != 30-len(healthy) || c.Fair.shares.busy != len(healthy) {
			t.Fatalf("%d of 30 slots are free beside %d jobs, and %d count as taken", len(names), len(healthy), c.Fair.shares.busy)
		}
		for i, cl := range r.calls[0] {
			if r.odd[cl.ID] != nil && names[cl.Worker.Name] {
				t.Fatalf("the worker of claim %d, of which nobody knows what came, is used again", i)
			}
		}
	})
}

// TestAClaimThatFails: whether it was carried out isn't known, so the names are not used again, and the poller finds
// what is still on its list.
func TestAClaimThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{err: errBroken}
		c := r.claimer(3)
		c.Slots.GiveBack(c.Slots.Take(3)...) // the very slots are used again
		stop := runClaimer(t, c)
		start := time.Now()
		addJobs(c, "a", "b")
		synctest.Wait()
		if len(r.started) > 0 || len(r.calls) != 1 {
			t.Fatalf("started %v after %d calls that failed", r.started, len(r.calls))
		}
		if got := c.Pollers["q"].dealt; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the poller is told of %v, want a and b", got)
		}
		r.mu.Lock()
		r.err = nil
		r.mu.Unlock()
		addJobs(c, "a", "b")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(r.calls) < 2 || r.at[1].Sub(start) < 50*time.Millisecond {
			t.Fatalf("%d calls, want a second one after a pause", len(r.calls))
		}
		old := map[string]bool{}
		for _, cl := range r.calls[0] {
			old[cl.Worker.Name] = true
		}
		for _, cl := range r.calls[1] {
			if old[cl.Worker.Name] || !cl.Register {
				t.Errorf("worker %s is used again after a claim of unknown outcome (registers: %v)", cl.Worker.Name, cl.Register)
			}
		}
		stop()
		c.Slots.GiveBack(r.slots...)
		if n := len(c.Slots.Take(10)); n != 3 {
			t.Errorf("%d slots are left of 3", n)
		}
	})
}

func TestNoMoreJobsThanSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		c := r.claimer(2)
		stop := runClaimer(t, c)
		addJobs(c, "a", "b", "c")
		synctest.Wait()
		if len(r.started) != 2 || c.Fair.Len() != 1 {
			t.Errorf("started %v with two slots, %d wait, want two and one", r.started, c.Fair.Len())
		}
		c.Slots.GiveBack(r.slots[0])
		synctest.Wait()
		if !slices.Equal(r.started, []string{"a", "b", "c"}) {
			t.Errorf("started %v when a slot is free again, want a, b, c", r.started)
		}
		if len(r.calls) == 0 || r.slots[2] != r.slots[0] {
			t.Error("the third job has another slot than the free one")
		}
		stop()
	})
}

func TestClaimsAreOfALimitedSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		c := r.claimer(1000)
		for i := range 300 {
			c.Fair.Add(waitingJob("s", "o", fmt.Sprint(i), "Normal"))
		}
		stop := runClaimer(t, c)
		synctest.Wait()
		stop()
		if len(r.started) != 300 || len(r.calls) != 3 || len(r.calls[0]) != claimBatch {
			t.Errorf("300 jobs were claimed in %d calls, the first of %d, want 3 of at most %d", len(r.calls), len(r.calls[0]), claimBatch)
		}
		if n := len(c.Slots.Take(1000)); n != 700 {
			t.Errorf("%d of 1000 slots are free beside 300 jobs", n)
		}
	})
}

// TestSuspensionHoldsClaims, and the slots stay idle meanwhile.
func TestSuspensionHoldsClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		r.suspended.Store(true)
		c := r.claimer(2)
		stop := runClaimer(t, c)
		addJobs(c, "a")
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if len(r.calls) > 0 || c.Fair.Len() != 1 {
			t.Errorf("%d claims while RQ is suspended, %d jobs wait", len(r.calls), c.Fair.Len())
		}
		r.suspended.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(r.started, []string{"a"}) {
			t.Errorf("started %v a second after RQ was resumed, want a", r.started)
		}
		stop()
		if n := len(c.Slots.Take(3)); n != 1 {
			t.Errorf("%d of 2 slots are free beside one job", n)
		}
	})
}

// TestAPausedQueueIsNotClaimedFrom, and others are; the poller is told to find the job again.
func TestAPausedQueueIsNotClaimedFrom(t *testing.T) {
	r := &claims{paused: map[string]bool{"q": true}}
	c := r.claimer(2)
	other := waitingJob("s", "o", "b", "Normal")
	other.Queue.Name = "r"
	c.Pollers["r"] = NewPoller(PollerParams{Queue: other.Queue, Fair: c.Fair, Router: newQueue(), Log: c.Log})
	addJobs(c, "a")
	c.Fair.Add(other)
	free := c.Slots.Take(2)
	if err := c.claim(t.Context(), c.allowed(t.Context(), c.Fair.deal(2)), free); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.started, []string{"b"}) || len(c.Slots.Take(2)) != 1 {
		t.Errorf("started %v while q is paused, want only b, of another queue", r.started)
	}
	if dealt := c.Pollers["q"].dealt; !slices.Equal(dealt, []string{"a"}) {
		t.Errorf("the poller of the paused queue is to find %v again, want a", dealt)
	}
}

// TestAnIdleClaimerAsksThePollers to look at once, and claims nothing after its end.
func TestAnIdleClaimerAsksThePollers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		c := r.claimer(1)
		stop := runClaimer(t, c)
		synctest.Wait()
		if len(c.Pollers["q"].hungry) != 1 {
			t.Error("a claimer that has nothing to deal doesn't say so to the poller")
		}
		stop()
		addJobs(c, "a")
		c.Run(canceled(t))
		if len(r.calls) > 0 {
			t.Error("claimed after the end")
		}
	})
}

// TestTheEndIsNoClaim: a claim that begins as the process stops would only come back.
func TestTheEndIsNoClaim(t *testing.T) {
	r := &claims{}
	c := r.claimer(1)
	ctx, cancel := context.WithCancel(t.Context())
	c.Suspension.Read = func(context.Context) (bool, []string, error) {
		cancel()
		return false, nil, errors.New("canceled")
	}
	addJobs(c, "a")
	c.Run(ctx)
	if len(r.calls) > 0 || len(c.Slots.Take(2)) != 1 || c.Fair.Len() != 1 {
		t.Errorf("%d claims when the context ended during the question before, want none, its slot and its job back", len(r.calls))
	}
}

func TestNothingWasDealt(t *testing.T) {
	r := &claims{}
	c := r.claimer(2)
	if err := c.claim(t.Context(), nil, c.Slots.Take(2)); err != nil || len(r.calls) > 0 || len(c.Slots.Take(2)) != 2 {
		t.Errorf("nothing was dealt: %v, %d calls, want none and the slots back", err, len(r.calls))
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
