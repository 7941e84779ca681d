package main

import (
	"encoding/json"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
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
