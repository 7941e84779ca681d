package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// submitFine submits n jobs that any process of the bed has a handler for.
func (b *bed) submitFine(n int, after time.Time) (names []string) {
	b.t.Helper()
	b.exec("INSERT IGNORE INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries, handler_method) VALUES ('fine', NOW(6), NOW(6), 'Administrator', 'Administrator', 'fine', 1, 60, 5, 'go.fine')")
	requests := slices.Repeat([]SubmitRequest{{Site: testSite, JobType: "fine", Organization: "ORG-A", User: "jane@example.com", RunAfter: after}}, n)
	results, err := b.client().SubmitMany(b.t.Context(), requests)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			b.t.Fatal(r.Err)
		}
		names = append(names, r.Row.Name)
	}
	return names
}

// processes starts worker processes, which take nothing from the queue, and waits until they work. The server counts its rows
// before: of tables that were filled a moment ago it knows nothing, and reads them from end to end.
func (b *bed) processes(n int) {
	b.t.Helper()
	b.exec("ANALYZE TABLE `tabBackground Job`,`tabJob Execution Log`")
	if err := b.client().RQ().Pause(b.t.Context(), b.bench.QueueName("go")); err != nil {
		b.t.Fatal(err)
	}
	for range n {
		b.worker()
	}
	b.eventually("they work", func() bool {
		all, err := b.client().RQ().Processes(b.t.Context())
		return err == nil && len(all) == n
	}, func() string { return "" })
	time.Sleep(time.Second) // the first looks are over
}

// sweep waits until n rows that were due have moved, and checks that each did so once and has one delivery. It tells when the first
// moved, and when each was delivered, in order.
func (b *bed) sweep(n int, from rows.Status) (first time.Time, delivered []time.Time) {
	b.t.Helper()
	queue := b.bench.QueueName("go")
	key := rqcompat.QueueKey(queue)
	b.within(2*time.Minute, "all are delivered", func() bool { return b.rdb.LLen(b.t.Context(), key).Val() >= int64(n) }, func() string {
		return fmt.Sprint(b.rdb.LLen(b.t.Context(), key).Val(), b.statuses())
	})
	time.Sleep(500 * time.Millisecond)
	var moved []struct {
		Job string `db:"background_job"`
		N   int    `db:"n"`
		At  string `db:"at"`
	}
	if err := b.sql.Select(&moved, "SELECT background_job, COUNT(*) AS n, MIN(timestamp) AS at FROM `tabJob Execution Log` WHERE from_status=? AND to_status='Queued' GROUP BY background_job", from); err != nil {
		b.t.Fatal(err)
	}
	for _, m := range moved {
		at, err := time.ParseInLocation("2006-01-02 15:04:05.999999", m.At, b.db.Location())
		if err != nil {
			b.t.Fatal(err)
		}
		if m.N != 1 {
			b.t.Errorf("%s was moved %d times", m.Job, m.N)
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	ids := b.rdb.LRange(b.t.Context(), key, 0, -1).Val()
	jobs, err := b.client().RQ().FetchMany(b.t.Context(), ids)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, j := range jobs {
		if j.Job == nil || j.Job.Status != rqcompat.StatusQueued {
			b.t.Fatalf("on the queue: %+v, %v", j.Job, j.Err)
		}
		delivered = append(delivered, j.Job.EnqueuedAt)
	}
	slices.Sort(ids)
	if each := len(slices.Compact(slices.Clone(ids))); len(moved) != n || len(ids) != n || each != n {
		b.t.Errorf("%d rows moved, with %d deliveries, of which %d are different; want %d of each", len(moved), len(ids), each, n)
	}
	slices.SortFunc(delivered, time.Time.Compare)
	return first, delivered
}

// due makes all rows due that the schedule knows.
func (b *bed) makeDue() {
	b.t.Helper()
	now := strconv.FormatFloat(float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
	err := b.rdb.Eval(b.t.Context(), `local names = redis.call('ZRANGE', KEYS[2], 0, -1)
for _, name in ipairs(names) do redis.call('ZADD', KEYS[2], ARGV[1], name) end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return #names`, []string{"rq:bridge:due", "rq:bridge:due:" + testSite}, now, testSite).Err()
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestManyRetriesAreDue at the same moment, for four processes: each is moved once and has one delivery. BRIDGE_TEST_DUE says how
// many; then it is told how fast that was.
func TestManyRetriesAreDue(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 64, "retry": map[string]any{"base": 3600}})
	b.cfg.Breaker.Off = true
	n := amount(t, "BRIDGE_TEST_DUE", 500)
	b.submitFine(n, time.Time{})
	fails := b.start(func(e *Engine) {
		Register(e, "go.fine", func(context.Context, *Job[any]) (any, error) { return nil, errors.New("not yet") })
	})
	b.within(5*time.Minute, "all have failed", func() bool { return b.statuses()["Failed"] == n }, func() string { return fmt.Sprint(b.statuses()) })
	if err := fails.stop(); err != nil {
		t.Fatal(err)
	}
	b.processes(4)
	b.makeDue()
	began := time.Now()
	first, delivered := b.sweep(n, rows.StatusFailed)
	last := delivered[len(delivered)-1]
	t.Logf("%d retries: the first was moved after %s, the last delivered %s after that: %.0f/s", n, first.Sub(began), last.Sub(first), float64(n)/last.Sub(first).Seconds())
}

// TestManyRunAfterTheSameSecond, on four processes: each is delivered once. BRIDGE_TEST_DUE says how many.
func TestManyRunAfterTheSameSecond(t *testing.T) {
	b := newBed(t, nil)
	n := amount(t, "BRIDGE_TEST_DUE", 500)
	at := time.Now().Add(time.Duration(n/1000)*2*time.Second + 5*time.Second).Truncate(time.Second)
	b.submitFine(n, at)
	b.processes(4)
	if time.Now().After(at) {
		t.Fatalf("the time came before all was prepared")
	}
	_, delivered := b.sweep(n, rows.StatusPending)
	late := func(percent int) time.Duration { return delivered[min(n*percent/100, n-1)].Sub(at) }
	if early := late(0); early < 0 {
		t.Errorf("one was delivered %s before its time", -early)
	}
	t.Logf("%d of one second: the first is delivered %s late, half %s, p99 %s, the last %s", n, late(0), late(50), late(99), late(100))
}
