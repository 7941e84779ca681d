package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// holding registers jobs that run until they are let go, and counts the starts of each.
type holding struct {
	release chan struct{}
	mu      sync.Mutex
	begun   map[string]int
	ended   map[string]error
}

func (h *holding) register(e *Engine) {
	hold := func(ctx context.Context, j *Job[any]) (any, error) {
		h.mu.Lock()
		h.begun[j.ID]++
		h.mu.Unlock()
		select {
		case <-h.release:
			return "held", nil
		case <-ctx.Done():
			h.mu.Lock()
			h.ended[j.ID] = context.Cause(ctx)
			h.mu.Unlock()
			return nil, ctx.Err()
		}
	}
	Register(e, "go.fine", hold)
	Register(e, "go.plain", hold)
}

func newHolding() *holding {
	return &holding{release: make(chan struct{}), begun: map[string]int{}, ended: map[string]error{}}
}

func (h *holding) starts() (n int, of map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of = map[string]int{}
	for id, times := range h.begun {
		of[id] = times
		n += times
	}
	return n, of
}

// TestRedisIsEmptied while jobs run, wait and wait for their time: what runs goes on and settles, what has a row is delivered again
// within ten seconds, and nothing runs twice.
func TestRedisIsEmptied(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(b *bed){
		"FLUSHALL": func(b *bed) { b.rdb.FlushAll(b.t.Context()) },
		"restarted empty": func(b *bed) {
			b.redis.Kill()
			if err := b.redis.Restart(b.t.Context()); err != nil {
				b.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"concurrency": 4, "retry": map[string]any{"base": 3}})
			b.cfg.Breaker.Off = true
			h := newHolding()
			b.addGoTypes(60, "fails", "fine")
			var tried atomic.Int32
			for range 2 { // two bridges: one of them does it
				b.start(func(e *Engine) {
					h.register(e)
					Register(e, "go.fails", func(context.Context, *Job[any]) (any, error) {
						if tried.Add(1) == 1 {
							return nil, Transient(fmt.Errorf("not yet"))
						}
						return "at last", nil
					})
				})
			}
			retried := b.submit("fails", nil)
			b.waitRow(retried, rows.StatusFailed)
			later := b.submitFine(1, time.Now().Add(4*time.Second))[0]
			plain := b.enqueue("go.plain", nil)
			arrived := b.enqueue("go.fine", map[string]any{"organization": "ORG-A"})
			b.eventually("the plain job runs", func() bool { n, _ := h.starts(); return n == 2 }, func() string { return "" })
			names := b.submitFine(30, time.Time{})
			b.eventually("some more run", func() bool { n, _ := h.starts(); return n >= 5 }, func() string {
				_, of := h.starts()
				return fmt.Sprint(of, b.statuses(), b.rdb.Keys(t.Context(), "*").Val())
			})
			running := b.named(rows.StatusRunning)
			for before := []string(nil); !slices.Equal(before, running); running = b.named(rows.StatusRunning) {
				before = running
				time.Sleep(700 * time.Millisecond) // until no more begin
			}
			lose(b)
			begin := time.Now()
			b.within(10*time.Second, "all rows are on their way", func() bool { return b.deliveredAll(names) },
				func() string { return fmt.Sprint(b.rdb.Keys(t.Context(), "rq:*").Val()) })
			t.Logf("%s: all rows that waited are delivered after %s", name, time.Since(begin).Round(time.Millisecond))
			time.Sleep(6*time.Second - time.Since(begin)) // those that ran are judged by then
			if still := b.named(rows.StatusRunning); !slices.Equal(still, running) {
				t.Errorf("%v run, want those that ran: %v", still, running)
			}
			close(h.release)
			for _, row := range append([]string{retried, later, b.arrived(arrived)}, names...) {
				b.waitRow(row, rows.StatusCompleted)
			}
			b.waitJob(plain, rqcompat.StatusFinished)
			b.waitJob(arrived, rqcompat.StatusFinished)
			if n, of := h.starts(); n != 33 {
				t.Errorf("%d starts of 33 jobs: %v", n, of)
			}
			if len(h.ended) > 0 {
				t.Errorf("handlers were told to end: %v", h.ended)
			}
			waited := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(running, name) })
			for _, row := range waited {
				if got, want := b.path(row), "Pending Queued Queued Running Completed"; got != want {
					t.Errorf("path of a row that waited: %s, want %s", got, want)
				}
				if lines := strings.Join(b.history(row), "\n"); !strings.Contains(lines, "Queued>Queued Delivered again: Redis had lost its delivery") {
					t.Errorf("its log doesn't say why:\n%s", lines)
				}
			}
			for _, row := range running {
				if got, want := b.path(row), "Pending Queued Running Completed"; got != want {
					t.Errorf("path of a row that ran: %s, want %s", got, want)
				}
			}
			for _, key := range []string{"wip", "failed"} {
				if n := b.rdb.ZCard(t.Context(), "rq:"+key+":"+b.bench.QueueName("go")).Val(); n > 0 {
					t.Errorf("%d are left in rq:%s", n, key)
				}
			}
		})
	}
}

