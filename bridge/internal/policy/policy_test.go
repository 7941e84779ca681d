package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// facts is a bench of one site.
type facts struct {
	maintained       bool
	types            map[string]*rows.JobType
	org              *rows.Organization
	typesErr, orgErr error
	mayErr           error
	may              bool
	standing         access.Standing
	standingErr      error
	uses             map[string]rqcompat.LimitUse // by key
	usesErr          error
	pauses           []*rows.Pause
	breakers         []*rows.Breaker
	holdsErr         error
	family
	ofBatch
	ahead time.Duration // of Redis's clock

	asked []string
}

func (f *facts) Maintenance(site string) bool {
	f.asked = append(f.asked, "maintenance "+site)
	return f.maintained
}

func (f *facts) JobTypes(_ context.Context, site string) (map[string]*rows.JobType, error) {
	f.asked = append(f.asked, "types "+site)
	return f.types, f.typesErr
}

func (f *facts) Organization(_ context.Context, site, name string) (*rows.Organization, error) {
	f.asked = append(f.asked, "organization "+site+" "+name)
	return f.org, f.orgErr
}

func (f *facts) MayCreate(_ context.Context, site, user, doctype string) (bool, error) {
	f.asked = append(f.asked, "may "+site+" "+user+" "+doctype)
	return f.may, f.mayErr
}

func (f *facts) Standing(_ context.Context, site, user, organization string) (access.Standing, error) {
	f.asked = append(f.asked, "standing "+site+" "+user+" "+organization)
	return f.standing, f.standingErr
}

func (f *facts) Pauses(_ context.Context, site string) (*rows.Pauses, error) {
	f.asked = append(f.asked, "pauses "+site)
	return rows.NewPauses(f.pauses), f.holdsErr
}

func (f *facts) Breakers(_ context.Context, site string) ([]*rows.Breaker, error) {
	f.asked = append(f.asked, "breakers "+site)
	return f.breakers, f.holdsErr
}

func (f *facts) Clock(context.Context) time.Time { return noon.Add(f.ahead) }

// noon is the time of all tests.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// fine has nothing against a job.
func fine() *facts {
	return &facts{
		standing: access.Standing{Enabled: true, Member: true},
		types:    map[string]*rows.JobType{"export": {TypeName: "export", Enabled: true}},
		org:      &rows.Organization{Name: "ORG-A", Status: rows.OrganizationActive},
	}
}

var moments = map[Moment]string{AtSubmission: "at submission", AtDelivery: "at the delivery", AtClaim: "at the claim", AtStart: "at the start"}

