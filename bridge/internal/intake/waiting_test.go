package intake

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"pgregory.net/rapid"
)

const mb = 1 << 20

// weighing is a job of a tenant that takes so many MiB and was there at so many deaths.
func weighing(org, id string, mib, kills int) *job.Queued {
	q := waitingJob("s", org, id, "Normal")
	q.Memory, q.Kills = mib*mb, kills
	return q
}

func suspected(id string, kills int) *job.Queued { return weighing("o", id, 0, kills) }

func wantDealt(t *testing.T, what string, dealt []*Note, want ...string) {
	t.Helper()
	if got := idsOf(dealt); !slices.Equal(got, want) {
		t.Errorf("%s: dealt %v, want %v", what, got, want)
	}
}

func leave(f *FairQueue, notes []*Note) {
	for _, n := range notes {
		f.letGo(n.holds())
	}
}

// TestLargeJobsWaitForRoom in the order of their turns, and keep nobody else, not even of their own tenant.
func TestLargeJobsWaitForRoom(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, NewRoom(200*mb, 100, 3), 0)
	f.Add(weighing("a", "a-large", 80, 0))
	running := f.deal(10)
	wantDealt(t, "alone", running, "a-large")
	f.Add(weighing("a", "a-huge", 90, 0), weighing("a", "a-small", 1, 0), weighing("b", "b-fits", 5, 0), weighing("b", "b-small", 1, 0), weighing("c", "c-small", 0, 0))
	wantDealt(t, "beside a large one", f.deal(10), "b-small", "c-small", "a-small") // b-fits would fit, but not before a-huge
	if f.Len() != 2 {
		t.Errorf("%d wait, want the two large ones", f.Len())
	}
	f.Add(weighing("d", "d-large", 2, 0))
	wantDealt(t, "no room yet", f.deal(10))
	leave(f, running)
	wantDealt(t, "one slot", f.deal(1), "a-huge") // first although nine others came to rest meanwhile
	wantDealt(t, "what is left", f.deal(10), "b-fits", "d-large")
}

// TestAHeldJobThatIsGone makes way for the next.
func TestAHeldJobThatIsGone(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, NewRoom(200*mb, 100, 3), 0)
	f.Add(weighing("a", "first", 80, 0))
	f.deal(1)
	f.Add(weighing("a", "huge", 90, 0), weighing("a", "fits", 5, 0))
	wantDealt(t, "held", f.deal(10))
	f.drop("q", "huge")
	wantDealt(t, "without it", f.deal(10), "fits")
	if f.Len() != 0 {
		t.Errorf("%d wait, want none", f.Len())
	}
}

// TestSuspectsWaitForEachOther and for nobody else, and nobody waits for them.
func TestSuspectsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFairQueue(1_000_000, nil, plenty(), 0)
		f.Add(suspected("s1", 1), suspected("s2", 1), suspected("s3", 2), suspected("fresh", 0))
		first := f.deal(10)
		wantDealt(t, "at first", first, "s1", "fresh")
		f.Add(suspected("late", 0))
		wantDealt(t, "meanwhile", f.deal(10), "late")
		leave(f, first)
		second := f.deal(10)
		wantDealt(t, "after the first", second, "s2")
		leave(f, second)
		wantDealt(t, "after the second", f.deal(10), "s3")
	})
}

// TestNothingIsLostInTheFairQueue: whatever weighs what, everything is dealt in the end, and nothing twice.
func TestNothingIsLostInTheFairQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := NewFairQueue(1_000_000, map[string]int{"o1": 3}, NewRoom(20*mb, 10, 3), 0)
		left := map[string]bool{}
		var running []*Note
		for i := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				id := fmt.Sprint("j", i)
				f.Add(weighing(fmt.Sprint("o", rapid.IntRange(0, 3).Draw(rt, "org")), id, rapid.IntRange(0, 30).Draw(rt, "MiB"), rapid.IntRange(0, 2).Draw(rt, "kills")))
				left[id] = true
			case 2:
				id := fmt.Sprint("j", rapid.IntRange(0, i).Draw(rt, "dropped"))
				f.drop("q", id)
				if !slices.Contains(idsOf(running), id) {
					delete(left, id)
				}
			case 3:
				running = append(running, f.deal(rapid.IntRange(0, 5).Draw(rt, "n"))...)
				for len(running) > 0 && rapid.Bool().Draw(rt, "ends") {
					leave(f, running[:1])
					if !left[running[0].ID] {
						rt.Fatalf("%s was dealt although it was dropped, or twice", running[0].ID)
					}
					delete(left, running[0].ID)
					running = running[1:]
				}
			}
		}
		for range 100 {
			leave(f, running)
			for _, n := range running {
				delete(left, n.ID)
			}
			running = f.deal(3)
		}
		if len(left) > 0 || f.Len() > 0 {
			rt.Fatalf("%v were never dealt, and %d wait", left, f.Len())
		}
	})
}

