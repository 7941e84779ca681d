package intake

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
)

// deepQueue has n jobs of the same tenant, of which few notes are kept.
func deepQueue(n int) (*queue, *Poller) {
	l := newQueue()
	for i := range n {
		l.ids = append(l.ids, fmt.Sprintf("job-%04d", i))
	}
	p := l.poller(true)
	p.Fair.seriesNotes, p.mostAlike = 20, 20
	return l, p
}

// all looks and deals until nothing comes any more.
func all(t *testing.T, l *queue, p *Poller) (dealt []string) {
	t.Helper()
	for idle := 0; idle < 3; idle++ {
		if _, err := p.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, n := range p.Fair.deal(7) {
			l.ids = slices.DeleteFunc(l.ids, func(id string) bool { return id == n.ID })
			p.forget(n.ID)
			dealt = append(dealt, n.ID)
			idle = 0
		}
	}
	return dealt
}

// TestOfADeepQueueFewNotesAreKept, and yet all jobs are dealt, each once, in their order.
func TestOfADeepQueueFewNotesAreKept(t *testing.T) {
	l, p := deepQueue(700)
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Fair.Len() != 20 || p.Far() != 680 {
		t.Errorf("%d notes, and %d jobs of which only the place is kept, want 20 and 680", p.Fair.Len(), p.Far())
	}
	l.ids = append(l.ids, "late")
	want := slices.Clone(l.ids)
	if got := all(t, l, p); !slices.Equal(got, want) {
		t.Errorf("dealt are %d jobs, in another order than %d were found: %v", len(got), len(want), got)
	}
	if p.Far()+len(p.recalled)+p.Fair.Len() > 0 {
		t.Errorf("%d, %d and %d are left", p.Far(), len(p.recalled), p.Fair.Len())
	}
}

// TestAnotherTenantBehindADeepQueue has a note at once, wherever its job stands.
func TestAnotherTenantBehindADeepQueue(t *testing.T) {
	l, p := deepQueue(700)
	p.Router = byLetter{l, func(q *job.Queued, letter string) { q.Organization = letter }}
	l.ids = slices.Insert(l.ids, 350, "b-middle")
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := idsOf(p.Fair.deal(2)); !slices.Contains(got, "b-middle") {
		t.Errorf("the first two are %v, want b's one among them", got)
	}
}

// byLetter routes by the first letter of an id: it is what of says.
type byLetter struct {
	*queue
	of func(q *job.Queued, letter string)
}

func (r byLetter) Route(ctx context.Context, q job.Queue, found []route.Found) []route.Routed {
	out := r.queue.Route(ctx, q, found)
	for i := range out {
		r.of(out[i].Queued, out[i].ID[:1])
	}
	return out
}

// TestWhatLeavesADeepQueueIsNotDealt, whatever is known of it; what comes instead is, once.
func TestWhatLeavesADeepQueueIsNotDealt(t *testing.T) {
	l, p := deepQueue(300)
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := 0
	l.ids = slices.DeleteFunc(l.ids, func(id string) bool {
		if id[len(id)-1] == '3' {
			gone++
			return true
		}
		return false
	})
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.ids = append(l.ids, "job-0013") // it is back
	want := slices.Clone(l.ids)
	if got := all(t, l, p); !slices.Equal(got, want) || gone != 30 {
		t.Errorf("dealt are %v", got)
	}
}

// TestALotOfHeldJobs: some of those that wait for the same are looked at again and again, and all go when they may.
func TestALotOfHeldJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := deepQueue(300)
		for _, id := range l.ids {
			l.verdict[id] = route.Routed{Verdict: route.Held, Again: time.Second}
		}
		l.answer = func(policy.Question) policy.Answer { return policy.Answer{Verdict: policy.Wait, Again: time.Second} }
		for range 10 {
			if _, err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if len(p.undecided) != 20 || p.Far() != 280 {
			t.Errorf("%d held jobs are looked at, of %d the place is kept, want 20 and 280", len(p.undecided), p.Far())
		}
		clear(l.verdict)
		l.answer = nil
		want := slices.Clone(l.ids)
		var got []string
		for range 40 {
			got = append(got, all(t, l, p)...)
			time.Sleep(time.Second)
		}
		if slices.Sort(got); !slices.Equal(got, want) || len(p.alike)+len(p.undecided) > 0 {
			t.Errorf("%d jobs are dealt, want %d; %v are left", len(got), len(want), p.alike)
		}
	})
}

