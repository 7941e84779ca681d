package policy

import (
	"context"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// family is what a row depends on.
type family struct {
	parents    []rows.Parent
	parentsErr error
	cycle      []string
}

func (f *facts) Parents(_ context.Context, site string, row *rows.BackgroundJob) ([]rows.Parent, error) {
	f.asked = append(f.asked, "parents "+site+" "+row.Name)
	return f.parents, f.parentsErr
}

func (f *facts) Cycle(_ context.Context, site string, row *rows.BackgroundJob) ([]string, error) {
	f.asked = append(f.asked, "cycle "+site+" "+row.Name)
	return f.cycle, nil
}

func TestDependency(t *testing.T) {
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	parent := func(status rows.Status) rows.Parent {
		return rows.Parent{Name: "JOB-1", Status: status, Organization: "ORG-A", Creation: made.Add(-time.Hour)}
	}
	done := rows.Parent{Name: "JOB-0", Status: rows.StatusCompleted, Organization: "ORG-A"}
	foreign, later := parent(rows.StatusRunning), parent(rows.StatusPending)
	foreign.Organization, later.Creation = "ORG-B", made
	const (
		waits   = "wait 3s dependency: it waits for JOB-1, which is "
		dead    = "refuse dependency: it depends on JOB-1, which is "
		missing = "refuse dependency: it depends on JOB-1, which doesn't exist"
	)
	for name, tc := range map[string]struct {
		parents   []rows.Parent
		cycle     []string
		delivered string // at the delivery
		later     string // at the claim and at the start
	}{
		"none":                   {nil, nil, "", ""},
		"completed":              {[]rows.Parent{parent(rows.StatusCompleted), done}, nil, "", ""},
		"pending":                {[]rows.Parent{parent(rows.StatusPending)}, nil, waits + "Pending", waits + "Pending"},
		"queued":                 {[]rows.Parent{parent(rows.StatusQueued)}, nil, waits + "Queued", waits + "Queued"},
		"running beside another": {[]rows.Parent{done, parent(rows.StatusRunning), {Name: "JOB-2", Status: rows.StatusQueued, Organization: "ORG-A"}}, nil, waits + "Running", waits + "Running"},
		"between retries":        {[]rows.Parent{parent(rows.StatusFailed)}, nil, waits + "Failed", waits + "Failed"},
		"timed out":              {[]rows.Parent{parent(rows.StatusTimedOut)}, nil, waits + "Timed Out", waits + "Timed Out"},
		"dead":                   {[]rows.Parent{{Name: "JOB-2", Status: rows.StatusRunning, Organization: "ORG-A"}, parent(rows.StatusDeadLetter)}, nil, dead + "Dead Letter", dead + "Dead Letter"},
		"canceled":               {[]rows.Parent{parent(rows.StatusCanceled)}, nil, dead + "Canceled", dead + "Canceled"},
		"missing":                {[]rows.Parent{{Name: "JOB-1"}}, nil, missing, ""},
		"foreign":                {[]rows.Parent{foreign}, nil, missing, ""},
		"younger, no cycle":      {[]rows.Parent{later}, nil, waits + "Pending", waits + "Pending"},
		"younger, a cycle": {[]rows.Parent{later}, []string{"JOB-9", "JOB-1"},
			"refuse dependency: it waits for itself: JOB-9 depends on JOB-1 depends on JOB-9", waits + "Pending"},
	} {
		for moment, at := range moments {
			f := fine()
			f.parents, f.cycle = tc.parents, tc.cycle
			row := &rows.BackgroundJob{Name: "JOB-9", DependsOn: "JOB-1", Organization: "ORG-A", Status: rows.StatusQueued, Creation: made}
			a := New(f, Options{}).Ask(t.Context(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A", Row: row})
			want := map[Moment]string{AtDelivery: tc.delivered, AtClaim: tc.later, AtStart: tc.later}[moment]
			if got := say(a); got != want {
				t.Errorf("%s %s: %q, want %q", name, at, got, want)
			}
			if a.Verdict == Refuse && job.Classify(a.Err) != job.Permanent {
				t.Errorf("%s %s: the refusal isn't permanent", name, at)
			}
		}
	}
}

// TestDependencyAsksNothing of jobs without one, of those that have ended, and where it was asked before.
func TestDependencyAsksNothing(t *testing.T) {
	for name, q := range map[string]Question{
		"without a row":      {Moment: AtStart, JobType: "export"},
		"without a parent":   {Moment: AtClaim, Row: &rows.BackgroundJob{Name: "JOB-1"}},
		"completed":          {Moment: AtStart, Row: &rows.BackgroundJob{Name: "JOB-1", DependsOn: "JOB-0", Status: rows.StatusCompleted}},
		"still to be made":   {Moment: AtDelivery, Row: &rows.BackgroundJob{DependsOn: "JOB-0"}},
		"parents were asked": {Moment: AtDelivery, Row: &rows.BackgroundJob{Name: "JOB-1", DependsOn: "JOB-0"}, Parents: &[]rows.Parent{}},
	} {
		f := fine()
		if a := dependency.Ask(t.Context(), f, q); a.Verdict != Go || len(f.asked) > 0 {
			t.Errorf("%s: %+v, having asked %q", name, a, f.asked)
		}
	}
	f := fine()
	f.parentsErr = rows.ErrUnavailable
	q := Question{Moment: AtClaim, Row: &rows.BackgroundJob{Name: "JOB-1", DependsOn: "JOB-0"}}
	if a := dependency.Ask(t.Context(), f, q); a.Verdict != Wait {
		t.Errorf("a site that can't be asked: %+v", a)
	}
}
