package maintenance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const dead = "bridge-0123-1"

var fenceAt = time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)

// lapsedJobs are the jobs of one queue whose lease lapsed, as RQ and the router know them.
type lapsedJobs struct {
	*bench
	jobs     []rqcompat.LapsedJob
	routed   map[string]route.Routed
	results  map[string]rqcompat.RescueResult // Requeued, or Poisoned by its kills, if it isn't there
	fetchErr map[string]error
	err      error // of Lapsed on the own queue
	readOnly error // of Writable
	failed   []string
	poisoned []job.Info
	slack    time.Duration
	// soon are those that lapse before long, if they are others than jobs; soonErr is for who asks for them.
	soon    []rqcompat.LapsedJob
	soonErr error
	rescued map[string]rqcompat.LapsedJob
	mark    string // of Redis's data
	large   map[string]bool
	calls   int           // of RescueMany
	answers time.Duration // how long each takes
	reasons []string
	// silent are processes that fell silent; deaf says that this one isn't heard, silence is an error of the question.
	silent  []string
	deaf    bool
	silence error
	left    []rqcompat.LapsedJob
	leftErr error
}

func (l *lapsedJobs) Silent(_ context.Context, process string) (bool, []string, error) {
	if l.silence != nil {
		return false, nil, l.silence
	}
	return process == "bridge-live" && !l.deaf, l.silent, nil
}

func (l *lapsedJobs) LeftBy(_ context.Context, queue string, silent []string) (left []rqcompat.LapsedJob, err error) {
	for _, j := range l.left {
		if queue == "b:go" && slices.Contains(silent, workers.ProcessOf(j.WorkerName)) && l.rescued[j.ID].ID == "" {
			left = append(left, j)
		}
	}
	return left, l.leftErr
}

func (l *lapsedJobs) Lapsed(_ context.Context, queue string, slack time.Duration) ([]rqcompat.LapsedJob, error) {
	if slack > 75*time.Second {
		if queue == "b:go" {
			return l.soon, l.soonErr
		}
		return nil, nil
	}
	l.slack = slack
	if queue == "b:go" {
		return l.jobs, l.err
	}
	return nil, nil
}

func (l *lapsedJobs) Writable(context.Context) error { return l.readOnly }

func (l *lapsedJobs) RescueMany(_ context.Context, ls []rqcompat.Lapsed, maxKills int) ([]rqcompat.Answer[rqcompat.RescueResult], error) {
	l.calls++
	time.Sleep(l.answers)
	answers := make([]rqcompat.Answer[rqcompat.RescueResult], len(ls))
	for i, j := range ls {
		result, ok := l.results[j.ID]
		if !ok {
			if result = rqcompat.RescueRequeued; j.Kills+1 >= maxKills && !j.Ended {
				result = rqcompat.RescuePoisoned
			}
		}
		l.tell("rescue %s %s", j.Queue, j.ID)
		l.rescued[j.ID] = j.LapsedJob
		answers[i] = rqcompat.Answer[rqcompat.RescueResult]{Result: result, Err: l.errs["rescue"]}
	}
	return answers, nil
}

func (l *lapsedJobs) FetchMany(_ context.Context, ids []string) ([]*rqcompat.FetchResult, error) {
	found := make([]*rqcompat.FetchResult, len(ids))
	for i, id := range ids {
		found[i] = &rqcompat.FetchResult{Err: l.fetchErr[id]}
		if err := l.fetchErr[id]; err == nil || strings.Contains(err.Error(), "half") {
			found[i].Job = &rqcompat.Job{ID: id, CreatedAt: fenceAt.Add(-time.Minute)}
		}
	}
	return found, nil
}

// FetchSmall leaves out what is large, see fetchErr.
func (l *lapsedJobs) FetchSmall(ctx context.Context, ids []string, _ int) ([]*rqcompat.FetchResult, error) {
	found, err := l.FetchMany(ctx, ids)
	for i, id := range ids {
		if l.large[id] {
			found[i].Err = rqcompat.ErrLarge
		}
	}
	return found, err
}

