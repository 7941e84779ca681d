package maintenance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const missingModule = "Traceback (most recent call last):\n  …\nModuleNotFoundError: No module named 'app.go'\n"

// failedJobs are the failed registries of both queues.
type failedJobs struct {
	*bench
	members map[string][]rqcompat.Member // by queue, lowest score first
	jobs    map[string]*rqcompat.FetchResult
	results map[string][]rqcompat.Result
	errs    map[string]error // by "members <queue>", "fetch", "results <id>"
	verdict map[string]route.Verdict
	ranges  []int64
	fetched []string
	routed  []job.Queue
	large   map[string]bool
	alone   []string
	faults  []error
	taken   []*job.Queued
	paused  bool
}

func (f *failedJobs) Members(_ context.Context, reg rqcompat.Registry, queue string, from, to int64) ([]rqcompat.Member, error) {
	if reg != rqcompat.Failed || to != -1 {
		f.tell("asked for %d to %d of %s", from, to, reg) // takes the lock itself
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ranges = append(f.ranges, from)
	all := f.members[queue]
	if from < 0 {
		all = all[max(len(all)+int(from), 0):]
	}
	return all, f.errs["members "+queue]
}

func (f *failedJobs) FetchMany(_ context.Context, ids []string) (out []*rqcompat.FetchResult, err error) {
	f.fetched = append(f.fetched, ids...)
	for _, id := range ids {
		r := f.jobs[id]
		if r == nil {
			r = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: id, WorkerName: "python-1", Status: rqcompat.StatusFailed, EndedAt: time.Now()}}
		}
		out = append(out, r)
	}
	return out, f.errs["fetch"]
}

func (f *failedJobs) FetchSmall(ctx context.Context, ids []string, most int) ([]*rqcompat.FetchResult, error) {
	out, err := f.FetchMany(ctx, ids)
	for i, id := range ids {
		if f.large[id] {
			out[i] = &rqcompat.FetchResult{Err: rqcompat.ErrLarge}
		}
	}
	return out, err
}

// Alone takes what Route finds too heavy.
func (f *failedJobs) Alone(_ context.Context, q job.Queue, found route.Found) (route.Routed, error) {
	f.alone = append(f.alone, found.Job.ID)
	return route.Routed{Queued: &job.Queued{ID: found.Job.ID, Queue: q}}, nil
}

func (f *failedJobs) Results(_ context.Context, id string) ([]rqcompat.Result, error) {
	if r, ok := f.results[id]; ok {
		return r, f.errs["results "+id]
	}
	return []rqcompat.Result{{ExcString: missingModule}, {ExcString: "an older one"}}, f.errs["results "+id]
}

func (f *failedJobs) Route(_ context.Context, q job.Queue, found []route.Found) []route.Routed {
	f.routed = append(f.routed, q)
	f.faults = append(f.faults, found[0].Fault)
	return []route.Routed{{Verdict: f.verdict[found[0].Job.ID], Queued: &job.Queued{ID: found[0].Job.ID, Queue: q}}}
}

func newFailed(ids ...string) *failedJobs {
	f := &failedJobs{
		bench: newBench(), members: map[string][]rqcompat.Member{}, jobs: map[string]*rqcompat.FetchResult{},
		results: map[string][]rqcompat.Result{}, errs: map[string]error{}, verdict: map[string]route.Verdict{},
	}
	for i, id := range ids {
		f.members["b:go"] = append(f.members["b:go"], rqcompat.Member{ID: id, Score: float64(i)})
	}
	return f
}

func (f *failedJobs) takeBack() *TakeBack {
	return NewTakeBack(TakeBackParams{RQ: f, Router: f, Queues: queues[:1], Log: f.logger(), Paused: func(context.Context, string) bool { return f.paused }, Take: func(q *job.Queued) { f.taken = append(f.taken, q) }})
}

func TestNothingIsTakenBackFromAPausedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failedJobs{bench: &bench{}, paused: true}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		f.takeBack().Run(ctx)
		if len(f.ranges) > 0 {
			t.Errorf("the failed registry of a paused queue was read %d times, want never", len(f.ranges))
		}
	})
}

