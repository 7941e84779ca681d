package intake

import (
	"fmt"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// manyJobs are n jobs of one user of an organization.
func manyJobs(org, user, priority string, n int) []*job.Queued {
	qs := make([]*job.Queued, n)
	for i := range qs {
		qs[i] = waitingJob("s", org, fmt.Sprint(org, user, priority, i), priority)
		qs[i].User = user
	}
	return qs
}

// slotsOf counts what runs, by organization.
func slotsOf(running []*Note) map[string]int {
	n := map[string]int{}
	for _, r := range running {
		n[r.Tenant().Organization]++
	}
	return n
}

// TestWhoComesFindsASlot: whatever long jobs others have, and however many of them came before.
func TestWhoComesFindsASlot(t *testing.T) {
	for _, c := range []struct {
		slots, weight int // of the first
		greedy        int // tenants that can have all, each as much as it gets
	}{{8, 1, 2}, {8, 100, 2}, {100, 1, 3}, {100, 100, 2}, {1000, 1, 4}} {
		f := NewFairQueue(c.slots, map[string]int{"greedy-0": c.weight}, plenty(), 0)
		var running []*Note
		greedy := 0
		for ; len(running) < c.slots; greedy++ {
			before := len(running)
			f.Add(manyJobs(fmt.Sprint("greedy-", greedy), "jane", "Critical", c.slots)...)
			running = append(running, f.deal(c.slots-before)...)
			if len(running) == before {
				t.Fatalf("%d slots: tenant %d gets none of the %d that are free", c.slots, greedy, c.slots-before)
			}
		}
		if greedy < c.greedy {
			t.Errorf("%d slots, the first tenant weighs %d: %d have all of them, want that it takes %d", c.slots, c.weight, greedy, c.greedy)
		}
	}
}

// TestOneTenantHasAlmostAllSlots that nobody else asks for; few slots are all its own.
func TestOneTenantHasAlmostAllSlots(t *testing.T) {
	for slots, most := range map[int]int{1: 1, 2: 2, 7: 7, 8: 7, 100: 86, 1000: 860} {
		f := NewFairQueue(slots, nil, plenty(), 0)
		f.Add(manyJobs("a", "jane", "Normal", slots)...)
		if got := len(f.deal(slots)); got != most {
			t.Errorf("%d of %d slots, want %d", got, slots, most)
		}
	}
}

// TestSlotsAreSharedOut: when long jobs end, those who have less get the slots, by their weights.
func TestSlotsAreSharedOut(t *testing.T) {
	for _, c := range []struct {
		weights map[string]int
		a, b    int // about so many of 100 slots
	}{{nil, 46, 46}, {map[string]int{"a": 3}, 72, 24}} {
		f := NewFairQueue(100, c.weights, plenty(), 0)
		f.Add(manyJobs("a", "jane", "Normal", 1000)...)
		running := f.deal(100)
		f.Add(manyJobs("b", "joe", "Normal", 1000)...)
		for range 300 {
			running = append(running, f.deal(100-len(running))...)
			f.letGo(running[0].holds()) // the oldest ends
			running = running[1:]
		}
		if n := slotsOf(running); n["a"] < c.a-3 || n["a"] > c.a+3 || n["b"] < c.b-3 || n["b"] > c.b+3 {
			t.Errorf("weights %v: a has %d slots and b %d, want about %d and %d", c.weights, n["a"], n["b"], c.a, c.b)
		}
	}
}

// TestAColleagueFindsASlot: users of one organization, or of none, share its slots in the same way.
func TestAColleagueFindsASlot(t *testing.T) {
	for _, org := range []string{"a", ""} {
		f := NewFairQueue(100, nil, plenty(), 0)
		f.Add(manyJobs(org, "jane", "Critical", 1000)...)
		running := f.deal(100)
		f.Add(manyJobs(org, "joe", "Low", 1)...)
		if dealt := f.deal(100 - len(running)); len(dealt) != 1 || dealt[0].whose.Value().user != "joe" {
			t.Errorf("organization %q: beside %d long jobs of jane %d jobs are dealt, want joe's", org, len(running), len(dealt))
		}
	}
}

// TestAFreeSlotIsTold to the claimer if somebody who waits may have it, and only then.
func TestAFreeSlotIsTold(t *testing.T) {
	f := NewFairQueue(8, nil, plenty(), 0)
	f.Add(manyJobs("a", "jane", "Normal", 8)...)
	<-f.filled
	running := f.deal(8)
	f.letGo(running[0].holds())
	if len(f.filled) != 1 {
		t.Error("filled isn't raised although a job waits for the slot that is free now")
	}
	<-f.filled
	f.letGo(running[1].holds())
	if len(f.filled) != 0 {
		t.Error("filled is raised although the claimer hasn't looked since")
	}
}

// A victim adds one job at a time beside somebody who tries to be served more often than in his turn. One job is dealt and
// ends at a time; how many of others come between is what the victim waits.
func TestNobodyIsServedBeforeHisTurn(t *testing.T) {
	next := 0
	flood := func(f *FairQueue, n int, org string, user func(i int) string, priority string) {
		for i := range n {
			q := waitingJob("s", org, fmt.Sprint("attack-", next), priority)
			next++
			q.User = user(i)
			f.Add(q)
		}
	}
	jane := func(int) string { return "jane" }
	anybody := func(i int) string { return fmt.Sprint("user-", i) }
	for _, c := range []struct {
		name   string
		attack func(f *FairQueue, round int, dealt *Note)
		most   int
	}{
		{"many jobs", func(f *FairQueue, round int, _ *Note) {
			if round == 0 {
				flood(f, 10_000, "attacker", jane, "Normal")
			}
		}, 1},
		{"all of them critical", func(f *FairQueue, round int, _ *Note) {
			if round == 0 {
				flood(f, 10_000, "attacker", jane, "Critical")
			}
		}, 1},
		{"many users", func(f *FairQueue, round int, _ *Note) {
			if round == 0 {
				flood(f, 10_000, "attacker", anybody, "Normal")
			}
		}, 1},
		{"jobs that fail and are retried at once", func(f *FairQueue, round int, dealt *Note) {
			if round == 0 {
				flood(f, 100, "attacker", jane, "Normal")
			} else if dealt != nil && dealt.Tenant().Organization == "attacker" {
				flood(f, 1, "attacker", jane, "Normal")
			}
		}, 1},
		{"coming and going", func(f *FairQueue, _ int, _ *Note) { flood(f, 1, "attacker", jane, "Critical") }, 1},
		{"a thousand dependents at a time", func(f *FairQueue, round int, _ *Note) {
			if round%10 == 0 {
				flood(f, 1000, "attacker", jane, "Normal")
			}
		}, 1},
		{"jobs that are canceled and made anew", func(f *FairQueue, round int, _ *Note) {
			flood(f, 2, "attacker", jane, "Normal")
			f.drop("q", fmt.Sprint("attack-", next-2))
		}, 1},
		{"an attack by a colleague", func(f *FairQueue, round int, _ *Note) {
			if round == 0 {
				flood(f, 10_000, "victim", jane, "Normal")
			}
		}, 1},
		{"two attackers", func(f *FairQueue, round int, _ *Note) {
			flood(f, 5, "attacker", jane, "Critical")
			flood(f, 5, "another", anybody, "Critical")
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFairQueue(1, nil, plenty(), 0)
			var dealt *Note
			waiting, waited, served, worst := false, 0, 0, 0
			for round := range 2000 {
				c.attack(f, round, dealt)
				if !waiting {
					q := waitingJob("s", "victim", fmt.Sprint("victim-", round), "Normal")
					q.User = "joe"
					f.Add(q)
					waiting, waited = true, 0
				}
				next := f.deal(1)
				dealt = next[0]
				f.letGo(dealt.holds())
				if dealt.whose.Value().user != "joe" {
					waited++
					continue
				}
				waiting = false
				served++
				worst = max(worst, waited)
			}
			if worst > c.most || served < 2000/(c.most+2) {
				t.Errorf("the victim was served %d times and waited for %d jobs of others at worst, want %d at most", served, worst, c.most)
			}
		})
	}
}
