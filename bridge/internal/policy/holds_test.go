package policy

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestPauses: what is paused waits on its queue, and is taken in all the same.
func TestPauses(t *testing.T) {
	of := func(kind, of string) *rows.Pause {
		p := &rows.Pause{Kind: kind, PausedBy: "jane", Since: noon, Reason: "audit"}
		switch kind {
		case rows.PauseOrganization:
			p.Organization = of
		case rows.PauseJobType:
			p.JobType = of
		case rows.PauseQueue:
			p.Queue = of
		}
		return p
	}
	plain := func(q *Question) { q.JobType, q.Organization = "", "" }
	const since = " was paused by jane at 2026-11-27 12:00:00 UTC: audit"
	for name, tc := range map[string]struct {
		pause *rows.Pause
		of    func(*Question)
		want  string
	}{
		"its organization":             {of(rows.PauseOrganization, "ORG-A"), nil, "wait 3s pause: organization ORG-A" + since},
		"another organization":         {of(rows.PauseOrganization, "ORG-B"), nil, ""},
		"its Job Type":                 {of(rows.PauseJobType, "export"), nil, "wait 3s pause: Job Type export" + since},
		"a Job Type of its queue's":    {of(rows.PauseJobType, "go"), nil, ""},
		"its queue":                    {of(rows.PauseQueue, "go"), nil, "wait 3s pause: for this site, queue go" + since},
		"another queue":                {of(rows.PauseQueue, "long"), nil, ""},
		"its queue, without a row":     {of(rows.PauseQueue, "go"), plain, "wait 3s pause: for this site, queue go" + since},
		"nothing, without a row":       {of(rows.PauseOrganization, ""), plain, ""},
		"nothing, of an unknown queue": {of(rows.PauseQueue, ""), func(q *Question) { q.Queue = "" }, ""},
		"something that nobody knows":  {of("Site", "a"), nil, ""},
	} {
		for moment, at := range moments {
			f, q := fine(), Question{Moment: moment, Site: "a", Queue: "go", JobType: "export", Organization: "ORG-A"}
			f.pauses = []*rows.Pause{of(rows.PauseQueue, "short"), tc.pause}
			if tc.of != nil {
				tc.of(&q)
			}
			want := tc.want
			if moment < AtClaim {
				want = ""
			}
			if got := say(New(f, Options{}).Ask(t.Context(), q)); q.JobType+want != "" && got != want {
				t.Errorf("%s is paused, asked %s: %q, want %q", name, at, got, want)
			}
		}
	}
}

