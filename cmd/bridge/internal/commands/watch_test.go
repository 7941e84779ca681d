package commands

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
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

func submitted(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(must(t, append([]string{"submit", "--organization", testOrg}, args...)...))
}

func TestWatchAJob(t *testing.T) {
	for _, major := range []int{15, 16, 17} {
		b, rt := realtimeBed(t, major)
		b.worker()
		good := submitted(t, "sample_job", "duration=1.5")
		got := bridgeCommand(t, "watch", good, "--url", rt.URL)
		if got.code != exitcode.OK || got.err != "" || !strings.Contains(got.out, "Running") || !strings.Contains(got.out, "Completed   100%  /files/sample-output-"+good) {
			t.Errorf("Frappe %d: watch of a job that completes: %+v", major, got)
		}
		bad := bridgeCommand(t, "submit", "sample_job", "--organization", testOrg, "duration=0.5", "fail_type=permanent", "--watch", "--json", "--url", rt.URL, "--sid", "jane-sid")
		states := statesOf(t, bad.out)
		if last := states[len(states)-1]; bad.code != exitcode.Failure || last.Status != "Dead Letter" || last.Title != "sample_job" {
			t.Errorf("Frappe %d: watch of a job that fails: %+v", major, bad)
		}
	}
}

// statesOf reads what watch --json prints.
func statesOf(t *testing.T, text string) (states []watch.State) {
	t.Helper()
	for line := range strings.Lines(text) {
		states = append(states, decode[watch.State](t, line))
	}
	if len(states) == 0 {
		t.Fatal("no states were printed")
	}
	return states
}

func TestWatchRefused(t *testing.T) {
	_, rt := realtimeBed(t, 15)
	name := submitted(t, "sample_job")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{name, "--api-key", "no", "--api-secret", "body"}, exitcode.Denied, "Unauthorized"},
		{[]string{"JOB-0"}, exitcode.NotFound, "JOB-0"},
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
	name := submitted(t, "sample_job", "duration=4")
	var out servertest.Output
	w := program(t, &out, "watch", name, "--url", rt.URL, "--json")
	out.AwaitText(t, `"Running"`)
	rt.Kill()
	eventually(t, "the loss is noticed", func() bool { return strings.Contains(w.Output(), "connecting again") })
	if err := rt.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	if states := statesOf(t, out.String()); states[len(states)-1].Status != "Completed" {
		t.Errorf("the last state is %+v", states[len(states)-1])
	}
}

func TestWatchAnOrganizationAndAll(t *testing.T) {
	b, rt := realtimeBed(t, 16)
	b.exec("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES ('ORG-B', NOW(6), NOW(6), 'Administrator', 'Administrator', 'B', 'Active')")
	var one, all servertest.Output
	program(t, &one, "watch", "--organization", testOrg, "--url", rt.URL, "--json")
	program(t, &all, "watch", "all", "--url", rt.URL, "--json")
	first := submitted(t, "long_running_job", "duration=600")
	one.AwaitText(t, first)
	all.AwaitText(t, first)
	b.worker()
	mine, theirs := submitted(t, "sample_job", "duration=1"), strings.TrimSpace(must(t, "submit", "sample_job", "--organization", "ORG-B", "duration=1"))
	completed := func(out *servertest.Output, name string) {
		t.Helper()
		out.Await(t, name+" is shown as completed", func(text string) bool {
			for line := range strings.Lines(text) {
				if strings.Contains(line, name) && strings.Contains(line, `"Completed"`) {
					return true
				}
			}
			return false
		})
	}
	completed(&one, mine)
	completed(&all, mine)
	// The user may not follow ORG-B, so this one comes by list_update, at most three seconds later.
	completed(&all, theirs)
	if strings.Contains(one.String(), theirs) {
		t.Errorf("who watches %s is shown %s of ORG-B", testOrg, theirs)
	}
}
