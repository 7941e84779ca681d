package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// What the rooms do is tested in the rooms; here it is that the engine's wiring lets them do it.

func TestFrappeForgetsTheRowsThatMoved(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	site, err := b.bench.Site(testSite)
	if err != nil {
		t.Fatal(err)
	}
	cached, other := site.DBName()+"|document_cache::Background Job::"+name, site.DBName()+"|document_cache::Background Job::another"
	for _, key := range []string{cached, other} {
		if err := b.rdb.Set(t.Context(), key, "the row as it was", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b.start(nil)
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFinished)
	if n := b.rdb.Exists(t.Context(), cached).Val(); n != 0 {
		t.Error("after the run Frappe still has the row as it was in its document cache")
	}
	if n := b.rdb.Exists(t.Context(), other).Val(); n != 1 {
		t.Error("the cached document of another row is gone as well")
	}
}

func TestARowIsOnItsWayOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	c := b.client()
	for range 2 {
		if err := c.deliveries.Deliver(t.Context(), testSite, b.row(name)); err != nil {
			t.Fatalf("deliver a row that is on its way: %v", err)
		}
	}
	waiting := b.rdb.LRange(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")), 0, -1).Val()
	if len(waiting) != 1 || waiting[0] != b.bench.JobID(testSite, name) {
		t.Errorf("a row that was delivered three times stands on the queue as %v, want once", waiting)
	}
}

func TestFailedRegistriesStayBelowFrappesLimit(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, servertest.Redis(t), nil, servers.BenchConfig{Common: map[string]any{"rq_failed_jobs_limit": 3}})
	var ids []string
	for i := range 6 {
		ids = append(ids, b.raw("go", fmt.Sprintf("fails-%d", i), call(t, "nobody.has.it", nil), nil))
	}
	b.cfg.pace = fastPace
	b.start(nil)
	b.enqueue("echo_job", nil) // the seventh failure
	queue := b.bench.QueueName("go")
	b.eventually("three failed jobs are left", func() bool {
		n, err := b.client().RQ().Count(t.Context(), rqcompat.Failed, queue)
		return err == nil && n == 3 && b.rdb.LLen(t.Context(), rqcompat.QueueKey(queue)).Val() == 0
	}, func() string { return fmt.Sprint(ids) })
}

// TestEveryFailureIsInTheDesk: that of a job without a row is in the Error Log.
func TestEveryFailureIsInTheDesk(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("CREATE TABLE `tabError Log` (name varchar(140) PRIMARY KEY, creation datetime(6), modified datetime(6), modified_by varchar(140), owner varchar(140), " +
		"seen int(1) NOT NULL DEFAULT 0, reference_doctype varchar(140), reference_name varchar(140), method varchar(140), error longtext) ENGINE=MyISAM")
	b.start(func(e *Engine) {
		Register(e, "go.fails", func(context.Context, *Job[any]) (any, error) { return nil, errors.New("boom") })
	})
	fails := b.enqueue("go.fails", map[string]any{"password": "s3cret"})
	nobody := b.enqueue("app.nobody_has_it", map[string]any{"password": "s3cret"})
	homeless := b.enqueue("echo_job", map[string]any{"password": "s3cret"}) // without an organization
	rowed := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "permanent"})
	b.waitRow(rowed, rows.StatusDeadLetter)
	var got []string
	b.eventually("three failures are in the Error Log", func() bool {
		got = nil
		if err := b.sql.Select(&got, "SELECT CONCAT_WS(' ', method, owner, reference_doctype, reference_name, error) FROM `tabError Log` ORDER BY method"); err != nil {
			t.Fatal(err)
		}
		return len(got) >= 3
	}, func() string { return fmt.Sprint(got) })
	for i, want := range [][2]string{
		{"app.nobody_has_it jane@example.com RQ Job " + nobody, "no handler"}, {"echo_job jane@example.com RQ Job " + homeless, "needs an organization"},
		{"go.fails jane@example.com RQ Job " + fails, "boom"},
	} {
		if !strings.HasPrefix(got[i], want[0]) || !strings.Contains(got[i], want[1]) || strings.Contains(got[i], "s3cret") {
			t.Errorf("entry %q, want it to start with %q, to say %q, and no parameters", got[i], want[0], want[1])
		}
	}
	if len(got) > 3 {
		t.Errorf("Error Log %q, want nothing of the job that has a row", got)
	}
}

