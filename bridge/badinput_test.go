package bridge

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// raw enqueues a job with any data and then overwrites fields of its hash. It is
// for use before an engine runs.
func (b *bed) raw(kind, id string, data []byte, fields map[string]string) string {
	b.t.Helper()
	job, err := b.client().RQ().Enqueue(b.t.Context(), rqcompat.Request{Queue: b.bench.QueueName(kind), ID: id, Data: data, Description: "raw"})
	if err != nil {
		b.t.Fatal(err)
	}
	for field, value := range fields {
		if err := b.rdb.HSet(b.t.Context(), rqcompat.JobKey(job.ID), field, value).Err(); err != nil {
			b.t.Fatal(err)
		}
	}
	return job.ID
}

// capture sends the engine's log to a buffer of this test.
func (b *bed) capture() *logBuffer {
	l := &logBuffer{}
	b.cfg.Log = slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return l
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// call encodes the data of a job.
func call(t testing.TB, function string, kwargs map[string]any) []byte {
	t.Helper()
	d := &pickle.Dict{}
	for _, key := range slices.Sorted(mapKeys(kwargs)) {
		d.Set(key, kwargs[key])
	}
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: function, Kwargs: d})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func envelope(site, method string, kwargs map[string]any) map[string]any {
	return map[string]any{"site": site, "user": "jane@example.com", "method": method, "event": nil, "job_name": method, "is_async": true, "kwargs": kwargs}
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// nested pickles n lists in one another.
func nested(n int) []byte {
	return slices.Concat([]byte("\x80\x04"), bytes.Repeat([]byte("]"), n), bytes.Repeat([]byte("a"), n-1), []byte("."))
}

// badJob is a job that nobody can run, and what its error has to say.
type badJob struct {
	name   string
	data   []byte
	fields map[string]string
	want   string
}

func badJobs(t *testing.T) []badJob {
	good := call(t, "go.fine", nil)
	frappeCall := func(e map[string]any) []byte { return call(t, frappe.ExecuteJob, e) }
	noSite := envelope(testSite, "go.fine", nil)
	delete(noSite, "site")
	return []badJob{
		{name: "garbage", data: []byte("\x00\x01 not a pickle at all"), want: "decode the call"},
		{name: "garbage in zlib", data: deflated([]byte("\x80\x04garbage")), want: "decode the call"},
		{name: "cut zlib", data: good[:len(good)/2], want: "decode the call"},
		{name: "no call", data: deflated([]byte("\x80\x04K\x01.")), want: "payload is not a call"},
		{name: "pickle bomb of depth", data: deflated(nested(1 << 20)), want: "limit"},
		{name: "pickle bomb of a length", data: []byte("\x80\x04\x8b\xff\xff\xff\x7f1."), want: "decode the call"},
		{name: "zlib bomb", data: deflated(make([]byte, rqcompat.DefaultPayloadLimit+1)), want: "limit"},
		{name: "timeout that is no whole number", data: good, fields: map[string]string{"timeout": "180.0"}, want: `timeout is "180.0", want a whole number`},
		{name: "bad timestamp", data: good, fields: map[string]string{"created_at": "yesterday"}, want: `created_at is "yesterday"`},
		{name: "empty callback timeout", data: good, fields: map[string]string{"failure_callback_timeout": ""}, want: "failure_callback_timeout"},
		{name: "status nobody knows", data: good, fields: map[string]string{"status": "pondering"}, want: `status is "pondering"`},
		{name: "unknown site", data: frappeCall(envelope("nowhere.localhost", "go.fine", map[string]any{})), want: "nowhere.localhost"},
		{name: "envelope without site", data: frappeCall(noSite), want: "site"},
		{name: "executor without row", data: frappeCall(envelope(testSite, frappe.Executor, map[string]any{"organization": "ORG-A"})), want: "without background_job_id"},
	}
}

func TestBadJobsFailWithTheirReasonAndStayRequeueable(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	jobs := badJobs(t)
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = b.raw("go", fmt.Sprintf("bad-%d", i), j.data, j.fields)
	}
	fine := b.raw("go", "fine", call(t, "go.fine", nil), nil)
	b.start(registerFine)
	b.waitJob(fine, rqcompat.StatusFinished)
	for i, j := range jobs {
		t.Run(j.name, func(t *testing.T) {
			b.waitJob(ids[i], rqcompat.StatusFailed)
			if exc := b.lastExc(ids[i]); !strings.Contains(exc, j.want) {
				t.Errorf("exc %q, want one that says %q", exc, j.want)
			}
			if err := b.client().RQ().Requeue(t.Context(), ids[i], false); err != nil {
				t.Errorf("requeue: %v", err)
			}
			b.eventually("it fails again", func() bool {
				results, err := b.client().RQ().Results(t.Context(), ids[i])
				return err == nil && len(results) == 2
			}, func() string { return ids[i] })
		})
	}
	b.wantNothingRunning()
}

