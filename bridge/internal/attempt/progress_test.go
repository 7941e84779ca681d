package attempt

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestProgressIsWrittenOnceASecond: the first report at once, then the newest one when the second is over.
func TestProgressIsWrittenOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		var at []time.Duration
		begin := time.Now()
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			for i := range 35 {
				r.Progress(float64(i), "working")
				time.Sleep(100 * time.Millisecond)
				if n := len(h.rows.written()); n > len(at) {
					at = append(at, time.Since(begin).Round(100*time.Millisecond))
				}
			}
			return nil, errBoom
		}))
		h.jobs.Wait()
		stop()
		var percents []float64
		for _, r := range h.rows.reports {
			percents = append(percents, r.Percent)
		}
		// The report of the very instant at which a second is over may be the one or the one before.
		if len(percents) != 4 || percents[0] != 0 || percents[1] < 9 || percents[1] > 10 || percents[3] < 29 || percents[3] > 30 {
			t.Errorf("35 reports in 3.5 s are written as %v after %v, want four: at once and the newest of each second", percents, at)
		}
		if row := h.rows.rows["JOB-1"]; row.Progress != 34 || row.ProgressMessage != "working" {
			t.Errorf("the row ends with %v %q, want the last report, which no second was over for", row.Progress, row.ProgressMessage)
		}
	})
}

// TestAReport names the row, the attempt that it has to belong to, and who is to be told.
func TestAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		lease := h.start(t.Context(), h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			r.Progress(42, "half")
			time.Sleep(time.Minute / 2)
			return nil, nil
		}))
		h.jobs.Wait()
		stop()
		want := sites.Report{
			Subject:  sites.Subject{Site: site, Name: "JOB-1", JobType: "export", Organization: "ORG-A", Owner: "owner@example.com"},
			Progress: rows.Progress{Name: "JOB-1", Fence: fenceText(lease.StartedAt), Percent: 42, Message: "half"},
		}
		if len(h.rows.reports) != 1 || h.rows.reports[0] != want {
			t.Errorf("written %+v, want %+v", h.rows.reports, want)
		}
		h.wantStory(t, "one report", "row Queued > Running", "observers Running", "progress "+site+" JOB-1 42 half",
			"row Running > Completed", "rq finished", "observers Completed", "ended finished")
	})
}

// TestProgressOfAPlainJob goes to its user only.
func TestProgressOfAPlainJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		h.run(t, plain(func(_ context.Context, r job.Reporter) (any, error) {
			r.Progress(42, "half")
			time.Sleep(time.Second)
			return nil, nil
		}))
		h.jobs.Wait()
		stop()
		h.wantStory(t, "a plain job", "plain "+site+" jane@example.com plain-1 42 half", "rq finished", "ended finished")
	})
}

// TestNothingIsReportedAfterTheEnd: what comes late would overwrite the settled row.
func TestNothingIsReportedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		var late job.Reporter
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			late = r
			r.Progress(1, "first")
			time.Sleep(time.Millisecond)
			r.Progress(50, "second") // its second isn't over when the attempt ends
			return nil, errBoom
		}))
		h.jobs.Wait()
		late.Progress(99, "late")
		time.Sleep(time.Minute)
		stop()
		if n := len(h.rows.reports); n != 1 {
			t.Errorf("%d reports are written, want the first only: %+v", n, h.rows.reports)
		}
		if row := h.rows.rows["JOB-1"]; row.Progress != 50 || row.ProgressMessage != "second" {
			t.Errorf("the settled row has %v %q, want the last report before the end", row.Progress, row.ProgressMessage)
		}
	})
}

func TestPercents(t *testing.T) {
	for given, want := range map[float64]float64{-1: 0, 0: 0, 55.5: 55.5, 100: 100, 100.1: 100, math.Inf(1): 100, math.Inf(-1): 0, math.NaN(): 0} {
		p := progress{hand: func() {}}
		p.report(given, "x")
		if got, ok := p.take(time.Now()); got.percent != want || !ok {
			t.Errorf("a report of %v is taken as %v, %v, want %v", given, got, ok, want)
		}
		if _, ok := p.take(time.Now()); ok {
			t.Errorf("a report of %v is taken twice", given)
		}
	}
}

// TestAReportIsHandedOverOnce, however many come before it is taken.
func TestAReportIsHandedOverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handed []time.Duration
		begin := time.Now()
		p := progress{hand: func() { handed = append(handed, time.Since(begin)) }}
		for range 5 {
			p.report(1, "x")
		}
		p.take(time.Now())
		time.Sleep(300 * time.Millisecond)
		for range 5 {
			p.report(2, "x")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.take(time.Now())
		p.report(3, "x")
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{0, time.Second, 61300 * time.Millisecond}; !slices.Equal(handed, want) {
			t.Errorf("handed over after %v, want %v", handed, want)
		}
	})
}

// TestProgressThatCantBeWrittenIsTriedAgain by itself, until it is, with the newest report.
func TestProgressThatCantBeWrittenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			h.rows.fail(errors.New("no database"))
			r.Progress(1, "only")
			time.Sleep(2500 * time.Millisecond)
			h.rows.fail(nil)
			time.Sleep(time.Minute)
			return nil, errBoom
		}))
		h.jobs.Wait()
		stop()
		if len(h.rows.reports) != 1 || h.rows.reports[0].Message != "only" {
			t.Errorf("written %+v, want the only report once", h.rows.reports)
		}
	})
}

// TestProgressThatCantBeWritten doesn't disturb the job, and the next report is written.
func TestProgressThatCantBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			h.rows.fail(errors.New("no database"))
			r.Progress(1, "lost")
			time.Sleep(time.Millisecond)
			h.rows.fail(nil)
			r.Progress(2, "written")
			time.Sleep(2 * time.Second)
			return nil, nil
		}))
		h.jobs.Wait()
		stop()
		h.wantLog(t, "progress not written", "no database", "site="+site, "jobs=1")
		if len(h.rows.reports) != 1 || h.rows.reports[0].Message != "written" || h.rows.rows["JOB-1"].Status != rows.StatusCompleted {
			t.Errorf("written %+v, row %s, want the second report and a completed row", h.rows.reports, h.rows.rows["JOB-1"].Status)
		}
	})
}
