package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

func shell(t *testing.T, cfg Exec, script string) Call {
	t.Helper()
	cfg.Command = []string{"sh", "-c", script}
	run, err := NewExec(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestExecReports(t *testing.T) {
	const script = `
echo '{"progress": 10, "message": "start"}'
echo plain text
echo '{"level": "info", "message": "a JSON log line"}'
echo '{"progress": "many"}'
echo '[1]'
echo '{"output": "/files/a.csv"}'
echo '{"progress": 99.5}'
echo '{"result": {"n": 12345678901234567890, "in": '"$(cat)"'}}'
printf '{"progress": 100, "message": "no newline"}'`
	var h heard
	result, err := shell(t, Exec{}, script)(t.Context(), attempt, json.RawMessage(`{"a":1}`), &h)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"n": json.Number("12345678901234567890"), "in": map[string]any{"a": json.Number("1")}}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10 start", "99.5 ", "100 no newline"}, h.progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/files/a.csv"}, h.outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, line := range []string{"plain text", "a JSON log line", "many", "[1]"} {
		if !strings.Contains(h.logged(), line) {
			t.Errorf("log lacks %q:\n%s", line, h.logged())
		}
	}
}

// TestExecReportsThatAreLost: what may have been the result isn't skipped.
func TestExecReportsThatAreLost(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"a long result":          {`printf '{"result": "'; head -c 1100000 /dev/zero | tr '\0' x; echo '"}'; echo '{"progress": 100}'`, "longer than 1048576 bytes"},
		"a long one without end": {`printf ' {"result": "'; head -c 1100000 /dev/zero | tr '\0' x`, "longer than 1048576 bytes"},
		"Python's NaN":           {`echo '{"result": NaN}'`, `starts with {"result": can't be read`},
		"half a result":          {`printf '{"result": [1,'`, `starts with {"result": can't be read`},
	} {
		var h heard
		result, err := shell(t, Exec{}, tc.script)(t.Context(), attempt, nil, &h)
		if err == nil || result != nil || job.Classify(err) != job.Permanent || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: result %v and %v, want a permanent error with %q", name, result, err, tc.want)
		}
	}
	var h heard
	if result, err := shell(t, Exec{}, `echo '{"error": {"code": 7}, "level": "error"}'; echo '{"result": 1}'`)(t.Context(), attempt, nil, &h); err != nil || result != json.Number("1") {
		t.Errorf("a log line in JSON: %v, %v, want the result after it", result, err)
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_BRIDGE", "password")
	t.Setenv("TZ", "Europe/Berlin")
	var h heard
	r := attempt
	r.User = "with\x00nul"
	r.Lossy = []string{"$.a: lost", "$.b: lost"}
	result, err := shell(t, Exec{Env: map[string]string{"EXTRA": "1", "LANG": "de_DE"}, Dir: os.TempDir()},
		`printf '{"result": "%s"}' "$(env | grep -v -e '^PWD=' -e '^SHLVL=' -e '^_=' -e '^OLDPWD=' -e '^PATH=' -e '^HOME=' | sort | tr '"\n' "' ")$(pwd) $(cat)"`)(t.Context(), r, nil, &h)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := "BRIDGE_ATTEMPT=2 BRIDGE_JOB_ID=site1||1 BRIDGE_JOB_NAME=JOB-2025-00001 BRIDGE_JOB_TYPE=report BRIDGE_LOSSY=['$.a: lost','$.b: lost'] " +
		"BRIDGE_ORGANIZATION=ORG-1 BRIDGE_SITE=site1.localhost BRIDGE_TIMEOUT=90 BRIDGE_USER=withnul " +
		"EXTRA=1 LANG=de_DE TZ=Europe/Berlin " + dir + " {}"
	if result != want {
		t.Errorf("environment:\n got %v\nwant %v", result, want)
	}
}

func TestExecStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   job.ErrorType
		text   string
	}{
		"usage":         {"exit 64", job.Permanent, "exit status 64"},
		"data":          {"echo bad line 3 >&2; exit 65", job.Permanent, "exit status 65: bad line 3"},
		"no input":      {"exit 66", job.Permanent, ""},
		"no user":       {"exit 67", job.Permanent, ""},
		"no host":       {"exit 68", job.Transient, ""},
		"unavailable":   {"exit 69", job.Transient, ""},
		"software":      {"exit 70", job.Transient, ""},
		"os error":      {"exit 71", job.Transient, ""},
		"i/o":           {"exit 74", job.Transient, ""},
		"temporary":     {"exit 75", job.Transient, "exit status 75"},
		"protocol":      {"exit 76", job.Transient, ""},
		"no permission": {"exit 77", job.Permanent, ""},
		"configuration": {"exit 78", job.Permanent, ""},
		"any other":     {"exit 1", job.Transient, ""},
		"signal":        {"kill -9 $$", job.Transient, "signal: killed"},
		"after result":  {`echo '{"result": 1}'; exit 3`, job.Transient, "exit status 3"},
		"exception name does not beat the status": {"echo 'ValidationError: x' >&2; exit 75", job.Transient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			result, err := shell(t, Exec{}, tc.script)(t.Context(), attempt, json.RawMessage("{}"), &h)
			if err == nil || result != nil {
				t.Fatalf("got %v, %v; want an error only", result, err)
			}
			if got := job.Classify(err); got != tc.want {
				t.Errorf("%v is %s, want %s", err, got, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %q lacks %q", err, tc.text)
			}
		})
	}
}

// TestExecTellsASignal: who ended it isn't known here, and a stop of the whole service sends one to everybody.
func TestExecTellsASignal(t *testing.T) {
	for script, want := range map[string]bool{"kill -TERM $$": true, "kill -9 $$": true, "exit 143": true, "exit 130": true, "exit 1": false, "exit 129": true, "exit 137": false} {
		_, err := shell(t, Exec{}, script)(t.Context(), attempt, json.RawMessage("{}"), &heard{})
		if got := errors.Is(err, job.ErrSignaled); got != want {
			t.Errorf("%s: error %v, ended by a signal: %v, want %v", script, err, got, want)
		}
	}
}

func TestExecBoundsOutput(t *testing.T) {
	var h heard
	result, err := shell(t, Exec{}, `
head -c 3000000 /dev/zero | tr '\0' x; echo
i=0; while [ $i -lt 1200 ]; do echo line $i; i=$((i+1)); done
echo '{"result": "after the flood"}'`)(t.Context(), attempt, json.RawMessage("{}"), &h)
	if err != nil || result != "after the flood" {
		t.Fatalf("got %v, %v", result, err)
	}
	if n := len(h.logged()); n > 200_000 {
		t.Errorf("%d bytes were logged", n)
	}
	for _, text := range []string{"too long", "line 900", "further output"} {
		if !strings.Contains(h.logged(), text) {
			t.Errorf("log lacks %q", text)
		}
	}
	_, err = shell(t, Exec{}, `head -c 1000000 /dev/zero | tr '\0' e >&2; printf '€ the end \0' >&2; exit 1`)(t.Context(), attempt, json.RawMessage("{}"), &h)
	if err == nil || len(err.Error()) > stderrTail+200 || !strings.HasSuffix(err.Error(), "eee€ the end") {
		t.Errorf("error has %d bytes: …%s", len(err.Error()), err.Error()[max(0, len(err.Error())-40):])
	}
	if !strings.Contains(err.Error(), "bytes left out]") {
		t.Errorf("error doesn't say that text is missing")
	}
}

// Parameters beyond the pipe's buffer that nobody reads must not fail the job.
func TestExecIgnoredInput(t *testing.T) {
	var h heard
	big := `"` + strings.Repeat("x", 1<<20) + `"`
	if _, err := shell(t, Exec{}, "exit 0")(t.Context(), attempt, json.RawMessage(big), &h); err != nil {
		t.Error(err)
	}
	result, err := shell(t, Exec{}, `printf '{"result": %d}' $(wc -c)`)(t.Context(), attempt, json.RawMessage(big), &h)
	if err != nil || result != json.Number(strconv.Itoa(len(big))) {
		t.Errorf("got %v, %v", result, err)
	}
}

// pidFile waits for a pid that a script wrote.
func pidFile(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return pid
		}
	}
	t.Fatalf("%s was never written", path)
	return 0
}

