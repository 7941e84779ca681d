package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// TestSameJobsLeaveTheSameKeys runs the same jobs through a Python worker and through the engine, each on a Redis of
// its own, and compares everything that RQ's keys hold afterwards. What may differ is listed in differences_test.go.
func TestSameJobsLeaveTheSameKeys(t *testing.T) {
	allowed := newAllowances(t)
	forEachRQ(t, func(t *testing.T, version string) {
		p := newPair(t, version)
		t.Run("ended", func(t *testing.T) {
			p.enqueue(endedJobs(p.golang.rq.Dialect()))
			p.python.call("work.burst", values{"queues": []string{p.queue}}, nil)
			e := p.golang.start(registerValues)
			p.quiet()
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			allowed.compare(t, version, "ended", p.dumps)
		})
		p.flush()
		t.Run("stopped", func(t *testing.T) { comparesStopped(t, p, allowed) })
		p.flush()
		t.Run("enqueued", func(t *testing.T) { comparesEnqueued(t, p, allowed) })
		p.flush()
		t.Run("abandoned", func(t *testing.T) { comparesAbandoned(t, p, allowed) })
	})
}

// pair is a Redis for Python and one for Go.
type pair struct {
	t      *testing.T
	queue  string
	python *python
	rdb    *redis.Client // Python's
	golang *fleet
}

func newPair(t *testing.T, version string) *pair {
	t.Helper()
	// One job at a time, as a Python worker does, on one queue.
	f := newFleet(t, version, map[string]any{"concurrency": 1, "shared_queues": []string{}})
	r := servertest.Redis(t)
	p := &pair{t: t, queue: f.own(), python: startPython(t, version, r), golang: f}
	p.rdb = redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = p.rdb.Close() })
	return p
}

func (p *pair) flush() {
	p.rdb.FlushAll(p.t.Context())
	p.golang.rdb.FlushAll(p.t.Context())
}

// enqueue has the same producer enqueue the same jobs on both sides.
func (p *pair) enqueue(jobs []values) {
	p.t.Helper()
	for _, side := range []struct {
		py  *python
		rdb *redis.Client
	}{{p.python, p.rdb}, {p.golang.py, p.golang.rdb}} {
		side.py.call("produce.jobs", values{"queue": p.queue, "jobs": jobs}, nil)
		for _, job := range jobs {
			if job["id"] == "canceled" {
				side.py.call("look.cancel", values{"id": "canceled"}, nil)
				// An id without a job: its hash expired while it waited.
				side.rdb.RPush(p.t.Context(), rqcompat.QueueKey(p.queue), "ghost")
			}
		}
	}
}

// quiet waits until the engine has nothing left to do.
func (p *pair) quiet() {
	p.t.Helper()
	f := p.golang
	f.eventually("nothing is queued or runs", func() bool {
		return f.rdb.Exists(f.t.Context(), rqcompat.QueueKey(p.queue), rqcompat.WipKey(p.queue)).Val() == 0
	})
}

func (p *pair) dumps() (python, golang dump) {
	p.t.Helper()
	return dumpOf(p.t, p.rdb), dumpOf(p.t, p.golang.rdb)
}

// endedJobs come to their end by themselves.
func endedJobs(d rqcompat.Dialect) []values {
	jobs := []values{
		{"id": "none", "func": "tasks.value_none"},
		{"id": "int", "func": "tasks.value_int", "meta": values{"k": 1}},
		{"id": "str", "func": "tasks.value_str", "ttl": 600},
		{"id": "dict", "func": "tasks.value_dict", "result_ttl": 60},
		{"id": "at-once-gone", "func": "tasks.value_int", "result_ttl": 0},
		{"id": "for-ever", "func": "tasks.value_int", "result_ttl": -1},
		{"id": "canceled", "func": "tasks.value_int"},
		{"id": "fails", "func": "tasks.fail"},
		{"id": "fails-60", "func": "tasks.fail", "failure_ttl": 60},
		{"id": "fails-and-is-gone", "func": "tasks.fail", "failure_ttl": 0},
		{"id": "fails-for-ever", "func": "tasks.fail", "failure_ttl": -1},
		{"id": "times-out", "func": "tasks.sleep", "args": []int{5}, "timeout": 1},
		{"id": "unknown", "func": "tasks.no_such_function"},
		{"id": "retries", "func": "tasks.flaky", "kwargs": values{"times": 1}, "retry": values{"max": 2}},
		{"id": "retries-in-vain", "func": "tasks.fail", "retry": values{"max": 1}},
		{"id": "retries-later", "func": "tasks.fail", "retry": values{"max": 3, "interval": []int{40, 80}}},
		{"id": "child", "func": "tasks.value_int", "depends_on": []string{"int"}},
		{"id": "child-of-failed", "func": "tasks.value_int", "depends_on": []string{"fails"}},
		{"id": "tolerant-child", "func": "tasks.value_int", "depends_on": []string{"fails"}, "allow_failure": true},
		{"id": "child-of-two", "func": "tasks.value_int", "depends_on": []string{"str", "retries-later"}},
		{"id": "grandchild", "func": "tasks.value_str", "depends_on": []string{"dict", "child"}},
	}
	if d.Repeat {
		jobs = append(jobs,
			values{"id": "repeats", "func": "tasks.value_int", "repeat": values{"times": 2}},
			values{"id": "repeats-later", "func": "tasks.value_int", "repeat": values{"times": 2, "interval": []int{40, 80}}})
	}
	return jobs
}