// TestTheClaimerWaitsForRoom, not for slots alone, and hears of whatever may change it.
func TestTheClaimerWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{result: map[string]rqcompat.ClaimResult{"gone": rqcompat.ClaimGone}}
		c := r.claimer(10)
		c.Fair.room = NewRoom(1<<30, 10, 3)
		l := newQueue()
		c.Fetch, c.Router = l.Fetch, l
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
		c.Fair.Add(weighing("o", "gone", 400, 0))
		want("a job that was gone, which keeps no room")
		c.Fair.Add(weighing("o", "big", 400, 0), weighing("o", "bigger", 401, 0))
		want("what fits", "big")
		c.Fair.Add(weighing("o", "small", 1, 0))
		want("what comes meanwhile", "big", "small")
		c.Slots.GiveBack(r.slots[0])
		want("when there is room again", "big", "small", "bigger")
		c.Fair.Add(suspected("s1", 1), suspected("s2", 1))
		want("the first suspect", "big", "small", "bigger", "s1")
		time.Sleep(2 * time.Second)
		want("the second when the first's turn is over", "big", "small", "bigger", "s1", "s2")
	})
}

// TestWhatIsNotClaimedLeavesTheRoom: after an error of Redis, and on a queue that was paused.
func TestWhatIsNotClaimedLeavesTheRoom(t *testing.T) {
	for name, r := range map[string]*claims{
		"an error": {err: fmt.Errorf("broken")}, "a pause": {paused: map[string]bool{"q": true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := r.claimer(10)
			stop := runClaimer(t, c)
			c.Fair.Add(weighing("o", "big", 400, 1))
			synctest.Wait()
			stop()
			if used, _ := c.Fair.room.Used(); used != 0 || c.Fair.room.turn != nil {
				t.Errorf("%s: %d bytes are used, want none, and no turn", name, used)
			}
		})
	}
}

// TestOneCrasherHarmsNobodyForGood: a process that dies again and again of one job has found it after three deaths, and
// whatever ran beside it ends well, however long jobs take and whenever it strikes.
func TestOneCrasherHarmsNobodyForGood(t *testing.T) {
	const step, maxKills = 100 * time.Millisecond, 3
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			long := time.Duration(random.IntN(30)+1) * time.Second
			left := map[string]time.Duration{"crasher": time.Duration(random.Int64N(int64(long)))} // when it strikes, and how long others take
			kills := map[string]int{}
			for i := range 30 {
				left[fmt.Sprint("healthy", i)] = time.Duration(random.Int64N(int64(long)))
			}
			deaths := 0
			for begin := time.Now(); len(left) > 0; {
				f := NewFairQueue(1_000_000, nil, NewRoom(1<<30, 8, maxKills), 0)
				for _, id := range slices.Sorted(maps.Keys(left)) {
					f.Add(suspected(id, kills[id]))
				}
				running := map[*Note]time.Time{}
				for died := false; !died && f.Len()+len(running) > 0; time.Sleep(step) {
					for _, n := range f.deal(8 - len(running)) {
						running[n] = time.Now()
					}
					if random.IntN(20) == 0 && time.Since(begin) < time.Minute { // others keep coming
						id := fmt.Sprint("late", len(left), random.Int())
						left[id] = time.Duration(random.Int64N(int64(long)))
						f.Add(suspected(id, 0))
					}
					for n, started := range running {
						if time.Since(started) < left[n.ID] {
							continue
						}
						if died = died || n.ID == "crasher"; n.ID != "crasher" {
							f.letGo(n.holds())
							delete(running, n)
							delete(left, n.ID)
						}
					}
					if !died {
						continue
					}
					deaths++
					for n := range running {
						if kills[n.ID]++; kills[n.ID] == maxKills {
							delete(left, n.ID)
							if n.ID != "crasher" {
								t.Errorf("seed %d: %s is poison after %d deaths", seed, n.ID, deaths)
							}
						}
					}
				}
				if took := time.Since(begin); took > time.Hour {
					t.Fatalf("seed %d: %d jobs are left after %s and %d deaths", seed, len(left), took, deaths)
				}
			}
			if kills["crasher"] != maxKills || deaths != maxKills {
				t.Errorf("seed %d: %d deaths, the crasher was there at %d, want %d", seed, deaths, kills["crasher"], maxKills)
			}
		})
	}
}
