package route

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// told is what becomes of a job, for whom, and why not.
func told(o Routed) string {
	text := fmt.Sprintf("%s of %s for %q of %q", verdicts[o.Verdict], o.User, o.Organization, o.Tenant().Organization)
	if o.Row != nil {
		text += " in " + o.Row.Name
	}
	if o.Broken != nil {
		text += ": " + o.Broken.Error()
	}
	return text
}

// TestInWhoseNameACallRuns: as the site's database has the names, or it is refused, on a shared queue as well.
func TestInWhoseNameACallRuns(t *testing.T) {
	call := func(user, method string, kwargs map[string]any) frappe.Call {
		return frappe.Call{User: user, Method: method, Kwargs: kwargs}
	}
	of := func(organization any) map[string]any { return map[string]any{"organization": organization} }
	row := map[string]any{"background_job_id": "JOB-1"}
	long := strings.Repeat("x", 1000)
	const (
		jane, eve, owner = "jane@example.com", "eve@example.com", "owner@example.com"
		noMember         = " doesn't belong to organization "
	)
	tests := map[string]struct {
		call   frappe.Call
		before func(b *bench, r *Router)
		want   string
	}{
		"a member":                        {call(jane, "app.export", of("ORG-A")), nil, `ours of jane@example.com for "ORG-A" of "ORG-A"`},
		"names in another spelling":       {call("Jane@Example.com ", "app.export", of("org-a  ")), nil, `ours of jane@example.com for "ORG-A" of "ORG-A"`},
		"the default organization":        {call(eve, "app.export", nil), nil, `ours of eve@example.com for "ORG-D" of "ORG-D"`},
		"None as organization":            {call(eve, "app.export", of(nil)), nil, `ours of eve@example.com for "ORG-D" of "ORG-D"`},
		"the default one that isn't here": {call(eve, "app.export", nil), func(_ *bench, r *Router) { r.DefaultOrganization = "ORG-X" }, `ours of eve@example.com for "" of "": Organization not found: site a.example.com has no organization "ORG-X"`},
		"no organization at all":          {call(eve, "app.export", nil), func(_ *bench, r *Router) { r.DefaultOrganization = "" }, `ours of eve@example.com for "" of ""`},
		"the default one, named":          {call(eve, "app.export", of("ORG-D")), nil, `ours of eve@example.com for "" of "": eve@example.com` + noMember + "ORG-D"},
		"another's organization":          {call(eve, "app.export", of("ORG-A")), nil, `ours of eve@example.com for "" of "": eve@example.com` + noMember + "ORG-A"},
		"another's, trusted":              {call(eve, "app.export", of("org-a")), func(_ *bench, r *Router) { r.TrustEnqueuer = true }, `ours of eve@example.com for "ORG-A" of "ORG-A"`},
		"another's, by Administrator":     {call("Administrator", "app.export", of("ORG-A")), nil, `ours of Administrator for "ORG-A" of "ORG-A"`},
		"one that doesn't exist":          {call(jane, "app.export", of("ORG-X")), nil, `ours of jane@example.com for "" of "": Organization not found: site a.example.com has no organization "ORG-X"`},
		"one that doesn't, trusted":       {call(jane, "app.export", of("ORG-X")), func(_ *bench, r *Router) { r.TrustEnqueuer = true }, `ours of jane@example.com for "" of "": Organization not found: site a.example.com has no organization "ORG-X"`},
		"one of a long name":              {call(jane, "app.export", of(long)), nil, `ours of jane@example.com for "" of "": Organization not found: site a.example.com has no organization of 1000 characters`},
		"one that is no text":             {call(jane, "app.export", of(7)), nil, `ours of jane@example.com for "" of "": the argument organization is not text`},
		"a user who doesn't exist":        {call("nobody", "app.export", of("ORG-A")), nil, `ours of nobody for "" of "": User not found: site a.example.com has no user "nobody"`},
		"who doesn't exist, trusted":      {call("nobody", "app.export", of("ORG-A")), func(_ *bench, r *Router) { r.TrustEnqueuer = true }, `ours of nobody for "" of "": User not found: site a.example.com has no user "nobody"`},

		"a plain job of a member":          {call(jane, "go.plain", of("org-a")), nil, `ours of jane@example.com for "ORG-A" of "ORG-A"`},
		"a plain job of another's":         {call(eve, "go.plain", of("ORG-A")), nil, `ours of eve@example.com for "" of ""`},
		"a plain job of none":              {call(eve, "go.plain", of("ORG-X")), nil, `ours of eve@example.com for "" of ""`},
		"a plain job with another meaning": {call(eve, "go.plain", of(7)), nil, `ours of eve@example.com for "" of ""`},
		"a plain job on a site without":    {call(jane, "go.plain", of("ORG-A")), func(b *bench, _ *Router) { b.whoErr = rows.ErrColumnMissing }, `ours of jane@example.com for "" of ""`},

		"a row, by its owner":           {call(owner, frappe.Executor, row), nil, `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},
		"a row, by a member":            {call(jane, frappe.Executor, row), nil, `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},
		"a row, by Administrator":       {call("administrator", frappe.Executor, row), nil, `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},
		"a row, by somebody else":       {call(eve, frappe.Executor, row), nil, `ours of eve@example.com for "" of "": eve@example.com` + noMember + "ORG-A"},
		"a row, by somebody, trusted":   {call(eve, frappe.Executor, row), func(_ *bench, r *Router) { r.TrustEnqueuer = true }, `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},
		"a row, by nobody":              {call("nobody", frappe.Executor, row), nil, `ours of nobody for "" of "": User not found: site a.example.com has no user "nobody"`},
		"a row, whose owner isn't read": {call(owner, frappe.Executor, row), func(b *bench, _ *Router) { b.whoErr = errors.New("away") }, `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},

		"who can't be looked up now":     {call(jane, "app.export", of("ORG-A")), func(b *bench, _ *Router) { b.whoErr = errors.New("away") }, `unready of jane@example.com for "" of ""`},
		"a row's that can't be, either":  {call(jane, frappe.Executor, row), func(b *bench, _ *Router) { b.whoErr = errors.New("away") }, `unready of owner@example.com for "ORG-A" of "ORG-A" in JOB-1`},
		"whose row can't be looked for":  {call(eve, "app.export", of("ORG-A")), func(b *bench, _ *Router) { b.arrivalsErr = errors.New("away") }, `unready of eve@example.com for "" of ""`},
		"one renamed since it was begun": {call(jane, "app.export", of("ORG-X")), arrived("export"), `ours of owner@example.com for "ORG-Y" of "ORG-Y" in JOB-7`},
		"one begun for another Job Type": {call(jane, "app.export", of("ORG-X")), arrived("archive"), `ours of jane@example.com for "" of "": Organization not found`},
	}
	for name, tc := range tests {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/own=%v", name, own), func(t *testing.T) {
				b := newBench()
				r := b.router()
				if tc.before != nil {
					tc.before(b, r)
				}
				j := enqueued(t, tc.call)
				got := r.Route(t.Context(), job.Queue{Kind: "q", Own: own}, []Found{{Job: j}})[0]
				if text := told(got); !strings.HasPrefix(text, tc.want) {
					t.Errorf("%.300s\nwant %.300s", text, tc.want)
				}
				if got.Broken != nil && job.Classify(got.Broken) != job.Permanent {
					t.Errorf("the error is %s, want permanent", job.Classify(got.Broken))
				}
				if got.Broken != nil && (got.RowName != "" || got.Tenant() != (job.Tenant{Site: site})) {
					t.Errorf("a refused job names the row %q and takes the turn of %+v", got.RowName, got.Tenant())
				}
			})
		}
	}
}

// arrived has the site know a row that was made for the job.
func arrived(jobType string) func(*bench, *Router) {
	return func(b *bench, _ *Router) {
		b.arrivals = map[string]*rows.BackgroundJob{
			sites.Arrival{ID: "id"}.Hash(): {Name: "JOB-7", JobType: jobType, Organization: "ORG-Y", OwnerUser: "owner@example.com"},
		}
	}
}

// TestARowOfPythonsIsNotEverybodysToFail: on an own queue it would become a dead letter.
func TestARowOfPythonsIsNotEverybodysToFail(t *testing.T) {
	for user, want := range map[string]string{
		"jane@example.com": `ours of owner@example.com for "ORG-A" of "ORG-A" in JOB-2: no handler`,
		"eve@example.com":  `ours of eve@example.com for "" of "": eve@example.com doesn't belong`,
	} {
		j := enqueued(t, frappe.Call{User: user, Method: frappe.Executor, Kwargs: map[string]any{"background_job_id": "JOB-2"}})
		if got := told(newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: j}})[0]); !strings.HasPrefix(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// TestWhoIsNamedHasGrace: an organization and its members may be committed a moment after the job that needs them. The
// longer it takes, the less often it is looked.
func TestWhoIsNamedHasGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		found := []Found{{Job: enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"organization": "ORG-N"}}), Seen: time.Now()}}
		route := func() Routed { return b.router().Route(t.Context(), job.Queue{}, found)[0] }
		for _, step := range []struct{ wait, again time.Duration }{
			{0, unreadyPause}, {time.Second, time.Second}, {9*time.Second - 1, longestLook},
		} {
			time.Sleep(step.wait)
			if got := route(); got.Verdict != Unready || got.Again != step.again || got.Organization != "" {
				t.Errorf("%s after it was seen: %s, again in %s, want unready, again in %s", time.Since(found[0].Seen), told(got), got.Again, step.again)
			}
		}
		time.Sleep(time.Nanosecond)
		if got := route(); got.Verdict != Ours || got.Broken == nil {
			t.Errorf("when the grace is over: %s, want it refused", told(got))
		}
		b.organizations["ORG-N"] = []string{"jane@example.com"}
		if got := route(); got.Broken != nil || got.Organization != "ORG-N" {
			t.Errorf("when it is there after all: %s", told(got))
		}
	})
}

