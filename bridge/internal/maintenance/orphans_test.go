package maintenance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// orphans looks for rows without a delivery among what alive knows.
func (b *bench) orphans(alive Alive) *Orphans {
	return NewOrphans(OrphansParams{
		Rows: b, Deliver: b.deliver, Count: func(string) {}, Settled: func(context.Context) bool { return !b.unsettled }, Age: 30 * time.Second, Log: b.logger(),
		Alive: func(_ context.Context, names []string) (Alive, error) {
			for name := range alive.waiting {
				if !slices.Contains(names, name) {
					delete(alive.waiting, name) // nobody asked
				}
			}
			b.asked = append(b.asked, "alive")
			return alive, b.errs["alive"]
		},
		Finished: func(_ context.Context, _ string, row *rows.BackgroundJob) (bool, error) {
			return b.finished[row.Name], b.errs["finished"]
		},
		IDs: func(site string, row *rows.BackgroundJob) []string {
			return []string{site + "::" + row.Name, site + "::" + row.Name + "-2"}
		},
		Delivers: func(_ context.Context, _ string, row *rows.BackgroundJob) (bool, error) {
			return b.delivers[row.Name], b.errs["delivers"]
		},
		Handled: func(map[string]*rows.JobType) []string { return []string{"export"} },
	})
}

func nothing() Alive { return Alive{brought: map[string]bool{}, waiting: map[string]bool{}} }

// arrival is an enqueueing, and row a row that was made for it.
var arrival = sites.Arrival{ID: "id", CreatedAt: fenceAt}

func ofArrival(r *rows.BackgroundJob) { r.JobHash = arrival.Hash() }

func TestOrphans(t *testing.T) {
	modified := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	delivered := []string{"row JOB-1 Queued > Queued", "deliver " + site + " JOB-1 which is Queued", "observers Queued"}
	tests := map[string]struct {
		status rows.Status
		row    func(*rows.BackgroundJob)
		before func(b *bench, alive Alive)
		story  []string
		err    string
	}{
		"a queued row":                              {rows.StatusQueued, nil, nil, delivered, ""},
		"a running row":                             {rows.StatusRunning, runs, nil, []string{"row JOB-1 Running > Failed > Queued", delivered[1], "observers Queued"}, ""},
		"a pending row waits for others":            {rows.StatusPending, nil, nil, nil, ""},
		"a row that waits":                          {rows.StatusQueued, nil, func(_ *bench, a Alive) { a.brought[site+"::JOB-1"] = true }, nil, ""},
		"a row whose second own delivery waits":     {rows.StatusQueued, nil, func(_ *bench, a Alive) { a.brought[site+"::JOB-1-2"] = true }, nil, ""},
		"a row whose arrival runs":                  {rows.StatusQueued, ofArrival, func(_ *bench, a Alive) { a.brought[arrival.Hash()] = true }, nil, ""},
		"a row whose own delivery waits unread":     {rows.StatusQueued, nil, func(b *bench, a Alive) { a.waiting[site+"::JOB-1"], b.delivers["JOB-1"] = true, true }, nil, ""},
		"a row whose own id another job has":        {rows.StatusQueued, nil, func(_ *bench, a Alive) { a.waiting[site+"::JOB-1"] = true }, delivered, ""},
		"a row whose arrival waits":                 {rows.StatusQueued, ofArrival, func(b *bench, a Alive) { a.waiting[sites.ArrivalsHash("id")], b.delivers["JOB-1"] = true, true }, nil, ""},
		"a row whose id another enqueueing has":     {rows.StatusQueued, ofArrival, func(_ *bench, a Alive) { a.waiting[sites.ArrivalsHash("id")] = true }, delivered, ""},
		"a row whose delivery can't be read":        {rows.StatusQueued, nil, func(b *bench, a Alive) { a.waiting[site+"::JOB-1"], b.errs["delivers"] = true, errBroken }, nil, "broken connection"},
		"a row without a hash":                      {rows.StatusQueued, nil, func(_ *bench, a Alive) { a.waiting[sites.ArrivalsHash("")] = true }, delivered, ""},
		"a row that runs":                           {rows.StatusRunning, runs, func(_ *bench, a Alive) { a.brought[site+"::JOB-1"] = true }, nil, ""},
		"a row whose job has finished":              {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.finished["JOB-1"] = true }, []string{"row JOB-1 Running > Completed", "observers Completed"}, ""},
		"a row of whose job nothing can be learned": {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.errs["finished"] = errBroken }, nil, "broken connection"},
		"a row of Python's":                         {rows.StatusQueued, func(r *rows.BackgroundJob) { r.JobType = "python" }, nil, nil, ""},
		"a row whose Job Type is gone":              {rows.StatusQueued, func(r *rows.BackgroundJob) { r.JobType = "gone" }, nil, nil, ""},
		"Job Types that can't be read":              {rows.StatusQueued, nil, func(b *bench, _ Alive) { b.errs["types"] = errBroken }, nil, ""},
		"a row that ended meanwhile":                {rows.StatusQueued, nil, func(b *bench, _ Alive) { b.rows["JOB-1"].Status = rows.StatusCompleted }, nil, ""},
		"a row that came back meanwhile":            {rows.StatusQueued, nil, func(b *bench, _ Alive) { b.rows["JOB-1"].ModifiedRaw = "2026-03-01 09:00:01" }, nil, ""},
		"a row that was deleted meanwhile":          {rows.StatusQueued, nil, func(b *bench, _ Alive) { delete(b.rows, "JOB-1") }, nil, ""},
		"a running row ended meanwhile":             {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.rows["JOB-1"].Status = rows.StatusCompleted }, nil, ""},
		"a running row restarted meanwhile":         {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.rows["JOB-1"].StartedRaw = fenceText(fenceAt.Add(time.Second)) }, nil, ""},
		"a running row that can't be moved":         {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.applyErr["JOB-1"] = errBroken }, nil, "broken connection"},
		"a delivery that fails":                     {rows.StatusQueued, nil, func(b *bench, _ Alive) { b.errs["deliver"] = errBroken }, delivered, "broken connection"},
		"Redis has just lost data":                  {rows.StatusRunning, runs, func(b *bench, _ Alive) { b.unsettled = true }, nil, ""},
		"the census fails":                          {rows.StatusQueued, nil, func(b *bench, _ Alive) { b.errs["alive"] = errBroken }, nil, "broken connection"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, alive := newBench(), nothing()
			b.stale[site] = []*rows.BackgroundJob{b.add("JOB-1", tc.status, func(r *rows.BackgroundJob) {
				r.Modified = modified
				if tc.row != nil {
					tc.row(r)
				}
			})}
			if tc.before != nil {
				tc.before(b, alive)
			}
			err := b.orphans(alive).Do(t.Context())
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			b.wantStory(t, name, tc.story...)
			if said, want := strings.Contains(b.log.String(), "row had no delivery; it is delivered again"), slices.Contains(tc.story, delivered[1]); said != want {
				t.Errorf("said so: %v, want %v:\n%s", said, want, b.log.String())
			}
		})
	}
}