// dead reports whether a process is gone or only waits to be collected, which the sandbox's init may never do.
func dead(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

func wantDead(t *testing.T, what string, pid int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if dead(pid) {
			return
		}
	}
	t.Errorf("%s (pid %d) is still alive", what, pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestExecCancelKillsTheGroup(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		grace  time.Duration
		min    time.Duration // the group must be left at least so long
		max    time.Duration
	}{
		"obedient":              {`sh -c 'echo $$ >grandchild; sleep 60' & wait`, 5 * time.Second, 0, 3 * time.Second},
		"ignores SIGTERM":       {`trap '' TERM; sh -c 'echo $$ >grandchild; while :; do sleep 1; done' & while :; do sleep 1; done`, 500 * time.Millisecond, 400 * time.Millisecond, 4 * time.Second},
		"only grandchild stays": {`sh -c 'trap "" TERM; echo $$ >grandchild; exec >/dev/null 2>&1; while :; do sleep 1; done' & wait`, 500 * time.Millisecond, 400 * time.Millisecond, 4 * time.Second},
		"grandchild has pipes":  {`sh -c 'trap "" TERM; echo $$ >grandchild; while :; do sleep 1; done' & exec sleep 60`, 500 * time.Millisecond, 400 * time.Millisecond, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			run := shell(t, Exec{Dir: dir, KillGrace: tc.grace}, "echo $$ >child; "+tc.script)
			var h heard
			done := make(chan error, 1)
			go func() {
				_, err := run(ctx, attempt, json.RawMessage("{}"), &h)
				done <- err
			}()
			child, grandchild := pidFile(t, filepath.Join(dir, "child")), pidFile(t, filepath.Join(dir, "grandchild"))
			start := time.Now()
			cancel(job.ErrCanceled)
			err := <-done
			took := time.Since(start)
			if !errors.Is(err, job.ErrCanceled) {
				t.Errorf("error = %v, want ErrCanceled", err)
			}
			if took < tc.min || took > tc.max {
				t.Errorf("stopping took %s, want %s to %s", took, tc.min, tc.max)
			}
			wantDead(t, "child", child)
			wantDead(t, "grandchild", grandchild)
		})
	}
}

