package intake

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// aged is a job that was enqueued so long ago, on a queue of that kind.
func aged(id, priority, queue string, ago time.Duration) *job.Queued {
	q := waitingJob("s", "o", id, priority)
	q.Queue = job.Queue{Name: queue, Kind: queue}
	q.EnqueuedAt = time.Now().Add(-ago)
	return q
}

// TestPriorityAcrossQueues: a job's priority counts whichever queue it stands on, and however late it was found.
func TestPriorityAcrossQueues(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 10*time.Minute)
	f.Add(aged("short-low", "Low", "short", 4*time.Second), aged("go-normal", "Normal", "go", 3*time.Second))
	f.Add(aged("long-critical", "Critical", "long", 2*time.Second), aged("default-high", "High", "default", time.Second))
	wantDealt(t, "across queues", f.deal(10), "long-critical", "default-high", "go-normal", "short-low")
}

// TestAgeing: after each ageing a job counts one priority more, since it was enqueued; of the same priority the one that has
// waited longer is first, and what has aged has every second turn of those of a higher priority at most.
func TestAgeing(t *testing.T) {
	const ageing = 10 * time.Minute
	for name, c := range map[string]struct {
		low, normal, high time.Duration // ago
		want              string
	}{
		"fresh":                   {0, 0, 0, "h h h n n n l l l"},
		"almost":                  {19 * time.Minute, 0, 0, "h h h l n l n l n"},
		"low like high":           {21 * time.Minute, 0, 0, "l h l h l h n n n"},
		"normal before low":       {11 * time.Minute, 12 * time.Minute, 0, "n h n h n h l l l"},
		"low like critical":       {50 * time.Minute, 0, 0, "l h l h l h n n n"},
		"all have waited as long": {40 * time.Minute, 50 * time.Minute, time.Hour, "h h h n n n l l l"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewFairQueue(1_000_000, nil, plenty(), ageing)
				for i := range 3 {
					f.Add(aged(fmt.Sprint("l", i), "Low", "q", c.low), aged(fmt.Sprint("n", i), "Normal", "q", c.normal), aged(fmt.Sprint("h", i), "High", "q", c.high))
				}
				var got []string
				for _, n := range f.deal(9) {
					got = append(got, n.ID[:1])
				}
				if got := strings.Join(got, " "); got != c.want {
					t.Errorf("dealt %s, want %s", got, c.want)
				}
			})
		})
	}
}

// TestLowIsNeverStarved by however many of a higher priority, and starves nobody in its turn: neither those nor users who
// have few jobs of its own priority.
func TestLowIsNeverStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFairQueue(1_000_000, nil, plenty(), time.Minute)
		next := 0
		critical := func() {
			f.Add(aged(fmt.Sprint("critical", next), "Critical", "q", 0))
			next++
		}
		for i := range 100 {
			f.Add(aged(fmt.Sprint("low", i), "Low", "q", 0))
		}
		critical()
		for begin := time.Now(); time.Since(begin) < 3*time.Minute; time.Sleep(time.Second) {
			critical()
			if got := idsOf(f.deal(1)); !strings.HasPrefix(got[0], "critical") {
				t.Fatalf("%s was dealt after %s", got[0], time.Since(begin))
			}
		}
		colleague := aged("colleague", "Low", "q", 0)
		colleague.User = "colleague"
		f.Add(colleague)
		var got []string
		for range 6 {
			critical()
			got = append(got, idsOf(f.deal(1))...)
			time.Sleep(time.Second)
		}
		if !slices.Contains(got[:4], "colleague") || strings.Count(strings.Join(got, " "), "critical") != 3 {
			t.Errorf("dealt %v, want every second turn for low ones, the colleague's among them", got)
		}
	})
}

// BenchmarkDeal is what it costs to take a job up and to deal it, among ten thousand of a hundred users.
func BenchmarkDeal(b *testing.B) {
	for name, change := range map[string]func(i int, q *job.Queued){
		"plain": func(int, *job.Queued) {},
		"limited": func(_ int, q *job.Queued) {
			q.Limits = &job.Limits{job.LimitOrganization: most("o", 1<<30), job.LimitJobType: most("t", 1<<30)}
		},
		"keyed": func(i int, q *job.Queued) {
			q.Limits = &job.Limits{job.LimitKeyRunning: most(fmt.Sprint("key", i%5000), 1<<30)}
		},
	} {
		b.Run(name, func(b *testing.B) {
			f := NewFairQueue(1<<40, nil, plenty(), 10*time.Minute)
			jobs := make([]*job.Queued, b.N+10_000)
			for i := range jobs {
				jobs[i] = waitingJob("s", "o", fmt.Sprint(i), []string{"Normal", "Low"}[i%2])
				jobs[i].User = fmt.Sprint("user", i%100)
				change(i, jobs[i])
			}
			f.Add(jobs[:10_000]...)
			b.ResetTimer()
			for i := 0; i < b.N; i += 50 {
				f.Add(jobs[10_000+i : 10_000+min(i+50, b.N)]...)
				for _, n := range f.deal(50) {
					f.letGo(n.holds())
				}
			}
		})
	}
}
