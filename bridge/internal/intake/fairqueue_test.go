package intake

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"pgregory.net/rapid"
)

func waitingJob(site, org, id, priority string) *job.Queued {
	p, _ := job.PriorityOf(priority)
	return &job.Queued{Queue: job.Queue{Name: "q"}, ID: id, Site: site, Organization: org, Priority: p}
}

// plenty is room for everybody.
func plenty() *Room { return NewRoom(1<<40, 10, 3) }

func idsOf(notes []*Note) (ids []string) {
	for _, n := range notes {
		ids = append(ids, n.ID)
	}
	return ids
}

func TestTurnsAreFairBetweenTenants(t *testing.T) {
	f := NewFairQueue(1_000_000, map[string]int{"big": 2}, plenty(), 0)
	for i := range 10_000 {
		f.Add(waitingJob("s", "big", fmt.Sprint("big", i), "Normal"))
	}
	f.Add(waitingJob("s", "small", "small0", "Normal"), waitingJob("s", "small", "small1", "Normal"))
	got := idsOf(f.deal(6))
	want := []string{"big0", "big1", "small0", "big2", "big3", "small1"}
	if !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

// TestAnOrganizationOfEachSite: tenants of the same name on two sites are two.
func TestAnOrganizationOfEachSite(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	for i := range 3 {
		f.Add(waitingJob("s1", "o", fmt.Sprint("s1-", i), "Normal"))
	}
	f.Add(waitingJob("s2", "o", "s2-0", "Normal"))
	if got, want := idsOf(f.deal(10)), []string{"s1-0", "s2-0", "s1-1", "s1-2"}; !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

func TestPriorityThenAge(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	f.Add(waitingJob("s", "o", "low", "Low"), waitingJob("s", "o", "n1", "Normal"),
		waitingJob("s", "o", "n2", "Normal"), waitingJob("s", "o", "crit", "Critical"))
	want := []string{"crit", "n1", "n2", "low"}
	if got := idsOf(f.deal(10)); !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

// TestATurnGoesOnAfterAClaim: claims of one slot each must not start every turn anew.
func TestATurnGoesOnAfterAClaim(t *testing.T) {
	f := NewFairQueue(1_000_000, map[string]int{"a": 2}, plenty(), 0)
	for i := range 4 {
		f.Add(waitingJob("s", "a", fmt.Sprint("a", i), "Normal"))
	}
	f.Add(waitingJob("s", "b", "b0", "Normal"), waitingJob("s", "b", "b1", "Normal"))
	var got []string
	for range 6 {
		got = append(got, idsOf(f.deal(1))...)
	}
	if want := []string{"a0", "a1", "b0", "a2", "a3", "b1"}; !slices.Equal(got, want) {
		t.Errorf("dealt one by one: %v, want %v", got, want)
	}
}

// TestALineThatGoesTakesItsTurnAlong: what was dealt of the turn of a tenant that has no jobs any more must not be
// counted against the next one.
func TestALineThatGoesTakesItsTurnAlong(t *testing.T) {
	f := NewFairQueue(1_000_000, map[string]int{"a": 3, "b": 3}, plenty(), 0)
	for i := range 2 {
		f.Add(waitingJob("s", "a", fmt.Sprint("a", i), "Normal"))
	}
	for i := range 4 {
		f.Add(waitingJob("s", "b", fmt.Sprint("b", i), "Normal"))
	}
	f.Add(waitingJob("s", "c", "c0", "Normal"))
	f.deal(1)
	f.drop("q", "a1")
	if got, want := idsOf(f.deal(4)), []string{"b0", "b1", "b2", "c0"}; !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v: b has three in a turn", got, want)
	}
}

// TestALineBeforeTheTurnGoes: the turn stays with whose it is.
func TestALineBeforeTheTurnGoes(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	for _, org := range []string{"a", "b", "c"} {
		f.Add(waitingJob("s", org, org+"0", "Normal"), waitingJob("s", org, org+"1", "Normal"))
	}
	f.deal(1) // a0; it is b's turn
	f.drop("q", "a1")
	if got, want := idsOf(f.deal(2)), []string{"b0", "c0"}; !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

func TestTheSameJobTwiceIsOne(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	a, other := waitingJob("s", "o", "a", "Normal"), waitingJob("s", "o", "a", "Normal")
	other.Queue.Name = "another queue"
	f.Add(a, a)
	f.Add(a)
	f.Add(other)
	f.drop("a third queue", "a")
	if f.Len() != 2 || len(f.deal(10)) != 2 || f.Len() != 0 {
		t.Errorf("%d jobs wait at the end, want that one per queue was dealt", f.Len())
	}
}

func TestAddTellsTheClaimer(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	f.Add()
	if len(f.filled) != 0 {
		t.Error("filled is raised although nothing came")
	}
	f.Add(waitingJob("s", "o", "a", "Normal"))
	if len(f.filled) != 1 {
		t.Error("filled isn't raised although a job came")
	}
}

func TestRows(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	withRow := waitingJob("s", "o", "a", "Normal")
	withRow.RowName = "JOB-1"
	f.Add(withRow, waitingJob("s", "o", "b", "Normal"))
	var got []string
	f.Rows(func(site, name string) { got = append(got, site+" "+name) })
	if !slices.Equal(got, []string{"s JOB-1"}) {
		t.Errorf("rows that wait: %v, want s JOB-1", got)
	}
}

// Whatever is added, dropped and ended, every job that stays is dealt exactly once, and no slot has two.
func TestEachJobIsDealtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 20).Draw(t, "slots")
		f := NewFairQueue(slots, map[string]int{"o1": 3}, plenty(), 0)
		want := map[string]bool{}
		got := map[string]bool{}
		var running []*Note
		next := 0
		deal := func(n int) {
			dealt := f.deal(n)
			for _, id := range idsOf(dealt) {
				if got[id] || !want[id] {
					t.Fatalf("job %s dealt twice or after it was dropped", id)
				}
				got[id] = true
			}
			if running = append(running, dealt...); len(running) > slots {
				t.Fatalf("%d jobs run in %d slots", len(running), slots)
			}
		}
		end := func() {
			i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
			f.letGo(running[i].holds())
			running = slices.Delete(running, i, i+1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				q := waitingJob("s", fmt.Sprint("o", rapid.IntRange(0, 3).Draw(t, "org")), fmt.Sprint(next),
					rapid.SampledFrom([]string{"Low", "Normal", "High", "Critical"}).Draw(t, "priority"))
				q.User = rapid.SampledFrom([]string{"", "jane", "joe"}).Draw(t, "user")
				next++
				want[q.ID] = true
				f.Add(q, q)
			},
			"drop": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, next).Draw(t, "id"))
				f.drop("q", id, "unknown")
				if !got[id] {
					delete(want, id)
				}
			},
			"deal": func(t *rapid.T) { deal(rapid.IntRange(0, slots-len(running)).Draw(t, "n")) },
			"end": func(t *rapid.T) {
				if len(running) > 0 {
					end()
				}
			},
			"": func(t *rapid.T) {},
		})
		for f.Len()+len(running) > 0 {
			before := len(running)
			if deal(slots - before); before+len(running) == 0 {
				t.Fatal("all slots are free, jobs wait, and none is dealt")
			}
			end()
		}
		if len(got) != len(want) {
			t.Fatalf("dealt %d jobs, want %d", len(got), len(want))
		}
		if len(f.lines) != 0 || len(f.ring.all) != 0 || f.shares.busy != 0 || len(f.shares.held) != 0 || len(f.shares.users) != 0 {
			t.Fatal("leftovers after everything was dealt and has ended")
		}
	})
}
