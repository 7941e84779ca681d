package commands

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// systemd listens in the place of systemd's for what the programs tell it that are started from now on, and gives what is next.
func systemd(t *testing.T) (heard func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return func() string {
		t.Helper()
		buffer := make([]byte, 4096)
		if err := listener.SetReadDeadline(time.Now().Add(waitLong)); err != nil {
			t.Fatal(err)
		}
		n, err := listener.Read(buffer)
		if err != nil {
			t.Fatalf("systemd isn't told: %v", err)
		}
		return string(buffer[:n])
	}
}

// TestSystemdIsTold when a worker is ready, that it still moves, and that it stops.
func TestSystemdIsTold(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	heard := systemd(t)
	t.Setenv("WATCHDOG_USEC", "400000")
	w := b.worker()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := heard(); got != want {
			t.Errorf("systemd is told %q, want %q", got, want)
		}
	}
	if err := syscall.Kill(w.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for got := heard(); got != "STOPPING=1"; got = heard() {
		if got != "WATCHDOG=1" {
			t.Fatalf("systemd is told %q before STOPPING=1", got)
		}
	}
}

// TestWithoutSystemd nothing is told.
func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	for _, usec := range []string{"", "0", "x"} {
		t.Setenv("WATCHDOG_USEC", usec)
		if err := notify("READY=1"); err != nil || watchdog() != 0 {
			t.Errorf("with WATCHDOG_USEC=%q: %v, every %s, want nothing", usec, err, watchdog())
		}
	}
	t.Setenv("WATCHDOG_USEC", "400000")
	t.Setenv("WATCHDOG_PID", "1")
	if watchdog() != 0 {
		t.Error("another process's watchdog is answered")
	}
}

// TestServiceFiles: what is shipped stops as the README says.
func TestServiceFiles(t *testing.T) {
	for file, want := range map[string][]string{
		"dartwing-bridge.service": {"Type=notify", "KillMode=mixed", "TimeoutStopSec=60", "WatchdogSec=60", "RestartPreventExitStatus=78"},
		"supervisor.conf":         {"stopsignal=TERM", "stopasgroup=false", "killasgroup=true", "stopwaitsecs=60", "exitcodes=78"},
	} {
		text, err := os.ReadFile(filepath.Join("../../../../testdata/units", file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, line := range want {
			if !slices.Contains(lines, line) {
				t.Errorf("%s lacks %s", file, line)
			}
		}
		if !regexp.MustCompile(`(?m)^(ExecStart|command)=/usr/local/bin/bridge worker `).Match(text) {
			t.Errorf("%s doesn't start a worker", file)
		}
	}
}

// TestSystemdShowsTroubles in systemctl status: a server that can't be used, and that it can again.
func TestSystemdShowsTroubles(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	heard := systemd(t)
	b.worker()
	want := func(start string) {
		t.Helper()
		if got := heard(); !strings.HasPrefix(got, start) {
			t.Fatalf("systemd is told %q, want %q", got, start)
		}
	}
	want("READY=1")
	b.redis.Kill()
	want("STATUS=Redis (redis_queue) can't be used since ")
	if err := b.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for heard() != "STATUS=working" { // the error may change meanwhile
	}
}
