package bridge

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// fairness is how much larger than in every run a test is, and whether what depends on an idle machine is demanded:
// BRIDGE_TEST_FAIRNESS, in percent of the full size (make fairness).
func fairness(every, full int) (n int, demanding bool) {
	percent, _ := strconv.Atoi(os.Getenv("BRIDGE_TEST_FAIRNESS"))
	return max(every, full*percent/100), percent > 0
}

// plainJobs enqueues n jobs of organizations in turn, as frappe.enqueue does of a method that is no Job Type.
func (b *bed) plainJobs(prefix, method string, n int, organizations ...string) {
	b.t.Helper()
	requests := make([]rqcompat.Request, n)
	for i := range requests {
		requests[i] = rqcompat.Request{Queue: b.bench.QueueName("go"), ID: fmt.Sprint(prefix, "-", i), Data: call(b.t, frappe.ExecuteJob,
			envelope(testSite, method, map[string]any{"organization": organizations[i%len(organizations)]}))}
	}
	for some := range slices.Chunk(requests, 1000) {
		if _, err := b.client().RQ().EnqueueMany(b.t.Context(), some); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestOneJobBehindTenThousand of another organization starts within one job's length, in whatever way it is submitted.
func TestOneJobBehindTenThousand(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 4, "trust_enqueuer": true})
	b.countTypes()
	waiting, demanding := fairness(2000, 10_000)
	const length = 200 * time.Millisecond
	b.plainJobs("a", "go.plain", waiting, "ORG-A")
	started := make(chan time.Time, 1)
	var others atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "go.plain", func(ctx context.Context, job *Job[any]) (any, error) {
			if job.ID == "b" {
				started <- time.Now()
				return nil, nil
			}
			others.Add(1)
			wait.Sleep(ctx, length)
			return nil, nil
		})
		Register(e, "go.count", func(context.Context, *Job[any]) (any, error) {
			started <- time.Now()
			return nil, nil
		})
	})
	b.hears()
	b.eventually("the others run", func() bool { return others.Load() >= 8 }, func() string { return fmt.Sprint(others.Load()) })
	for how, submit := range map[string]func(i int){
		"Client.Submit": func(int) {
			if _, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-B", User: "jane@example.com"}); err != nil {
				t.Fatal(err)
			}
		},
		"a document": func(i int) {
			name := fmt.Sprint("JOB-HAND-", i)
			b.insert(name, "jane@example.com", "count", fmt.Sprintf(`{"i": %d}`, i), map[string]any{"organization": "ORG-B"})
			b.tell(name)
		},
		"frappe.enqueue": func(int) {
			b.raw("go", "b", call(t, frappe.ExecuteJob, envelope(testSite, "go.plain", map[string]any{"organization": "ORG-B"})), nil)
		},
	} {
		var took []time.Duration
		for i := range 5 {
			begin := time.Now()
			submit(i)
			select {
			case at := <-started:
				took = append(took, at.Sub(begin))
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: it has not started", how)
			}
			time.Sleep(time.Duration(i) * 30 * time.Millisecond)
		}
		slices.Sort(took)
		t.Logf("behind %d jobs of 200 ms, by %s: started after %s", waiting, how, took)
		most := 2 * time.Second // of a machine that does other things as well
		if demanding {
			most = length + 100*time.Millisecond // and the submission itself
		}
		if took[len(took)-1] > most {
			t.Errorf("by %s it started after %s, want within %s", how, took[len(took)-1], most)
		}
	}
	if left := b.rdb.LLen(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go"))).Val(); left < int64(waiting/2) {
		t.Errorf("only %d jobs were left waiting at the end: the test shows too little", left)
	}
}

// TestWeightsHold: of the starts of three organizations that all have jobs waiting each gets its share.
func TestWeightsHold(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 7, "trust_enqueuer": true})
	organizations := []string{"ORG-1", "ORG-2", "ORG-5"}
	weights := map[string]int{"ORG-1": 1, "ORG-2": 2, "ORG-5": 5}
	for _, name := range organizations {
		b.exec("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'Active')", name, name)
	}
	b.cfg.Weights = weights
	starts, _ := fairness(1000, 8000)
	b.plainJobs("w", "go.plain", 3*starts, organizations...)
	var mu sync.Mutex
	var order []string
	done := make(chan struct{})
	b.start(func(e *Engine) {
		Register(e, "go.plain", func(ctx context.Context, job *Job[struct{ Organization string }]) (any, error) {
			mu.Lock()
			if order = append(order, job.Params.Organization); len(order) == starts+200 {
				close(done)
			}
			mu.Unlock()
			return nil, nil
		})
	})
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("the jobs don't run")
	}
	mu.Lock()
	defer mu.Unlock()
	counts := map[string]int{}
	for _, organization := range order[200 : starts+200] { // once all are known
		counts[organization]++
	}
	for organization, weight := range weights {
		want := float64(starts*weight) / 8
		if got := float64(counts[organization]); math.Abs(got-want) > want*0.05 {
			t.Errorf("%s, of weight %d, has %.0f of %d starts, want %.0f within 5 %%", organization, weight, got, starts, want)
		}
	}
	t.Logf("of %d starts: %v", starts, counts)
}

