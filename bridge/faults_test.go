package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// counter counts how often each job ran, and holds those that are told to wait.
type counter struct {
	mu   sync.Mutex
	runs map[string]int
	held atomic.Int64
	open chan struct{} // closed: nobody waits any more
	// pause is how long go.count takes at most, at random.
	pause time.Duration
}

func newCounter() *counter { return &counter{runs: map[string]int{}, open: make(chan struct{})} }

func (c *counter) ran(id string) {
	c.mu.Lock()
	c.runs[id]++
	c.mu.Unlock()
}

func (c *counter) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}

// register offers go.count, which ends at once, or after its pause, and go.holds, which ends when
// the counter is opened or its context ends. Jobs with a row are of the Job
// Types counts and holds, see bed.countTypes.
func (c *counter) register(e *Engine) {
	registerFine(e)
	Register(e, "go.count", func(_ context.Context, job *Job[any]) (any, error) {
		c.ran(job.ID)
		time.Sleep(rand.N(c.pause + 1))
		return nil, nil
	})
	Register(e, "go.holds", func(ctx context.Context, job *Job[any]) (any, error) {
		c.ran(job.ID)
		c.held.Add(1)
		defer c.held.Add(-1)
		select {
		case <-c.open:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
}

// countTypes declares the Job Types counts and holds on the first site.
func (b *bed) countTypes() {
	b.t.Helper()
	b.addGoTypes(60, "count", "holds")
}

// addGoTypes declares Job Types on the first site, each with a timeout in seconds, five retries and go.<name> as its handler.
func (b *bed) addGoTypes(timeout int, names ...string) {
	b.t.Helper()
	for _, name := range names {
		b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries, handler_method) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 1, ?, 5, ?)", name, name, timeout, "go."+name)
	}
}

// plain enqueues a job without site and row.
func (b *bed) plain(method string) string {
	b.t.Helper()
	return b.raw("go", "", call(b.t, method, nil), nil)
}

// ids gives the ids under which rows of the first site are delivered.
func (b *bed) ids(names ...string) (ids []string) {
	for _, name := range names {
		ids = append(ids, b.bench.JobID(testSite, name))
	}
	return ids
}

// wantOnce checks that each job ran exactly once.
func (c *counter) wantOnce(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if n := c.of(id); n != 1 {
			t.Errorf("job %s ran %d times, want once", id, n)
		}
	}
}

func (c *counter) waitHeld(b *bed, n int64) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d jobs run", n), func() bool { return c.held.Load() == n }, func() string { return fmt.Sprint(c.held.Load()) })
}

func TestRedisAwayAtStart(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	log := b.capture()
	b.redis.Kill()
	r := b.start(registerFine)
	b.eventually("the log says so", func() bool { return strings.Contains(log.String(), "waiting for it") }, log.String)
	select {
	case err := <-r.done:
		t.Fatalf("Run returned %v instead of waiting", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := b.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.waitJob(b.plain("go.fine"), rqcompat.StatusFinished)
}

func TestStopWhileRedisIsAwayAtStart(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.redis.Kill()
	r := b.start(nil)
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	if err := r.stop(); err != nil || time.Since(begin) > 6*time.Second {
		t.Errorf("Run returned %v after %s, want nil, soon", err, time.Since(begin))
	}
}

// TestRedisAwayInTheMiddle takes Redis away for less than a lease, with its data
// kept: every job runs exactly once, rows are settled meanwhile, and RQ's
// outcomes are written when Redis is back.
func TestRedisAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, servertest.Redis(t, servers.WithAppendOnly()), map[string]any{"concurrency": 21}, servers.BenchConfig{})
	b.countTypes()
	c := newCounter()
	b.start(c.register)
	var held, rowed, waiting []string
	for range 10 {
		held = append(held, b.plain("go.holds"))
		rowed = append(rowed, b.submit("holds", nil))
	}
	c.waitHeld(b, 20)
	for range 50 { // the slot that is free is for others
		waiting = append(waiting, b.plain("go.count"))
		waiting = append(waiting, b.ids(b.submit("count", nil))...)
	}
	b.redis.Kill()
	close(c.open)
	for _, name := range rowed {
		b.waitRow(name, rows.StatusCompleted)
	}
	time.Sleep(500 * time.Millisecond)
	if err := b.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range held {
		b.waitJob(id, rqcompat.StatusFinished)
	}
	for _, name := range rowed {
		b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFinished)
		if got := b.path(name); got != "Pending Queued Running Completed" {
			t.Errorf("path %s", got)
		}
	}
	b.eventually("the waiting jobs ran", func() bool {
		for _, id := range waiting {
			if c.of(id) == 0 {
				return false
			}
		}
		return true
	}, func() string { return "" })
	b.wantNothingRunning()
	c.wantOnce(t, held...)
	c.wantOnce(t, b.ids(rowed...)...)
	c.wantOnce(t, waiting...)
}

