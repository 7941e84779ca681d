package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/vbauerster/mpb/v8"
)

// realtimeBed is a bed with a realtime server, at which one user may watch.
func realtimeBed(t *testing.T, major int) (*bed, *servers.Realtime) {
	t.Helper()
	b := newBed(t, servers.BenchConfig{Major: major})
	site := servertest.FakeSite(t, map[string][]servers.SiteUser{testSite: {{
		Name: "jane@example.com", SID: "jane-sid", Token: "key:secret", Read: []string{"Background Job/*", "Organization/" + testOrg},
	}}})
	rt := servertest.Realtime(t, servers.RealtimeConfig{RedisURL: b.redis.URL(), SitesURL: site.URL, Major: major})
	t.Setenv("BRIDGE_API_KEY", "key")
	t.Setenv("BRIDGE_API_SECRET", "secret")
	return b, rt
}

func submit(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(must(t, append([]string{"submit", "--organization", testOrg}, args...)...))
}

func TestWatchAJob(t *testing.T) {
	for _, major := range []int{15, 16, 17} {
		b, rt := realtimeBed(t, major)
		b.worker()
		good := submit(t, "sample_job", "duration=1.5")
		got := bridgeCommand(t, "watch", good, "--url", rt.URL)
		if got.code != exitOK || got.err != "" || !strings.Contains(got.out, "Running") || !strings.Contains(got.out, "Completed   100%  /files/sample-output-"+good) {
			t.Errorf("Frappe %d: watch of a job that completes: %+v", major, got)
		}
		bad := bridgeCommand(t, "submit", "sample_job", "--organization", testOrg, "duration=0.5", "fail_type=permanent", "--watch", "--json", "--url", rt.URL, "--sid", "jane-sid")
		states := statesOf(t, bad.out)
		if last := states[len(states)-1]; bad.code != exitFailure || last.Status != "Dead Letter" || last.Title != "sample_job" {
			t.Errorf("Frappe %d: watch of a job that fails: %+v", major, bad)
		}
	}
}

// statesOf reads what watch --json prints.
func statesOf(t *testing.T, text string) (states []jobState) {
	t.Helper()
	for line := range strings.Lines(text) {
		states = append(states, decode[jobState](t, line))
	}
	if len(states) == 0 {
		t.Fatal("no states were printed")
	}
	return states
}

func TestWatchRefused(t *testing.T) {
	_, rt := realtimeBed(t, 15)
	name := submit(t, "sample_job")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{name, "--api-key", "no", "--api-secret", "body"}, exitDenied, "Unauthorized"},
		{[]string{"JOB-0"}, exitNotFound, "JOB-0"},
	} {
		got := bridgeCommand(t, append([]string{"watch", "--url", rt.URL}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.err, tc.want) {
			t.Errorf("watch %q: %+v, want code %d and %q", tc.args, got, tc.code, tc.want)
		}
	}
}

func TestWatchSurvivesTheRealtimeServer(t *testing.T) {
	b, rt := realtimeBed(t, 15)
	b.worker()
	name := submit(t, "sample_job", "duration=4")
	var out syncBuffer
	w := program(t, nil, &out, "watch", name, "--url", rt.URL, "--json")
	eventually(t, "progress is shown", func() bool { return strings.Contains(out.String(), `"Running"`) })
	rt.Kill()
	eventually(t, "the loss is noticed", func() bool { return strings.Contains(w.output.String(), "connecting again") })
	if err := rt.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
	if states := statesOf(t, out.String()); states[len(states)-1].Status != "Completed" {
		t.Errorf("the last state is %+v", states[len(states)-1])
	}
}

func TestWatchAnOrganizationAndAll(t *testing.T) {
	b, rt := realtimeBed(t, 16)
	b.exec("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES ('ORG-B', NOW(6), NOW(6), 'Administrator', 'Administrator', 'B', 'Active')")
	var one, all syncBuffer
	program(t, nil, &one, "watch", "--organization", testOrg, "--url", rt.URL, "--json")
	program(t, nil, &all, "watch", "all", "--url", rt.URL, "--json")
	first := submit(t, "long_running_job", "duration=600")
	eventually(t, "the waiting job is shown", func() bool { return strings.Contains(all.String(), first) && strings.Contains(one.String(), first) })
	b.worker()
	mine, theirs := submit(t, "sample_job", "duration=1"), strings.TrimSpace(must(t, "submit", "sample_job", "--organization", "ORG-B", "duration=1"))
	done := func(out *syncBuffer, name string) func() bool {
		return func() bool {
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, name) && strings.Contains(line, `"Completed"`) {
					return true
				}
			}
			return false
		}
	}
	eventually(t, "the organization's job is shown", done(&one, mine))
	eventually(t, "all see that job", done(&all, mine))
	// The user may not follow ORG-B, so this one comes by list_update, at most
	// three seconds later.
	eventually(t, "all see the other organization's job", done(&all, theirs))
	if strings.Contains(one.String(), theirs) {
		t.Errorf("who watches %s is shown %s of ORG-B", testOrg, theirs)
	}
}