// TestRedisIsEmptiedWhileNoBridgeRuns: the one that starts knows by its rows.
func TestRedisIsEmptiedWhileNoBridgeRuns(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	engine := b.start(registerFine)
	b.waitRow(b.submitFine(1, time.Time{})[0], rows.StatusCompleted)
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	names := b.submitFine(5, time.Time{})
	orphan := b.submitFine(1, time.Time{})[0]
	b.exec("UPDATE `tabBackground Job` SET status='Running', started_at=NOW(6), modified=NOW(6) - INTERVAL 6 SECOND WHERE name=?", orphan)
	b.exec("INSERT INTO `tabJob Execution Log` (name, creation, modified, owner, modified_by, background_job, from_status, to_status, timestamp, message) "+
		"SELECT 'x', NOW(6), NOW(6), 'Administrator', 'Administrator', name, 'Queued', 'Running', NOW(6), 'm' FROM `tabBackground Job` WHERE name=?", orphan)
	b.rdb.FlushAll(t.Context())
	begin := time.Now()
	b.start(registerFine)
	for _, name := range append(names, orphan) {
		b.waitRow(name, rows.StatusCompleted)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("that takes %s, want 10 s at most", took)
	}
}

// named are the rows of a status.
func (b *bed) named(status rows.Status) (names []string) {
	b.t.Helper()
	if err := b.sql.SelectContext(b.t.Context(), &names, "SELECT name FROM `tabBackground Job` WHERE status=? ORDER BY name", status); err != nil {
		b.t.Fatal(err)
	}
	return names
}

