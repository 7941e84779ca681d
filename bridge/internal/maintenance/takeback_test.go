package maintenance

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const missingModule = "Traceback (most recent call last):\n  …\nModuleNotFoundError: No module named 'app.go'\n"

// failedJobs are the failed registries of both queues.
type failedJobs struct {
	*bench
	members map[string][]string // ids by queue
	jobs    map[string]*rqcompat.FetchResult
	results map[string][]rqcompat.Result
	errs    map[string]error // by "members <queue>", "results <id>", "requeue <id>"
	verdict map[string]route.Verdict
	fetched []string
	routed  []job.Queue
	faults  []error
}

func (f *failedJobs) Members(_ context.Context, reg rqcompat.Registry, queue string, from, to int64) (out []rqcompat.Member, err error) {
	if reg != rqcompat.Failed || from != 0 || to != -1 {
		f.tell("asked for %d to %d of %s", from, to, reg)
	}
	for _, id := range f.members[queue] {
		out = append(out, rqcompat.Member{ID: id})
	}
	return out, f.errs["members "+queue]
}

func (f *failedJobs) Fetch(_ context.Context, id string) (*rqcompat.Job, error) {
	f.fetched = append(f.fetched, id)
	if r := f.jobs[id]; r != nil {
		return r.Job, r.Err
	}
	return &rqcompat.Job{ID: id, WorkerName: "python-1"}, nil
}

func (f *failedJobs) Results(_ context.Context, id string) ([]rqcompat.Result, error) {
	if r, ok := f.results[id]; ok {
		return r, f.errs["results "+id]
	}
	return []rqcompat.Result{{ExcString: missingModule}, {ExcString: "an older one"}}, f.errs["results "+id]
}

func (f *failedJobs) Requeue(_ context.Context, id string, atFront bool) error {
	f.tell("requeue %s at the front: %v", id, atFront)
	return f.errs["requeue "+id]
}

func (f *failedJobs) Route(_ context.Context, q job.Queue, found []route.Found) []route.Routed {
	f.routed = append(f.routed, q)
	f.faults = append(f.faults, found[0].Fault)
	return []route.Routed{{Verdict: f.verdict[found[0].Job.ID]}}
}

func newFailed(ids ...string) *failedJobs {
	return &failedJobs{
		bench: newBench(), members: map[string][]string{"b:go": ids}, jobs: map[string]*rqcompat.FetchResult{},
		results: map[string][]rqcompat.Result{}, errs: map[string]error{}, verdict: map[string]route.Verdict{},
	}
}

func (f *failedJobs) takeBack() *TakeBack {
	return NewTakeBack(TakeBackParams{RQ: f, Route: f.Route, Queues: queues, Log: f.logger()})
}