// TestWhichSitesHaveOrphans: one that fails keeps no other, and without stale rows Redis isn't asked.
func TestWhichSitesHaveOrphans(t *testing.T) {
	b := newBench()
	b.names = []string{site, "broken.example.com"}
	if err := b.orphans(nothing()).Do(t.Context()); err != nil || slices.Contains(b.asked, "alive") {
		t.Errorf("without stale rows: %v, asked %v, want no census", err, b.asked)
	}
	slices.Sort(b.asked)
	if want := []string{site + " 30s 1000", "broken.example.com 30s 1000"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked %v, want %v", b.asked, want)
	}
	if !slices.Equal(b.names, []string{site, "broken.example.com"}) {
		t.Errorf("the look changed the list of sites to %v", b.names)
	}
	b.errs["broken.example.com"] = errBroken
	b.stale[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusQueued)}
	if err := b.orphans(nothing()).Do(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("a site that can't be read: %v", err)
	}
	b.wantStory(t, "the other site", "row JOB-1 Queued > Queued", "deliver "+site+" JOB-1 which is Queued", "observers Queued")
	b.noted["broken.example.com"] = true
	if err := b.orphans(nothing()).Do(t.Context()); err != nil {
		t.Errorf("an error that the log has already: %v", err)
	}
	b.noted["broken.example.com"], b.errs["broken.example.com"] = false, rows.ErrTableMissing
	if err := b.orphans(nothing()).Do(t.Context()); err != nil {
		t.Errorf("a site without the tables: %v", err)
	}
	b.errs[""] = errBroken
	if err := b.orphans(nothing()).Do(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("a bench that can't be listed: %v", err)
	}
}

// TestSitesAreLookedAtInTurn: each every so often, never all at once, and the queues no more often than that.
func TestSitesAreLookedAtInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.names = nil
		for i := range 60 {
			name := fmt.Sprintf("site%02d", i)
			b.names = append(b.names, name)
			b.stale[name] = []*rows.BackgroundJob{{Name: "JOB-" + name, JobType: "python", Status: rows.StatusRunning}}
		}
		s := b.orphans(nothing())
		s.Every = 15 * time.Second
		most := 0
		for range 45 {
			before := len(b.asked)
			if err := s.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			most = max(most, len(b.asked)-before)
			time.Sleep(time.Second)
		}
		times := map[string]int{}
		for _, asked := range b.asked {
			times[asked]++
		}
		if times["alive"] != 3 || times["site00 30s 1000"] != 3 || times["site31 30s 1000"] != 3 || len(times) != 61 {
			t.Errorf("in 45 s asked %v, want each of 60 sites and the queues three times", times)
		}
		if most > 5 {
			t.Errorf("%d questions at one moment, want those of 4 sites and of the queues", most)
		}
	})
}

