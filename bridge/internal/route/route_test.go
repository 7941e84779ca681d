package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

const site = "a.example.com"

// bench is the sites of a bench, and what the policy wants to know of them.
type bench struct {
	types      map[string]*rows.JobType
	rows       map[string]*rows.BackgroundJob
	err        error // of reading the site
	siteErr    error // of opening it
	maintained bool
	org        string // status of every organization

	asked   []map[string][]string
	runNext bool // what was asked for last
	// users and organizations are those of the site, with the members of each; whoErr is of looking them up.
	users         []string
	organizations map[string][]string
	whoErr        error
	callers       []map[string][]access.Caller
	arrivals      map[string]*rows.BackgroundJob // by hash
	arrivalsErr   error
	parameters    map[string]json.RawMessage // of rows with many, by name and path
	parametersErr error
	caps          job.Caps

	// What Redis has of jobs that are looked at alone.
	jobs   map[string]*rqcompat.Job
	deaths int
	rqErr  error
	notes  []string
	decode Decode // nil is the real one
}

// Identify compares as the database does.
func (b *bench) Identify(_ context.Context, callers map[string][]access.Caller) map[string]sites.Identified {
	b.callers = append(b.callers, callers)
	same := func(a, b string) bool { return strings.EqualFold(strings.TrimRight(a, " "), b) }
	out := map[string]sites.Identified{}
	for s, some := range callers {
		id := sites.Identified{Err: b.whoErr, By: map[access.Caller]access.Identity{}}
		for _, c := range some {
			var who access.Identity
			for _, user := range append(b.users, "Administrator") {
				if same(c.User, user) {
					who.User = user
				}
			}
			who.Allowed = who.User != "" && (!c.Member || who.User == "Administrator")
			for name, members := range b.organizations {
				if same(c.Organization, name) {
					who.Organization, who.Allowed = name, who.Allowed || slices.Contains(members, who.User)
				}
			}
			id.By[c] = who
		}
		out[s] = id
	}
	return out
}

func (b *bench) RowsOfArrivals(_ context.Context, _ string, hashes []string) (map[string]*rows.BackgroundJob, error) {
	found := map[string]*rows.BackgroundJob{}
	for _, h := range hashes {
		if row := b.arrivals[h]; row != nil {
			found[h] = row
		}
	}
	return found, b.arrivalsErr
}

func (b *bench) FetchMany(_ context.Context, ids []string) ([]*rqcompat.FetchResult, error) {
	b.notes = append(b.notes, "fetch "+ids[0])
	if j := b.jobs[ids[0]]; j != nil {
		return []*rqcompat.FetchResult{{Job: j}}, b.rqErr
	}
	return []*rqcompat.FetchResult{{Err: rqcompat.ErrNoSuchJob}}, b.rqErr
}

func (b *bench) BeginReading(_ context.Context, id, process string) (int, error) {
	b.notes = append(b.notes, process+" begins "+id)
	if b.deaths < 0 {
		return 0, rqcompat.ErrBeingRead
	}
	return b.deaths, nil
}

func (b *bench) EndReading(_ context.Context, id, process string) error {
	b.notes = append(b.notes, process+" ended "+id)
	return nil
}

func (b *bench) Site(name string) (*frappe.Site, error) {
	if name == site {
		return nil, b.siteErr
	}
	return nil, fmt.Errorf("%s: %w", name, frappe.ErrNoSuchSite)
}

func (b *bench) Find(_ context.Context, names map[string][]string, runNext bool) map[string]sites.Found {
	b.runNext = runNext
	b.asked = append(b.asked, names)
	out := map[string]sites.Found{}
	for s := range names {
		if s == site {
			out[s] = sites.Found{Types: b.types, ByName: b.rows, Err: b.err}
		}
	}
	return out
}

func (b *bench) Maintenance(string) bool { return b.maintained }
func (b *bench) JobTypes(context.Context, string) (map[string]*rows.JobType, error) {
	return b.types, b.err
}
func (b *bench) Organization(_ context.Context, _, name string) (*rows.Organization, error) {
	return &rows.Organization{Name: name, Status: b.org}, nil
}
func (b *bench) Clock(context.Context) time.Time                                 { return time.Now() }
func (b *bench) MayCreate(context.Context, string, string, string) (bool, error) { return true, nil }
func (b *bench) Standing(context.Context, string, string, string) (access.Standing, error) {
	return access.Standing{Enabled: true, Member: true}, nil
}
func (b *bench) Pauses(context.Context, string) (*rows.Pauses, error)      { return nil, nil }
func (b *bench) Breakers(context.Context, string) ([]*rows.Breaker, error) { return nil, nil }
func (b *bench) Parents(context.Context, string, *rows.BackgroundJob) ([]rows.Parent, error) {
	return nil, nil
}
func (b *bench) Batch(context.Context, string, string) (*rows.Batch, error) { return nil, nil }
func (b *bench) Cycle(context.Context, string, *rows.BackgroundJob) ([]string, error) {
	return nil, nil
}