// TestRules asks the whole chain; each case breaks one fact.
func TestRules(t *testing.T) {
	away := fmt.Errorf("site a: %w", rows.ErrUnavailable)
	const (
		goes        = ""
		maintained  = "wait 3s maintenance: site a is in maintenance mode"
		suspended   = "wait 3s organization: organization ORG-A is suspended: its status is "
		unavailable = "site a: database unavailable"
	)
	tests := []struct {
		name    string
		breaks  func(f *facts)
		answers map[Moment]string
		is      error // of the refusal at submission
	}{
		{"nothing against it", func(*facts) {}, nil, nil},
		{"site in maintenance", func(f *facts) { f.maintained = true },
			map[Moment]string{AtSubmission: goes, AtClaim: maintained, AtStart: maintained}, nil},
		{"Job Type missing", func(f *facts) { f.types = map[string]*rows.JobType{} }, map[Moment]string{
			AtSubmission: `refuse job type: site a: no such Job Type: "export"`,
			AtClaim:      goes,
			AtStart:      `refuse job type: Job Type "export" no longer exists`,
		}, ErrNoSuchJobType},
		{"Job Type disabled", func(f *facts) { f.types["export"].Enabled = false }, map[Moment]string{
			AtSubmission: `refuse job type: site a: the Job Type is disabled: "export"`,
			AtClaim:      goes,
			AtStart:      `refuse job type: Job Type "export" is disabled`,
		}, ErrJobTypeDisabled},
		{"Job Types can't be read", func(f *facts) { f.types, f.typesErr = nil, away },
			map[Moment]string{AtSubmission: "refuse job type: " + unavailable, AtClaim: goes, AtStart: goes}, rows.ErrUnavailable},
		{"organization suspended", func(f *facts) { f.org.Status = rows.OrganizationInactive },
			map[Moment]string{AtSubmission: goes, AtClaim: suspended + "Inactive", AtStart: suspended + "Inactive"}, nil},
		{"organization suspended by that name", func(f *facts) { f.org.Status = rows.OrganizationSuspended },
			map[Moment]string{AtSubmission: goes, AtClaim: suspended + "Suspended", AtStart: suspended + "Suspended"}, nil},
		{"organization of a status that nobody knows", func(f *facts) { f.org.Status = "Audited" }, nil, nil},
		{"organization dissolved", func(f *facts) { f.org.Status = rows.OrganizationDissolved }, map[Moment]string{
			AtSubmission: `refuse organization: site a: the organization is dissolved: "ORG-A"`,
			AtDelivery:   "refuse organization: Organization not found: ORG-A",
			AtClaim:      goes,
			AtStart:      "refuse organization: Organization not found: ORG-A",
		}, ErrOrganizationDissolved},
		{"organization missing", func(f *facts) { f.org, f.orgErr = nil, rows.ErrNoSuchOrganization }, map[Moment]string{
			AtSubmission: "refuse organization: no such organization",
			AtDelivery:   "refuse organization: Organization not found: ORG-A",
			AtClaim:      goes,
			AtStart:      "refuse organization: Organization not found: ORG-A",
		}, rows.ErrNoSuchOrganization},
		{"organization can't be read", func(f *facts) { f.org, f.orgErr = nil, away },
			map[Moment]string{AtSubmission: "refuse organization: " + unavailable, AtClaim: goes, AtStart: goes}, rows.ErrUnavailable},
	}
	for _, tc := range tests {
		for moment, at := range moments {
			t.Run(tc.name+" "+at, func(t *testing.T) {
				f := fine()
				tc.breaks(f)
				a := New(f, Options{}).Ask(t.Context(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A"})
				if got := say(a); got != tc.answers[moment] {
					t.Errorf("the chain answers %q, want %q", got, tc.answers[moment])
				}
				if moment == AtSubmission && tc.is != nil && !errors.Is(a.Err, tc.is) {
					t.Errorf("the refusal is %v, want an error that is %v", a.Err, tc.is)
				}
				if moment == AtStart && a.Verdict == Refuse && job.Classify(a.Err) != job.Permanent {
					t.Errorf("the refusal at the start is %s, want permanent: no retry mends it", job.Classify(a.Err))
				}
			})
		}
	}
}

func say(a Answer) string {
	switch a.Verdict {
	case Wait:
		return fmt.Sprintf("wait %s %s: %s", a.Again, a.Rule, a.Why)
	case Refuse:
		if a.Err == nil || a.Why != a.Err.Error() {
			return fmt.Sprintf("refuse %s: error %v but %q for a person", a.Rule, a.Err, a.Why)
		}
		return fmt.Sprintf("refuse %s: %v", a.Rule, a.Err)
	}
	if a != (Answer{}) {
		return fmt.Sprintf("go with %+v", a)
	}
	return ""
}

// TestAJobWithoutRowIsAskedForMaintenanceOnly: it has neither Job Type nor organization, and perhaps no site.
func TestAJobWithoutRowIsAskedForMaintenanceOnly(t *testing.T) {
	f := fine()
	for _, q := range []Question{{Moment: AtClaim, Site: "a"}, {Moment: AtStart}} {
		if a := New(f, Options{}).Ask(t.Context(), q); a.Verdict != Go {
			t.Errorf("%+v: %+v, want Go", q, a)
		}
	}
	if got, want := strings.Join(f.asked, ", "), "maintenance a, pauses a"; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// TestTheChainStopsAtTheFirstRuleThatDecides, in the order maintenance, Job Type, organization.
func TestTheChainStopsAtTheFirstRuleThatDecides(t *testing.T) {
	f := fine()
	q := Question{Moment: AtStart, Site: "a", JobType: "export", Organization: "ORG-A"}
	if a := New(f, Options{}).Ask(t.Context(), q); a.Verdict != Go {
		t.Fatalf("nothing is against it, and yet: %+v", a)
	}
	if got, want := strings.Join(f.asked, ", "), "maintenance a, types a, organization a ORG-A, pauses a, breakers a"; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	f.maintained, f.types["export"].Enabled, f.org.Status = true, false, rows.OrganizationInactive
	for _, want := range []string{"maintenance", "job type", "organization"} {
		f.asked = nil
		if a := New(f, Options{}).Ask(t.Context(), q); a.Rule != want {
			t.Errorf("the rule %q decides, want %q", a.Rule, want)
		}
		switch want {
		case "maintenance":
			if len(f.asked) != 1 {
				t.Errorf("asked for %v after the first rule had decided", f.asked)
			}
			f.maintained = false
		case "job type":
			f.types["export"].Enabled = true
		}
	}
}

func TestNeedsOrganization(t *testing.T) {
	err := NeedsOrganization("export")
	if !strings.Contains(err.Error(), "export is a Job Type and needs an organization") || job.Classify(err) != job.Permanent {
		t.Errorf("%v (%s), want a permanent error that says what is needed", err, job.Classify(err))
	}
}

func TestSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			log    bytes.Buffer
			on     bool
			err    error
			asked  int
			paused []string
		)
		s := Suspension{Log: slog.New(slog.NewTextHandler(&log, nil)), Read: func(context.Context) (bool, []string, error) {
			asked++
			return on, paused, err
		}}
		want := func(what string, verdict Verdict, times int) {
			t.Helper()
			a := s.Ask(t.Context())
			if a.Verdict != verdict || asked != times {
				t.Errorf("%s: verdict %d after asking Redis %d times, want %d after %d", what, a.Verdict, asked, verdict, times)
			}
			if a.Verdict == Wait && (a.Again != time.Second || !strings.Contains(a.Why, "rq resume")) {
				t.Errorf("%s: ask again in %s because %q, want 1s and the cure", what, a.Again, a.Why)
			}
		}
		want("at first", Go, 1)
		on = true
		time.Sleep(time.Second - 1)
		want("suspended within the second", Go, 1)
		time.Sleep(time.Nanosecond)
		want("a second later", Wait, 2)
		want("at once again", Wait, 2)
		time.Sleep(time.Second)
		err = errors.New("no route")
		want("Redis is away", Wait, 3)
		want("Redis is away, asked again", Wait, 4) // an answer that failed is not remembered
		err, on = nil, false
		want("resumed", Go, 5)
		paused = []string{"b:go"}
		if s.Paused(t.Context(), "b:go") {
			t.Error("a pause is known within the second")
		}
		time.Sleep(time.Second)
		if !s.Paused(t.Context(), "b:go") || s.Paused(t.Context(), "b:long") || asked != 6 {
			t.Errorf("a second later the queue isn't paused, or another is; asked Redis %d times, want 6", asked)
		}
		want("a pause of one queue", Go, 6)
		if got := strings.Count(log.String(), "rq suspension changed"); got != 2 {
			t.Errorf("%d lines about changes, want 2:\n%s", got, log.String())
		}
	})
}