func TestOnEndHearsHowEachAttemptEnded(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	ends := make(chan End, 10)
	c := newCounter()
	b.start(func(e *Engine) {
		c.register(e)
		Register(e, "go.fails", func(context.Context, *Job[any]) (any, error) { return nil, errors.New("it broke") })
		e.OnEnd(func(End) { panic("no end of mine") }) // harms nobody
		e.OnEnd(func(end End) { ends <- end })
	})
	want := func(id, outcome, text string) {
		t.Helper()
		select {
		case end := <-ends:
			if end.ID != id || end.Outcome != outcome || (text == "") != (end.Err == nil) || end.Err != nil && !strings.Contains(end.Err.Error(), text) || end.Took <= 0 {
				t.Errorf("told of %s that it is %s with %v after %s, want %s, %s with %q", end.ID, end.Outcome, end.Err, end.Took, id, outcome, text)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing was told of %s, which is %s", id, outcome)
		}
	}
	want(b.plain("go.count"), "finished", "")
	want(b.plain("go.fails"), "failed", "it broke")
	want(b.plain("nobody.has.it"), "failed", "no handler")
	name := b.submit("holds", nil)
	b.waitRow(name, rows.StatusRunning)
	c.waitHeld(b, 1)
	if _, err := b.client().Cancel(t.Context(), testSite, name, "jane@example.com"); err != nil {
		t.Fatal(err)
	}
	want(b.bench.JobID(testSite, name), "stopped", ErrCanceled.Error())
}

func TestARowWhoseJobTypeNobodyHandlesIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("UPDATE `tabJob Type` SET handler_method = 'nobody.has.it', type_name = 'unhandled', name = 'unhandled' WHERE name = 'echo_job'")
	name := b.submit("unhandled", nil)
	b.start(nil)
	row := b.waitRow(name, rows.StatusDeadLetter)
	if !strings.Contains(row.ErrorMessage, `no handler for "unhandled"`) {
		t.Errorf("the row says %q, want that nobody handles it", row.ErrorMessage)
	}
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFailed)
}

// TestSubmissionsOverTheEnginesConnections: from the program that runs the engine, and from inside a handler; a key
// makes a repeated one the same job.
func TestSubmissionsOverTheEnginesConnections(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	const child JobType[map[string]any] = "echo_job"
	var e *Engine
	r := b.start(func(engine *Engine) {
		e = engine
		Register(engine, "go.parent", func(ctx context.Context, job *Job[any]) (any, error) {
			for range 2 {
				for n := range 3 {
					if _, err := child.Submit(ctx, job, map[string]any{"n": n}, SubmitRequest{Organization: "ORG-A", Key: fmt.Sprint(job.ID, n)}); err != nil {
						return nil, err
					}
				}
			}
			return nil, nil
		})
	})
	row, err := e.Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-B"})
	if err != nil {
		t.Fatal(err)
	}
	b.waitRow(row.Name, rows.StatusCompleted)
	b.waitJob(b.enqueue("go.parent", nil), rqcompat.StatusFinished)
	b.eventually("the children are completed", func() bool {
		_, done, err := b.db.ListJobs(t.Context(), rows.ListFilter{Organization: "ORG-A", Statuses: []rows.Status{rows.StatusCompleted}, Limit: 1})
		return err == nil && done == 3
	}, func() string { return "" })
	if _, all, err := b.db.ListJobs(t.Context(), rows.ListFilter{Organization: "ORG-A", Owner: "jane@example.com", Limit: 1}); err != nil || all != 3 {
		t.Errorf("three children that were submitted twice are %d jobs of their parent's user (%v), want 3", all, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-B"}); err == nil || !strings.Contains(err.Error(), "has stopped") {
		t.Errorf("a submission to an engine that has stopped: %v", err)
	}
}

func TestAnIDThatIsOnItsWayIsRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	request := EnqueueRequest{Site: testSite, Method: "go.count", Queue: "go", ID: "nightly"}
	if _, err := b.client().Enqueue(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client().Enqueue(t.Context(), request); !errors.Is(err, rqcompat.ErrDuplicateJob) {
		t.Errorf("the second job of an id is %v, want ErrDuplicateJob", err)
	}
}

// TestAKeyMakesOneJob: however many submit it at the same time, and when its delivery fails meanwhile.
func TestAKeyMakesOneJob(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	c := b.client()
	request := SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", Key: "nightly"}
	names := make(chan string, 20)
	var all sync.WaitGroup
	for range cap(names) {
		all.Go(func() {
			row, err := c.Submit(t.Context(), request)
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			names <- row.Name
		})
	}
	all.Wait()
	close(names)
	first := <-names
	for name := range names {
		if name != first {
			t.Errorf("submissions of one key made %s and %s", first, name)
		}
	}
	// A key of the wrong type where the delivery goes: it fails, and the row that was there before stays.
	queue, hash := rqcompat.QueueKey(b.bench.QueueName("go")), rqcompat.JobKey(b.bench.JobID(testSite, first))
	b.rdb.Del(t.Context(), queue, hash)
	b.rdb.Set(t.Context(), queue, "not a list", 0)
	if _, err := c.Submit(t.Context(), request); err == nil {
		t.Error("a delivery that fails is told as a success")
	}
	if row := b.row(first); row.Status != rows.StatusQueued {
		t.Errorf("after a repeated submission that failed the row is %+v, want it as it was", row)
	}
	b.rdb.Del(t.Context(), queue, hash)
	if row, err := c.Submit(t.Context(), request); err != nil || row.Name != first {
		t.Errorf("submitted again: %v, %v", row, err)
	}
	if waiting := b.rdb.LRange(t.Context(), queue, 0, -1).Val(); len(waiting) != 1 {
		t.Errorf("on the queue: %v, want the row's delivery", waiting)
	}
}

// TestAKeyThatIsWaitedForInVain: who gives up waiting is not told that Redis is down.
func TestAKeyThatIsWaitedForInVain(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	c := b.client()
	held, err := b.sql.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback() }()
	if _, err := held.Exec("INSERT INTO tabSeries (name, current) VALUES (DATE_FORMAT(NOW(), 'JOB-%Y-'), 0) ON DUPLICATE KEY UPDATE current=current"); err != nil {
		t.Fatal(err)
	}
	gaveUp := errors.New("gave up")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, gaveUp)
	defer cancel()
	_, err = c.Submit(ctx, SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", Key: "k"})
	if !errors.Is(err, gaveUp) || strings.Contains(err.Error(), "down") {
		t.Errorf("waiting for a key that another submission holds: %v, want the caller's own reason", err)
	}
}