// TestWhatAUserNamesInVain keeps nobody else's job from being looked at again.
func TestWhatAUserNamesInVain(t *testing.T) {
	l, p := deepQueue(300)
	for _, id := range append(slices.Clone(l.ids), "other") {
		l.verdict[id] = route.Routed{Verdict: route.Unready, Again: time.Hour}
	}
	l.ids = append(l.ids, "other")
	p.Router = byLetter{l, func(q *job.Queued, letter string) { q.User = letter }}
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, looked := p.undecided["other"]; !looked || len(p.undecided) != 21 {
		t.Errorf("%d are looked at again, the other user's: %v, want 21 and true", len(p.undecided), looked)
	}
}

// TestAPausedDeepQueueIsLetGo as a whole.
func TestAPausedDeepQueueIsLetGo(t *testing.T) {
	l, p := deepQueue(300)
	if _, err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.letGo()
	if p.Far()+p.Fair.Len() > 0 {
		t.Errorf("%d and %d jobs are known of a queue that was let go", p.Far(), p.Fair.Len())
	}
	want := slices.Clone(l.ids)
	if got := all(t, l, p); !slices.Equal(got, want) {
		t.Errorf("afterwards %d jobs are dealt, want %d", len(got), len(want))
	}
}

// TestABrokenLookAtADeepQueue: whenever Redis doesn't answer, nothing is forgotten of what is far.
func TestABrokenLookAtADeepQueue(t *testing.T) {
	l, p := deepQueue(300)
	want := slices.Clone(l.ids)
	var got []string
	for i := range 400 {
		if i%3 == 1 {
			l.err = errBroken
		}
		if i%3 == 2 {
			l.fetchErr[len(l.fetched)] = errBroken
		}
		_, _ = p.look(t.Context()) // an error is tried again
		l.err = nil
		for _, n := range p.Fair.deal(7) {
			l.ids = slices.DeleteFunc(l.ids, func(id string) bool { return id == n.ID })
			p.forget(n.ID)
			got = append(got, n.ID)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d jobs are dealt, want %d; %d are far, %d recalled", len(got), len(want), p.Far(), len(p.recalled))
	}
}

// TestRowsOfABacklog: a row is found whose job waits far behind, under whatever id.
func TestRowsOfABacklog(t *testing.T) {
	b := newBacklog()
	for i := range 2000 {
		b.add(behind{}, far{row: b.row("s", fmt.Sprint("JOB-", i))})
	}
	names := b.rows()
	if !names("s", "JOB-0") || !names("s", "JOB-1999") || names("s", "JOB-2000") || names("t", "JOB-0") {
		t.Error("the backlog doesn't know which rows its jobs name")
	}
}

// TestManySeriesShareTheNotes, so that what waits takes little, however differently it does.
func TestManySeriesShareTheNotes(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	f.mostNotes = 100
	far := 0
	for i := range 400 {
		q := waitingJob("s", "o", fmt.Sprint(i), "Normal")
		q.User = fmt.Sprint("user-", i%50)
		far += len(f.offer([]arrival{{Queued: q}}, func(behind) bool { return false }))
	}
	if f.Len() > 150 || f.Len() < 100 || far+f.Len() != 400 {
		t.Errorf("50 users have %d notes, and %d jobs are far", f.Len(), far)
	}
}

// BenchmarkAWaitingJob measures what a job takes whose turn is far, beside its id.
func BenchmarkAWaitingJob(b *testing.B) {
	const n = 1_000_000
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		l := newBacklog()
		for i := range n {
			l.add(behind{}, far{number: uint64(i), place: uint32(i)})
		}
		b.ReportMetric((heap()-before)/n, "B/job")
		runtime.KeepAlive(l)
	}
}