// syncBuffer is a buffer that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Not a line that is still being written.
	text := s.b.String()
	return text[:strings.LastIndexByte(text, '\n')+1]
}

// shown collects states.
type shown struct{ states []jobState }

func (s *shown) show(j jobState) { s.states = append(s.states, j) }
func (s *shown) close()          {}

func TestEventsThatComeTwiceOrLate(t *testing.T) {
	view := &shown{}
	w := &watcher{what: subject{all: true}, view: view, changed: map[string]bool{}, reread: time.Now(), jobs: map[string]*jobState{"J": {ID: "J", Status: "Queued"}}}
	for _, event := range []struct{ name, message string }{
		{"job_progress", `{"job_id":"J","status":"Running","progress":5,"updated_at":"02"}`}, // a late one: it waits again
		{"job_status_changed", `{"job_id":"J","to_status":"Running","updated_at":"10"}`},
		{"job_status_changed", `{"job_id":"J","to_status":"Running","updated_at":"10"}`}, // by another room
		{"job_progress", `{"job_id":"J","status":"Running","progress":50,"progress_message":"half","updated_at":"12"}`},
		{"job_progress", `{"job_id":"J","status":"Running","progress":40,"updated_at":"11"}`},  // older
		{"job_progress", `{"job_id":"J","status":"Running","progress":100,"updated_at":"21"}`}, // written while the job ended
		{"job_status_changed", `{"job_id":"J","to_status":"Completed","output_reference":"out","updated_at":"20"}`},
		{"job_progress", `{"job_id":"J","status":"Running","progress":99,"updated_at":"22"}`}, // after the end
		{"job_progress", `{"job_id":"J","status":"Completed","progress":100,"progress_message":"done","updated_at":"20"}`},
		{"job_status_changed", `{"job_id":"J","to_status":"Queued","updated_at":"30"}`}, // by hand
		{"something_else", `{"job_id":"J"}`},
		{"job_progress", `garbage`},
	} {
		w.event(event.name, []json.RawMessage{json.RawMessage(event.message)})
	}
	want := []jobState{
		{ID: "J", Status: "Running"},
		{ID: "J", Status: "Running", Progress: 50, Message: "half"},
		{ID: "J", Status: "Running", Progress: 100},
		{ID: "J", Status: "Completed", Progress: 100, Message: "out"},
		{ID: "J", Status: "Queued", Progress: 100},
	}
	if diff := cmp.Diff(want, view.states, cmpopts.IgnoreUnexported(jobState{}), cmpopts.IgnoreFields(jobState{}, "Updated")); diff != "" {
		t.Errorf("shown states (-want +got):\n%s", diff)
	}
}

func TestDisplays(t *testing.T) {
	s := jobState{ID: "site1||3f8e7a44-5a0e-4d4e-9d5c-0c1c8d6e2b11", Title: "sample_job", Status: "Running", Progress: 41.6, Message: "step\x1b[2J 4\n of 10"}
	if got, want := stateLine(s), "…3f8e7a44-5a…    sample_job         Running      42%  step\uFFFD[2J 4 of 10"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	var out syncBuffer
	view := newBars(&out, mpb.WithAutoRefresh(), mpb.WithWidth(130))
	view.show(s)
	s.ID, s.Status = "JOB-1", "Failed"
	view.show(s)
	s.Status, s.Progress, s.Message = "Completed", 100, "all done"
	view.show(s)
	view.close()
	text := out.String()
	for _, want := range []string{"JOB-1", "Completed", "all done", "[====", "3f8e7a44"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bars lack %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b[2J") {
		t.Errorf("an escape sequence of a job reaches the terminal: %q", text)
	}
}
