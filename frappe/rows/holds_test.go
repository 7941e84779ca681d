package rows

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	_, d := installed(t, testMajor)
	pauses := func() *Pauses {
		t.Helper()
		p, err := d.Pauses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := pauses(); len(p.All) != 0 || p.Find(PauseQueue, "go") != nil {
		t.Errorf("paused at first: %+v", p.All)
	}
	for _, p := range []Pause{
		{Kind: PauseOrganization, Organization: "ORG-1", Reason: "audit", PausedBy: "jane"}, {Kind: PauseOrganization, Organization: "ORG-1", Reason: "again"},
		{Kind: PauseJobType, JobType: "echo_job"}, {Kind: PauseQueue, Queue: "go"},
	} {
		if err := d.InsertPause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, d, "INSERT INTO `tabBackground Job Pause` (name,creation,owner,kind,organization) VALUES ('x',NOW(6)-INTERVAL 1 DAY,'sue','Organization','ORG-2')")
	d.ForgetHolds()
	p := pauses()
	one, another := p.Find(PauseOrganization, "ORG-1"), p.Find(PauseOrganization, "ORG-2")
	if len(p.All) != 4 || one == nil || one.Reason != "audit" || one.PausedBy != "jane" || time.Since(one.Since).Abs() > time.Minute ||
		another.PausedBy != "sue" || another.Since.IsZero() || p.Find(PauseJobType, "echo_job").PausedBy != "Administrator" || p.Find(PauseQueue, "go") == nil || p.Find(PauseQueue, "echo_job") != nil {
		t.Errorf("%d pauses: %+v, %+v", len(p.All), one, another)
	}
	if n, err := d.DeletePauses(t.Context(), Pause{Kind: PauseOrganization, Organization: "ORG-2"}); n != 1 || err != nil || pauses().Find(PauseOrganization, "ORG-2") != nil {
		t.Errorf("%d pauses ended, %v", n, err)
	}
	mustExec(t, d, "DROP TABLE `tabBackground Job Pause`")
	d.tables.tables.Forget()
	d.ForgetHolds()
	if p := pauses(); len(p.All) != 0 {
		t.Errorf("without the table %+v is paused", p.All)
	}
	if err := d.InsertPause(t.Context(), Pause{Kind: PauseQueue, Queue: "go"}); !errors.Is(err, ErrTableMissing) {
		t.Errorf("a pause without its table: %v", err)
	}
}

// TestBreakersAreSwapped: of many that open, try or close one at the same time, one does.
func TestBreakersAreSwapped(t *testing.T) {
	_, d := installed(t, testMajor)
	until := d.Now().Add(15 * time.Minute)
	b := Breaker{JobType: "echo_job", Organization: "ORG-1", Failures: 6, Attempts: 10, LastError: "down"}
	many := func(what string, do func() (bool, error)) {
		t.Helper()
		var won atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if ok, err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
				} else if ok {
					won.Add(1)
				}
			})
		}
		if all.Wait(); won.Load() != 1 {
			t.Errorf("%s: %d won, want 1", what, won.Load())
		}
	}
	open := func(status string) Breaker {
		t.Helper()
		found, err := d.OpenBreakers(t.Context())
		if err != nil || len(found) != 1 || found[0].Status != status {
			t.Fatalf("%+v, %v, want one that is %s", found, err, status)
		}
		return *found[0]
	}
	many("open", func() (bool, error) { return d.OpenBreaker(t.Context(), b, until) })
	found := open(BreakerOpen)
	if !found.Until().Equal(until) || found.Failures != 6 || found.Attempts != 10 || found.LastError != "down" || found.OpenedAt.IsZero() || !found.NextTrialAt.Equal(until.Truncate(time.Microsecond)) {
		t.Errorf("%+v, want until %s", found, until)
	}
	many("try", func() (bool, error) { return d.TryBreaker(t.Context(), found, "JOB-1", until.Add(time.Minute)) })
	trial := open(BreakerTrial)
	if trial.TrialJob != "JOB-1" {
		t.Errorf("%+v", trial)
	}
	many("reopen", func() (bool, error) { return d.ReopenBreaker(t.Context(), trial, until.Add(time.Hour)) })
	again := open(BreakerOpen)
	if ok, err := d.TryBreaker(t.Context(), found, "JOB-2", until); ok || err != nil || again.TrialJob != "" {
		t.Errorf("a breaker that was read before its last opening was tried: %v", err)
	}
	many("close", func() (bool, error) { return d.CloseBreaker(t.Context(), again, "jane") })
	if open, err := d.OpenBreakers(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
	mustExec(t, d, "UPDATE `tabJob Circuit Breaker` SET until_utc='x'") // as the desk's form saves it
	many("open again", func() (bool, error) { return d.OpenBreaker(t.Context(), b, until) })
	if all, err := d.Breakers(t.Context(), 10); err != nil || len(all) != 1 || all[0].Name != b.Pair() {
		t.Errorf("%+v, %v", all, err)
	}
}
