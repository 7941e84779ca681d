package servers

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, stdout *bytes.Buffer, script string) *Child {
	t.Helper()
	var c *Child
	var err error
	if stdout == nil { // not a nil *bytes.Buffer in an io.Writer
		c, err = StartChild("shell", t.TempDir(), []string{"WORD=hello"}, nil, "/bin/sh", "-c", script)
	} else {
		c, err = StartChild("shell", t.TempDir(), []string{"WORD=hello"}, stdout, "/bin/sh", "-c", script)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(0) })
	return c
}

func TestChildThatEndsByItself(t *testing.T) {
	var out bytes.Buffer
	good := shell(t, &out, "echo $WORD; echo complaint >&2")
	if err := good.Wait(); err != nil || out.String() != "hello\n" || good.Output() != "complaint" || good.ExitCode() != 0 {
		t.Errorf("error %v, stdout %q, kept %q, code %d", err, out.String(), good.Output(), good.ExitCode())
	}
	if err := good.Ended(); err == nil || !strings.Contains(err.Error(), "complaint") {
		t.Errorf("that it ended is told as %v, want the end of its output in it", err)
	}
	if err := good.Stop(time.Minute); err != nil {
		t.Errorf("stop of one that has ended: %v", err)
	}
	bad := shell(t, nil, "head -c 9000 /dev/zero | tr '\\0' x; echo the end; exit 3")
	if err := bad.Wait(); err == nil || bad.ExitCode() != 3 || len(bad.Output()) > tailSize || !strings.HasSuffix(bad.Output(), "xthe end") {
		t.Errorf("error %v, code %d, kept %d bytes", err, bad.ExitCode(), len(bad.Output()))
	}
}

func TestChildIsStoppedWithItsGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	deaf := shell(t, nil, "trap '' TERM; sleep 600 & echo $! > "+pids+".new; mv "+pids+".new "+pids+"; while :; do wait; done")
	var text []byte
	for len(text) == 0 {
		if deaf.Ended() != nil {
			t.Fatal(deaf.Ended())
		}
		text, _ = os.ReadFile(pids)
		time.Sleep(time.Millisecond)
	}
	if err := deaf.Stop(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("stop of one that doesn't listen: %v, want that it was killed", err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	// Its new parent may take a moment to bury it.
	for late := time.Now().Add(10 * time.Second); syscall.Kill(grandchild, 0) == nil && !isZombie(grandchild); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("what it had started, process %d, goes on", grandchild)
		}
	}
	polite := shell(t, nil, "exec sleep 600")
	if err := polite.Stop(time.Minute); err != nil || polite.ExitCode() != -1 {
		t.Errorf("stop of one that listens: %v, code %d", err, polite.ExitCode())
	}
}

func isZombie(pid int) bool {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return bytes.Contains(b, []byte(") Z "))
}
