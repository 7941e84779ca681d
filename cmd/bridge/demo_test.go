package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// startDemo runs the demo in a process of its own, with a directory for
// everything temporary, which must be empty afterwards.
func startDemo(t *testing.T, out *syncBuffer, args ...string) (c *child, temporary string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a quarter of a minute")
	}
	servertest.Redis(t)
	servertest.MariaDB(t)
	servertest.Python(t, "2.6.1")
	temporary = t.TempDir()
	return program(t, []string{"TMPDIR=" + temporary, "BRIDGE_CACHE=" + servers.CacheDir()}, out, append([]string{"demo"}, args...)...), temporary
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
	var out syncBuffer
	c, temporary := startDemo(t, &out, "--json")
	began := time.Now()
	if err := c.wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s, want less than a minute", took)
	}
	view := decode[struct {
		Jobs []partJSON
		OK   bool
	}](t, out.String())
	if !view.OK || len(view.Jobs) != 12 {
		t.Errorf("summary: %+v", view)
	}
	wantEmpty(t, temporary)
}

func TestDemoInterrupted(t *testing.T) {
	var out syncBuffer
	c, temporary := startDemo(t, &out)
	eventually(t, "jobs run", func() bool { return strings.Contains(out.String(), "Running") })
	if err := syscall.Kill(c.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.done
	if code := c.cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d; output:\n%s\n%s", code, exitInterrupted, out.String(), c.output)
	}
	wantEmpty(t, temporary)
}

func TestDemoJudgesEachPart(t *testing.T) {
	s := &show{parts: demoParts(), heard: []map[string]bool{{}, {}}}
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