// TestManyStaleRows: thousands that run for hours must not hide the ones behind them.
func TestManyStaleRows(t *testing.T) {
	var full []*rows.BackgroundJob
	for i := range orphanBatch {
		full = append(full, &rows.BackgroundJob{Name: fmt.Sprint("JOB-", i), JobType: "python", Status: rows.StatusRunning, ModifiedRaw: "2026-03-01 09:00:00"})
	}
	b := newBench()
	s := b.orphans(nothing())
	look := func() rows.Place {
		t.Helper()
		if err := s.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.behind[len(b.behind)-1]
	}
	oldest, last := rows.Place{}, rows.Place{Modified: "2026-03-01 09:00:00", Name: fmt.Sprint("JOB-", orphanBatch-1)}
	for _, tc := range []struct {
		what  string
		stale []*rows.BackgroundJob
		want  rows.Place
	}{
		{"the first look", full, oldest}, {"after a full batch", full, last}, {"after another one", full[:7], last}, {"after the last rows", full, oldest},
	} {
		b.stale[site] = tc.stale
		if got := look(); got != tc.want {
			t.Errorf("%s the look goes on behind %+v, want %+v", tc.what, got, tc.want)
		}
	}
	b.errs[site] = errBroken
	_ = s.Do(t.Context()) // only where it goes on matters
	if got := s.seen[site]; got != last {
		t.Errorf("a look that failed moves on to %+v", got)
	}
}

// delivery is the job that delivers a row, as a Python worker would run it.
func delivery(t *testing.T, id, name string) *rqcompat.Job {
	t.Helper()
	call := frappe.Call{Site: site, Method: frappe.Executor, JobName: "export", IsAsync: true, Kwargs: map[string]any{"background_job_id": name}}
	kwargs := &pickle.Dict{}
	for key, v := range call.Arguments() {
		kwargs.Set(key, v)
	}
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: kwargs})
	if err != nil {
		t.Fatal(err)
	}
	return &rqcompat.Job{ID: id, Data: data, CreatedAt: fenceAt.Add(-time.Minute), StartedAt: fenceAt}
}

// rq is the queues and started registries of a bench.
type rq struct {
	queues  []string
	waiting map[string][]string
	started map[string][]string
	jobs    map[string]*rqcompat.Job
	errs    map[string]error
	calls   []string
}

func (r *rq) Queues(context.Context) ([]string, error) { return r.queues, r.errs["queues"] }

func (r *rq) EachWaiting(_ context.Context, queue string, do func(ids []string)) error {
	r.calls = append(r.calls, fmt.Sprint("waiting ", queue))
	do(r.waiting[queue])
	return r.errs["waiting "+queue]
}

func (r *rq) EachMember(_ context.Context, reg rqcompat.Registry, queue string, do func([]rqcompat.Member) error) error {
	r.calls = append(r.calls, fmt.Sprint(reg, " ", queue))
	for _, id := range r.started[queue] {
		if err := do([]rqcompat.Member{{ID: id}}); err != nil {
			return err
		}
	}
	return r.errs["started "+queue]
}

func (r *rq) FetchMany(_ context.Context, ids []string) (out []*rqcompat.FetchResult, err error) {
	for _, id := range ids {
		out = append(out, &rqcompat.FetchResult{Job: r.jobs[id]})
	}
	return out, r.errs["fetch"]
}