func newBench() *bench {
	return &bench{
		types: map[string]*rows.JobType{
			"export":  {TypeName: "export", HandlerMethod: "app.export", Enabled: true, DefaultPriority: "High"},
			"archive": {TypeName: "archive", Enabled: true},
			"python":  {TypeName: "python", HandlerMethod: "app.python", Enabled: true},
		},
		rows: map[string]*rows.BackgroundJob{
			"JOB-1": {Name: "JOB-1", JobType: "export", Organization: "ORG-A", OwnerUser: "owner@example.com", Priority: "Low", Status: rows.StatusQueued},
			"JOB-2": {Name: "JOB-2", JobType: "python", Organization: "ORG-A", OwnerUser: "owner@example.com"},
			"JOB-3": {Name: "JOB-3", JobType: "gone", Organization: "ORG-A", OwnerUser: "owner@example.com"},
		},
		org:           rows.OrganizationActive,
		users:         []string{"jane@example.com", "owner@example.com", "eve@example.com"},
		organizations: map[string][]string{"ORG-A": {"jane@example.com"}, "ORG-B": {"eve@example.com", "jane@example.com"}, "ORG-D": nil},
	}
}

func (b *bench) router() *Router {
	handlers := job.Handlers{}
	for _, name := range []string{"app.export", "archive", "go.plain", "gone"} {
		handlers[name] = &job.Handler{Name: name}
	}
	return NewRouter(Params{
		Handlers: handlers, Sites: b, RQ: b, Policy: policy.New(b, policy.Options{}), Caps: b.caps, DefaultOrganization: "ORG-D", RowGrace: 10 * time.Second,
		Process: "p", MaxKills: 3, Log: slog.New(slog.DiscardHandler), Decode: b.decode,
	})
}

// plain is a job that another program than Frappe enqueued.
func plain(t *testing.T, method string) *rqcompat.Job {
	t.Helper()
	return encode(t, rqcompat.Call{Func: method})
}

func encode(t *testing.T, c rqcompat.Call) *rqcompat.Job {
	t.Helper()
	data, err := rqcompat.EncodeCall(c)
	if err != nil {
		t.Fatal(err)
	}
	return &rqcompat.Job{ID: "id", Data: data}
}

// enqueued is a job of frappe.enqueue.
func enqueued(t *testing.T, c frappe.Call) *rqcompat.Job {
	t.Helper()
	if c.Site == "" {
		c.Site = site
	}
	if c.User == "" {
		c.User = "jane@example.com"
	}
	c.IsAsync, c.JobName = true, c.Method
	kwargs := &pickle.Dict{}
	for key, v := range c.Arguments() {
		kwargs.Set(key, v)
	}
	return encode(t, rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: kwargs})
}

// delivery is the delivery of a row.
func delivery(t *testing.T, name string) *rqcompat.Job {
	t.Helper()
	return enqueued(t, frappe.Call{Method: frappe.Executor, Kwargs: map[string]any{"background_job_id": name}})
}

var verdicts = map[Verdict]string{Ours: "ours", Foreign: "foreign", Unready: "unready", Held: "held", Heavy: "heavy"}

// want is what becomes of a job on an own and on a shared queue.
type want struct {
	own, shared, broken string
	again               time.Duration
}