// registerValues gives the engine what tasks.py has.
func registerValues(e *bridge.Engine) {
	returns := func(name bridge.JobType[any], value any) {
		bridge.Register(e, name, func(context.Context, *bridge.Job[any]) (any, error) { return value, nil })
	}
	returns("tasks.value_none", nil)
	returns("tasks.value_int", 42)
	returns("tasks.value_str", "grüße")
	returns("tasks.value_dict", map[string]any{"b": []any{1, 2.5, nil, true}, "a": map[string]any{"ä": "ö"}})
	bridge.Register(e, "tasks.sleep", func(ctx context.Context, job *bridge.Job[addition]) (any, error) {
		select {
		case <-time.After(time.Duration(job.Params.Args[0]) * time.Second):
			return job.Params.Args[0], nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	registerTasks(&attempts{})(e)
}

// comparesStopped compares jobs that are stopped, while they run and afterwards. It takes a forking worker to stop one.
func comparesStopped(t *testing.T, p *pair, allowed *allowances) {
	p.enqueue([]values{
		{"id": "stopped", "func": "tasks.sleep", "args": []int{30}},
		{"id": "stopped-retry", "func": "tasks.sleep", "args": []int{30}, "retry": values{"max": 2}},
		{"id": "child-of-stopped", "func": "tasks.value_int", "depends_on": []string{"stopped"}},
	})
	e := p.golang.start(registerValues)
	var burst sync.WaitGroup
	burst.Go(func() {
		if traceback := p.python.try("work.burst", values{"queues": []string{p.queue}, "kind": "forking"}, nil); traceback != "" {
			t.Error(traceback)
		}
	})
	python := rqcompat.NewClient(p.rdb, p.golang.rq.Dialect())
	for _, id := range []string{"stopped", "stopped-retry"} {
		for _, c := range []*rqcompat.Client{python, p.golang.rq} {
			waitFor(t, id+" runs", func() bool {
				job, _ := c.Fetch(t.Context(), id)
				return job != nil && job.Status == rqcompat.StatusStarted
			})
		}
		if id == "stopped" {
			// A forking worker writes its last part in the child.
			time.Sleep(100 * time.Millisecond)
			allowed.compare(t, p.golang.version, "running", p.dumps)
		}
		for _, c := range []*rqcompat.Client{python, p.golang.rq} {
			if _, err := c.SendStop(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			waitFor(t, id+" is stopped", func() bool {
				job, _ := c.Fetch(t.Context(), id)
				return job != nil && job.Status == rqcompat.StatusStopped
			})
		}
	}
	burst.Wait()
	p.quiet()
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	allowed.compare(t, p.golang.version, "stopped", p.dumps)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// comparesEnqueued compares what producers write.
func comparesEnqueued(t *testing.T, p *pair, allowed *allowances) {
	retry := values{"max": 3, "interval": []int{5, 7}}
	p.python.call("produce.jobs", values{"queue": p.queue, "jobs": []values{
		{"id": "plain", "func": "tasks.add", "args": []any{1, "zwei"}, "kwargs": nil},
		{"id": "options", "func": "tasks.echo", "kwargs": values{"a": 2.5, "b": nil}, "timeout": 60, "ttl": 600, "result_ttl": 40, "failure_ttl": -1,
			"meta": values{"k": "v"}, "description": "a job", "retry": retry, "on_success": "tasks.on_success", "on_failure": "tasks.on_failure"},
		{"id": "front", "func": "tasks.value_int", "at_front": true},
		{"id": "child", "func": "tasks.value_int", "depends_on": []string{"plain", "options"}},
		{"id": "child-of-nobody", "func": "tasks.value_int", "depends_on": []string{"nobody"}},
		{"id": "tolerant", "func": "tasks.value_int", "depends_on": []string{"plain"}, "allow_failure": true},
		{"id": "later", "func": "tasks.value_int", "delay": 100},
	}}, nil)
	kwargs := &pickle.Dict{Items: []pickle.Pair{{Key: "a", Value: 2.5}, {Key: "b"}}}
	for _, r := range []rqcompat.Request{
		{ID: "plain", Call: call("tasks.add", 1, "zwei")},
		{ID: "options", Call: rqcompat.Call{Func: "tasks.echo", Kwargs: kwargs}, Timeout: seconds(60), TTL: seconds(600), ResultTTL: seconds(40), FailureTTL: seconds(-1),
			Meta: map[string]any{"k": "v"}, Description: "a job", RetryMax: 3, RetryIntervals: []int64{5, 7},
			SuccessCallback: rqcompat.Callback{Name: "tasks.on_success"}, FailureCallback: rqcompat.Callback{Name: "tasks.on_failure"}},
		{ID: "front", Call: call("tasks.value_int"), AtFront: true},
		{ID: "child", Call: call("tasks.value_int"), DependsOn: []string{"plain", "options"}},
		{ID: "child-of-nobody", Call: call("tasks.value_int"), DependsOn: []string{"nobody"}},
		{ID: "tolerant", Call: call("tasks.value_int"), DependsOn: []string{"plain"}, AllowDependencyFailures: true},
		{ID: "later", Call: call("tasks.value_int"), At: time.Now().Add(100 * time.Second)},
	} {
		r.Queue = p.queue
		if _, err := p.golang.rq.Enqueue(t.Context(), r); err != nil {
			t.Error(errors.Join(fmt.Errorf("%s", r.ID), err))
		}
	}
	allowed.compare(t, p.golang.version, "enqueued", p.dumps)
}

// comparesAbandoned compares what cleaning makes of jobs whose Python worker died.
func comparesAbandoned(t *testing.T, p *pair, allowed *allowances) {
	p.enqueue([]values{
		{"id": "dead", "func": "tasks.value_int", "failure_ttl": 60},
		{"id": "dead-retry", "func": "tasks.value_int", "retry": values{"max": 1}},
		{"id": "dead-later", "func": "tasks.value_int", "retry": values{"max": 2, "interval": 40}},
		{"id": "child", "func": "tasks.value_int", "depends_on": []string{"dead"}},
		{"id": "tolerant", "func": "tasks.value_int", "depends_on": []string{"dead"}, "allow_failure": true},
	})
	for _, rdb := range []*redis.Client{p.rdb, p.golang.rdb} {
		for _, id := range []string{"dead", "dead-retry", "dead-later"} {
			p.leavesStarted(rdb, id)
		}
		rdb.ZAdd(t.Context(), rqcompat.RegistryKey(rqcompat.Finished, p.queue), redis.Z{Score: 5, Member: "expired"})
		rdb.ZAdd(t.Context(), rqcompat.RegistryKey(rqcompat.Failed, p.queue), redis.Z{Score: 5, Member: "expired"})
		rdb.SAdd(t.Context(), rqcompat.WorkersKey(), "rq:worker:expired")
		rdb.SAdd(t.Context(), rqcompat.QueueWorkersKey(p.queue), "rq:worker:expired")
	}
	p.python.call("work.clean", values{"queues": []string{p.queue}}, nil)
	if _, err := p.golang.rq.Maintain(t.Context(), p.queue, func(string) bool { return false }); err != nil {
		t.Error(err)
	}
	allowed.compare(t, p.golang.version, "abandoned", p.dumps)
}

// leavesStarted makes a queued job look as a Python worker leaves it that is killed while it runs it.
func (p *pair) leavesStarted(rdb *redis.Client, id string) {
	ctx, now := p.t.Context(), time.Now()
	execution := "0123456789abcdef0123456789abcdef"
	rdb.LRem(ctx, rqcompat.QueueKey(p.queue), 1, id)
	started := rqcompat.FormatTime(now.Add(-100 * time.Second))
	rdb.HSet(ctx, rqcompat.JobKey(id), "status", "started", "started_at", started, "last_heartbeat", started, "worker_name", "killed")
	rdb.ZAdd(ctx, rqcompat.WipKey(p.queue), redis.Z{Score: float64(now.Unix() - 5), Member: p.golang.rq.Dialect().WipMember(id, execution)})
	if p.golang.rq.Dialect().CompositeWip {
		rdb.HSet(ctx, rqcompat.ExecutionKey(id, execution), "id", execution, "created_at", "1795434264.790012", "last_heartbeat", "1795434264.790012")
		rdb.ZAdd(ctx, rqcompat.ExecutionsKey(id), redis.Z{Score: float64(now.Unix() + 55), Member: execution})
	}
}