// TestPermission: who submits needs what the Job Type requires, and still has to have it at the start. At the claim nobody is asked.
func TestPermission(t *testing.T) {
	const away = "wait 1s permission: site a can't be asked: database unavailable"
	for name, tc := range map[string]struct {
		with              func(*facts, *Question)
		submitted, starts string
	}{
		"he may": {func(f *facts, _ *Question) { f.may = true }, "", ""},
		"he may not": {func(*facts, *Question) {},
			"refuse permission: site a: the Job Type asks for a permission that the user lacks: jane may not create Invoice, which export requires",
			"refuse permission: Permission denied: jane may not create Invoice, which Job Type export requires"},
		"it can't be known":    {func(f *facts, _ *Question) { f.mayErr = rows.ErrUnavailable }, "refuse permission: database unavailable", away},
		"nothing is required":  {func(f *facts, _ *Question) { f.types["export"].RequiresPermission = "" }, "", ""},
		"nobody is named":      {func(_ *facts, q *Question) { q.User = "" }, "", ""},
		"it has no row":        {func(_ *facts, q *Question) { q.JobType, q.Organization = "", "" }, "", ""},
		"its Job Type is gone": {func(f *facts, _ *Question) { f.types = map[string]*rows.JobType{} }, `refuse job type: site a: no such Job Type: "export"`, `refuse job type: Job Type "export" no longer exists`},
	} {
		for moment, want := range map[Moment]string{AtSubmission: tc.submitted, AtDelivery: "", AtClaim: "", AtStart: tc.starts} {
			f, q := fine(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A", User: "jane"}
			f.types["export"].RequiresPermission = "Invoice"
			tc.with(f, &q)
			if got := say(New(f, Options{}).Ask(t.Context(), q)); got != want {
				t.Errorf("%s, %s: %q, want %q", name, moments[moment], got, want)
			}
		}
	}
}

// TestMembership: who submits has to be somebody, and of the organization, and still has to be when the job starts.
func TestMembership(t *testing.T) {
	const (
		gone      = "refuse membership: Permission denied: jane is disabled, or no user of site a any more"
		stranger  = "refuse membership: Permission denied: jane doesn't belong to organization ORG-A any more: " + notMember
		mayNot    = "refuse membership: site a: the user may not submit for the organization: jane is disabled"
		isNobody  = "refuse membership: site a: the user may not submit for the organization: jane doesn't belong to organization ORG-A: " + notMember
		cantKnow  = "refuse membership: database unavailable"
		waitsThen = "wait 1s membership: site a can't be asked: database unavailable"
	)
	for name, tc := range map[string]struct {
		standing           access.Standing
		err                error
		options            Options
		submitted, started string
	}{
		"a member":                             {standing: access.Standing{Enabled: true, Member: true}},
		"disabled":                             {standing: access.Standing{Member: true}, submitted: mayNot, started: gone},
		"disabled, and trusted":                {standing: access.Standing{Member: true}, options: Options{TrustEnqueuer: true}, submitted: mayNot, started: gone},
		"no member":                            {standing: access.Standing{Enabled: true}, submitted: isNobody, started: stranger},
		"no member, but trusted":               {standing: access.Standing{Enabled: true}, options: Options{TrustEnqueuer: true}},
		"no member of what nobody needs to be": {standing: access.Standing{Enabled: true}, options: Options{Open: []string{"ORG-A"}}},
		"it can't be known":                    {err: rows.ErrUnavailable, submitted: cantKnow, started: waitsThen},
	} {
		for moment, at := range moments {
			f := fine()
			f.standing, f.standingErr = tc.standing, tc.err
			q := Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A", User: "jane"}
			want := map[Moment]string{AtSubmission: tc.submitted, AtStart: tc.started}[moment]
			a := New(f, tc.options).Ask(t.Context(), q)
			if got := say(a); got != want {
				t.Errorf("%s, %s: %q, want %q", name, at, got, want)
			}
			if moment == AtStart && a.Verdict == Refuse && job.Classify(a.Err) != job.Permanent {
				t.Errorf("%s: a retry is to mend %v", name, a.Err)
			}
			if moment == AtSubmission && a.Verdict == Refuse && tc.err == nil && !errors.Is(a.Err, ErrNotMember) {
				t.Errorf("%s: %v, want ErrNotMember", name, a.Err)
			}
		}
	}
}

func (f *facts) LimitUses(_ context.Context, limits []rqcompat.Limit) ([]rqcompat.LimitUse, error) {
	f.asked = append(f.asked, "limits")
	uses := make([]rqcompat.LimitUse, len(limits))
	for i, l := range limits {
		uses[i] = f.uses[l.Key]
	}
	return uses, f.usesErr
}

// TestRunAfter holds a row before it leaves for its queue, until its time has come by the clock that all machines share.
func TestRunAfter(t *testing.T) {
	f := fine()
	f.ahead = time.Minute
	at := noon.Add(time.Hour)
	ask := func(moment Moment, after time.Time) string {
		return say(New(f, Options{}).Ask(t.Context(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A", Row: &rows.BackgroundJob{RunAfter: after}}))
	}
	if got, want := ask(AtDelivery, at), "wait 59m0s run after: it is to run at "+at.Format(job.Clock); got != want {
		t.Errorf("an hour before it: %q, want %q", got, want)
	}
	for moment := range moments {
		if got := ask(moment, time.Time{}) + ask(moment, noon); got != "" {
			t.Errorf("without a time, and after it, %s: %q", moments[moment], got)
		}
		if got := ask(moment, at); moment != AtDelivery && got != "" {
			t.Errorf("%s: %q, want go: it was asked before its delivery", moments[moment], got)
		}
	}
	f.ahead = time.Hour
	if got := ask(AtDelivery, at); got != "" {
		t.Errorf("as its time has come: %q", got)
	}
}
