package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// recovers are the arguments of a job that fails as often as said, and then doesn't.
func recovers(failures int) map[string]any {
	return map[string]any{"organization": "ORG-A", "duration": 0, "fail_type": "transient", "fail_attempts": failures}
}

// arrived gives the name of the row that an enqueued job got.
func (b *bed) arrived(id string) string {
	b.t.Helper()
	row, err := b.db.NewestByHash(b.t.Context(), sites.ArrivalsHash(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return row.Name
}

// failed lists the failed registry of the bench's Go queue.
func (b *bed) failed() (ids []string) {
	b.t.Helper()
	members, err := b.client().RQ().Members(b.t.Context(), rqcompat.Failed, b.bench.QueueName("go"), 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestARetryIsTheSameJob: whoever asks RQ about the id that it got hears that the job is scheduled, and at last how it
// ended, whatever happens to it while it waits.
func TestARetryIsTheSameJob(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failures int
		base     float64 // of the pause, in seconds
		// meanwhile happens while the job waits for its first retry.
		meanwhile func(b *bed, id, row string)
		// own says that the row is delivered under its own id then.
		own bool
	}{
		"recovers":            {2, 0.2, func(*bed, string, string) {}, false},
		"is retried by hand":  {1, 3600, func(b *bed, _, row string) { b.mend(row) }, false},
		"its hash is deleted": {2, 1, func(b *bed, id, _ string) { b.rdb.Del(b.t.Context(), rqcompat.JobKey(id)) }, true},
		"Redis is emptied":    {1, 1, func(b *bed, _, _ string) { b.rdb.FlushAll(b.t.Context()) }, true},
		"is canceled in RQ":   {1, 1, func(b *bed, id, _ string) { _ = b.client().RQ().Cancel(b.t.Context(), id, false) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"retry": map[string]any{"base": tc.base}})
			b.start(nil)
			id := b.enqueue("sample_job", recovers(tc.failures))
			waiting := b.waitJob(id, rqcompat.StatusScheduled)
			if results, err := b.client().RQ().Results(t.Context(), id); err != nil || len(results) > 0 {
				t.Errorf("a job that is retried has the results %v, %v, want none", results, err)
			}
			if ttl := b.rdb.TTL(t.Context(), rqcompat.JobKey(waiting.ID)).Val(); ttl != -1 {
				t.Errorf("it expires in %s", ttl)
			}
			row := b.arrived(id)
			tc.meanwhile(b, id, row)
			b.waitRow(row, rows.StatusCompleted)
			brings, other := id, b.bench.JobID(testSite, row)
			if tc.own {
				brings, other = other, brings
			}
			b.waitJob(brings, rqcompat.StatusFinished)
			if n := b.rdb.Exists(t.Context(), rqcompat.JobKey(other)).Val(); n > 0 {
				t.Errorf("there is a job %s besides %s", other, brings)
			}
			if ids := b.failed(); len(ids) > 0 {
				t.Errorf("failed registry %v, want nobody in it", ids)
			}
		})
	}
}

// mend corrects the parameters of a row that fails, and retries it by hand.
func (b *bed) mend(name string) {
	b.t.Helper()
	b.exec("UPDATE `tabBackground Job` SET input_parameters = '{\"duration\": 0}' WHERE name = ?", name)
	b.retry(name)
}

// retry retries a row by hand.
func (b *bed) retry(name string) {
	b.t.Helper()
	if _, err := b.client().Retry(b.t.Context(), testSite, name, "admin@example.com"); err != nil {
		b.t.Fatal(err)
	}
}

// TestADeadLetterHasFailedInRQ, once, under the id that its producer knows; retried by hand it is the same job.
func TestADeadLetterHasFailedInRQ(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 0.05}})
	b.exec("UPDATE `tabJob Type` SET max_retries = 1")
	engine := b.start(nil)
	id := b.enqueue("sample_job", recovers(3))
	b.waitJob(id, rqcompat.StatusFailed)
	name := b.arrived(id)
	b.waitRow(name, rows.StatusDeadLetter)
	if ids := b.failed(); !slices.Equal(ids, []string{id}) {
		t.Errorf("failed registry %v, want [%s]", ids, id)
	}
	if results, err := b.client().RQ().Results(t.Context(), id); err != nil || len(results) != 1 {
		t.Errorf("results %v, %v, want that of the last attempt", results, err)
	}
	// Who requeues it in RQ gets it back: the row decides.
	if err := b.client().RQ().Requeue(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	b.waitJob(id, rqcompat.StatusFailed)
	if ids := b.failed(); !slices.Equal(ids, []string{id}) || b.row(name).Status != rows.StatusDeadLetter || !strings.Contains(b.lastExc(id), "Dead Letter") {
		t.Errorf("requeued in RQ: failed registry %v, row %s, error %q, want it to fail again as a dead letter", ids, b.row(name).Status, b.lastExc(id))
	}
	b.mend(name)
	b.waitRow(name, rows.StatusCompleted)
	b.waitJob(id, rqcompat.StatusFinished)
	if ids := b.failed(); len(ids) > 0 {
		t.Errorf("failed registry %v after the job has finished", ids)
	}
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestACanceledRetryIsCanceledInRQ as well.
func TestACanceledRetryIsCanceledInRQ(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 3600}})
	engine := b.start(nil)
	id := b.enqueue("sample_job", recovers(1))
	b.waitJob(id, rqcompat.StatusScheduled)
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	name := b.arrived(id)
	b.retry(name)
	if _, err := b.client().Cancel(t.Context(), testSite, name, ""); err != nil {
		t.Fatal(err)
	}
	b.waitJob(id, rqcompat.StatusCanceled)
	if n := b.rdb.LLen(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go"))).Val(); n > 0 {
		t.Errorf("%d jobs are still on the queue", n)
	}
}

