package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// startDemo runs the demo in a process of its own, with a directory for everything temporary, which must be empty
// afterwards.
func startDemo(t *testing.T, out *servertest.Output, args ...string) (c *servers.Child, temporary string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a quarter of a minute")
	}
	servertest.Redis(t)
	servertest.MariaDB(t)
	servertest.Python(t, "2.6.1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temporary = t.TempDir()
	env := []string{standIn + "=1", "TMPDIR=" + temporary, "BRIDGE_CACHE=" + servers.CacheDir()}
	c, err = servers.StartChild("demo", t.TempDir(), env, out, self, append([]string{"--bridge", buildBridge(t)}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return c, temporary
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("the demo left %s behind", entry.Name())
	}
}

func TestDemo(t *testing.T) {
	var out servertest.Output
	c, temporary := startDemo(t, &out, "--json")
	began := time.Now()
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s, want less than a minute", took)
	}
	var view struct {
		Jobs []partJSON
		OK   bool
	}
	if err := json.Unmarshal([]byte(out.String()), &view); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if !view.OK || len(view.Jobs) != 12 {
		t.Errorf("summary: %+v", view)
	}
	wantEmpty(t, temporary)
}

func TestDemoInterrupted(t *testing.T) {
	var out servertest.Output
	c, temporary := startDemo(t, &out)
	out.AwaitText(t, "Running")
	if err := syscall.Kill(c.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if code := c.ExitCode(); code != exitcode.Interrupted {
		t.Errorf("exit code %d, want %d; output:\n%s\n%s", code, exitcode.Interrupted, out.String(), c.Output())
	}
	wantEmpty(t, temporary)
}

func TestDemoJudgesWhatIsOff(t *testing.T) {
	for _, tc := range []struct {
		what string
		bend func(s *show, p *part)
		want string // "" for no problem
	}{
		{"as it should", func(*show, *part) {}, ""},
		{"another end", func(_ *show, p *part) { p.row.Status = rows.StatusFailed }, "the row is Failed, want Completed"},
		{"another organization", func(_ *show, p *part) { p.row.Organization = people[1].Organization }, "the row belongs to"},
		{"RQ doesn't know", func(_ *show, p *part) { p.job = nil }, "RQ has no job"},
		{"RQ knows another end", func(_ *show, p *part) { p.job.Status = rqcompat.StatusFailed }, "RQ says failed"},
		{"Python ran it", func(_ *show, p *part) { p.job.WorkerName = "python" }, "Python ran it, want Go"},
		{"an attempt too many", func(_ *show, p *part) { p.row.RetryCount = 1 }, "2 attempts, want 1"},
		{"nothing was heard", func(s *show, _ *part) { s.heard[0] = nil }, "was told nothing"},
		{"a stranger heard", func(s *show, _ *part) { s.heard[1] = map[string]bool{"JOB-1": true} }, "a stranger"},
	} {
		p := &part{
			key: "key", by: inGo, status: rows.StatusCompleted, rq: rqcompat.StatusFinished, attempts: 1, id: "site::JOB-1",
			row: &rows.BackgroundJob{Name: "JOB-1", Status: rows.StatusCompleted, Organization: people[0].Organization},
			job: &rqcompat.Job{Status: rqcompat.StatusFinished, WorkerName: bridge.WorkerPrefix + "x"},
		}
		s := &show{parts: []*part{p}, heard: []map[string]bool{{"JOB-1": true}, {}}}
		tc.bend(s, p)
		s.judge(p)
		if got := strings.Join(p.problems, "; "); !strings.Contains(got, tc.want) || s.failed() != (tc.want != "") {
			t.Errorf("%s: problems %q, want %q", tc.what, got, tc.want)
		}
	}
}

func TestDemoJudgesEachPart(t *testing.T) {
	s := &show{parts: allParts(), heard: []map[string]bool{{}, {}}}
	for _, p := range s.parts {
		s.judge(p)
		if len(p.problems) == 0 {
			t.Errorf("%s: that it never came is no problem", p.key)
		}
	}
	if !s.failed() {
		t.Error("nothing happened and the show didn't fail")
	}
}