func TestExecCleanUpOnTerm(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		result any
	}{
		"finished in the grace":   {`trap 'echo "{\"result\": 7}"; exit 0' TERM; touch up; while :; do sleep 0.05; done`, json.Number("7")},
		"left without a result":   {`trap 'exit 0' TERM; touch up; while :; do sleep 0.05; done`, nil},
		"failed while it stopped": {`trap 'exit 65' TERM; touch up; while :; do sleep 0.05; done`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				for ctx.Err() == nil {
					if _, err := os.Stat(filepath.Join(dir, "up")); err == nil {
						cancel(job.ErrShutdown)
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			var h heard
			result, err := shell(t, Exec{Dir: dir}, tc.script)(ctx, attempt, json.RawMessage("{}"), &h)
			if result != tc.result {
				t.Errorf("result = %v, want %v", result, tc.result)
			}
			if (tc.result != nil) != (err == nil) || err != nil && !errors.Is(err, job.ErrShutdown) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// A program that ends well may leave a process behind that keeps its output open: the job must end all the same, and the
// process too.
func TestExecLeftoverWithOpenPipes(t *testing.T) {
	dir := t.TempDir()
	var h heard
	start := time.Now()
	result, err := shell(t, Exec{Dir: dir, KillGrace: 300 * time.Millisecond},
		`sh -c 'echo $$ >grandchild; sleep 60' & until [ -s grandchild ]; do sleep 0.01; done; echo '{"result": true}'`)(t.Context(), attempt, json.RawMessage("{}"), &h)
	if err != nil || result != true {
		t.Errorf("got %v, %v", result, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	wantDead(t, "leftover", pidFile(t, filepath.Join(dir, "grandchild")))
	if !strings.Contains(h.logged(), "kept its output open") {
		t.Errorf("nothing was logged about it: %s", h.logged())
	}
}

func TestExecBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(job.ErrTimeout)
	var h heard
	if _, err := shell(t, Exec{}, "exit 0")(ctx, attempt, json.RawMessage("{}"), &h); !errors.Is(err, job.ErrTimeout) {
		t.Errorf("error = %v, want ErrTimeout", err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run, err := NewExec(Exec{Command: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), attempt, json.RawMessage("{}"), &h); err == nil || job.Classify(err) != job.Permanent {
		t.Errorf("program vanished: error = %v, want a permanent one", err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// As root everything may be run that anybody may run, and this by nobody.
	if _, err := run(t.Context(), attempt, json.RawMessage("{}"), &h); !errors.Is(err, syscall.EACCES) || job.Classify(err) != job.Permanent {
		t.Errorf("program not executable: error = %v, want a permanent EACCES", err)
	}
	long := attempt
	long.User = strings.Repeat("u", 1<<20)
	if _, err := shell(t, Exec{}, "exit 0")(t.Context(), long, json.RawMessage("{}"), &h); !errors.Is(err, syscall.E2BIG) || job.Classify(err) != job.Permanent {
		t.Errorf("environment too long: error = %v, want a permanent E2BIG", err)
	}
}

// TestNotStarted: what a machine lacks passes, what is wrong with program or job doesn't.
func TestNotStarted(t *testing.T) {
	for want, errs := range map[job.ErrorType][]error{
		job.Permanent: {syscall.E2BIG, syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, exec.ErrNotFound},
		job.Transient: {syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY, syscall.EIO, errors.New("anything else")},
	} {
		for _, err := range errs {
			if got := job.Classify(notStarted(fmt.Errorf("start x: %w", &os.PathError{Op: "fork/exec", Path: "x", Err: err}))); got != want {
				t.Errorf("%v is %s, want %s", err, got, want)
			}
		}
	}
}

func TestNewExecRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Exec{
		"no command":       {},
		"empty program":    {Command: []string{""}},
		"unknown program":  {Command: []string{"no-such-program-here"}},
		"not executable":   {Command: []string{file}},
		"no directory":     {Command: []string{"sh"}, Dir: file},
		"missing dir":      {Command: []string{"sh"}, Dir: file + "-x"},
		"reserved name":    {Command: []string{"sh"}, Env: map[string]string{"BRIDGE_SITE": "x"}},
		"name with equals": {Command: []string{"sh"}, Env: map[string]string{"A=s3cret": "x"}},
		"NUL in value":     {Command: []string{"sh"}, Env: map[string]string{"A": "\x00"}},
	} {
		if _, err := NewExec(cfg); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows a value: %v", name, err)
		}
	}
}

// TestAFloodOfReportsTakesTurns: a handler that says more than others do in a second is read in turns with them.
func TestAFloodOfReportsTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func(turns wait.Turns) { wait.LargeTurns = turns }(wait.LargeTurns)
		wait.LargeTurns = wait.NewTurns(1)
		wait.LargeTurns.Take(t.Context())
		var h heard
		flood := []byte(strings.Repeat(`{"progress": 40}`+"\n", 1000))
		go func() {
			reports := &reportReader{r: &h}
			for range wait.LargeItem/len(flood) + 1 {
				_, _ = reports.Write(flood)
			}
		}()
		var calm heard
		_, _ = (&reportReader{r: &calm}).Write([]byte(`{"progress": 40}` + "\n"))
		synctest.Wait()
		if before := wait.LargeItem / len(flood) * 1000; len(h.progress) != before || len(calm.progress) != 1 {
			t.Errorf("while the turn is taken %d reports of the flood were read, and %d of the other; want %d and 1", len(h.progress), len(calm.progress), before)
		}
		wait.LargeTurns.GiveBack()
	})
}

// TestExecSaysItsLines: each line of both streams, as a record of its own, for the row of the job; how many of them the log
// wants doesn't matter.
func TestExecSaysItsLines(t *testing.T) {
	var out heard
	run, err := NewExec(Exec{Command: []string{"sh", "-c", `echo to stdout; echo '{"progress": 5}'; printf 'to stderr\n\nno end' >&2; seq 2000`}})
	if err != nil {
		t.Fatal(err)
	}
	all := verbose{&out}
	if _, err := run(t.Context(), attempt, nil, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=INFO msg="handler output" line="to stdout"`, `level=DEBUG msg="handler output" line="to stderr"`, `level=DEBUG msg="handler output" line="no end"`,
		`level=INFO msg="handler output" line=999`, `level=DEBUG msg="handler output" line=2000`,
	} {
		if !strings.Contains(out.logged(), want+"\n") {
			t.Errorf("the log lacks %s", want)
		}
	}
	if n := strings.Count(out.logged(), "handler output"); n != 2003 {
		t.Errorf("%d lines, want 2003", n)
	}
}

// verbose logs everything.
type verbose struct{ *heard }

func (v verbose) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(v.heard, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestComplaints(t *testing.T) {
	var out heard
	c := &complaints{log: verbose{&out}.Log()}
	long := strings.Repeat("x", 3*maxLogLine)
	for _, part := range []string{"he", "llo\n", " \n\n", long, long, "\nlast"} {
		if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("wrote %d of %d bytes, %v", n, len(part), err)
		}
	}
	c.finish()
	c.finish()
	lines := strings.Split(strings.TrimSpace(out.logged()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "line=hello") || !strings.HasSuffix(lines[1], "=x"+strings.Repeat("x", maxLogLine-1)+"…") || !strings.HasSuffix(lines[2], "line=last") {
		t.Errorf("%d lines: %.200q", len(lines), lines)
	}
}
