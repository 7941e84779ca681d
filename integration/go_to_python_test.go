package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// TestGoProducesPythonRuns enqueues from Go what RQ's own workers run, and reads what came of it from Go.
func TestGoProducesPythonRuns(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		for _, kind := range []string{"simple", "forking"} {
			t.Run(kind, func(t *testing.T) {
				f.rdb.FlushAll(t.Context())
				runGoJobs(t, f, kind)
			})
		}
	})
}

// goJob is a request of Go and what a Python worker is to make of it.
type goJob struct {
	name    string
	request rqcompat.Request
	// first is the status after the workers ran once, last after what was due was moved and they ran again.
	first, last rqcompat.Status
	value       any    // of a finished job
	exc         string // the last line of a failed one
	gone        bool   // the job is deleted at its end
}

func call(function string, args ...any) rqcompat.Call {
	return rqcompat.Call{Func: function, Args: args}
}

func seconds(n int64) *int64 { return &n }

func goJobs(f *fleet) []goJob {
	finished, failed, scheduled, deferred := rqcompat.StatusFinished, rqcompat.StatusFailed, rqcompat.StatusScheduled, rqcompat.StatusDeferred
	kwargs := &pickle.Dict{}
	kwargs.Set("d", &pickle.Dict{Items: []pickle.Pair{{Key: int64(1), Value: "one"}}})
	kwargs.Set("b", pickle.Bytes("\x00\xff"))
	due := time.Now().Add(1200 * time.Millisecond)
	cases := []goJob{
		{name: "add", request: rqcompat.Request{Call: call("tasks.add", 2, 3)}, last: finished, value: int64(5)},
		{name: "values", request: rqcompat.Request{Call: rqcompat.Call{Func: "tasks.describe", Kwargs: kwargs,
			Args: []any{nil, true, 1 << 40, 0.5, "ü", []any{1, "a"}, &pickle.Tuple{Items: []any{int64(1)}}, &pickle.Set{Items: []any{int64(2)}}}}},
			last: finished, value: `((None, True, 1099511627776, 0.5, 'ü', [1, 'a'], (1,), {2}), [('b', b'\x00\xff'), ('d', {1: 'one'})])`},
		{name: "meta", request: rqcompat.Request{Call: call("tasks.meta"), Meta: map[string]any{"k": "v"}, Extra: map[string]string{"my_field": "x"}}, last: finished, value: map[string]any{"k": "v"}},
		{name: "fails", request: rqcompat.Request{Call: call("tasks.fail"), FailureCallback: rqcompat.Callback{Name: "tasks.on_failure"}}, last: failed, exc: "ValueError: boom"},
		{name: "retried", request: rqcompat.Request{Call: call("tasks.flaky", 2), RetryMax: 2}, last: finished, value: int64(3)},
		{name: "retried-later", request: rqcompat.Request{Call: call("tasks.flaky", 1), RetryMax: 1, RetryIntervals: []int64{1}}, first: scheduled, last: finished, value: int64(2)},
		{name: "child", request: rqcompat.Request{Call: call("tasks.add", 1, 1), DependsOn: []string{"add", "retried-later"}}, first: deferred, last: finished, value: int64(2)},
		{name: "child-of-failed", request: rqcompat.Request{Call: call("tasks.add", 1, 1), DependsOn: []string{"fails"}}, first: deferred, last: deferred},
		{name: "tolerant", request: rqcompat.Request{Call: call("tasks.add", 2, 2), DependsOn: []string{"fails"}, AllowDependencyFailures: true}, last: finished, value: int64(4)},
		{name: "later", request: rqcompat.Request{Call: call("tasks.add", 3, 3), At: due}, first: scheduled, last: finished, value: int64(6)},
		{name: "note-1", request: rqcompat.Request{Call: call("tasks.note", "back"), TTL: seconds(600)}, last: finished, value: "back"},
		{name: "note-2", request: rqcompat.Request{Call: call("tasks.note", "front"), AtFront: true}, last: finished, value: "front"},
		{name: "for-ever", request: rqcompat.Request{Call: call("tasks.value_none"), ResultTTL: seconds(-1), SuccessCallback: rqcompat.Callback{Name: "tasks.on_success"}}, last: finished},
		{name: "at-once-gone", request: rqcompat.Request{Call: call("tasks.value_int"), ResultTTL: seconds(0)}, gone: true},
		{name: "unknown", request: rqcompat.Request{Call: call("tasks.no_such_function")}, last: failed, exc: "no_such_function"},
	}
	if !f.plainIDs() {
		cases = append(cases, goJob{name: f.jobID("with-site"), request: rqcompat.Request{Call: call("tasks.add", 1, 0)}, last: finished, value: int64(1)})
	}
	for i := range cases {
		cases[i].request.ID, cases[i].request.Queue = cases[i].name, f.shared()
		if cases[i].first == "" {
			cases[i].first = cases[i].last
		}
	}
	return cases
}