func TestTakeBack(t *testing.T) {
	exc := func(text string) func(*failedJobs) {
		return func(f *failedJobs) { f.results["a"] = []rqcompat.Result{{ExcString: text}} }
	}
	old := func(text string) func(*failedJobs) {
		return func(f *failedJobs) {
			exc(text)(f)
			f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{
				ID: "a", WorkerName: "python-1", Status: rqcompat.StatusFailed, EndedAt: time.Now().Add(-2 * time.Hour),
			}}
		}
	}
	tests := map[string]struct {
		before func(*failedJobs)
		why    string // it is taken; what its log says
		err    string
		stays  bool // isn't looked at again
	}{
		"Python lacked its module":                             {func(*failedJobs) {}, "ModuleNotFoundError: No module named 'app.go'", "", false},
		"Python failed in its own way":                         {exc("x\nTypeError: export() got an unexpected keyword argument"), "TypeError: export() got", "", false},
		"long ago, for want of a module":                       {old(missingModule), "ModuleNotFoundError", "", false},
		"long ago, in its own way":                             {old("ZeroDivisionError: division by zero"), "", "", true},
		"long ago, in its own way, and the stack has the word": {old("ImportError: x\nZeroDivisionError: division by zero"), "", "", true},
		"a job without a result":                               {func(f *failedJobs) { f.results["a"] = nil }, "", "", true},
		"a job of ours": {func(f *failedJobs) {
			f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a", WorkerName: "bridge-1", Status: rqcompat.StatusFailed}}
		}, "", "", true},
		"a job that a person stopped": {func(f *failedJobs) {
			f.jobs["a"] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: "a", WorkerName: "python-1", Status: rqcompat.StatusStopped}}
		}, "", "", true},
		"a job that is gone":              {func(f *failedJobs) { f.jobs["a"] = &rqcompat.FetchResult{Err: rqcompat.ErrNoSuchJob} }, "", "", true},
		"a Redis that is away":            {func(f *failedJobs) { f.errs["fetch"] = errBroken }, "", "broken connection", false},
		"results that can't be read now":  {func(f *failedJobs) { f.errs["results a"] = errBroken }, "", "broken connection", false},
		"results that are something else": {func(f *failedJobs) { f.results["a"], f.errs["results a"] = nil, rqcompat.ErrBadCall }, "", "", true},
		"a job that Python alone can do":  {func(f *failedJobs) { f.verdict["a"] = route.Foreign }, "", "", true},
		"a job that isn't ready":          {func(f *failedJobs) { f.verdict["a"] = route.Unready }, "", "", false},
		"a job that policy lets wait":     {func(f *failedJobs) { f.verdict["a"] = route.Held }, "", "", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFailed("a")
			tc.before(f)
			s := f.takeBack()
			err := s.look(t.Context(), queues[0], takeBackNewest)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			switch {
			case tc.why == "" && len(f.taken) > 0:
				t.Errorf("taken up: %+v, want left", f.taken[0])
			case tc.why != "" && (len(f.taken) != 1 || f.taken[0].From != rqcompat.FromFailed || !strings.Contains(f.taken[0].Before, "a Python worker had failed it: "+tc.why)):
				t.Errorf("taken up: %+v, want it, out of the failed registry, with Python's error", f.taken)
			}
			for _, q := range f.routed {
				if q.Own || q.Name != "b:go" {
					t.Errorf("routed as of the queue %+v, want as on a shared one: what nobody here can run must not become ours to fail", q)
				}
			}
			looked := len(f.fetched)
			_ = s.look(t.Context(), queues[0], takeBackNewest) // its error was looked at
			if again := len(f.fetched) > looked; again == tc.stays {
				t.Errorf("looked at again: %v, want %v", again, !tc.stays)
			}
		})
	}
}

// TestWhatFailsAgainIsLookedAtAgain: its score tells.
func TestWhatFailsAgainIsLookedAtAgain(t *testing.T) {
	f := newFailed("a", "b")
	f.verdict["a"], f.verdict["b"] = route.Foreign, route.Foreign
	s := f.takeBack()
	look := func(newest int64) (looked []string) {
		t.Helper()
		f.fetched = nil
		if err := s.look(t.Context(), queues[0], newest); err != nil {
			t.Fatal(err)
		}
		return f.fetched
	}
	if got := look(takeBackNewest); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("looked at %v, want both", got)
	}
	f.members["b:go"][0].Score = 7
	if got := look(takeBackNewest); !slices.Equal(got, []string{"a"}) {
		t.Errorf("looked at %v, want a, which failed again", got)
	}
	f.members["b:go"] = f.members["b:go"][1:]
	look(takeBackMost)
	if _, known := s.stays["b:go"]["a"]; known || len(s.stays["b:go"]) != 1 {
		t.Errorf("remembered are %v, want the one that is still there", s.stays)
	}
}