// TestBreakers: while one is open its jobs wait, and at its time one may go, if it wins that.
func TestBreakers(t *testing.T) {
	open := func(until time.Duration) rows.Breaker {
		return rows.Breaker{Name: "b1", JobType: "export", Organization: "ORG-A", Status: rows.BreakerOpen, Failures: 6, Attempts: 10,
			NextTrialAt: noon.Add(until), UntilUTC: noon.Add(until).Format(time.RFC3339Nano)}
	}
	with := func(until time.Duration, change func(*rows.Breaker)) rows.Breaker {
		b := open(until)
		change(&b)
		return b
	}
	const opened = "breaker: the circuit breaker of export for ORG-A is open: 6 of 10 attempts failed; "
	for name, tc := range map[string]struct {
		breaker rows.Breaker
		want    Answer
		says    string
	}{
		"open":                     {breaker: open(time.Minute), says: "wait 3s " + opened + "one job is tried at 2026-11-27 12:01:00 UTC"},
		"open for a moment":        {breaker: open(time.Second), says: "wait 1s " + opened + "one job is tried at 2026-11-27 12:00:01 UTC"},
		"due":                      {breaker: open(0), want: Answer{Trial: "b1"}},
		"open, it doesn't say how": {breaker: with(0, func(b *rows.Breaker) { b.UntilUTC = "" }), want: Answer{Trial: "b1"}},
		"a trial":                  {breaker: with(time.Minute, func(b *rows.Breaker) { b.Status = rows.BreakerTrial }), says: "wait 3s " + opened + "one job is being tried, the others wait for what comes of it"},
		"a trial that is over":     {breaker: with(-time.Minute, func(b *rows.Breaker) { b.Status = rows.BreakerTrial }), want: Answer{Trial: "b1"}},
		"another's":                {breaker: with(time.Minute, func(b *rows.Breaker) { b.Organization = "ORG-B" })},
		"another Job Type's":       {breaker: with(time.Minute, func(b *rows.Breaker) { b.JobType = "import" })},
	} {
		for moment, at := range moments {
			f, q := fine(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A"}
			f.breakers = []*rows.Breaker{&tc.breaker}
			want, says := tc.want, tc.says
			if moment < AtClaim {
				want, says = Answer{}, ""
			}
			a := New(f, Options{}).Ask(t.Context(), q)
			if a.Verdict == Go && a != want || a.Verdict != Go && say(a) != says || a.Verdict == Go && says != "" {
				t.Errorf("%s, %s: %+v, want %+v %q", name, at, a, want, says)
			}
			if a := New(f, Options{NoBreakers: true}).Ask(t.Context(), q); a != (Answer{}) {
				t.Errorf("%s, %s, without breakers: %+v", name, at, a)
			}
			q.JobType = ""
			if a := New(f, Options{}).Ask(t.Context(), q); moment >= AtClaim && a != (Answer{}) {
				t.Errorf("%s, %s, without a row: %+v", name, at, a)
			}
		}
	}
}

// TestHoldsThatCannotBeKnown keep a job with a row, which needs the database anyway, and no other.
func TestHoldsThatCannotBeKnown(t *testing.T) {
	f := fine()
	f.holdsErr = rows.ErrUnavailable
	q := Question{Moment: AtClaim, Site: "a", Queue: "go", JobType: "export", Organization: "ORG-A"}
	if got, want := say(New(f, Options{}).Ask(t.Context(), q)), "wait 1s pause: site a can't be asked: database unavailable"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	q.JobType = ""
	if a := New(f, Options{}).Ask(t.Context(), q); a.Verdict != Go {
		t.Errorf("a job without a row: %+v", a)
	}
}

// TestBriefQuestions are answered like whole ones at the claim, and those of jobs that wait for the same are equal.
func TestBriefQuestions(t *testing.T) {
	waits := rows.Parent{Name: "JOB-0", Status: rows.StatusRunning, Organization: "ORG-A"}
	for name, change := range map[string]func(*facts){
		"nothing":                  func(*facts) {},
		"maintenance":              func(f *facts) { f.maintained = true },
		"a suspended organization": func(f *facts) { f.org.Status = "Suspended" },
		"a pause of it":            func(f *facts) { f.pauses = []*rows.Pause{{Kind: rows.PauseOrganization, Organization: "ORG-A"}} },
		"a pause of the Job Type":  func(f *facts) { f.pauses = []*rows.Pause{{Kind: rows.PauseJobType, JobType: "export"}} },
		"a pause of the queue":     func(f *facts) { f.pauses = []*rows.Pause{{Kind: rows.PauseQueue, Queue: "go"}} },
		"a circuit breaker": func(f *facts) {
			f.breakers = []*rows.Breaker{{Name: "b1", JobType: "export", Organization: "ORG-A", Status: rows.BreakerOpen, UntilUTC: noon.Add(time.Minute).Format(time.RFC3339Nano)}}
		},
		"its trial": func(f *facts) {
			f.breakers = []*rows.Breaker{{Name: "b1", JobType: "export", Organization: "ORG-A", Status: rows.BreakerOpen}}
		},
		"a parent": func(f *facts) { f.parents = []rows.Parent{waits} },
		"a parent that is dead": func(f *facts) {
			f.parents = []rows.Parent{{Name: "JOB-0", Status: rows.StatusDeadLetter, Organization: "ORG-A"}}
		},
	} {
		for _, parent := range []string{"", "JOB-0"} {
			row := &rows.BackgroundJob{Name: "JOB-1", JobType: "export", Organization: "ORG-A", OwnerUser: "jane", Status: rows.StatusQueued, DependsOn: parent, RunAfter: noon.Add(time.Hour)}
			q := Question{Moment: AtClaim, Site: "a", Queue: "go", JobType: "export", Organization: "ORG-A", User: "jane", Row: row}
			f := fine()
			change(f)
			whole, brief := New(f, Options{}).Ask(t.Context(), q), New(f, Options{}).Ask(t.Context(), q.Brief())
			if say(whole) != say(brief) || whole.Trial != brief.Trial || whole.Again != brief.Again {
				t.Errorf("%s, a job that depends on %q: %q, and briefly %q", name, parent, say(whole), say(brief))
			}
			other := q
			other.User, other.Row = "joe", &rows.BackgroundJob{Name: "JOB-2", DependsOn: parent}
			if same := other.Brief() == q.Brief(); same != (parent == "") {
				t.Errorf("of another job that depends on %q the question is the same: %v", parent, same)
			}
		}
	}
}
