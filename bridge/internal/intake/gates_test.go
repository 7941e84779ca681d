package intake

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"pgregory.net/rapid"
)

// within is a job with limits, in their places.
func within(q *job.Queued, limits map[int]rqcompat.Limit) *job.Queued {
	q.Limits = &job.Limits{}
	for place, l := range limits {
		q.Limits[place] = l
	}
	return q
}

func most(key string, n int) rqcompat.Limit {
	return rqcompat.Limit{Key: key, Most: n, Lease: time.Second}
}

// ofType is a job of a Job Type that may run so many times.
func ofType(org, id, jobType string, n int) *job.Queued {
	return within(waitingJob("s", org, id, "Normal"), map[int]rqcompat.Limit{job.LimitJobType: most(jobType, n)})
}

// TestAFullLimitKeepsNobodyElse: neither other jobs of the same user nor other tenants, and its own go on in their order.
func TestAFullLimitKeepsNobodyElse(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	for i := range 5 {
		f.Add(ofType("a", fmt.Sprint("mail", i), "mail", 2))
	}
	f.Add(waitingJob("s", "a", "other", "Normal"), ofType("a", "pdf", "pdf", 1), ofType("b", "b-mail", "mail", 2), waitingJob("s", "b", "b-other", "Low"))
	running := f.deal(20)
	wantDealt(t, "at first", running, "mail0", "b-mail", "other", "b-other", "pdf")
	if !f.opens.IsZero() {
		t.Error("it is to be tried again although only the end of one of them makes room")
	}
	f.letGo(running[1].holds())
	if len(f.filled) == 0 {
		t.Error("the claimer isn't told that there is room")
	}
	wantDealt(t, "when one has ended", f.deal(20), "mail1")
	f.letGo(running[2].holds()) // the end of a job without a limit
	wantDealt(t, "when another has ended", f.deal(20))
	leave(f, running[:1])
	wantDealt(t, "then", f.deal(20), "mail2")
}

// TestATenantAtItsCap is passed over as a whole.
func TestATenantAtItsCap(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	for i := range 3 {
		q := waitingJob("s", "a", fmt.Sprint("a", i), []string{"Low", "Normal", "Critical"}[i])
		q.User = fmt.Sprint("user", i)
		f.Add(within(q, map[int]rqcompat.Limit{job.LimitOrganization: most("a", 1)}))
	}
	f.Add(waitingJob("s", "b", "b0", "Normal"))
	running := f.deal(20)
	wantDealt(t, "at first", running, "a2", "b0")
	leave(f, running)
	wantDealt(t, "then", f.deal(20), "a1")
}

// TestWhatIsHeldGoesBackInItsOrder, and its limit is tried again one by one, when something here ends or after a moment.
func TestWhatIsHeldGoesBackInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := map[string]bool{"m1": true, "m2": true}
		r := &claims{result: map[string]rqcompat.ClaimResult{}}
		set := func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, id := range []string{"m0", "m1", "m2", "m3"} {
				if delete(r.result, id); held[id] {
					r.result[id] = -(8*60_000 + 1)
				}
			}
		}
		set()
		c := r.claimer(10)
		defer runClaimer(t, c)()
		want := func(what string, ids ...string) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if !slices.Equal(r.started, ids) {
				t.Errorf("%s: started %v, want %v", what, r.started, ids)
			}
		}
		c.Fair.Add(ofType("o", "m0", "mail", 9), ofType("o", "m1", "mail", 9), ofType("o", "m2", "mail", 9), waitingJob("s", "o", "other", "Normal"))
		want("at first", "m0", "other")
		c.Fair.Add(ofType("o", "m3", "mail", 9))
		calls := func() [][]rqcompat.Claim {
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			return slices.Clone(r.calls)
		}
		before := len(calls())
		time.Sleep(time.Second)
		tried := calls()[before:]
		if n := len(tried); n < 3 || n > 11 {
			t.Errorf("within a second it was tried %d times, want once each 100 to 250 ms", n)
		}
		for _, call := range tried {
			if len(call) != 1 || call[0].ID != "m1" {
				t.Errorf("tried %d, first %s, want m1 alone", len(call), call[0].ID)
			}
		}
		held = nil
		set()
		time.Sleep(mostPause)
		want("when there is room", "m0", "other", "m1", "m2", "m3")
		if got := c.Pollers["q"].dealt; !slices.Equal(got, []string{"m0", "other", "m1", "m2", "m3"}) {
			t.Errorf("the poller is to forget %v, want each that was claimed, once", got)
		}
		if c.Fair.Len() != 0 || len(c.Fair.gates.by) != 1 {
			t.Errorf("%d wait, %d gates", c.Fair.Len(), len(c.Fair.gates.by))
		}
	})
}

// TestAnEndHereMakesRoomAtOnce also if jobs of other processes had filled the limit.
func TestAnEndHereMakesRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFairQueue(1_000_000, nil, plenty(), 0)
		f.Add(ofType("o", "m0", "mail", 9), ofType("o", "m1", "mail", 9), ofType("o", "m2", "mail", 9))
		running := f.deal(2)
		f.claimed(running[0])
		f.putBack(running[1])
		f.heldBy(running[1], 0, time.Minute)
		wantDealt(t, "used up", f.deal(9))
		if d := f.untilOpen(); d < leastPause || d > mostPause {
			t.Errorf("tried again after %s", d)
		}
		f.letGo(running[0].holds())
		wantDealt(t, "after an end", f.deal(9), "m1")
	})
}