// TestCallersAreLookedUpTogether: once for a batch, and only those in whose name something would be done here.
func TestCallersAreLookedUpTogether(t *testing.T) {
	b := newBench()
	of := map[string]any{"organization": "ORG-A"}
	b.router().Route(t.Context(), job.Queue{}, []Found{
		{Job: enqueued(t, frappe.Call{Method: "app.export", Kwargs: of})}, {Job: enqueued(t, frappe.Call{Method: "archive", Kwargs: of})},
		{Job: enqueued(t, frappe.Call{Method: "app.python", Kwargs: of})}, {Job: delivery(t, "JOB-2")}, {Job: plain(t, "go.plain")},
	})
	if len(b.callers) != 1 || len(b.callers[0]) != 1 || len(b.callers[0][site]) != 2 {
		t.Errorf("looked up %v, want the callers of the first two, once", b.callers)
	}
}

// TestASiteThatIsNotHereTakesNoTurn of its own.
func TestASiteThatIsNotHereTakesNoTurn(t *testing.T) {
	for what, c := range map[string]frappe.Call{
		"a method":             {Site: "b.example.com", Method: "go.plain"},
		"what can't be called": {Site: "c.example.com", Method: frappe.Executor},
	} {
		got := newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: enqueued(t, c)}})[0]
		if got.Broken == nil || got.Tenant() != (job.Tenant{}) {
			t.Errorf("%s: %s, turn of %+v, want that of jobs without a site", what, told(got), got.Tenant())
		}
	}
}