func (l *lapsedJobs) DataMark(context.Context) (string, error) { return l.mark, nil }

func (l *lapsedJobs) Now(context.Context) time.Time { return time.Now() }

func (l *lapsedJobs) Route(_ context.Context, q job.Queue, found []route.Found) (all []route.Routed) {
	for _, f := range found {
		r := l.routed[f.Job.ID]
		if r.Queued == nil {
			r.Queued = &job.Queued{}
		}
		r.ID = f.Job.ID
		all = append(all, r)
	}
	return all
}

// Alone finds what a job that is too much for Route is.
func (l *lapsedJobs) Alone(ctx context.Context, q job.Queue, f route.Found) (route.Routed, error) {
	if err := l.fetchErr["alone "+f.Job.ID]; err != nil {
		return route.Routed{}, err
	}
	r := l.Route(ctx, q, []route.Found{f})[0]
	r.Verdict = route.Ours
	return r, nil
}

func (l *lapsedJobs) rescue() *Rescue {
	return &Rescue{
		RQ: l, Rows: l.bench, Router: l, Queues: queues, Lease: 15 * time.Second, Slack: 75 * time.Second, MaxKills: 3,
		Process: "bridge-live", Holds: func(worker string) bool { return worker == "bridge-live-1" },
		Failed: func(queue string) { l.failed = append(l.failed, queue) }, Log: l.logger(),
		Count: func(string) {},
		Poisoned: func(info job.Info, err error) {
			l.poisoned, l.reasons = append(l.poisoned, info), append(l.reasons, err.Error())
		},
	}
}

func newLapsed() *lapsedJobs {
	return &lapsedJobs{bench: newBench(), routed: map[string]route.Routed{}, results: map[string]rqcompat.RescueResult{}, fetchErr: map[string]error{}, rescued: map[string]rqcompat.LapsedJob{}}
}

// lapse adds a job whose worker died, with the row it delivers, if any.
func (l *lapsedJobs) lapse(id string, row *rows.BackgroundJob) *rqcompat.LapsedJob {
	l.jobs = append(l.jobs, rqcompat.LapsedJob{ID: id, WorkerName: dead, StartedAt: fenceAt})
	if row != nil {
		l.routed[id] = route.Routed{Queued: &job.Queued{Site: site, RowName: row.Name, Row: row, JobType: &rows.JobType{TypeName: "export"}}}
	}
	return &l.jobs[len(l.jobs)-1]
}

func runs(row *rows.BackgroundJob) { row.StartedAt, row.StartedRaw = fenceAt, fenceText(fenceAt) }

// TestNobodyIsRescuedRightAfterARefusal: who lives has half a lease to renew his, which is no longer in vain.
func TestNobodyIsRescuedRightAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLapsed()
		l.lapse("a", nil)
		s := l.rescue()
		l.readOnly = errBroken
		if err := s.Do(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("%v, want what Redis says", err)
		}
		l.readOnly = nil
		for _, wait := range []time.Duration{7 * time.Second, time.Second} {
			if len(l.rescued) > 0 {
				t.Error("a job is rescued that its worker had no time to renew")
			}
			time.Sleep(wait)
			if err := s.Do(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if len(l.rescued) == 0 {
			t.Error("nobody is rescued 8 s after Redis takes writes again")
		}
	})
}

