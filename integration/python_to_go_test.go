package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// attempts counts how often each job was run.
type attempts struct {
	mu   sync.Mutex
	runs map[string]int
}

func (a *attempts) next(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runs == nil {
		a.runs = map[string]int{}
	}
	a.runs[id]++
	return a.runs[id]
}

func (a *attempts) of(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.runs[id]
}

type addition struct {
	Args []int `json:"args"`
}

type flaky struct {
	Times int `json:"times"`
}

// registerTasks gives the engine handlers under the names of testdata/python/tasks.py and site_tasks.py.
func registerTasks(runs *attempts) func(*bridge.Engine) {
	return func(e *bridge.Engine) {
		bridge.Register(e, "tasks.add", func(_ context.Context, job *bridge.Job[addition]) (any, error) {
			runs.next(job.ID)
			return job.Params.Args[0] + job.Params.Args[1], nil
		})
		bridge.Register(e, "tasks.echo", func(_ context.Context, job *bridge.Job[json.RawMessage]) (any, error) {
			runs.next(job.ID)
			return job.Params, nil
		})
		bridge.Register(e, "tasks.flaky", func(_ context.Context, job *bridge.Job[flaky]) (any, error) {
			n := runs.next(job.ID)
			if n <= job.Params.Times {
				return nil, fmt.Errorf("run %d fails", n)
			}
			return n, nil
		})
		bridge.Register(e, "tasks.fail", func(_ context.Context, job *bridge.Job[any]) (any, error) {
			runs.next(job.ID)
			return nil, errors.New("boom")
		})
		bridge.Register(e, "site_tasks.report", func(_ context.Context, job *bridge.Job[json.RawMessage]) (any, error) {
			runs.next(job.ID)
			return map[string]any{"report": job.Params, "user": job.User, "site": job.Site}, nil
		})
	}
}

// TestPythonProducesGoRuns enqueues with RQ's own API, and as Frappe does, what Go handlers run, and reads what came
// of it with RQ's API again.
func TestPythonProducesGoRuns(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		runs := &attempts{}
		cases := pythonJobs(f)
		var ids []string
		for _, c := range cases {
			if c.method != "" {
				ids = append(ids, f.frappeEnqueue("go", c.method, c.job))
			} else {
				ids = append(ids, f.enqueue(f.own(), c.job)...)
			}
		}
		f.py.call("look.cancel", values{"id": "canceled"}, nil)
		var many, group []string
		f.py.call("produce.many", values{"queue": f.own(), "func": "tasks.add", "count": 30, "args": []int{1, 2}}, &many)
		if f.rq.Dialect().Major == 2 {
			f.py.call("produce.many", values{"queue": f.own(), "func": "tasks.add", "count": 3, "args": []int{1, 2}, "group": "g"}, &group)
		}
		f.start(registerTasks(runs))
		for i, c := range cases {
			f.waitStatus(ids[i], c.status)
		}
		found := f.py.jobs(ids...)
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) { c.check(t, f, found[ids[i]], runs.of(ids[i])) })
		}
		for _, id := range append(many, group...) {
			f.waitStatus(id, rqcompat.StatusFinished)
			want(t, "runs of "+id, runs.of(id), 1)
		}
		left := f.py.registries(f.own())
		want(t, "queued", left["queued"], nil)
		want(t, "started", left["started"], nil)
		want(t, "scheduled", left["scheduled"], nil)
		want(t, "deferred", fmt.Sprint(left["deferred"]), "[child-of-failed]")
		want(t, "canceled", fmt.Sprint(left["canceled"]), "[canceled]")
	})
}

// pythonJob is a job that Python enqueues and what is to become of it.
type pythonJob struct {
	name   string
	method string // set for what goes through frappe.enqueue
	job    values
	status rqcompat.Status
	value  string // JSON
	runs   int
	exc    string // a part of the failure's text
}

const everyKindOfValue = `{"none":null,"yes":true,"int":7,"big":1180591620717411303424,"float":2.5,"text":"Grüße 🚀","list":[1,[2,{"x":null}]],"dict":{"b":1,"a":2},"empty":{}}`