// TestALimitOfStarts is tried again when its window has room, not before.
func TestALimitOfStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFairQueue(1_000_000, nil, plenty(), 0)
		for i := range 6 {
			f.Add(within(waitingJob("s", "o", fmt.Sprint("m", i), "Normal"), map[int]rqcompat.Limit{job.LimitKeyRate: {Key: "rate", Most: 2, Window: time.Minute}}))
		}
		running := f.deal(9)
		wantDealt(t, "at first", running, "m0", "m1")
		f.claimed(running[0])
		f.putBack(running[1])
		f.heldBy(running[1], 0, 20*time.Second)
		wantDealt(t, "used up", f.deal(9))
		leave(f, running[:1])
		wantDealt(t, "an end makes no room", f.deal(9))
		if d := f.untilOpen(); d != 20*time.Second {
			t.Errorf("tried again after %s, want 20s", d)
		}
		time.Sleep(20 * time.Second)
		running = f.deal(9)
		wantDealt(t, "after the window", running, "m1")
		f.claimed(running[0])
		wantDealt(t, "there was more room", f.deal(9), "m2", "m3")
	})
}

// TestManyKeys: a job of one user for each of twenty thousand keys, all of which are used up, costs others nothing.
func TestManyKeys(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	keyed := func(id, key string) *job.Queued {
		return within(waitingJob("s", "o", id, "Normal"), map[int]rqcompat.Limit{job.LimitKeyRunning: most(key, 1)})
	}
	const keys = 20_000
	for i := range keys {
		f.Add(keyed(fmt.Sprint("first", i), fmt.Sprint("key", i)))
	}
	running := f.deal(keys)
	for i := range keys {
		f.Add(keyed(fmt.Sprint("second", i), fmt.Sprint("key", i)))
	}
	wantDealt(t, "all keys are in use", f.deal(10))
	begin := time.Now()
	for i := range 1000 {
		f.letGo(running[i].holds())
		wantDealt(t, "its key is free", f.deal(10), fmt.Sprint("second", i))
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("1,000 ends among %d keys took %s", keys, took)
	}
	f.Add(waitingJob("s", "o", "free", "Normal"))
	wantDealt(t, "without a key", f.deal(1), "free")
}

// TestNoLimitIsExceededHere whatever is added, dropped, held and ended; everything is dealt in the end, once, in the order
// of its limits, and nothing is left of them.
func TestNoLimitIsExceededHere(t *testing.T) {
	rapid.Check(t, neverExceeded)
}

func neverExceeded(rt *rapid.T) {
	f := NewFairQueue(50, nil, plenty(), 0)
	left, here := map[string]bool{}, map[string]int{}
	var running []*Note
	last := map[string]int{}
	number := func(n *Note) (of string, i int) {
		_, err := fmt.Sscanf(n.ID, "%2s%d", &of, &i)
		if err != nil {
			rt.Fatal(err)
		}
		return of, i
	}
	deal := func(n int) {
		dealt := f.deal(n)
		for _, n := range dealt {
			for _, l := range n.limits.Value() {
				if here[l.Key]++; l.Most > 0 && here[l.Key] > l.Most {
					rt.Fatalf("%d of %s run, at most %d may", here[l.Key], l.Key, l.Most)
				}
			}
		}
		held := 0
		if len(dealt) > 0 {
			held = rapid.IntRange(0, len(dealt)).Draw(rt, "held")
		}
		back := dealt[len(dealt)-held:]
		f.putBack(back...)
		for _, n := range back {
			f.heldBy(n, 0, time.Millisecond)
			for _, l := range n.limits.Value() {
				here[l.Key]--
			}
		}
		for _, n := range dealt[:len(dealt)-held] {
			f.claimed(n)
			of, i := number(n)
			if !left[n.ID] || i < last[of] {
				rt.Fatalf("%s was dealt although it was dropped, or twice, or before number %d", n.ID, last[of])
			}
			delete(left, n.ID)
			last[of] = i
			running = append(running, n)
		}
	}
	end := func() {
		for _, l := range running[0].limits.Value() {
			here[l.Key]--
		}
		f.letGo(running[0].holds())
		running = running[1:]
	}
	for i := range rapid.IntRange(1, 60).Draw(rt, "steps") {
		switch rapid.IntRange(0, 3).Draw(rt, "what") {
		case 0, 1:
			jobType, key, org := rapid.IntRange(0, 1).Draw(rt, "type"), rapid.IntRange(0, 3).Draw(rt, "key"), rapid.IntRange(0, 1).Draw(rt, "org")
			q := waitingJob("s", fmt.Sprint("o", org), fmt.Sprintf("%c%c%d", 'a'+jobType, 'a'+4*org+key, i), "Normal")
			q.Limits = &job.Limits{most(fmt.Sprint("org", org), 5), most(fmt.Sprint("type", jobType), 4), {}, most(fmt.Sprint("key", jobType, key, org), 1+key)}
			f.Add(q)
			left[q.ID] = true
		case 2:
			for _, id := range []string{fmt.Sprintf("aa%d", i-1), fmt.Sprintf("bf%d", i-2)} {
				f.drop("q", id)
				if !slices.Contains(idsOf(running), id) {
					delete(left, id)
				}
			}
		case 3:
			deal(rapid.IntRange(0, 10).Draw(rt, "n"))
			for len(running) > 0 && rapid.Bool().Draw(rt, "ends") {
				end()
			}
		}
	}
	for range 2000 {
		for len(running) > 0 {
			end()
		}
		for _, g := range f.gates.by { // as if time had passed
			g.again = time.Time{}
			f.gates.moved(g)
		}
		deal(20)
	}
	for len(running) > 0 {
		end()
	}
	if len(left) > 0 || len(f.gates.by) > 0 || len(f.gates.shut) > 0 || len(f.lines) > 0 {
		rt.Fatalf("%v were never dealt; %d gates, %d of them shut, %d lines are left", left, len(f.gates.by), len(f.gates.shut), len(f.lines))
	}
}
