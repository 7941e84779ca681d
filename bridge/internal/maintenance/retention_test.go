package maintenance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// oldRows are sites with old rows, of which each batch of a hundred takes a second.
type oldRows struct {
	old       map[string]int // Completed, by site
	batches   map[string]int // by site
	unmoved   []*rows.BackgroundJob
	processes []rqcompat.Process
	err       error
	story     []string

	mu    sync.Mutex
	moved []string
}

func (o *oldRows) Names() ([]string, error)                              { return []string{"a.test", "b.test"}, nil }
func (o *oldRows) Maintenance(string) bool                               { return false }
func (o *oldRows) IsNoted(string, error) bool                            { return false }
func (o *oldRows) Processes(context.Context) ([]rqcompat.Process, error) { return o.processes, nil }
func (o *oldRows) JobTypes(context.Context, string) (map[string]*rows.JobType, error) {
	return map[string]*rows.JobType{"export": {TypeName: "export", HandlerMethod: "dotted.export"}}, nil
}

func (o *oldRows) DeleteOld(_ context.Context, site string, status rows.Status, _ time.Time, behind rows.Place) (gone []string, next rows.Place, err error) {
	if status != rows.StatusCompleted || o.old[site] == 0 || o.err != nil {
		return nil, rows.Place{}, o.err
	}
	time.Sleep(time.Second)
	n := min(o.old[site], 100)
	o.old[site] -= n
	if last := len(o.story) - 1; last < 0 || o.story[last] != site {
		o.story = append(o.story, site)
	}
	return slices.Repeat([]string{"JOB-1"}, n), rows.Place{Name: fmt.Sprint(o.old[site])}, nil
}

func (o *oldRows) DeleteOldBatches(_ context.Context, site string, _ time.Time) (int64, error) {
	n := min(o.batches[site], 100)
	if n > 0 {
		o.batches[site] -= n
	}
	return int64(n), o.err
}

func (o *oldRows) CountOld(_ context.Context, site string, status rows.Status, _ time.Time) (int, error) {
	if status == rows.StatusCompleted {
		return o.old[site], o.err
	}
	return 0, o.err
}

func (o *oldRows) Unmoved(_ context.Context, site string, _ time.Time, behind rows.Place, limit int) ([]*rows.BackgroundJob, error) {
	if site != "a.test" || behind != (rows.Place{}) {
		return nil, nil
	}
	return slices.Clone(o.unmoved), nil
}

func (o *oldRows) Apply(_ context.Context, m moves.Move, _ func(context.Context) error) (rows.TransitionResult, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved = append(o.moved, m.Name+" "+string(m.To))
	return rows.TransitionResult{Applied: true}, m.Check()
}

func (o *oldRows) retention(keep job.Retention) *Retention {
	return NewRetention(RetentionParams{
		Cleaner: Cleaner{CleanerParams{RQ: o, Rows: o, Keep: keep}}, Sites: o, Process: "bridge-1", Log: slog.New(slog.DiscardHandler),
	})
}

// TestSitesAreCleanedInTurns by the oldest process, in half of the time, and not again within the hour.
func TestSitesAreCleanedInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oldRows{old: map[string]int{"a.test": 1000, "b.test": 50}, processes: []rqcompat.Process{{Name: "bridge-1"}, {Name: "bridge-2"}}}
		r := o.retention(job.Retention{})
		do := func() {
			t.Helper()
			if err := r.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		o.batches = map[string]int{"a.test": 150}
		do()
		if n := o.batches["a.test"]; n > 0 {
			t.Errorf("%d batches without jobs are left", n)
		}
		time.Sleep(cleanEvery / 2) // of two sites the second begins half an hour later
		do()
		if diff := cmp.Diff([]string{"a.test", "b.test"}, o.story); diff != "" || o.old["a.test"]+o.old["b.test"] > 0 {
			t.Errorf("turns: %s, left: %v", diff, o.old)
		}
		if took := time.Since(began) - cleanEvery/2; took < 21*time.Second || took > 23*time.Second {
			t.Errorf("eleven batches of a second took %s, want twice as long", took)
		}
		o.story, o.old["a.test"] = nil, 2000
		time.Sleep(cleanEvery / 4)
		do()
		if o.story != nil {
			t.Errorf("cleaned again: %q", o.story)
		}
		time.Sleep(cleanEvery)
		o.old["b.test"] = 50
		do()
		if diff := cmp.Diff([]string{"a.test", "b.test", "a.test"}, o.story); diff != "" {
			t.Errorf("a site with much to delete keeps others: %s", diff)
		}
		o.processes = o.processes[1:]
		o.story, o.old["a.test"] = nil, 10
		time.Sleep(cleanEvery)
		do()
		if o.story != nil {
			t.Errorf("cleaned by another process than the oldest: %q", o.story)
		}
	})
}

func TestWhatNobodyRetriesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := func(name, jobType string, retry time.Time) *rows.BackgroundJob {
			return &rows.BackgroundJob{Name: name, JobType: jobType, Status: rows.StatusFailed, NextRetryAt: retry}
		}
		past := time.Now().Add(-time.Hour)
		o := &oldRows{processes: []rqcompat.Process{{Name: "bridge-1", Handlers: []string{"dotted.export"}}}, unmoved: []*rows.BackgroundJob{
			failed("JOB-1", "export", past), failed("JOB-2", "export", time.Time{}), failed("JOB-3", "nobodys", past),
		}}
		r := o.retention(job.Retention{Days: 5})
		if would, err := r.Count(t.Context(), "a.test"); err != nil || would.GivenUp != 2 || would.Sum() != 2 {
			t.Errorf("would do %+v, %v", would, err)
		}
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"JOB-2 Dead Letter", "JOB-3 Dead Letter"}, slices.Sorted(slices.Values(o.moved))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNothingIsDeletedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oldRows{old: map[string]int{"a.test": 10}, processes: []rqcompat.Process{{Name: "bridge-1"}}, unmoved: []*rows.BackgroundJob{{Name: "JOB-1", Status: rows.StatusFailed}}}
		if err := o.retention(job.Retention{Days: -1}).Do(t.Context()); err != nil || o.story != nil || o.moved != nil {
			t.Errorf("deleted %q, moved %q, %v", o.story, o.moved, err)
		}
	})
}

// TestASiteWithoutTablesIsNotComplainedAbout; any other error is.
func TestASiteWithoutTablesIsNotComplainedAbout(t *testing.T) {
	for err, said := range map[error]bool{rows.ErrTableMissing: false, errBroken: true} {
		o := &oldRows{err: err, processes: []rqcompat.Process{{Name: "bridge-1"}}}
		if got := o.retention(job.Retention{}).Do(t.Context()); errors.Is(got, err) != said {
			t.Errorf("%v: %v", err, got)
		}
	}
}
