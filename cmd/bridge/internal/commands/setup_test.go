package commands

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// plainBench makes a bench whose servers nobody asks.
func plainBench(t *testing.T, config string) string {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); servers.IsBenchVariable(name) {
			t.Setenv(name, "")
		}
	}
	dir := filepath.Join(t.TempDir(), "frappe-bench")
	if err := os.MkdirAll(filepath.Join(dir, "sites"), 0o755); err != nil {
		t.Fatal(err)
	}
	configure(t, dir, config)
	t.Setenv("BRIDGE_BENCH", dir)
	return dir
}

func configure(t *testing.T, dir, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
}

// setupView is what setup --json prints, as a script reads it.
type setupView struct {
	File, Action, User, Program, Text string
	StopSeconds                       int `json:"stop_seconds"`
	Environment, Differences, Next    []string
}

// TestSetup writes a unit, leaves one that is there, says what differs, and replaces it when told to.
func TestSetup(t *testing.T) {
	for kind, want := range map[string]struct{ file, stop, next string }{
		"systemd":    {"config/systemd/frappe-bench-bridge.service", "TimeoutStopSec=", "sudo systemctl enable frappe-bench-bridge.service"},
		"supervisor": {"config/supervisor-bridge.conf", "stopwaitsecs=", "sudo supervisorctl update frappe-bench-bridge"},
	} {
		dir := plainBench(t, `{"bridge": {"stop_timeout": "90s", "cancel_grace": 5}}`)
		file := filepath.Join(dir, want.file)
		shown := must(t, "setup", kind, "--stdout")
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: --stdout has written %s", kind, file)
		}
		if got := must(t, "setup", kind); !strings.Contains(got, file+": created\n") || !strings.Contains(got, "\n  "+want.next+"\n") {
			t.Errorf("%s: it prints\n%s", kind, got)
		}
		text, err := os.ReadFile(file)
		if err != nil || string(text) != shown || !strings.Contains(shown, "\n"+want.stop+"115\n") || !strings.Contains(shown, dir) {
			t.Errorf("%s: the unit is %v\n%s\nshown was\n%s", kind, err, text, shown)
		}
		if got := decode[setupView](t, must(t, "setup", kind, "--json")); got.Action != "unchanged" || got.File != file || got.Text != shown || got.StopSeconds != 115 {
			t.Errorf("%s: the second time it says %+v", kind, got)
		}

		configure(t, dir, `{"bridge": {"stop_timeout": "2m", "cancel_grace": 5}}`)
		got := bridgeCommand(t, "setup", kind)
		if got.code != exitcode.Refused || !strings.Contains(got.out, "\n  - "+want.stop+"115\n") || !strings.Contains(got.out, "\n  + "+want.stop+"145\n") ||
			!strings.Contains(got.err, "--overwrite") || strings.Contains(got.out, "Next") {
			t.Errorf("%s: with another configuration: %+v", kind, got)
		}
		got = bridgeCommand(t, "setup", kind, "--json")
		if view := decode[setupView](t, got.out); got.code != exitcode.Refused || view.Action != "differs" || len(view.Differences) != 4 {
			t.Errorf("%s: with another configuration: %+v", kind, got)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != shown {
			t.Errorf("%s: the unit was changed: %v\n%s", kind, err, now)
		}
		must(t, "setup", kind, "--overwrite")
		if now, err := os.ReadFile(file); err != nil || !strings.Contains(string(now), "\n"+want.stop+"145\n") {
			t.Errorf("%s: --overwrite left %v\n%s", kind, err, now)
		}
	}
}

// TestSetupForTheBenchsUser: the unit names the owner of the bench, to whom it belongs although root wrote it.
func TestSetupForTheBenchsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := plainBench(t, "{}")
	if err := os.Chown(filepath.Join(dir, "sites"), 12345, 54321); err != nil {
		t.Fatal(err)
	}
	got := decode[setupView](t, must(t, "setup", "systemd", "--json"))
	if got.User != "12345" || !strings.Contains(got.Text, "\nUser=12345\n") {
		t.Errorf("the user is %q", got.User)
	}
	for _, name := range []string{"config", "config/systemd", "config/systemd/frappe-bench-bridge.service"} {
		if user := owner(t, filepath.Join(dir, name)); user != 12345 {
			t.Errorf("%s belongs to %d", name, user)
		}
	}
	if got := decode[setupView](t, must(t, "setup", "systemd", "--stdout", "--user", "jane", "--json")); got.User != "jane" || got.Action != "printed" {
		t.Errorf("with --user jane: %+v", got)
	}
}

// TestSetupKeepsTheConfiguration that this environment makes: its variables come with it, for the owner's eyes.
func TestSetupKeepsTheConfiguration(t *testing.T) {
	dir := plainBench(t, "{}")
	t.Setenv("BRIDGE_STOP_TIMEOUT", "5m")
	t.Setenv("FRAPPE_REDIS_QUEUE", "redis://:secret@127.0.0.1:1")
	t.Setenv("FRAPPE_SITE", "site1.localhost")
	t.Setenv("BRIDGE_API_SECRET", "mine")
	got := decode[setupView](t, must(t, "setup", "systemd", "--json"))
	if want := "BRIDGE_STOP_TIMEOUT FRAPPE_REDIS_QUEUE"; strings.Join(got.Environment, " ") != want || got.StopSeconds != 330 ||
		!strings.Contains(got.Text, "\nEnvironment=\"BRIDGE_STOP_TIMEOUT=5m\"\n") || strings.Contains(got.Text, "mine") {
		t.Errorf("want the variables %s in %+v", want, got)
	}
	info, err := os.Stat(filepath.Join(dir, "config/systemd/frappe-bench-bridge.service"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v; want that only its owner reads it", info.Mode(), err)
	}
	if got := must(t, "setup", "systemd"); !strings.Contains(got, "in clear: BRIDGE_STOP_TIMEOUT, FRAPPE_REDIS_QUEUE\n") {
		t.Errorf("it prints\n%s", got)
	}
}

// TestSetupWhereNothingCanBeWritten fails, and says who could.
func TestSetupWhereNothingCanBeWritten(t *testing.T) {
	dir := plainBench(t, "{}")
	if err := os.WriteFile(filepath.Join(dir, "config"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got := bridgeCommand(t, "setup", "systemd")
	if got.code != exitcode.Failure || !strings.Contains(got.err, dir) || !strings.Contains(got.err, "; run it as ") || got.out != "" {
		t.Errorf("where config is a file: %+v", got)
	}
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}