// TestStrictParamsAndTheBridgesOwnArguments: the organization of frappe.enqueue is not a mistake of its caller.
func TestStrictParamsAndTheBridgesOwnArguments(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(func(e *Engine) {
		Register(e, "go.strict", func(_ context.Context, job *Job[greeting]) (any, error) { return job.Params.Name, nil }, StrictParams())
	})
	b.waitJob(b.enqueue("go.strict", map[string]any{"organization": "ORG-A", "name": "Ada"}), rqcompat.StatusFinished)
	id := b.enqueue("go.strict", map[string]any{"organization": "ORG-A", "nam": "Ada"})
	b.waitJob(id, rqcompat.StatusFailed)
	if exc := b.lastExc(id); !strings.Contains(exc, `unknown field "nam"`) || strings.Contains(exc, "Ada") {
		t.Errorf("exc %q, want one that names the unknown field", exc)
	}
}

// TestAProcessTellsAboutItself: what it works, and that an abandoned handler holds its only slot; it is gone with it.
func TestAProcessTellsAboutItself(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1, "cancel_grace": 0.1, "queues": []string{"go"}, "shared_queues": []string{"short"}})
	release := make(chan struct{})
	r := b.start(func(e *Engine) {
		Register(e, "go.deaf", func(context.Context, *Job[struct{}]) (any, error) {
			<-release
			return nil, nil
		})
	})
	id := b.enqueue("go.deaf", nil)
	b.waitJob(id, rqcompat.StatusStarted)
	rq := b.client().RQ()
	if _, err := rq.SendStop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var p rqcompat.Process
	b.eventually("the abandoned handler is told of", func() bool {
		all, err := rq.Processes(t.Context())
		if err != nil || len(all) != 1 {
			return false
		}
		p = all[0]
		return len(p.Abandoned) == 1
	}, func() string { return fmt.Sprintf("%+v", p) })
	if p.Slots != 1 || p.Running != 1 || p.Abandoned[0].JobID != id || p.Abandoned[0].Method != "go.deaf" || len(p.Queues) != 2 ||
		len(p.Shared) != 1 || !strings.Contains(strings.Join(p.Handlers, " "), "go.deaf") || p.PID == 0 || !strings.HasPrefix(p.Name, WorkerPrefix) {
		t.Errorf("the process tells %+v", p)
	}
	if in, s := b.standing(id); s.Abandoned == nil || !s.Abandoned.Since.Equal(p.Abandoned[0].Since) {
		t.Errorf("job %+v stands as %+v, want that its handler still runs", in.Job, s)
	}
	close(release)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if all, err := rq.Processes(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("after its end: %+v, %v", all, err)
	}
}

// TestAllOfManyDependentsRun: those that the end of their job left to be released in steps.
func TestAllOfManyDependentsRun(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	parent := b.plain("go.count")
	hash, err := b.rdb.HGetAll(t.Context(), rqcompat.JobKey(parent)).Result()
	if err != nil {
		t.Fatal(err)
	}
	hash["status"] = "deferred"
	_, err = b.rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 300 {
			child := fmt.Sprint("child-", i)
			p.HSet(t.Context(), rqcompat.JobKey(child), hash)
			p.SAdd(t.Context(), rqcompat.JobKey(parent)+":dependents", child)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := newCounter()
	b.start(c.register)
	b.eventually("all of them have run", func() bool {
		for i := range 300 {
			if c.of(fmt.Sprint("child-", i)) != 1 {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprint(b.rdb.Keys(t.Context(), "rq:releasing*").Val()) })
}