func runGoJobs(t *testing.T, f *fleet, kind string) {
	cases := goJobs(f)
	for _, c := range cases {
		if _, err := f.rq.Enqueue(t.Context(), c.request); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	again := cases[0].request
	again.Deduplicate = true
	if _, err := f.rq.Enqueue(t.Context(), again); !errors.Is(err, rqcompat.ErrDuplicateJob) {
		t.Errorf("a second job of the same id: %v, want ErrDuplicateJob", err)
	}
	frappeID := enqueueMethod(t, f)
	many := enqueueMany(t, f)

	due := time.Now().Add(2200 * time.Millisecond)
	f.burst(kind, false, f.shared())
	for _, c := range cases {
		checkGoJob(t, f, c, c.first, kind)
	}
	// A worker of two queues pops in another way than a worker of one.
	time.Sleep(time.Until(due))
	f.burst(kind, true, f.shared(), f.own())
	for _, c := range cases {
		checkGoJob(t, f, c, c.last, kind)
	}
	for _, id := range many {
		want(t, id, statusOf(fetch(t, f, id)), "finished")
	}
	want(t, "order of at front", fmt.Sprint(f.rdb.LRange(t.Context(), "test:notes", 0, -1).Val()), "[front back]")
	callbacks := strings.Join(f.rdb.LRange(t.Context(), "test:callbacks", 0, -1).Val(), "\n")
	want(t, "callbacks", callbacks, "failure fails ValueError\nsuccess for-ever None")
	if frappeID != "" {
		checkResult(t, f, frappeID, map[string]any{"report": map[string]any{"invoice": "INV-1"}})
	}
}

// enqueueMethod enqueues through the client of package bridge what Frappe's execute_job runs. RQ 2.10 refuses the ids
// that Frappe 16 makes.
func enqueueMethod(t *testing.T, f *fleet) string {
	t.Helper()
	job, err := f.client().Enqueue(t.Context(), bridge.EnqueueRequest{Site: site, Method: "site_tasks.report", Kwargs: map[string]any{"invoice": "INV-1"}, ID: "report"})
	if f.plainIDs() {
		if !errors.Is(err, rqcompat.ErrBadRequest) {
			t.Errorf("an id that RQ %s can't read was accepted: %v", f.version, err)
		}
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return job.ID
}

func enqueueMany(t *testing.T, f *fleet) (ids []string) {
	t.Helper()
	requests := make([]rqcompat.Request, 20)
	for i := range requests {
		requests[i] = rqcompat.Request{Queue: f.own(), ID: fmt.Sprintf("many-%d", i), Call: call("tasks.add", i, i)}
		ids = append(ids, requests[i].ID)
	}
	if _, err := f.rq.EnqueueMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	return ids
}

func fetch(t *testing.T, f *fleet, id string) *rqcompat.Job {
	t.Helper()
	job, err := f.rq.Fetch(t.Context(), id)
	if err != nil && !errors.Is(err, rqcompat.ErrNoSuchJob) {
		t.Errorf("fetch %s: %v", id, err)
	}
	return job
}

func checkGoJob(t *testing.T, f *fleet, c goJob, status rqcompat.Status, kind string) {
	t.Helper()
	job := fetch(t, f, c.name)
	if c.gone {
		if job != nil {
			t.Errorf("%s is still there: %s", c.name, job.Status)
		}
		return
	}
	if job == nil || job.Status != status {
		t.Errorf("%s is %s, want %s", c.name, statusOf(job), status)
		return
	}
	want(t, c.name+": extra field", job.Extra["my_field"], c.request.Extra["my_field"])
	switch status {
	case rqcompat.StatusFinished:
		checkResult(t, f, c.name, c.value)
		if job.WorkerName == "" || job.EndedAt.Before(job.StartedAt) {
			t.Errorf("%s: worker %q, from %s to %s", c.name, job.WorkerName, job.StartedAt, job.EndedAt)
		}
	case rqcompat.StatusFailed:
		results, err := f.rq.Results(t.Context(), c.name)
		if err != nil || len(results) != 1 || results[0].Type != rqcompat.ResultFailed || !strings.Contains(results[0].ExcString, c.exc) {
			t.Errorf("%s: results %+v, %v; want a failure with %q", c.name, results, err, c.exc)
		}
	}
}

func checkResult(t *testing.T, f *fleet, id string, value any) {
	t.Helper()
	results, err := f.rq.Results(t.Context(), id)
	if err != nil || len(results) != 1 || results[0].Type != rqcompat.ResultSuccessful {
		t.Errorf("%s: results %+v, %v; want one success", id, results, err)
		return
	}
	got, err := results[0].Value()
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return
	}
	plain, _ := pickle.Plain(got)
	want(t, id+": value", fmt.Sprintf("%#v", plain), fmt.Sprintf("%#v", value))
}
