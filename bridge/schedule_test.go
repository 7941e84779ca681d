package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestRetriesOfOthersDoNotHideOurs: rows that are due for a long time, because
// nobody who has their handler runs, must not keep ours waiting.
func TestRetriesOfOthersDoNotHideOurs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries) VALUES ('others', NOW(6), NOW(6), 'Administrator', 'Administrator', 'others', 1, 60, 5)")
	job := rows.NewJob{JobType: "others", Organization: "ORG-A", OwnerUser: "jane@example.com", MaxRetries: 5, Status: rows.StatusQueued}
	others := make([]rows.NewJob, 100) // what a look takes
	for i := range others {
		others[i] = job
	}
	if _, err := b.db.CreateJobs(t.Context(), others); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET status = 'Failed', next_retry_at = '2020-01-01'")
	job.JobType = "echo_job"
	ours, err := b.db.CreateJobs(t.Context(), []rows.NewJob{job})
	if err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET status = 'Failed', next_retry_at = '2020-01-02' WHERE name = ?", ours[0].Name)
	b.start(nil)
	b.waitRow(ours[0].Name, rows.StatusCompleted)
}

// TestAJobWithoutARowIsRetried in a while, under its id, and waits where RQ's tools look; another bridge goes on with it.
func TestAJobWithoutARowIsRetried(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.cfg.RetryIntervals = []time.Duration{2 * time.Second, time.Second}
	var (
		mu       sync.Mutex
		attempts []int
	)
	register := func(e *Engine) {
		Register(e, "go.flaky", func(_ context.Context, job *Job[any]) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			attempts = append(attempts, job.Attempt)
			if len(attempts) < 3 {
				return nil, errors.New("not yet")
			}
			return "done", nil
		})
	}
	first := b.start(register)
	id := b.enqueue("go.flaky", nil)
	b.waitJob(id, rqcompat.StatusScheduled)
	queue := b.bench.QueueName("go")
	if _, err := b.rdb.ZScore(t.Context(), rqcompat.RegistryKey(rqcompat.Scheduled, queue), id).Result(); err != nil {
		t.Errorf("while it waits it isn't in RQ's scheduled registry: %v", err)
	}
	if _, err := b.rdb.ZScore(t.Context(), rqcompat.RegistryKey(rqcompat.Failed, queue), id).Result(); err == nil {
		t.Error("while it waits it is in RQ's failed registry")
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	b.start(register)
	b.waitJob(id, rqcompat.StatusFinished)
	if want := []int{1, 2, 3}; !slices.Equal(attempts, want) {
		t.Errorf("the handler was told of the attempts %v, want %v", attempts, want)
	}
}
