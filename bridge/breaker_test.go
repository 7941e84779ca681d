package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// service is what the jobs of the Job Type calls need, which fails while it is down.
type service struct {
	down  atomic.Bool
	calls atomic.Int64
}

func (s *service) register(e *Engine) {
	Register(e, "calls", func(ctx context.Context, j *Job[any]) (any, error) {
		s.calls.Add(1)
		if s.down.Load() {
			return nil, errors.New("the service is down")
		}
		return nil, nil
	})
	Register(e, "others", func(context.Context, *Job[any]) (any, error) { return nil, errors.New("fails too, but seldom") })
}

// addType makes a Job Type.
func (b *bed) addType(name string, retries int) {
	b.t.Helper()
	if _, err := b.db.InsertJobTypes(b.t.Context(), []rows.JobType{{TypeName: name, DisplayName: name, Enabled: true, HandlerMethod: name, DefaultTimeout: 30, MaxRetries: retries}}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) submitFor(organization, jobType string) string {
	b.t.Helper()
	row, err := b.client().Submit(b.t.Context(), SubmitRequest{Site: testSite, JobType: jobType, Organization: organization})
	if err != nil {
		b.t.Fatal(err)
	}
	return row.Name
}

func (b *bed) breaker(status string) *rows.Breaker {
	b.t.Helper()
	var last *rows.Breaker
	b.eventually("the circuit breaker is "+status, func() bool {
		all, err := b.db.Breakers(b.t.Context(), 10)
		if err != nil || len(all) > 1 {
			b.t.Fatalf("%+v, %v", all, err)
		}
		if len(all) == 1 {
			last = all[0]
		}
		return last != nil && last.Status == status
	}, func() string { return fmt.Sprintf("%+v", last) })
	return last
}

// TestCircuitBreaker over three engines: it opens at the tenth attempt, holds its own Job Type and organization only, lets one job
// through when its time has come, holds on when that fails, and closes when one succeeds.
func TestCircuitBreaker(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 4})
	b.cfg.Breaker = BreakerPolicy{Open: 5 * time.Second}
	b.addType("calls", 5)
	b.addType("others", 0)
	s := &service{}
	s.down.Store(true)
	for range 3 {
		b.start(s.register)
	}
	for range 9 {
		b.submitFor("ORG-A", "calls")
	}
	b.within(20*time.Second, "nine attempts failed", func() bool { return s.calls.Load() == 9 }, func() string { return fmt.Sprint(s.calls.Load()) })
	time.Sleep(300 * time.Millisecond)
	if all, err := b.db.Breakers(t.Context(), 10); err != nil || len(all) != 0 {
		t.Errorf("after nine attempts: %+v, %v", all, err)
	}
	b.submitFor("ORG-A", "calls")
	opened := b.breaker(rows.BreakerOpen)
	if opened.JobType != "calls" || opened.Organization != "ORG-A" || opened.Failures != 10 || opened.Attempts != 10 || opened.LastError != "the service is down" ||
		opened.NextTrialAt.Sub(opened.OpenedAt).Round(time.Second) != 5*time.Second {
		t.Errorf("%+v", opened)
	}
	time.Sleep(2100 * time.Millisecond) // so long it may be unseen
	held := make([]string, 40)
	for i := range held {
		held[i] = b.submitFor("ORG-A", "calls")
	}
	b.waitRow(b.submitFor("ORG-B", "calls"), rows.StatusFailed)
	b.waitRow(b.submitFor("ORG-A", "others"), rows.StatusDeadLetter)
	b.within(10*time.Second, "rows say why they wait", func() bool { // any of them may be the trial
		return b.count("SELECT COUNT(*) FROM `tabBackground Job` WHERE name IN (?,?) AND waiting_for LIKE 'the circuit breaker of calls for ORG-A is open: 10 of 10 attempts failed%'", held[0], held[39]) > 0
	}, func() string { return b.row(held[39]).WaitingFor })

	// The trial: one, over all processes, and it fails.
	b.within(20*time.Second, "a trial is made", func() bool { return s.calls.Load() >= 12 }, func() string { return fmt.Sprint(s.calls.Load()) })
	b.breaker(rows.BreakerOpen)
	time.Sleep(time.Second)
	var trials []time.Time
	for _, name := range held {
		if row := b.row(name); row.Status != rows.StatusQueued {
			trials = append(trials, row.StartedAt)
		}
	}
	slices.SortFunc(trials, time.Time.Compare)
	for i, at := range append([]time.Time{opened.OpenedAt}, trials...)[:len(trials)] {
		if pause := trials[i].Sub(at); pause < 4900*time.Millisecond {
			t.Errorf("trial %d came %s after the breaker opened, want 5 s; trials %v", i+1, pause, trials)
		}
	}
	if n := b.count("SELECT COUNT(*) FROM `tabBackground Job` WHERE name IN (?,?,?) AND status='Queued' AND retry_count=0", held[0], held[20], held[39]); n < 2 {
		t.Errorf("%d of three jobs wait unharmed", n)
	}

	s.down.Store(false)
	b.breaker(rows.BreakerClosed)
	for _, name := range held {
		if b.row(name).Status != rows.StatusFailed { // that was a trial
			b.waitRow(name, rows.StatusCompleted)
		}
	}
	if keys, err := b.rdb.Keys(t.Context(), "rq:bridge:breaker:*").Result(); err != nil || len(keys) > 4 {
		t.Errorf("keys %v, %v", keys, err)
	}
	b.checkLogIsLegal()
}