func pythonJobs(f *fleet) []pythonJob {
	var everything values
	_ = json.Unmarshal([]byte(everyKindOfValue), &everything)
	everything["big"] = json.Number("1180591620717411303424")
	finished, failed := rqcompat.StatusFinished, rqcompat.StatusFailed
	cases := []pythonJob{
		{name: "positional", job: values{"id": "add", "args": []int{2, 3}}, status: finished, value: "5", runs: 1},
		{name: "function object", job: values{"id": "reference", "reference": true, "args": []int{3, 4}}, status: finished, value: "7", runs: 1},
		{name: "every kind of value", job: values{"id": "echo", "func": "tasks.echo", "kwargs": everything}, status: finished, value: everyKindOfValue, runs: 1},
		{name: "meta and ttl", job: values{"id": "meta", "args": []int{1, 1}, "meta": values{"k": "v"}, "ttl": 600, "result_ttl": 60, "description": "two"}, status: finished, value: "2", runs: 1},
		{name: "retries", job: values{"id": "retries", "func": "tasks.flaky", "kwargs": values{"times": 2}, "retry": values{"max": 3}}, status: finished, value: "3", runs: 3},
		{name: "retry after a pause", job: values{"id": "pause", "func": "tasks.flaky", "kwargs": values{"times": 1}, "retry": values{"max": 1, "interval": 1}}, status: finished, value: "2", runs: 2},
		{name: "retries exhausted", job: values{"id": "exhausted", "func": "tasks.fail", "retry": values{"max": 1}}, status: failed, runs: 2, exc: "boom"},
		{name: "later", job: values{"id": "later", "args": []int{4, 4}, "delay": 1}, status: finished, value: "8", runs: 1},
		{name: "child", job: values{"id": "child", "args": []int{5, 5}, "depends_on": []string{"add", "pause"}}, status: finished, value: "10", runs: 1},
		{name: "child of failed", job: values{"id": "child-of-failed", "args": []int{5, 5}, "depends_on": []string{"exhausted"}}, status: rqcompat.StatusDeferred},
		{name: "child of failed that does not mind", job: values{"id": "tolerant", "args": []int{6, 6}, "depends_on": []string{"exhausted"}, "allow_failure": true}, status: finished, value: "12", runs: 1},
		{name: "canceled before", job: values{"id": "canceled", "args": []int{1, 1}}, status: rqcompat.StatusCanceled},
		{name: "Python callback", job: values{"id": "callback", "args": []int{1, 1}, "on_success": "tasks.on_success"}, status: finished, value: "2", runs: 1},
		{name: "no handler", job: values{"id": "nobody", "func": "tasks.describe"}, status: failed, exc: `no handler for "tasks.describe"`},

		{name: "frappe.enqueue", method: "site_tasks.report", job: values{"job_id": "fr-1", "user": "jane@example.com", "invoice": "INV-1", "copies": 2}, status: finished,
			value: `{"report":{"invoice":"INV-1","copies":2},"user":"jane@example.com","site":"site1.localhost"}`, runs: 1},
		{name: "frappe.enqueue of a function", method: "site_tasks.report", job: values{"reference": true, "job_id": "fr-2"}, status: finished,
			value: `{"report":{},"user":"Administrator","site":"site1.localhost"}`, runs: 1},
		{name: "frappe.enqueue with a callback", method: "site_tasks.report", job: values{"job_id": "fr-3", "on_success": "tasks.on_success"}, status: finished,
			value: `{"report":{},"user":"Administrator","site":"site1.localhost"}`, runs: 1},
		{name: "frappe.enqueue of what nobody has", method: "erpnext.nothing", job: values{"job_id": "fr-4"}, status: failed, exc: `no handler for "erpnext.nothing"`},
	}
	if f.rq.Dialect().Repeat {
		cases = append(cases, pythonJob{name: "repeat", job: values{"id": "repeat", "args": []int{1, 2}, "repeat": values{"times": 2}}, status: finished, value: "3", runs: 3})
	}
	return cases
}

func (c pythonJob) check(t *testing.T, f *fleet, got *seen, runs int) {
	if got == nil {
		t.Fatal("Job.fetch does not find it")
	}
	want(t, "status", got.Status, string(c.status))
	want(t, "runs", runs, c.runs)
	switch c.status {
	case rqcompat.StatusFinished:
		c.checkValue(t, got)
		want(t, "type of the latest result", got.Result, "SUCCESSFUL")
		if !got.Started || got.Took == nil || *got.Took < 0 || got.Worker == "" {
			t.Errorf("started %v, took %v, worker %q", got.Started, got.Took, got.Worker)
		}
		ttl := int64(500)
		if c.method != "" {
			ttl = 600
		} else if v, ok := c.job["result_ttl"].(int); ok {
			ttl = int64(v)
		}
		if got.TTL > ttl || got.TTL < ttl-60 {
			t.Errorf("ttl %d, want about %d", got.TTL, ttl)
		}
	case rqcompat.StatusFailed:
		want(t, "type of the latest result", got.Result, "FAILED")
		if !strings.HasPrefix(got.Exc, "Traceback (most recent call last):\n") || !strings.Contains(got.Exc, c.exc) {
			t.Errorf("exc %q, want a traceback with %q", got.Exc, c.exc)
		}
		if !got.Started || !got.Ended {
			t.Errorf("started %v, ended %v", got.Started, got.Ended)
		}
	default:
		if got.Result != "" || got.Started {
			t.Errorf("result %q, started %v of a job that never ran", got.Result, got.Started)
		}
	}
	if meta, ok := c.job["meta"]; ok && !cmp.Equal(fmt.Sprint(got.Meta), fmt.Sprint(meta)) {
		t.Errorf("meta %v, want %v", got.Meta, meta)
	}
}

func (c pythonJob) checkValue(t *testing.T, got *seen) {
	t.Helper()
	var wanted any
	d := json.NewDecoder(strings.NewReader(c.value))
	d.UseNumber()
	if err := d.Decode(&wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got.Value); diff != "" {
		t.Errorf("return value (-want +got):\n%s", diff)
	}
}
