package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// story is one job as everybody sees it at the same time: Python enqueues, Go
// runs, the row, RQ and stock Socket.IO clients of two organizations look on.
type story struct {
	*fleet
	db       *rows.DB
	realtime *servers.Realtime
	jane     servers.SiteUser // owner, of ORG-A
	anna     servers.SiteUser // of ORG-A as well, but she may not read jane's jobs
	omar     servers.SiteUser // of ORG-B
	step     chan struct{}    // lets the handler go on
	reported chan time.Time   // when it called Progress
}

func newStory(t *testing.T, version string) *story {
	s := &story{
		fleet: newFleet(t, version, nil), step: make(chan struct{}), reported: make(chan time.Time, 10),
		jane: servers.SiteUser{Name: "jane@example.com", SID: "sid-jane", Read: []string{"Background Job/*", "Organization/ORG-A"}},
		anna: servers.SiteUser{Name: "anna@example.com", SID: "sid-anna", Read: []string{"Background Job", "Organization/ORG-A"}},
		omar: servers.SiteUser{Name: "omar@example.com", SID: "sid-omar", Read: []string{"Background Job", "Organization/ORG-B"}},
	}
	s.db = s.install()
	s.exec(t,
		`INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status) VALUES
			('ORG-A', NOW(6), NOW(6), 'Administrator', 'Administrator', 'A', 'Active'), ('ORG-B', NOW(6), NOW(6), 'Administrator', 'Administrator', 'B', 'Active')`,
		`INSERT INTO tabUser (name, creation, modified, owner, modified_by, email) VALUES
			('jane@example.com', NOW(6), NOW(6), 'Administrator', 'Administrator', 'jane@example.com'), ('omar@example.com', NOW(6), NOW(6), 'Administrator', 'Administrator', 'omar@example.com'),
			('anna@example.com', NOW(6), NOW(6), 'Administrator', 'Administrator', 'anna@example.com')`,
		`INSERT INTO tabPerson (name, creation, modified, owner, modified_by, frappe_user) VALUES
			('P-1', NOW(6), NOW(6), 'Administrator', 'Administrator', 'jane@example.com'), ('P-2', NOW(6), NOW(6), 'Administrator', 'Administrator', 'omar@example.com'),
			('P-3', NOW(6), NOW(6), 'Administrator', 'Administrator', 'anna@example.com')`,
		"INSERT INTO `tabOrg Member` (name, creation, modified, owner, modified_by, person, organization, status) VALUES "+
			"('M-1', NOW(6), NOW(6), 'Administrator', 'Administrator', 'P-1', 'ORG-A', 'Active'), ('M-2', NOW(6), NOW(6), 'Administrator', 'Administrator', 'P-2', 'ORG-B', 'Active'), "+
			"('M-3', NOW(6), NOW(6), 'Administrator', 'Administrator', 'P-3', 'ORG-A', 'Active')")
	sites := servertest.FakeSite(t, map[string][]servers.SiteUser{site: {s.jane, s.anna, s.omar}})
	s.realtime = servertest.Realtime(t, servers.RealtimeConfig{RedisURL: s.redis.URL(), SitesURL: sites.URL, DefaultSite: site, Major: s.bench.Major})
	return s
}

// exec runs statements in the site's database.
func (f *fleet) exec(t *testing.T, statements ...string) {
	t.Helper()
	st, err := f.bench.Site(site)
	if err != nil {
		t.Fatal(err)
	}
	if err := servertest.MariaDB(t).Exec(t.Context(), append([]string{"USE `" + st.DBName() + "`"}, statements...)...); err != nil {
		t.Fatal(err)
	}
}

func (s *story) listen(u servers.SiteUser, docs ...[2]string) *servers.Listener {
	return servertest.Listener(s.t, servers.ListenerConfig{
		URL: s.realtime.URL, Site: site, Cookie: u.Cookie(), Docs: docs, DocTypes: []string{"Background Job"},
	})
}

// told is what an event says of the job.
type told struct {
	Event           string
	JobID           string  `json:"job_id"`
	ToStatus        string  `json:"to_status"`
	Progress        float64 `json:"progress"`
	ProgressMessage string  `json:"progress_message"`
	OutputReference string  `json:"output_reference"`
	Doctype         string  `json:"doctype"`
	Name            string  `json:"name"`
	Modified        string  `json:"modified"`
	UpdatedAt       string  `json:"updated_at"`
}

func (e told) String() string {
	switch e.Event {
	case bridge.EventProgress:
		return fmt.Sprintf("%g%% %s", e.Progress, e.ProgressMessage)
	case bridge.EventStatusChanged:
		return e.ToStatus
	}
	return e.Event
}

// until collects what a client is told until want was among it.
func until(t *testing.T, l *servers.Listener, wanted string) (events []told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		received, err := l.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %q after %v: %v", wanted, events, err)
		}
		e := told{Event: received.Event}
		if err := json.Unmarshal(received.Message(), &e); err != nil {
			t.Fatalf("%s with %s: %v", received.Event, received.Message(), err)
		}
		if events = append(events, e); e.String() == wanted {
			return events
		}
	}
}

func (s *story) register(e *bridge.Engine) {
	bridge.Register(e, "export", func(_ context.Context, job *bridge.Job[struct{ Year int }]) (any, error) {
		for _, percent := range []float64{25, 60} {
			<-s.step
			s.reported <- time.Now()
			job.Progress(percent, fmt.Sprintf("Year %d", job.Params.Year))
		}
		<-s.step
		job.SetOutput("/files/export.csv")
		return map[string]any{"rows": 3}, nil
	})
}