// TestTheLastBridgeIsAway when a retry is due: RQ's scheduler queues it, and whoever comes next runs it, once.
func TestTheLastBridgeIsAway(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 0.5}})
	engine := b.start(nil)
	id := b.enqueue("sample_job", recovers(1))
	b.waitJob(id, rqcompat.StatusScheduled)
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	b.rdb.ZAdd(t.Context(), rqcompat.RegistryKey(rqcompat.Scheduled, b.bench.QueueName("go")), redis.Z{Score: float64(time.Now().Unix() - 1), Member: id})
	if n, err := b.client().RQ().EnqueueDue(t.Context(), b.bench.QueueName("go")); n != 1 || err != nil {
		t.Fatalf("RQ's scheduler queues %d jobs, %v, want the one that waits", n, err)
	}
	b.start(nil)
	b.waitJob(id, rqcompat.StatusFinished)
	name := b.arrived(id)
	if got, want := b.path(name), "Pending Queued Running Failed Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	if row := b.row(name); row.RetryCount != 1 {
		t.Errorf("%d retries are spent, want 1", row.RetryCount)
	}
}

// TestARetryThatOvertakesItsOutcome: the row is Failed, and due, a moment before RQ knows that its attempt has ended.
func TestARetryThatOvertakesItsOutcome(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 3600}})
	engine := b.start(nil)
	id := b.enqueue("sample_job", recovers(1))
	b.waitJob(id, rqcompat.StatusScheduled)
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	b.rdb.HSet(t.Context(), rqcompat.JobKey(id), "status", "started")
	retried := make(chan struct{})
	go func() {
		defer close(retried)
		b.retry(b.arrived(id))
	}()
	time.Sleep(200 * time.Millisecond) // the attempt's worker is slow
	b.rdb.HSet(t.Context(), rqcompat.JobKey(id), "status", "scheduled")
	<-retried
	if waiting := b.rdb.LRange(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")), 0, -1).Val(); !slices.Equal(waiting, []string{id}) {
		t.Errorf("on the queue stands %v, want %s", waiting, id)
	}
}

// TestManyDeliveriesStandAlone: of many rows that are delivered again together each gets its own delivery, and what is wrong with
// one keeps no other.
func TestManyDeliveriesStandAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 8, "retry": map[string]any{"base": 3600}})
	b.cfg.Breaker.Off = true
	names := b.submitFine(20, time.Time{})
	var ids []string
	for i := range 20 {
		ids = append(ids, b.enqueue("go.fine", map[string]any{"organization": "ORG-A", "text": strings.Repeat("x", i*10_000)})) // some are large
	}
	engine := b.start(func(e *Engine) {
		Register(e, "go.fine", func(context.Context, *Job[any]) (any, error) { return nil, errors.New("not yet") })
	})
	b.eventually("all have failed", func() bool { return b.statuses()["Failed"] == 40 }, func() string { return fmt.Sprint(b.statuses()) })
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	var all []*rows.BackgroundJob
	want := map[string]string{} // the delivery of each row
	for _, name := range names {
		all, want[name] = append(all, b.row(name)), b.bench.JobID(testSite, name)
	}
	for _, id := range ids {
		row := b.row(b.arrived(id))
		all, want[row.Name] = append(all, row), id
	}
	queue := b.bench.QueueName("go")
	own := func(row *rows.BackgroundJob, nth int) string { return b.client().deliveries.IDs(testSite, row)[nth] }
	// Somebody else's job bears the first's id, the second's key holds no hash, the third is on its way, what brought the fourth and
	// the first of the others is gone.
	gone := all[20]
	b.rdb.Del(t.Context(), rqcompat.JobKey(own(all[0], 0)), rqcompat.JobKey(own(all[1], 0)), rqcompat.JobKey(own(all[3], 0)), rqcompat.JobKey(ids[0]))
	b.raw("go", own(all[0], 0), call(t, "go.other", nil), nil)
	b.rdb.Set(t.Context(), rqcompat.JobKey(own(all[1], 0)), "x", 0)
	if errs, err := b.client().RQ().RetryMany(t.Context(), []string{own(all[2], 0)}); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	want[all[0].Name], want[gone.Name] = own(all[0], 1), own(gone, 0)
	for i, err := range b.client().deliveries.RedeliverMany(t.Context(), testSite, all) {
		if i == 1 {
			if rqcompat.Judge(err) != rqcompat.Final || !strings.Contains(err.Error(), all[1].Name) {
				t.Errorf("of a key that holds no hash: %v", err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", all[i].Name, err)
		}
	}
	delete(want, all[1].Name)
	waiting := b.rdb.LRange(t.Context(), rqcompat.QueueKey(queue), 0, -1).Val()
	deliveries := append(slices.Collect(maps.Values(want)), own(all[0], 0)) // and somebody else's
	slices.Sort(waiting)
	slices.Sort(deliveries)
	if diff := cmp.Diff(deliveries, waiting); diff != "" {
		t.Errorf("on the queue (-want +got):\n%s", diff)
	}
}