func TestRescueGivesBack(t *testing.T) {
	requeued := []string{"row JOB-1 Running > Failed > Queued", "rescue b:go a", "observers Queued"}
	only := []string{"rescue b:go a"}
	tests := map[string]struct {
		before func(l *lapsedJobs)
		story  []string
		log    string
		err    string
	}{
		"a plain job": {func(l *lapsedJobs) { l.lapse("a", nil) }, only, "worker died with a job; it is back in its queue", ""},
		"a row":       {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)) }, requeued, "worker died", ""},
		"a row whose fence is finer in RQ": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).StartedAt = fenceAt.Add(999)
		}, requeued, "worker died", ""},
		"a row whose site has another zone since": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, func(r *rows.BackgroundJob) { r.StartedRaw = fenceText(fenceAt.Add(5*time.Hour + 30*time.Minute)) }))
		}, requeued, "worker died", ""},
		"a row that was made on arrival": {func(l *lapsedJobs) {
			l.add("JOB-1", rows.StatusRunning, runs)
			l.arrivals[sites.Arrival{ID: "a", CreatedAt: fenceAt.Add(-time.Minute)}] = "JOB-1"
			l.lapse("a", nil)
			l.routed["a"] = route.Routed{Queued: &job.Queued{Site: site, JobType: &rows.JobType{TypeName: "export"}}}
		}, requeued, "worker died", ""},
		"a job that died before its row was made": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.routed["a"] = route.Routed{Queued: &job.Queued{Site: site, JobType: &rows.JobType{TypeName: "export"}}}
		}, only, "worker died", ""},
		"a row that is held now": {func(l *lapsedJobs) {
			row := l.add("JOB-1", rows.StatusRunning, runs)
			l.lapse("a", row)
			r := l.routed["a"]
			r.Verdict = route.Held
			l.routed["a"] = r
		}, requeued, "worker died", ""},
		"a row that is not its attempt's any more": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, func(r *rows.BackgroundJob) { r.StartedRaw = fenceText(fenceAt.Add(time.Microsecond)) }))
		}, only, "worker died", ""},
		"a row that was never started": {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusQueued)) }, only, "worker died", ""},
		"a row that has ended":         {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusCompleted, runs)) }, only, "worker died", ""},
		"a row that another attempt restarted after it was read": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs))
			l.rows["JOB-1"].StartedRaw = fenceText(fenceAt.Add(time.Second))
		}, only, "worker died", ""},
		"a row that was deleted after it was read": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs))
			delete(l.rows, "JOB-1")
		}, only, "worker died", ""},
		"a job that is gone": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.fetchErr["a"], l.results["a"] = rqcompat.ErrNoSuchJob, rqcompat.RescueDropped
		}, only, "", ""},
		"a job of which a field can't be read": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.fetchErr["a"] = errors.New("half of it")
		}, only, "worker died", ""},
		"a job that can't be read": {func(l *lapsedJobs) { l.lapse("a", nil); l.fetchErr["a"] = errBroken }, nil, "", "broken connection"},
		"a heavy job": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.routed["a"] = route.Routed{Verdict: route.Heavy}
		}, only, "worker died", ""},
		"a heavy job that can't be read": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.routed["a"], l.fetchErr["alone a"] = route.Routed{Verdict: route.Heavy}, errBroken
		}, nil, "", "broken connection"},
		"a job whose row can't be read": {func(l *lapsedJobs) { l.lapse("a", nil); l.routed["a"] = route.Routed{Verdict: route.Unready} }, nil, "", "the row of job a can't be read now"},
		"an arrival that can't be looked": {func(l *lapsedJobs) {
			l.lapse("a", nil)
			l.routed["a"] = route.Routed{Queued: &job.Queued{Site: site, JobType: &rows.JobType{}}}
			l.errs[site] = errBroken
		}, nil, "", "broken connection"},
		"a row that can't be moved": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs))
			l.applyErr["JOB-1"] = errBroken
		}, nil, "", "broken connection"},
		"a lease that was renewed": {func(l *lapsedJobs) { l.lapse("a", nil); l.results["a"] = rqcompat.RescueNothing }, only, "", ""},
		"RQ refuses":               {func(l *lapsedJobs) { l.lapse("a", nil); l.errs["rescue"] = errBroken }, only, "", "broken connection"},
		"a worker of Python's":     {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).WorkerName = "python-1" }, nil, "", ""},
		"a live run of this process": {func(l *lapsedJobs) {
			l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).WorkerName = "bridge-live-1"
		}, nil, "", ""},
		"the second kill": {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).Kills = 1 }, requeued, "kills=2", ""},
		"the third kill": {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).Kills = 2 },
			[]string{"row JOB-1 Running > Dead Letter", "rescue b:go a", "observers Dead Letter"}, "again and again", ""},
		"the third kill, after the row's end": {func(l *lapsedJobs) { l.lapse("a", l.add("JOB-1", rows.StatusCompleted, runs)).Kills = 2 }, only, "it is back in its queue", ""},
		"the third kill of a plain job":       {func(l *lapsedJobs) { l.lapse("a", nil).Kills = 2 }, only, "again and again", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLapsed()
			tc.before(l)
			err := l.rescue().Do(t.Context())
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			l.wantStory(t, name, tc.story...)
			if tc.log != "" {
				l.wantLog(t, tc.log)
			} else if got := l.log.String(); got != "" {
				t.Errorf("log:\n%s\nwant nothing", got)
			}
			poisoned := strings.Contains(tc.log, "again and again")
			if poisoned != (len(l.failed) == 1 && l.failed[0] == "b:go") {
				t.Errorf("told of failed registries %v, want that of b:go: %v", l.failed, poisoned)
			}
			if poisoned != (len(l.poisoned) == 1 && l.poisoned[0].ID == "a" && (l.poisoned[0].Name == "JOB-1") == (len(tc.story) > 1)) {
				t.Errorf("told of poison %+v, want of it, with its row's name if it has one: %v", l.poisoned, poisoned)
			}
			if l.slack != 75*time.Second {
				t.Errorf("lapsed leases are looked for with a slack of %s", l.slack)
			}
		})
	}
}