func TestVerdicts(t *testing.T) {
	away := fmt.Errorf("site a: %w", rows.ErrUnavailable)
	call := func(c frappe.Call) func(*testing.T) *rqcompat.Job {
		return func(t *testing.T) *rqcompat.Job { return enqueued(t, c) }
	}
	row := func(name string) func(*testing.T) *rqcompat.Job {
		return func(t *testing.T) *rqcompat.Job { return delivery(t, name) }
	}
	tests := map[string]struct {
		job    func(*testing.T) *rqcompat.Job
		fault  error
		before func(*bench)
		want   want
	}{
		"plain with a handler":    {job: func(t *testing.T) *rqcompat.Job { return plain(t, "go.plain") }, want: want{own: "ours", shared: "ours"}},
		"plain without a handler": {job: func(t *testing.T) *rqcompat.Job { return plain(t, "os.getcwd") }, want: want{own: "ours", shared: "foreign", broken: `no handler for "os.getcwd" on queue "q"`}},
		"a handler's method":      {job: call(frappe.Call{Method: "go.plain"}), want: want{own: "ours", shared: "ours"}},
		"a Job Type's name":       {job: call(frappe.Call{Method: "archive"}), want: want{own: "ours", shared: "ours"}},
		"a Job Type's method":     {job: call(frappe.Call{Method: "app.export"}), want: want{own: "ours", shared: "ours"}},
		"a Job Type of Python's":  {job: call(frappe.Call{Method: "app.python"}), want: want{own: "ours", shared: "foreign", broken: `no handler for "app.python"`}},
		"a wrapped method": {
			job:  call(frappe.Call{Method: "frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job", Kwargs: map[string]any{"job_type": "go.plain"}}),
			want: want{own: "ours", shared: "ours"},
		},
		"a row":                            {job: row("JOB-1"), want: want{own: "ours", shared: "ours"}},
		"a row of Python's":                {job: row("JOB-2"), want: want{own: "ours", shared: "foreign", broken: `no handler for "python"`}},
		"a row whose Job Type is gone":     {job: row("JOB-3"), want: want{own: "ours", shared: "ours"}},
		"a row that isn't there yet":       {job: row("JOB-9"), want: want{own: "unready", shared: "unready", again: 250 * time.Millisecond}},
		"a row without a name":             {job: row(""), want: want{own: "ours", shared: "foreign", broken: "without background_job_id"}},
		"a site that isn't here yet":       {job: call(frappe.Call{Site: "b.example.com", Method: "go.plain"}), want: want{own: "unready", shared: "unready", again: 250 * time.Millisecond}},
		"a site that can't be looked at":   {job: call(frappe.Call{Method: "go.plain"}), before: func(b *bench) { b.siteErr = errors.New("stale file handle") }, want: want{own: "unready", shared: "unready", again: 250 * time.Millisecond}},
		"a row of a site without tables":   {job: row("JOB-1"), before: func(b *bench) { b.err = rows.ErrTableMissing }, want: want{own: "ours", shared: "foreign", broken: "table missing"}},
		"a method on a site without them":  {job: call(frappe.Call{Method: "go.plain"}), before: func(b *bench) { b.types, b.err = nil, rows.ErrTableMissing }, want: want{own: "ours", shared: "ours"}},
		"a row of a site that is away":     {job: row("JOB-1"), before: func(b *bench) { b.err = away }, want: want{own: "unready", shared: "unready", again: 250 * time.Millisecond}},
		"a method on a site that is away":  {job: call(frappe.Call{Method: "go.plain"}), before: func(b *bench) { b.err = away }, want: want{own: "unready", shared: "unready", again: 250 * time.Millisecond}},
		"maintenance":                      {job: row("JOB-1"), before: func(b *bench) { b.maintained = true }, want: want{own: "held", shared: "held", again: 3 * time.Second}},
		"maintenance of a job of Python's": {job: row("JOB-2"), before: func(b *bench) { b.maintained = true }, want: want{own: "ours", shared: "foreign", broken: "no handler"}},
		"maintenance and no row":           {job: call(frappe.Call{Method: "go.plain"}), before: func(b *bench) { b.maintained = true }, want: want{own: "held", shared: "held", again: 3 * time.Second}},
		"suspended organization":           {job: row("JOB-1"), before: func(b *bench) { b.org = rows.OrganizationInactive }, want: want{own: "held", shared: "held", again: 3 * time.Second}},
		"suspended, for a job with no row": {job: call(frappe.Call{Method: "go.plain"}), before: func(b *bench) { b.org = rows.OrganizationInactive }, want: want{own: "ours", shared: "ours"}},
		"dissolved is for the start":       {job: row("JOB-1"), before: func(b *bench) { b.org = rows.OrganizationDissolved }, want: want{own: "ours", shared: "ours"}},
		"a hash that can't be read":        {job: row("JOB-1"), fault: errors.New("field timeout"), want: want{own: "ours", shared: "foreign", broken: "field timeout"}},
		"a call that can't be decoded":     {job: func(*testing.T) *rqcompat.Job { return &rqcompat.Job{ID: "id", Data: []byte("x")} }, want: want{own: "ours", shared: "foreign", broken: "decode the call"}},
		"a broken envelope": {
			job:  func(t *testing.T) *rqcompat.Job { return encode(t, rqcompat.Call{Func: frappe.ExecuteJob}) },
			want: want{own: "ours", shared: "foreign", broken: "site"},
		},
	}
	for name, tc := range tests {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/own=%v", name, own), func(t *testing.T) {
				b := newBench()
				if tc.before != nil {
					tc.before(b)
				}
				queue := job.Queue{Name: "bench:q", Kind: "q", Own: own}
				got := b.router().Route(t.Context(), queue, []Found{{Job: tc.job(t), Fault: tc.fault, Seen: time.Now()}})[0]
				verdict := tc.want.shared
				if own {
					verdict = tc.want.own
				}
				if verdicts[got.Verdict] != verdict {
					t.Fatalf("verdict %s (broken: %v), want %s", verdicts[got.Verdict], got.Broken, verdict)
				}
				if tc.want.again != 0 && got.Again != tc.want.again {
					t.Errorf("looked at again after %s, want %s", got.Again, tc.want.again)
				}
				checkBroken(t, got, own, tc.want.broken)
				if got.ID != "id" || got.Queue != queue {
					t.Errorf("job %s of queue %+v", got.ID, got.Queue)
				}
			})
		}
	}
}