func TestCensus(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "sites"), 0o755), os.MkdirAll(filepath.Join(dir, "apps/frappe/frappe"), 0o755),
		os.WriteFile(filepath.Join(dir, "sites/common_site_config.json"), []byte(`{"bench_id": "b", "workers": {"go": {"timeout": 60}}}`), 0o600),
		os.WriteFile(filepath.Join(dir, "apps/frappe/frappe/__init__.py"), []byte(`__version__ = "15.41.0"`), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	bench, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rq{
		queues:  []string{"b:go", "others:default"},
		waiting: map[string][]string{"b:go": {site + "::JOB-1"}, "others:default": {"elsewhere"}},
		started: map[string][]string{"b:short": {"python-run", "gone"}},
		jobs:    map[string]*rqcompat.Job{"python-run": delivery(t, "python-run", "JOB-3")},
		errs:    map[string]error{},
	}
	c := Census{RQ: r, Bench: bench, Waiting: func(yield func(site, name string)) { yield(site, "JOB-2") }, Far: func() []func(site, name string) bool {
		return []func(site, name string) bool{func(s, name string) bool { return s == site && name == "JOB-5" }}
	}}
	waiting := []string{site + "::JOB-1", "elsewhere", "python-run", "gone", sites.ArrivalsHash("elsewhere"), sites.ArrivalsHash("gone")}
	alive, err := c.Take(t.Context(), append(waiting, site+"::JOB-4", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{site + "::JOB-2", site + "::JOB-3", (sites.Arrival{ID: "python-run", CreatedAt: fenceAt.Add(-time.Minute)}).Hash()} {
		if !alive.brought[id] {
			t.Errorf("%s isn't known to be on its way", id)
		}
	}
	for _, id := range waiting {
		if !alive.waiting[id] {
			t.Errorf("%s, whose job nobody has read, isn't known to be there", id)
		}
	}
	if alive.waiting[site+"::JOB-4"] || alive.brought[site+"::JOB-1"] || alive.waiting[sites.ArrivalsHash("x")] || alive.brought[""] {
		t.Error("what nobody delivers, or nobody has read, counts as on its way")
	}
	if !alive.isFar(site, "JOB-5") || alive.isFar(site, "JOB-4") {
		t.Error("it isn't known which jobs wait whose turn is far")
	}
	if n := len(alive.waiting); n != len(waiting)+2 {
		t.Errorf("%d names are remembered, want those asked for", n)
	}
	// Each queue before its started registry: a job that is claimed meanwhile is seen twice and not never.
	var want []string
	for _, q := range []string{"b:default", "b:go", "b:long", "b:short", "others:default"} {
		want = append(want, "waiting "+q, "wip "+q)
	}
	if !slices.Equal(r.calls, want) {
		t.Errorf("looked at %v, want %v", r.calls, want)
	}
	for _, broken := range []string{"queues", "waiting b:go", "started b:go", "fetch"} {
		r.errs = map[string]error{broken: errBroken}
		if _, err := c.Take(t.Context(), nil); !errors.Is(err, errBroken) {
			t.Errorf("%s can't be read: %v, want an error: what isn't known must not count as an orphan", broken, err)
		}
	}
}

// TestFinishedInRQ: a row's attempt has finished if one of the jobs that bring it has, with the attempt's fence. It is on
// its way if one of them waits or runs.
func TestFinishedInRQ(t *testing.T) {
	row := &rows.BackgroundJob{Name: "JOB-1", Status: rows.StatusRunning, StartedRaw: fenceText(fenceAt.Add(5*time.Hour + 30*time.Minute))}
	job := func(status rqcompat.Status, at time.Time) *rqcompat.Job {
		return &rqcompat.Job{Status: status, StartedAt: at}
	}
	for name, tc := range map[string]struct {
		jobs               []*rqcompat.Job
		finished, delivers bool
	}{
		"finished":                   {[]*rqcompat.Job{job(rqcompat.StatusFinished, fenceAt)}, true, false},
		"one of two":                 {[]*rqcompat.Job{job(rqcompat.StatusCanceled, fenceAt), job(rqcompat.StatusFinished, fenceAt)}, true, false},
		"another attempt":            {[]*rqcompat.Job{job(rqcompat.StatusFinished, fenceAt.Add(time.Second))}, false, false},
		"one that waits":             {[]*rqcompat.Job{job(rqcompat.StatusFailed, fenceAt), job(rqcompat.StatusQueued, time.Time{})}, false, true},
		"one that runs":              {[]*rqcompat.Job{job(rqcompat.StatusStarted, fenceAt)}, false, true},
		"one that waits for a retry": {[]*rqcompat.Job{job(rqcompat.StatusScheduled, fenceAt)}, false, false},
		"none":                       {nil, false, false},
	} {
		c := Census{Deliveries: func(_ context.Context, s string, r *rows.BackgroundJob) ([]*rqcompat.Job, error) {
			if s != site || r != row {
				t.Errorf("%s: asked for the deliveries of %s on %s", name, r.Name, s)
			}
			return tc.jobs, nil
		}}
		if got, err := c.Finished(t.Context(), site, row); err != nil || got != tc.finished {
			t.Errorf("%s: finished is %v, %v, want %v", name, got, err, tc.finished)
		}
		if got, err := c.Delivers(t.Context(), site, row); err != nil || got != tc.delivers {
			t.Errorf("%s: on its way is %v, %v, want %v", name, got, err, tc.delivers)
		}
	}
}