// TestPriorityHoldsAcrossQueues: of what waits on short, default, long and go the highest priority starts first.
func TestPriorityHoldsAcrossQueues(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1, "shared_queues": []string{"short", "default", "long"}, "queues": []string{"go"}})
	on := map[string]string{"Critical": "long", "High": "go", "Normal": "default", "Low": "short"}
	register := func(e *Engine, name JobType[any], run func(name string)) {
		Register(e, name, func(context.Context, *Job[any]) (any, error) {
			run(string(name))
			return nil, nil
		})
	}
	var mu sync.Mutex
	var order []string
	for priority, queue := range on {
		name := "of " + priority
		b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, default_priority, max_retries, handler_method) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 1, 60, ?, 5, ?)",
			name, name, priority, "go."+priority)
		for i := range 2 {
			b.raw(queue, fmt.Sprint(priority, i), call(t, frappe.ExecuteJob, envelope(testSite, "go."+priority, map[string]any{"organization": "ORG-A", "n": i})), nil)
		}
	}
	b.start(func(e *Engine) {
		for priority := range on {
			register(e, JobType[any]("go."+priority), func(name string) {
				mu.Lock()
				order = append(order, name[3:])
				mu.Unlock()
				time.Sleep(300 * time.Millisecond) // meanwhile all are found
			})
		}
	})
	b.eventually("all have run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(order) == 8
	}, func() string { return fmt.Sprint(order) })
	// The first one is whichever was found first.
	if rest := order[1:]; !slices.IsSortedFunc(rest, func(a, b string) int {
		return slices.Index([]string{"Critical", "High", "Normal", "Low"}, a) - slices.Index([]string{"Critical", "High", "Normal", "Low"}, b)
	}) {
		t.Errorf("started in the order %v", order)
	}
}

// TestAFullTenantDelaysNobody: 120 jobs of one organization run at once, with many more waiting, while another one's start
// at once.
func TestAFullTenantDelaysNobody(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 140, "trust_enqueuer": true})
	b.countTypes()
	seconds, demanding := fairness(3, 60)
	var running, most atomic.Int64
	started := make(chan time.Time, 1)
	requests := make([]SubmitRequest, 120*(seconds/4+4))
	for i := range requests {
		requests[i] = SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", User: "jane@example.com", Parameters: map[string]any{"i": i}}
	}
	b.submitAll(requests)
	b.start(func(e *Engine) {
		Register(e, "go.plain", func(context.Context, *Job[any]) (any, error) {
			started <- time.Now()
			return nil, nil
		})
		Register(e, "go.count", func(ctx context.Context, job *Job[any]) (any, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			job.Progress(50, "half")
			wait.Sleep(ctx, 2*time.Second+rand.N(4*time.Second)) // 4 s on an average, and not all at once
			return nil, nil
		})
	})
	b.hears()
	b.eventually("120 run", func() bool { return running.Load() >= 120 }, func() string { return fmt.Sprint(running.Load()) })
	var took []time.Duration
	least := int64(120)
	for begin := time.Now(); time.Since(begin) < time.Duration(seconds)*time.Second; time.Sleep(50 * time.Millisecond) {
		at := time.Now()
		b.raw("go", fmt.Sprint("b", len(took)), call(t, frappe.ExecuteJob, envelope(testSite, "go.plain", map[string]any{"organization": "ORG-B"})), nil)
		took = append(took, (<-started).Sub(at))
		least = min(least, running.Load())
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d starts beside %d to %d running jobs of another organization: median %s, p99 %s, longest %s",
		len(took), least, most.Load(), took[len(took)/2], p99, took[len(took)-1])
	if demanding && p99 > 100*time.Millisecond || p99 > 2*time.Second {
		t.Errorf("p99 of the other organization's starts is %s, want 100 ms at most", p99)
	}
	if most.Load() < 120 {
		t.Errorf("%d jobs of one organization ran at once, want 120 at least", most.Load())
	}
}

// submitAll submits many jobs.
func (b *bed) submitAll(requests []SubmitRequest) {
	b.t.Helper()
	for _, r := range requests {
		row, err := b.client().Submit(b.t.Context(), r)
		if err != nil {
			b.t.Fatal(err)
		}
		if row.Status != rows.StatusQueued {
			b.t.Fatalf("it is %s", row.Status)
		}
	}
}
