package bridge

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestADeepQueue: of many jobs that wait few are kept, those of another organization start first wherever they stand, and each
// job runs once. `chaos --only depth` does it with a million.
func TestADeepQueue(t *testing.T) {
	t.Parallel()
	const n = 9_000 // more than one page of the list, and than a tenant has notes
	b := newBed(t, map[string]any{"concurrency": 32, "trust_enqueuer": true})
	b.plainJobs("a", "go.plain", n/2, "ORG-A")
	b.raw("go", "b", call(t, frappe.ExecuteJob, envelope(testSite, "go.plain", map[string]any{"organization": "ORG-B"})), nil)
	b.plainJobs("c", "go.plain", n/2, "ORG-A")
	var mu sync.Mutex
	var order []string
	times := map[string]int{}
	release := make(chan struct{})
	r := b.start(func(e *Engine) {
		Register(e, "go.plain", func(_ context.Context, job *Job[any]) (any, error) {
			mu.Lock()
			order = append(order, job.ID)
			times[job.ID]++
			mu.Unlock()
			<-release
			return nil, nil
		})
	})
	begun := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(order)
	}
	b.within(time.Minute, "the whole list is known, and B's job runs", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return times["b"] == 1 && r.Stats().Waiting == n-len(order)+1
	}, func() string { return fmt.Sprintf("%d began, %+v", begun(), r.Stats()) })
	if notes := r.rooms.fair.Len(); notes > n/4 {
		t.Errorf("%d notes are kept of %d jobs that wait", notes, n)
	}
	close(release)
	b.within(5*time.Minute, "all jobs ran", func() bool { return begun() > n }, func() string { return fmt.Sprintf("%d began, %+v", begun(), r.Stats()) })
	b.within(time.Minute, "nothing waits", func() bool {
		return b.rdb.LLen(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go"))).Val() == 0 && r.Stats() == Stats{}
	}, func() string { return fmt.Sprintf("%+v", r.Stats()) })
	for id, ran := range times {
		if ran != 1 {
			t.Errorf("%s ran %d times", id, ran)
		}
	}
}