// checkBroken: only on an own queue a job that can't run is ours to fail, and then for good.
func checkBroken(t *testing.T, got Routed, own bool, says string) {
	t.Helper()
	switch {
	case says == "" || !own:
		if got.Broken != nil {
			t.Errorf("broken: %v, want nothing", got.Broken)
		}
	case got.Broken == nil || !strings.Contains(got.Broken.Error(), says):
		t.Errorf("broken: %v, want %q in it", got.Broken, says)
	case job.Classify(got.Broken) != job.Permanent:
		t.Errorf("broken: %v is %s, want permanent", got.Broken, job.Classify(got.Broken))
	}
}

// TestARowHasGrace: a row may be committed a moment after the job that names it was seen.
func TestARowHasGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		found := []Found{{Job: delivery(t, "JOB-9"), Seen: time.Now()}}
		queue := job.Queue{Kind: "q", Own: true}
		time.Sleep(10*time.Second - 1)
		if got := b.router().Route(t.Context(), queue, found)[0]; got.Verdict != Unready {
			t.Errorf("just within the grace: %s, want unready", verdicts[got.Verdict])
		}
		time.Sleep(time.Nanosecond)
		got := b.router().Route(t.Context(), queue, found)[0]
		if got.Verdict != Ours || got.Broken == nil || !strings.Contains(got.Broken.Error(), `has no Background Job "JOB-9", 10s after`) {
			t.Errorf("when the grace is over: %s, %v, want ours to fail with the reason", verdicts[got.Verdict], got.Broken)
		}
		b.rows["JOB-9"] = b.rows["JOB-1"]
		if got := b.router().Route(t.Context(), queue, found)[0]; got.Verdict != Ours || got.Broken != nil {
			t.Errorf("when the row is there after all: %s, %v, want ours", verdicts[got.Verdict], got.Broken)
		}
	})
}

// TestASiteHasGrace: bench moves a site's directory for a moment, and a network volume may be slow to show it.
func TestASiteHasGrace(t *testing.T) {
	b := newBench()
	j := enqueued(t, frappe.Call{Site: "b.example.com", Method: "go.plain"})
	for age, want := range map[time.Duration]string{9 * time.Second: "unready", 10 * time.Second: "ours"} {
		got := b.router().Route(t.Context(), job.Queue{Kind: "q", Own: true}, []Found{{Job: j, Seen: time.Now().Add(-age)}})[0]
		if verdicts[got.Verdict] != want || want == "ours" && !errors.Is(got.Broken, frappe.ErrNoSuchSite) {
			t.Errorf("%s after it was seen: %s (broken: %v), want %s", age, verdicts[got.Verdict], got.Broken, want)
		}
	}
	b.siteErr = errors.New("input/output error")
	j = enqueued(t, frappe.Call{Method: "go.plain"})
	got := b.router().Route(t.Context(), job.Queue{Kind: "q", Own: true}, []Found{{Job: j, Seen: time.Now().Add(-time.Hour)}})[0]
	if got.Verdict != Unready {
		t.Errorf("a file system that can't tell for an hour: %s, want unready", verdicts[got.Verdict])
	}
}