func registerFine(e *Engine) {
	Register(e, "go.fine", func(context.Context, *Job[any]) (any, error) { return "fine", nil })
}

// wantNothingRunning checks that no claim, lease or current job is left on the own queue.
func (b *bed) wantNothingRunning() {
	b.t.Helper()
	queue, last := b.bench.QueueName("go"), ""
	b.eventually("nothing is running", func() bool {
		members, err := b.client().RQ().Members(b.t.Context(), rqcompat.Wip, queue, 0, -1)
		if err != nil || len(members) > 0 {
			last = fmt.Sprint(members, err)
			return false
		}
		workers, err := b.client().RQ().Workers(b.t.Context())
		for _, w := range workers {
			if w.CurrentJob != "" {
				last = w.Name + " still shows " + w.CurrentJob
				return false
			}
		}
		return err == nil
	}, func() string { return last })
}

func TestBadJobsOnASharedQueueAreLeftToPython(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	var ids []string
	before := map[string]map[string]string{}
	for i, j := range badJobs(t) {
		id := b.raw("default", fmt.Sprintf("bad-%d", i), j.data, j.fields)
		ids = append(ids, id)
		before[id] = b.rdb.HGetAll(t.Context(), rqcompat.JobKey(id)).Val()
	}
	fine := b.raw("default", "fine", call(t, "go.fine", nil), nil)
	b.start(registerFine)
	b.waitJob(fine, rqcompat.StatusFinished)
	time.Sleep(500 * time.Millisecond)
	if left := b.rdb.LRange(t.Context(), rqcompat.QueueKey(b.bench.QueueName("default")), 0, -1).Val(); !slices.Equal(left, ids) {
		t.Errorf("left on the queue %v, want %v", left, ids)
	}
	for _, id := range ids {
		if diff := cmp.Diff(before[id], b.rdb.HGetAll(t.Context(), rqcompat.JobKey(id)).Val()); diff != "" {
			t.Errorf("hash of %s changed:\n%s", id, diff)
		}
	}
}

// TestBillionLaughs has small jobs whose arguments would fill the memory once they are written out, shared lists in
// lists: they fail with the name of the limit before their handler is called.
func TestBillionLaughs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	laugh := &pickle.List{Items: []any{"ha"}}
	for range 40 {
		laugh = &pickle.List{Items: []any{laugh, laugh}}
	}
	bomb := b.raw("go", "laughs", call(t, "go.greets", map[string]any{"x": laugh}), nil)
	rowed := b.raw("go", "laughs-with-row", call(t, frappe.ExecuteJob, envelope(testSite, "echo_job", map[string]any{"organization": "ORG-A", "x": laugh})), nil)
	fine := b.raw("go", "fine", call(t, "go.fine", nil), nil)
	b.start(func(e *Engine) {
		registerFine(e)
		Register(e, "go.greets", func(_ context.Context, job *Job[greeting]) (any, error) { return job.Params.Name, nil })
	})
	b.waitJob(fine, rqcompat.StatusFinished)
	for _, id := range []string{bomb, rowed} {
		b.waitJob(id, rqcompat.StatusFailed)
		if exc := b.lastExc(id); !strings.Contains(exc, "bytes of JSON") {
			t.Errorf("%s fails with %q, want the limit's name", id, exc)
		}
	}
}