// TestCircuitBreakerIsClosedByHand, in the desk: its jobs go on within seconds, and what failed before doesn't count.
func TestCircuitBreakerIsClosedByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.addType("calls", 0)
	s := &service{}
	s.down.Store(true)
	b.start(s.register)
	b.start(s.register)
	for range 10 {
		b.submitFor("ORG-A", "calls")
	}
	b.breaker(rows.BreakerOpen)
	time.Sleep(2100 * time.Millisecond)
	held := b.submitFor("ORG-A", "calls")
	time.Sleep(time.Second)
	if row := b.row(held); row.Status != rows.StatusQueued {
		t.Errorf("while it is open: %+v", row)
	}
	b.exec("UPDATE `tabJob Circuit Breaker` SET status='Closed'")
	b.within(10*time.Second, "the job ran", func() bool { return b.row(held).Status == rows.StatusDeadLetter }, func() string { return fmt.Sprint(b.row(held)) })
	time.Sleep(500 * time.Millisecond)
	b.breaker(rows.BreakerClosed)
}

// TestATrialThatIsGivenBack, by a stop, says nothing: another is made at once.
func TestATrialThatIsGivenBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 0.1, "cancel_grace": 5})
	b.countTypes()
	until := b.db.Now().Add(-time.Second)
	if ok, err := b.db.OpenBreaker(t.Context(), rows.Breaker{JobType: "holds", Organization: "ORG-A", Failures: 5, Attempts: 10}, until); err != nil || !ok {
		t.Fatal(ok, err)
	}
	c := newCounter()
	first := b.start(c.register)
	one, two := b.submitFor("ORG-A", "holds"), b.submitFor("ORG-A", "holds")
	trial := b.breaker(rows.BreakerTrial)
	b.waitRow(trial.TrialJob, rows.StatusRunning)
	other := map[string]string{one: two, two: one}[trial.TrialJob]
	time.Sleep(time.Second)
	if row := b.row(other); row.Status != rows.StatusQueued {
		t.Errorf("beside the trial: %+v", row)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	again := b.breaker(rows.BreakerOpen)
	if again.TrialJob != "" {
		t.Errorf("%+v", again)
	}
	// By Redis's clock, of which each process has an idea that is some milliseconds off.
	b.within(time.Second, "another trial may be made", func() bool { return !again.Until().After(b.db.Now()) }, func() string { return fmt.Sprint(again) })
	b.start(c.register)
	b.breaker(rows.BreakerTrial)
}