// deliveredAll reports whether each of the rows that is Queued stands on the queue.
func (b *bed) deliveredAll(names []string) bool {
	waiting := b.rdb.LRange(b.t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")), 0, -1).Val()
	queued := b.named(rows.StatusQueued)
	for _, name := range names {
		if slices.Contains(queued, name) && !slices.Contains(waiting, b.bench.JobID(testSite, name)) {
			return false
		}
	}
	return len(queued) > 0
}

// TestAnEmptiedRedisAndManyRows: all are delivered again within a minute, once each. BRIDGE_TEST_ROWS is how many.
func TestAnEmptiedRedisAndManyRows(t *testing.T) { // not in parallel: it keeps the machine from others
	b := newBed(t, map[string]any{"concurrency": 2, "shared_queues": []string{}})
	n := amount(t, "BRIDGE_TEST_ROWS", 1500)
	b.addGoTypes(60, "fine")
	h := newHolding()
	for range 2 {
		b.start(h.register)
	}
	b.waitHeard(2)
	queue := rqcompat.QueueKey(b.bench.QueueName("go"))
	waiting := int64(n)
	made := b.now() // too young for whoever looks before the loss
	// Logs first: a row without one was inserted by hand.
	b.exec("INSERT INTO `tabJob Execution Log` (name,background_job,from_status,to_status,`timestamp`,creation,modified) "+
		fmt.Sprintf("SELECT CONCAT('L',seq),CONCAT('JOB-LOST-',seq),'Pending','Queued',?,?,? FROM seq_1_to_%d", n), made, made, made)
	b.exec("INSERT INTO `tabBackground Job` (name,creation,modified,owner,modified_by,owner_user,job_type,organization,status,priority,timeout_seconds,max_retries,input_parameters) "+
		fmt.Sprintf("SELECT CONCAT('JOB-LOST-',seq),?,?,'jane@example.com','jane@example.com','jane@example.com','fine','ORG-A','Queued','Normal',60,3,'{}' FROM seq_1_to_%d", n), made, made)
	b.rdb.FlushAll(t.Context())
	begin := time.Now()
	var first time.Duration
	b.within(2*time.Minute, "all are delivered again", func() bool {
		now := b.rdb.LLen(t.Context(), queue).Val()
		if now > 0 && first == 0 {
			first = time.Since(begin)
		}
		k, _ := h.starts()
		return now+int64(k) >= waiting
	}, func() string { return fmt.Sprint(b.rdb.LLen(t.Context(), queue).Val(), " of ", waiting) })
	took := time.Since(begin)
	t.Logf("%d rows: the first is delivered after %s, all after %s", waiting, first.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > time.Minute {
		t.Errorf("that takes %s, want a minute at most", took)
	}
	time.Sleep(6 * time.Second)
	var logs int
	if err := b.sql.Get(&logs, "SELECT COUNT(*) FROM `tabJob Execution Log` WHERE from_status='Queued' AND to_status='Queued'"); err != nil {
		t.Fatal(err)
	}
	k, _ := h.starts()
	if now := b.rdb.LLen(t.Context(), queue).Val() + int64(k); now != waiting || int64(logs) != waiting {
		t.Errorf("%d stand on the queue or run, and %d log rows say so, want %d each", now, logs, waiting)
	}
	close(h.release)
}

// TestDeliveredLate: what a program that has not heard of a failover delivers to the Redis before, when its loss was swept already, runs
// all the same, long before the next look for rows without a delivery.
func TestDeliveredLate(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.cfg.pace = fastPace
	b.cfg.pace.orphans, b.cfg.pace.orphanAge = time.Hour, time.Hour
	b.configure("common_site_config.json", map[string]any{"redis_queue": servertest.Redis(t).URL()})
	b.restartBench()
	b.submitFine(1, time.Time{}) // its client keeps to that server
	b.configure("common_site_config.json", map[string]any{"redis_queue": b.redis.URL()})
	b.restartBench()
	for range 2 { // two bridges: one of them does it
		b.start(registerFine)
	}
	b.waitHeard(2)
	b.redisDo("FLUSHALL")
	for range 3 {
		time.Sleep(5 * time.Second)
		for _, name := range b.submitFine(2, time.Time{}) {
			b.waitRow(name, rows.StatusCompleted)
		}
	}
}

// TestDeliveriesThatStandNowhere say that they wait or run, and nobody has them: their rows run all the same.
func TestDeliveriesThatStandNowhere(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.cfg.pace = fastPace
	names := b.submitFine(3, time.Time{})
	ids := b.ids(names...)
	b.rdb.Del(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")))
	b.rdb.HSet(t.Context(), rqcompat.JobKey(ids[1]), "status", "started", "worker_name", "gone", "started_at", rqcompat.FormatTime(time.Now()))
	b.rdb.HSet(t.Context(), rqcompat.JobKey(ids[2]), "status", "started", "worker_name", "gone", "started_at", rqcompat.FormatTime(time.Now()))
	b.exec("UPDATE `tabBackground Job` SET status='Running', started_at=NOW(6) WHERE name=?", names[2])
	b.exec("INSERT INTO `tabJob Execution Log` (name, creation, modified, owner, modified_by, background_job, from_status, to_status, timestamp, message) VALUES ('x', NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'Queued', 'Running', NOW(6), 'm')", names[2])
	b.start(registerFine)
	for i, name := range names {
		b.waitRow(name, rows.StatusCompleted)
		b.waitJob(ids[i], rqcompat.StatusFinished)
	}
}
