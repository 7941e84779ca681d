package setup

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the units in testdata/units anew")

// awkward is a service whose names need every escape there is.
func awkward(dir string) Service {
	bench := filepath.Join(dir, `my "50%" %h $HOME\bench`)
	return Service{
		Name: Name(bench), Bench: bench, User: "root", Program: filepath.Join(dir, `the bridge; 5%(x)s %h $HOME`),
		Environment: []string{`BRIDGE_QUEUES=["go","go 2"]`, `FRAPPE_REDIS_QUEUE=redis://:a'b%c$d,e=f@h:1`},
		StopTimeout: 90*time.Second + time.Millisecond, CancelGrace: 10 * time.Second, Target: "my-workers.target",
	}
}

func text(t *testing.T, kind string, s Service) string {
	t.Helper()
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == kind })
	unit, err := Kinds[i].Text(s)
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

// TestShippedUnits: those in testdata/units are what the templates make of the example.
func TestShippedUnits(t *testing.T) {
	for kind, file := range map[string]string{"systemd": "dartwing-bridge.service", "supervisor": "supervisor.conf"} {
		path := filepath.Join("../../../../testdata/units", file)
		want := text(t, kind, Example)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%s isn't the template's, run go test with -update: %v\n%s", path, err, diff)
		}
	}
}

// TestStopIsGivenTime: longer than the handlers' own, in whole seconds.
func TestStopIsGivenTime(t *testing.T) {
	s := awkward("/srv")
	for kind, want := range map[string]string{"systemd": "\nTimeoutStopSec=121\n", "supervisor": "\nstopwaitsecs=121\n"} {
		if unit := text(t, kind, s); !strings.Contains(unit, want) {
			t.Errorf("with %s and %s the unit lacks %q:\n%s", s.StopTimeout, s.CancelGrace, want, unit)
		}
	}
}

// TestSystemdReadsTheUnit, and finds the paths that were meant.
func TestSystemdReadsTheUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("this machine has no systemd-analyze")
	}
	dir := t.TempDir()
	for name, s := range map[string]Service{"plain": {Name: "b-bridge", Bench: dir, User: "root", Program: filepath.Join(dir, "bridge")}, "awkward": awkward(dir)} {
		if err := os.MkdirAll(s.Bench, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Program, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		units := t.TempDir()
		file := filepath.Join(units, s.Name+".service")
		unit := text(t, "systemd", s)
		if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(verify, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), s.Name) {
			t.Errorf("%s: systemd finds in the unit: %v\n%s\n%s", name, err, out, unit)
		}
		// It looks for the program: another one is missed, so the path above was read as it was meant.
		if err := os.Rename(s.Program, s.Program+".away"); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(verify, "verify", "--man=no", file).CombinedOutput(); err == nil || !strings.Contains(string(out), s.Program) {
			t.Errorf("%s: without the program systemd finds: %v\n%s", name, err, out)
		}
	}
	s := awkward("/srv")
	unit := text(t, "systemd", s)
	for _, line := range []string{
		`WorkingDirectory=/srv/my "50%%" %%h $HOME\bench`,
		`ExecStart="/srv/the bridge; 5%%(x)s %%h $HOME" worker --log-format json`,
		`Environment="BRIDGE_QUEUES=[\"go\",\"go 2\"]"`, `Environment="FRAPPE_REDIS_QUEUE=redis://:a'b%%c$d,e=f@h:1"`,
		"PartOf=my-workers.target", "WantedBy=multi-user.target my-workers.target",
	} {
		if !slices.Contains(strings.Split(unit, "\n"), line) {
			t.Errorf("the unit lacks %s:\n%s", line, unit)
		}
	}
}

// readAsSupervisor does what supervisor does with a file: its parser's options, expansions and ways to split.
const readAsSupervisor = `
import configparser, json, shlex, sys
p = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
p.read_string(sys.stdin.read())
(section,) = p.sections()
got = {key: value % {} for key, value in p.items(section)}
for key in ("stdout_logfile", "stderr_logfile"):
    got[key] %= {}
got["command"] = json.dumps(shlex.split(got["command"]))
lexer = shlex.shlex(got.get("environment", ""))
lexer.wordchars += "/.+-():"
tokens = list(lexer)
got["environment"] = json.dumps({tokens[i]: tokens[i + 2].strip("'\"") for i in range(0, len(tokens), 4)})
got["section"] = section
print(json.dumps(got))
`

