package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestABadArrivalIsAlone: jobs whose row can't be written arrive among 200 others, whose rows share transactions.
func TestABadArrivalIsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 100})
	long := strings.Repeat("x", 200)
	from := func(user any, organization string) map[string]any {
		call := envelope(testSite, "echo_job", map[string]any{"organization": organization})
		call["user"] = user
		return call
	}
	var requests []rqcompat.Request
	says := map[string]string{} // what a bad one's error says, by its id
	add := func(envelope map[string]any, timeout int64, why string) {
		id := b.bench.JobID(testSite, fmt.Sprint("job-", len(requests)))
		requests = append(requests, rqcompat.Request{
			Queue: b.bench.QueueName("go"), ID: id, Data: call(t, frappe.ExecuteJob, envelope), Timeout: &timeout,
		})
		if why != "" {
			says[id] = why
		}
	}
	for i := range 200 {
		add(from("jane@example.com", "ORG-A"), 60, "")
		if i%50 == 10 {
			add(from("jane@example.com", long), 60, "organization")
			add(from(long, "ORG-A"), 60, "user")
			add(from(nil, "ORG-A"), 60, "user")
			add(from("jane@example.com", "ORG-A"), 1e13, "timeout")
		}
	}
	if _, err := b.client().RQ().EnqueueMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	for _, r := range requests {
		if why := says[r.ID]; why != "" {
			b.waitJob(r.ID, rqcompat.StatusFailed)
			if exc := b.lastExc(r.ID); !strings.Contains(exc, why) || strings.Contains(exc, "xxxxx") {
				t.Errorf("a job with a bad %s fails with %q, want that named and no value", why, exc)
			}
			continue
		}
		b.waitJob(r.ID, rqcompat.StatusFinished)
		if row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(r.ID)); err != nil || row.Status != rows.StatusCompleted {
			t.Fatalf("healthy job %s: row %+v, %v", r.ID, row, err)
		}
	}
}