func TestTakeBack(t *testing.T) {
	requeued := []string{"requeue a at the front: true"}
	exc := func(text string) func(*failedJobs) {
		return func(f *failedJobs) { f.results["a"] = []rqcompat.Result{{ExcString: text}} }
	}
	tests := map[string]struct {
		before func(*failedJobs)
		story  []string
		err    string
		stays  bool // isn't looked at again
		log    bool
	}{
		"Python lacked its module":    {func(*failedJobs) {}, requeued, "", false, true},
		"Python lacked its app":       {exc("x\nfrappe.exceptions.AppNotInstalledError: App go is not installed"), requeued, "", false, true},
		"Python lacked its function":  {exc("AttributeError: module 'app' has no attribute 'go'"), requeued, "", false, true},
		"Python's import_attribute":   {exc("ValueError: Invalid attribute name: go.plain"), requeued, "", false, true},
		"Python failed by itself":     {exc("ZeroDivisionError: division by zero"), nil, "", true, false},
		"only its stack has the word": {exc("ImportError: x\nZeroDivisionError: division by zero"), nil, "", true, false},
		"a job without a result":      {func(f *failedJobs) { f.results["a"] = nil }, nil, "", true, false},
		"a job of ours": {func(f *failedJobs) {
			f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a", WorkerName: "bridge-1"}}
		}, nil, "", true, false},
		"a job that is gone":             {func(f *failedJobs) { f.jobs["a"] = &rqcompat.FetchResult{Err: rqcompat.ErrNoSuchJob} }, nil, "", true, false},
		"a job that can't be read":       {func(f *failedJobs) { f.jobs["a"] = &rqcompat.FetchResult{Err: errBroken} }, nil, "broken connection", false, false},
		"results that can't be read":     {func(f *failedJobs) { f.errs["results a"] = errBroken }, nil, "broken connection", false, false},
		"a job that Python alone can do": {func(f *failedJobs) { f.verdict["a"] = route.Foreign }, nil, "", true, false},
		"a job that isn't ready":         {func(f *failedJobs) { f.verdict["a"] = route.Unready }, nil, "", false, false},
		"a job that is held":             {func(f *failedJobs) { f.verdict["a"] = route.Held }, nil, "", false, false},
		"somebody else was faster":       {func(f *failedJobs) { f.errs["requeue a"] = rqcompat.ErrNotRequeueable }, requeued, "", false, false},
		"it was deleted meanwhile":       {func(f *failedJobs) { f.errs["requeue a"] = rqcompat.ErrNoSuchJob }, requeued, "", false, false},
		"it can't be requeued":           {func(f *failedJobs) { f.errs["requeue a"] = errBroken }, requeued, "broken connection", false, false},
		"a field can't be read": {func(f *failedJobs) {
			f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a", WorkerName: "python-1"}, Err: errBroken}
			f.verdict["a"] = route.Foreign
		}, nil, "", true, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFailed("a")
			tc.before(f)
			s := f.takeBack()
			err := s.Do(t.Context())
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			f.wantStory(t, name, tc.story...)
			if logged := strings.Contains(f.log.String(), "a Python worker took a Go job and could not run it; it is queued again"); logged != tc.log {
				t.Errorf("logged: %v, want %v:\n%s", logged, tc.log, f.log.String())
			}
			for _, q := range f.routed {
				if q.Own || q.Name != "b:go" {
					t.Errorf("routed as of the queue %+v, want as on a shared one: what nobody here can run must not become ours to fail", q)
				}
			}
			looked := len(f.fetched)
			_ = s.Do(t.Context()) // its error was looked at
			if again := len(f.fetched) > looked; again == tc.stays {
				t.Errorf("looked at again: %v, want %v", again, !tc.stays)
			}
		})
	}
	f := newFailed("a")
	f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a"}, Err: errBroken}
	if err := f.takeBack().Do(t.Context()); err != nil || len(f.faults) != 1 || f.faults[0] != errBroken {
		t.Errorf("%v, a broken hash is routed with %v, want its fault", err, f.faults)
	}
}

// TestTakesBackAsOftenAsPythonFails: a Python worker that waits on the queue may be faster than every bridge, again and
// again.
func TestTakesBackAsOftenAsPythonFails(t *testing.T) {
	f := newFailed("a")
	s := f.takeBack()
	for range 3 {
		if err := s.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.story); n != 3 {
		t.Errorf("requeued %d times of 3", n)
	}
}

// TestWhatLeftTheRegistryIsForgotten: it may fail another time, by Python's hand.
func TestWhatLeftTheRegistryIsForgotten(t *testing.T) {
	f := newFailed("a", "b")
	f.members["b:default"] = []string{"a"} // of the same id, on another queue
	f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a", WorkerName: "bridge-1"}}
	s := f.takeBack()
	do := func() (looked []string) {
		t.Helper()
		f.fetched = nil
		if err := s.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f.fetched
	}
	if got := do(); !slices.Equal(got, []string{"a", "b", "a"}) {
		t.Errorf("looked at %v, want both queues", got)
	}
	f.members["b:go"] = []string{"b"}
	do()
	if s.stays["b:go"]["a"] || !s.stays["b:default"]["a"] {
		t.Errorf("remembered are %v, want the one that is still there", s.stays)
	}
	f.members["b:go"] = []string{"a", "b"}
	if got := do(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("looked at %v, want a again, which was away, and b", got)
	}
}

// TestTakeBackGoesOn: one job that can't be read must not keep the others, but for a Redis that is away.
func TestTakeBackGoesOn(t *testing.T) {
	f := newFailed("odd", "a")
	f.members["b:default"] = []string{"b"}
	f.jobs["odd"] = &rqcompat.FetchResult{Err: errBroken}
	if err := f.takeBack().Do(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want that of the odd one", err)
	}
	f.wantStory(t, "the others", "requeue a at the front: true", "requeue b at the front: true")
	f.jobs["odd"].Err, f.fetched = io.EOF, nil
	if err := f.takeBack().Do(t.Context()); !errors.Is(err, io.EOF) || !slices.Equal(f.fetched, []string{"odd", "b"}) {
		t.Errorf("Redis is away: %v after looking at %v, want no other of that queue", err, f.fetched)
	}
	f.errs["members b:go"], f.fetched = errBroken, nil
	if err := f.takeBack().Do(t.Context()); !errors.Is(err, errBroken) || !slices.Equal(f.fetched, []string{"b"}) {
		t.Errorf("a registry that can't be read: %v after looking at %v, want the other queue's", err, f.fetched)
	}
}