// TestSupervisorReadsTheUnit as it was meant.
func TestSupervisorReadsTheUnit(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("this machine has no python3")
	}
	s := awkward("/srv")
	read := exec.Command(python, "-c", readAsSupervisor)
	read.Stdin = strings.NewReader(text(t, "supervisor", s))
	out, err := read.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, text(t, "supervisor", s))
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	var command []string
	environment := map[string]string{}
	for key, into := range map[string]any{"command": &command, "environment": &environment} {
		if err := json.Unmarshal([]byte(got[key]), into); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{s.Program, "worker", "--log-format", "json"}; !slices.Equal(command, want) {
		t.Errorf("the command is %q, want %q", command, want)
	}
	wantEnvironment := map[string]string{"BRIDGE_QUEUES": `["go","go 2"]`, "FRAPPE_REDIS_QUEUE": `redis://:a'b%c$d,e=f@h:1`}
	if diff := cmp.Diff(wantEnvironment, environment); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		"section": "program:" + s.Name, "directory": s.Bench, "user": "root", "stdout_logfile": s.Bench + "/logs/bridge.log",
		"stderr_logfile": s.Bench + "/logs/bridge.error.log", "stopasgroup": "false", "exitcodes": "78",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// TestWhatNoUnitCanSay is refused by its name.
func TestWhatNoUnitCanSay(t *testing.T) {
	for _, tc := range []struct {
		kinds  string
		change func(s *Service)
		want   string
	}{
		{"systemd supervisor", func(s *Service) { s.Bench = "/srv/a\nUser=root" }, "control characters"},
		{"systemd supervisor", func(s *Service) { s.Bench = `/srv/a\` }, "backslash"},
		{"systemd supervisor", func(s *Service) { s.User = "" }, "empty"},
		{"systemd supervisor", func(s *Service) { s.Program = "/srv/a\tb" }, "control characters"},
		{"systemd supervisor", func(s *Service) { s.Environment = []string{"BRIDGE_A=x\ny"} }, "control characters"},
		{"systemd", func(s *Service) { s.Program = "/srv/jane's/bridge" }, "quotes or backslashes"},
		{"supervisor", func(s *Service) { s.Bench = "/srv/a #1" }, "begins a comment"},
		{"supervisor", func(s *Service) { s.Environment = []string{`BRIDGE_A="x"`} }, "BRIDGE_A has quotes"},
		{"supervisor", func(s *Service) { s.Environment = []string{`BRIDGE_A=x"y'z`} }, "BRIDGE_A has quotes"},
		{"supervisor", func(s *Service) { s.Environment = []string{"BRIDGE_A=x ;y"} }, "BRIDGE_A has control characters"},
	} {
		for _, kind := range Kinds {
			s := Example
			tc.change(&s)
			_, err := kind.Text(s)
			if strings.Contains(tc.kinds, kind.Name) != (err != nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s for %+v: error %v, want %q in %s", kind.Name, s, err, tc.want, tc.kinds)
			}
		}
	}
}

// TestWriteStaysInTheBench, although a link there leads out of it.
func TestWriteStaysInTheBench(t *testing.T) {
	bench, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(bench, "config")); err != nil {
		t.Fatal(err)
	}
	if did, _, err := Write(bench, "config/systemd/a.service", "x", os.Getuid(), os.Getgid(), true, false); err == nil {
		t.Errorf("it is %s behind the link", did)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside are %v, %v; want nothing", entries, err)
	}
}

func TestNames(t *testing.T) {
	for bench, want := range map[string]string{"/home/f/frappe-bench": "frappe-bench-bridge", "/srv/my bench 50%": "my-bench-50--bridge", "/srv/a@b:c": "a-b-c-bridge"} {
		if got := Name(bench); got != want {
			t.Errorf("the bridge of %s is called %s, want %s", bench, got, want)
		}
	}
	bench := filepath.Join(t.TempDir(), "frappe-bench")
	if got := BenchTarget(bench); got != "" {
		t.Errorf("without one the target is %q", got)
	}
	target := filepath.Join(bench, "config", "systemd", "frappe-bench-workers.target")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := BenchTarget(bench); got != "frappe-bench-workers.target" {
		t.Errorf("the target is %q, want bench's", got)
	}
}

func TestDifference(t *testing.T) {
	got := Difference("a\nb\nc\n", "a\nx\nc\nd\n")
	if want := []string{"- b", "+ x", "+ d"}; !slices.Equal(got, want) {
		t.Errorf("the difference is %q, want %q", got, want)
	}
}