// TestOneQueryPerSite: the rows of a batch are read together, and Job Types are wanted also where no row is named.
func TestOneQueryPerSite(t *testing.T) {
	b := newBench()
	found := []Found{
		{Job: delivery(t, "JOB-1")}, {Job: delivery(t, "JOB-2")}, {Job: plain(t, "go.plain")},
		{Job: enqueued(t, frappe.Call{Site: "b.example.com", Method: "x"})}, {Job: delivery(t, "JOB-8"), Fault: errors.New("x")},
	}
	got := b.router().Route(t.Context(), job.Queue{}, found)
	if len(b.asked) != 1 || fmt.Sprint(b.asked[0]) != fmt.Sprint(map[string][]string{site: {"JOB-1", "JOB-2"}, "b.example.com": nil}) {
		t.Errorf("asked for %v, want two rows of one site and none of the other, once", b.asked)
	}
	for i, want := range []Verdict{Ours, Foreign, Ours, Foreign, Foreign} {
		if got[i].Verdict != want {
			t.Errorf("job %d: %s, want %s", i, verdicts[got[i].Verdict], verdicts[want])
		}
	}
}

func TestQuestion(t *testing.T) {
	got := Question(&job.Queued{Site: site, Organization: "O"}, policy.AtStart)
	if got != (policy.Question{Moment: policy.AtStart, Site: site}) {
		t.Errorf("of a job without row: %+v, want site only", got)
	}
	row := &rows.BackgroundJob{Name: "JOB-1"}
	got = Question(&job.Queued{Site: site, Organization: "O", JobType: &rows.JobType{TypeName: "T"}, Row: row}, policy.AtClaim)
	if got != (policy.Question{Moment: policy.AtClaim, Site: site, JobType: "T", Organization: "O", Row: row}) {
		t.Errorf("of a job with a row: %+v", got)
	}
}

func TestRowOf(t *testing.T) {
	if call, ok := RowOf(delivery(t, "JOB-1")); !ok || call != (sites.RowCall{Site: site, Name: "JOB-1", User: "jane@example.com"}) {
		t.Errorf("a delivery: %+v, %v", call, ok)
	}
	for name, j := range map[string]*rqcompat.Job{
		"a plain job": plain(t, "x"), "a method": enqueued(t, frappe.Call{Method: "x"}), "what can't be read": {Data: []byte("x")},
	} {
		if _, ok := RowOf(j); ok {
			t.Errorf("%s names a row, want none", name)
		}
	}
}

// TestMethodOfSeveralJobTypes: which one a call belongs to must not be left to the order of a map.
func TestMethodOfSeveralJobTypes(t *testing.T) {
	r := NewRouter(Params{Handlers: job.Handlers{"app.export": {Name: "app.export"}}})
	types := map[string]*rows.JobType{}
	for _, name := range []string{"a-disabled", "b-export", "c-export", "d-export", "e-export"} {
		types[name] = &rows.JobType{TypeName: name, HandlerMethod: "app.export", Enabled: name != "a-disabled"}
	}
	for range 50 {
		if got, _ := r.match(types, "app.export"); got.TypeName != "b-export" {
			t.Fatalf("Job Type %s, want the first enabled one, b-export", got.TypeName)
		}
	}
	types = map[string]*rows.JobType{"b": {TypeName: "b", HandlerMethod: "app.export"}, "a": {TypeName: "a", HandlerMethod: "app.export"}}
	for range 50 {
		if got, _ := r.match(types, "app.export"); got.TypeName != "a" {
			t.Fatalf("Job Type %s, want the first, a, if none is enabled", got.TypeName)
		}
	}
}

func TestHandled(t *testing.T) {
	b := newBench()
	got := b.router().Handled(b.types)
	if slices.Sort(got); !slices.Equal(got, []string{"archive", "export"}) {
		t.Errorf("handled: %v, want export and archive", got)
	}
	both := job.Handlers{"export": {Name: "export"}, "app.export": {Name: "app.export"}}
	if h := NewRouter(Params{Handlers: both}).handlerOf(b.types["export"]); h.Name != "export" {
		t.Errorf("handler %s, want the one of the Job Type's name before that of its method", h.Name)
	}
}

func (b *bench) LimitUses(context.Context, []rqcompat.Limit) ([]rqcompat.LimitUse, error) {
	return nil, nil
}

func (b *bench) Parameter(_ context.Context, _, path string, names []string) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	for _, name := range names {
		values[name] = b.parameters[name+" "+path]
	}
	return values, b.parametersErr
}