func TestOneStoryTold(t *testing.T) {
	for _, version := range []string{"1.15.1", "2.6.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			tellStory(t, newStory(t, version))
		})
	}
}

func tellStory(t *testing.T, s *story) {
	if _, err := s.db.InsertJobTypes(t.Context(), []rows.JobType{{TypeName: "export", DisplayName: "Export", Enabled: true, HandlerMethod: "app.export", DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 2}}); err != nil {
		t.Fatal(err)
	}
	owner := s.listen(s.jane)
	member := s.listen(s.anna, [2]string{"Organization", "ORG-A"})
	other := s.listen(s.omar, [2]string{"Organization", "ORG-A"}, [2]string{"Organization", "ORG-B"})
	if slices.Contains(other.Rooms, "doc:Organization/ORG-A") {
		t.Fatalf("omar is in %v", other.Rooms)
	}
	s.start(s.register)

	id := s.frappeEnqueue("go", "app.export", values{"organization": "ORG-A", "year": 2026, "user": s.jane.Name})
	until(t, owner, "Running")
	inspection, err := s.client().Inspect(t.Context(), site, id)
	if err != nil || inspection.Row == nil {
		t.Fatalf("inspect %s: %+v, %v", id, inspection, err)
	}
	name := inspection.Row.Name
	want(t, "row", inspection.Row.Status, rows.StatusRunning)
	want(t, "RQ's status", s.py.job(id).Status, "started")
	form := s.listen(s.jane, [2]string{"Background Job", name})

	var latest time.Duration
	for _, percent := range []string{"25%", "60%"} {
		time.Sleep(1100 * time.Millisecond) // one report a second
		s.step <- struct{}{}
		at := <-s.reported
		events := until(t, owner, percent+" Year 2026")
		latest = max(latest, time.Since(at))
		for _, e := range events {
			if e.JobID != "" && e.JobID != name {
				t.Errorf("told of job %q", e.JobID)
			}
		}
	}
	if latest > 2*time.Second {
		t.Errorf("progress was seen after %s", latest)
	}
	t.Logf("progress was seen after at most %s", latest)
	s.step <- struct{}{}
	until(t, owner, "100% Year 2026")
	checkForm(t, form, name)
	checkMember(t, member, name)

	job := s.waitStatus(id, rqcompat.StatusFinished)
	row, err := s.db.BackgroundJob(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "row", row.Status, rows.StatusCompleted)
	want(t, "output", row.OutputReference, "/files/export.csv")
	want(t, "progress", row.Progress, 100.0)
	want(t, "RQ's result", s.py.job(job.ID).Status, "finished")

	// What the other organization's user was told of all this: that the list of
	// Background Jobs changed, and nothing of any job.
	events, err := other.Within(t.Context(), 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Event != "list_update" || strings.Contains(string(e.Message()), "ORG-A") {
			t.Errorf("omar was told %s %s", e.Event, e.Message())
		}
	}
	// He does hear what is his.
	s.frappeEnqueue("go", "echo_job", values{"organization": "ORG-B", "user": s.omar.Name})
	until(t, other, "Running")
}

// checkForm looks at what an open form of the job was told.
func checkForm(t *testing.T, form *servers.Listener, name string) {
	t.Helper()
	events := until(t, form, "100% Year 2026")
	more, err := form.Within(t.Context(), 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	times := map[string]int{}
	for _, e := range events {
		seen[e.Event] = true
		if e.JobID != "" {
			times[fmt.Sprint(e, e.UpdatedAt)]++
		}
	}
	for what, n := range times {
		if n > 1 {
			t.Errorf("the owner's open form was told %q %d times", what, n)
		}
	}
	for _, r := range more {
		seen[r.Event] = true
		var e told
		if r.Event == "doc_update" && (json.Unmarshal(r.Message(), &e) != nil || e.Doctype != "Background Job" || e.Name != name || e.Modified == "") {
			t.Errorf("doc_update with %s", r.Message())
		}
	}
	for _, event := range []string{"doc_update", "list_update", bridge.EventProgress, bridge.EventStatusChanged} {
		if !seen[event] {
			t.Errorf("the form was not told %s; it was told %v and %d more", event, events, len(more))
		}
	}
}

// checkMember looks at what a member was told who may not read the job: that it goes on and how far, once, and nothing
// that a handler wrote.
func checkMember(t *testing.T, member *servers.Listener, name string) {
	t.Helper()
	times := map[string]int{}
	for _, e := range until(t, member, "100% ") {
		if e.JobID != name {
			continue
		}
		times[fmt.Sprint(e, e.UpdatedAt)]++
		if e.ProgressMessage != "" || e.OutputReference != "" {
			t.Errorf("a member who may not read the job was told %+v", e)
		}
	}
	for what, n := range times {
		if n > 1 {
			t.Errorf("a member was told %q %d times", what, n)
		}
	}
	if len(times) < 5 {
		t.Errorf("a member was told %v, want each change and each report", times)
	}
}

// Our own client sees what the stock one sees.
func TestOwnClientSeesTheSame(t *testing.T) {
	s := newStory(t, "2.6.1")
	client, err := socketio.Dial(t.Context(), socketio.Config{
		URL: s.realtime.URL, Site: site, Origin: s.realtime.URL, Header: http.Header{"Cookie": {s.jane.Cookie()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.start(nil)
	s.frappeEnqueue("go", "echo_job", values{"organization": "ORG-A", "user": s.jane.Name})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		event, args, err := client.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if event == bridge.EventStatusChanged && strings.Contains(string(args[0]), `"to_status":"Completed"`) {
			return
		}
	}
}