// TestRedisAwayForLongerThanALease has a single engine: it knows that its
// own jobs still run, so they aren't rescued from it when Redis is back.
func TestRedisAwayForLongerThanALease(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, servertest.Redis(t, servers.WithAppendOnly()), map[string]any{"lease": 1}, servers.BenchConfig{})
	b.countTypes()
	b.cfg.pace = fastPace
	c := newCounter()
	b.start(c.register)
	plain, row := b.plain("go.holds"), b.submit("holds", nil)
	c.waitHeld(b, 2)
	for range 3 {
		b.redis.Kill()
		time.Sleep(2500 * time.Millisecond)
		if err := b.redis.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(700 * time.Millisecond)
	}
	close(c.open)
	b.waitJob(plain, rqcompat.StatusFinished)
	b.waitRow(row, rows.StatusCompleted)
	b.waitJob(b.bench.JobID(testSite, row), rqcompat.StatusFinished)
	c.wantOnce(t, plain, b.bench.JobID(testSite, row))
	if got := b.path(row); got != "Pending Queued Running Completed" {
		t.Errorf("path %s", got)
	}
}

// TestRedisLosesItsData: rows are delivered again; what runs goes on.
func TestRedisLosesItsData(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1, "lease": 1})
	b.countTypes()
	c := newCounter()
	b.start(c.register)
	running := b.submit("holds", nil)
	c.waitHeld(b, 1)
	var rowed []string
	for range 10 {
		rowed = append(rowed, b.submit("count", nil))
	}
	if err := b.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range b.ids(rowed...) {
		b.waitJob(id, rqcompat.StatusQueued)
	}
	c.waitHeld(b, 1)
	close(c.open)
	for _, name := range append(rowed, running) {
		b.waitRow(name, rows.StatusCompleted)
		b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFinished)
	}
	c.wantOnce(t, b.ids(append(rowed, running)...)...)
	if got, want := b.path(running), "Pending Queued Running Completed"; got != want || b.row(running).RetryCount != 0 {
		t.Errorf("path %s, want %s; retry_count %d, want 0", got, want, b.row(running).RetryCount)
	}
}

func TestRedisPaused(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	c := newCounter()
	b.start(c.register)
	held, row := b.plain("go.holds"), b.submit("holds", nil)
	c.waitHeld(b, 2)
	var waiting []string
	for i := range 300 {
		waiting = append(waiting, b.plain("go.count"))
		if i == 150 {
			if err := b.redis.Pause(); err != nil {
				t.Fatal(err)
			}
			resume := time.AfterFunc(2*time.Second, func() { _ = b.redis.Resume() })
			defer resume.Stop()
			close(c.open)
			b.waitRow(row, rows.StatusCompleted)
		}
	}
	b.eventually("all ran", func() bool {
		for _, id := range waiting {
			if c.of(id) == 0 {
				return false
			}
		}
		return true
	}, func() string { return "" })
	b.waitJob(held, rqcompat.StatusFinished)
	b.waitJob(b.bench.JobID(testSite, row), rqcompat.StatusFinished)
	c.wantOnce(t, append(waiting, held, b.bench.JobID(testSite, row))...)
	b.wantNothingRunning()
}

func TestRedisThatRefusesIsAClearError(t *testing.T) {
	t.Parallel()
	r := servertest.Redis(t, servers.WithPassword("right-secret"))
	for name, tc := range map[string]struct {
		url    string
		bridge map[string]any
		want   string
	}{
		"wrong password":                {"redis://:wrong-secret@" + r.Addr, nil, "WRONGPASS"},
		"no password":                   {"redis://" + r.Addr, nil, "NOAUTH"},
		"wrong password, version known": {"redis://:wrong-secret@" + r.Addr, map[string]any{"rq_version": "1.15.1"}, "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: tc.url}); err != nil {
				t.Fatal(err)
			}
			bench, err := frappe.OpenBench(dir, frappe.Options{})
			if err != nil {
				t.Fatal(err)
			}
			e, err := New(configured(bench, tc.bridge))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err = e.Run(ctx)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "redis_queue") || strings.Contains(err.Error(), "secret") {
				t.Errorf("Run returned %v, want an error that says %s and redis_queue, and no password", err, tc.want)
			}
		})
	}
}