// TestOnlyTheNewestAreLookedAt, unless all of them are new.
func TestOnlyTheNewestAreLookedAt(t *testing.T) {
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint(i))
	}
	f := newFailed(ids...)
	for _, id := range ids {
		f.verdict[id] = route.Foreign
	}
	s := f.takeBack()
	if err := s.look(t.Context(), queues[0], takeBackNewest); err != nil || !slices.Equal(f.ranges, []int64{-takeBackNewest, -takeBackMost}) || len(f.fetched) != 40 {
		t.Errorf("%v, asked from %v, looked at %d, want the newest and then all 40", err, f.ranges, len(f.fetched))
	}
	f.ranges, f.fetched = nil, nil
	f.members["b:go"] = append(f.members["b:go"], rqcompat.Member{ID: "new", Score: 99})
	if err := s.look(t.Context(), queues[0], takeBackNewest); err != nil || !slices.Equal(f.ranges, []int64{-takeBackNewest}) || !slices.Equal(f.fetched, []string{"new"}) {
		t.Errorf("%v, asked from %v, looked at %v, want the newest only, and of them the new one", err, f.ranges, f.fetched)
	}
}

// TestTakeBackRuns: often at the newest, from time to time at all, slower while Redis is away.
func TestTakeBackRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailed()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			f.takeBack().Run(ctx)
			close(done)
		}()
		time.Sleep(10*time.Second - time.Millisecond)
		synctest.Wait()
		all := 0
		for _, from := range f.ranges {
			if from == -takeBackMost {
				all++
			}
		}
		if n := len(f.ranges); n < 95 || n > 105 || all != 2 {
			t.Errorf("%d looks in 10 s, %d of them at all, want 100 and 2", n, all)
		}
		f.mu.Lock()
		f.ranges, f.errs["members b:go"] = nil, errors.New("away")
		f.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(f.ranges); n > 40 || strings.Count(f.log.String(), "can't be looked at") != 1 {
			t.Errorf("%d looks in a minute without Redis, want few, and one line:\n%s", n, f.log.String())
		}
		cancel()
		<-done
	})
}

// popped is what ReturnPopped finds.
type popped map[string][]string

func (p popped) ReturnPopped(_ context.Context, queue string, anyway bool) ([]string, error) {
	if anyway {
		return nil, errors.New("asked to return what a living bridge has in hand")
	}
	return p[queue], nil
}

func TestWhatADeadBridgePopped(t *testing.T) {
	b := newBench()
	if err := (ReturnPopped{RQ: popped{"b:default": {"x", "y"}}, Queues: queues, Count: func(string, int) {}, Log: b.logger()}).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantLog(t, "they are back in their queue")
}

// TestHeavyJobsAreTakenBackOneByOne: what is large or takes long is looked at alone, one in a look, and keeps no other.
func TestHeavyJobsAreTakenBackOneByOne(t *testing.T) {
	f := newFailed("large", "long", "a", "b")
	f.large = map[string]bool{"large": true}
	f.verdict["long"] = route.Heavy
	s := f.takeBack()
	var got [][]string
	for range 3 {
		f.taken = nil
		if err := s.look(t.Context(), queues[0], 16); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, q := range f.taken {
			ids = append(ids, q.ID)
		}
		got = append(got, ids)
		for _, id := range ids { // they are claimed
			f.members["b:go"] = slices.DeleteFunc(f.members["b:go"], func(m rqcompat.Member) bool { return m.ID == id })
		}
	}
	if want := [][]string{{"large", "a", "b"}, {"long"}, nil}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("taken back in three looks: %v, want %v", got, want)
	}
	if want := []string{"large", "long"}; !slices.Equal(f.alone, want) {
		t.Errorf("looked at alone: %v, want %v", f.alone, want)
	}
	if s.forget("b:go", nil); len(s.heavy) > 0 {
		t.Errorf("%v is remembered when it is gone", s.heavy)
	}
}