// TestRescueLeavesARestartedRowAlone: it keeps status and started_at.
func TestRescueLeavesARestartedRowAlone(t *testing.T) {
	for kills := range 3 {
		l := newLapsed()
		l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs)).Kills = kills
		again := fenceText(fenceAt.Add(time.Minute + time.Second))
		l.rows["JOB-1"].StartedRaw = again
		if err := l.rescue().Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := l.rows["JOB-1"]; row.Status != rows.StatusRunning || row.StartedRaw != again {
			t.Errorf("after %d kills the row is %s since %s, want running since %s", kills, row.Status, row.StartedRaw, again)
		}
	}
}

// TestRescueSpendsNoRetry, and says what happened in the row's log.
func TestRescueSpendsNoRetry(t *testing.T) {
	l := newLapsed()
	l.lapse("a", l.add("JOB-1", rows.StatusRunning, runs))
	if err := l.rescue().Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	row := l.rows["JOB-1"]
	if row.Status != rows.StatusQueued || row.RetryCount != 0 || !row.StartedAt.IsZero() || l.moves[0].ViaMessage != "Worker died" {
		t.Errorf("row %+v, moved because %q", row, l.moves[0].ViaMessage)
	}
}

// TestRescueGoesOn: what can't be rescued must not keep the others, nor another queue.
func TestRescueGoesOn(t *testing.T) {
	l := newLapsed()
	l.lapse("odd", nil)
	l.lapse("fine", nil)
	l.fetchErr["odd"] = errBroken
	if err := l.rescue().Do(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want that of the first job", err)
	}
	l.wantStory(t, "the second job", "rescue b:go fine")
	l.err = errBroken
	asked := ""
	r := l.rescue()
	r.RQ = onlyDefault{l, &asked}
	if err := r.Do(t.Context()); !errors.Is(err, errBroken) || asked != "b:go b:default " {
		t.Errorf("error %v after asking %q, want both queues", err, asked)
	}
}

type onlyDefault struct {
	*lapsedJobs
	asked *string
}

func (o onlyDefault) Lapsed(ctx context.Context, queue string, slack time.Duration) ([]rqcompat.LapsedJob, error) {
	*o.asked += queue + " "
	return o.lapsedJobs.Lapsed(ctx, queue, slack)
}