func TestStrangeIDsRunLikeOthers(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	ids := []string{
		"with spaces", "ünïcode ☃ 試験", "a:b::c||d", "tail:0123456789abcdef0123456789abcdef", strings.Repeat("long", 200),
		`quote"s and \slashes`, "new\nline", "{brace}", "*?[glob]",
	}
	for _, id := range ids {
		b.raw("go", id, call(t, "go.fine", nil), nil)
	}
	var rowed []string
	for _, id := range ids {
		rowed = append(rowed, b.raw("go", "row "+id, call(t, frappe.ExecuteJob, envelope(testSite, "echo_job", map[string]any{"organization": "ORG-A"})), nil))
	}
	// Bytes that are no UTF-8 can't come from Python, but they can be there.
	binary := "\xff\xfe binary"
	for field, value := range b.rdb.HGetAll(t.Context(), rqcompat.JobKey(rowed[0])).Val() {
		b.rdb.HSet(t.Context(), rqcompat.JobKey(binary), field, value)
	}
	b.rdb.RPush(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")), binary)
	rowed = append(rowed, binary)
	b.start(registerFine)
	for _, id := range slices.Concat(ids, rowed) {
		b.waitJob(id, rqcompat.StatusFinished)
	}
	for _, id := range rowed {
		if row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id)); err != nil || row.Status != rows.StatusCompleted {
			t.Errorf("row of %q: %+v, %v", id, row, err)
		}
	}
	b.wantNothingRunning()
}

func TestHashThatVanishes(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"lease": 1})
	started := make(chan string, 1)
	causes := make(chan error, 1)
	b.cfg.pace = fastPace
	r := b.start(func(e *Engine) {
		registerFine(e)
		Register(e, "go.waits", func(ctx context.Context, job *Job[any]) (any, error) {
			started <- job.ID
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		})
		Register(e, "go.vanishes", func(ctx context.Context, job *Job[any]) (any, error) {
			return nil, b.client().RQ().Delete(ctx, job.ID)
		})
	})
	queue := b.bench.QueueName("go")
	wantGone := func(t *testing.T, id string) {
		t.Helper()
		b.eventually("nothing of the job is left", func() bool {
			return b.rdb.Exists(t.Context(), rqcompat.JobKey(id)).Val() == 0 &&
				b.rdb.LLen(t.Context(), rqcompat.QueueKey(queue)).Val() == 0
		}, func() string { return id })
		b.wantNothingRunning()
		time.Sleep(1200 * time.Millisecond) // one full renewal
		if b.rdb.Exists(t.Context(), rqcompat.JobKey(id)).Val() != 0 {
			t.Errorf("a stub of %s came back: %v", id, b.rdb.HGetAll(t.Context(), rqcompat.JobKey(id)).Val())
		}
	}
	t.Run("before it is read", func(t *testing.T) {
		b.rdb.RPush(t.Context(), rqcompat.QueueKey(queue), "never-was")
		wantGone(t, "never-was")
	})
	t.Run("between decode and claim", func(t *testing.T) {
		if err := b.client().RQ().Suspend(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second + 100*time.Millisecond)
		id := b.raw("go", "", call(t, "go.fine", nil), nil)
		b.eventually("the job is seen", func() bool { return r.Stats().Waiting > 0 }, func() string { return "" })
		b.rdb.Del(t.Context(), rqcompat.JobKey(id))
		if err := b.client().RQ().Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantGone(t, id)
	})
	t.Run("while it runs", func(t *testing.T) {
		id := b.raw("go", "", call(t, "go.waits", nil), nil)
		<-started
		if err := b.client().RQ().Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if cause := <-causes; cause != ErrLost {
			t.Errorf("cause %v, want ErrLost", cause)
		}
		wantGone(t, id)
	})
	t.Run("before it is settled", func(t *testing.T) {
		wantGone(t, b.raw("go", "vanishing", call(t, "go.vanishes", nil), nil))
	})
	t.Run("a row's, while it runs", func(t *testing.T) {
		b.exec("UPDATE `tabJob Type` SET handler_method = 'go.waits' WHERE name = 'long_running_job'")
		name := b.submit("long_running_job", map[string]any{"duration": 1.5})
		b.waitRow(name, rows.StatusRunning)
		b.rdb.Del(t.Context(), rqcompat.JobKey(b.bench.JobID(testSite, name)))
		b.waitRow(name, rows.StatusCompleted)
		if got, want := b.path(name), "Pending Queued Running Failed Queued Running Completed"; got != want {
			t.Errorf("path %s, want %s", got, want)
		}
		if row := b.row(name); row.RetryCount != 0 {
			t.Errorf("retry_count %d, want 0", row.RetryCount)
		}
	})
}

// fastPace is for tests that wait for chores.
var fastPace = pace{
	rescue:  200 * time.Millisecond,
	orphans: 300 * time.Millisecond, orphanAge: 500 * time.Millisecond, maintain: time.Hour,
}
