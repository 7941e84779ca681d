package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// heard is what a handler reported.
type heard struct {
	mu       sync.Mutex
	Progress []string
	Outputs  []string
	log      bytes.Buffer
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(b)
}

func (h *heard) Log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *heard) request(params string) runRequest {
	return runRequest{
		JobID: "site1||1", Name: "JOB-2025-00001", JobType: "report", Site: "site1.localhost",
		User: "jane@example.com", Organization: "ORG-1", Attempt: 2, Timeout: 90 * time.Second,
		Params: json.RawMessage(params),
		Progress: func(pct float64, msg string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.Progress = append(h.Progress, fmt.Sprintf("%g %s", pct, msg))
		},
		SetOutput: func(ref string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.Outputs = append(h.Outputs, ref)
		},
		Log: zerolog.New(h),
	}
}

func shell(t *testing.T, cfg ExecConfig, script string) func(context.Context, runRequest) (any, error) {
	t.Helper()
	cfg.Command = []string{"sh", "-c", script}
	run, err := newExecHandler(cfg)
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
	result, err := shell(t, ExecConfig{}, script)(t.Context(), h.request(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"n": json.Number("12345678901234567890"), "in": map[string]any{"a": json.Number("1")}}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10 start", "99.5 ", "100 no newline"}, h.Progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/files/a.csv"}, h.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, line := range []string{"plain text", "a JSON log line", "many", "[1]"} {
		if !strings.Contains(h.Log(), line) {
			t.Errorf("log lacks %q:\n%s", line, h.Log())
		}
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_BRIDGE", "password")
	t.Setenv("TZ", "Europe/Berlin")
	var h heard
	r := h.request("")
	r.User = "with\x00nul"
	result, err := shell(t, ExecConfig{Env: map[string]string{"EXTRA": "1", "LANG": "de_DE"}, Dir: os.TempDir()},
		`printf '{"result": "%s"}' "$(env | grep -v -e '^PWD=' -e '^SHLVL=' -e '^_=' -e '^OLDPWD=' -e '^PATH=' -e '^HOME=' | sort | tr '\n' ' ')$(pwd) $(cat)"`)(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := "BRIDGE_ATTEMPT=2 BRIDGE_JOB_ID=site1||1 BRIDGE_JOB_NAME=JOB-2025-00001 BRIDGE_JOB_TYPE=report " +
		"BRIDGE_ORGANIZATION=ORG-1 BRIDGE_SITE=site1.localhost BRIDGE_TIMEOUT=90 BRIDGE_USER=withnul " +
		"EXTRA=1 LANG=de_DE TZ=Europe/Berlin " + dir + " {}"
	if result != want {
		t.Errorf("environment:\n got %v\nwant %v", result, want)
	}
}

func TestExecStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   ErrorType
		text   string
	}{
		"usage":         {"exit 64", ErrorPermanent, "exit status 64"},
		"data":          {"echo bad line 3 >&2; exit 65", ErrorPermanent, "exit status 65: bad line 3"},
		"no input":      {"exit 66", ErrorPermanent, ""},
		"no user":       {"exit 67", ErrorPermanent, ""},
		"no host":       {"exit 68", ErrorTransient, ""},
		"unavailable":   {"exit 69", ErrorTransient, ""},
		"software":      {"exit 70", ErrorTransient, ""},
		"os error":      {"exit 71", ErrorTransient, ""},
		"i/o":           {"exit 74", ErrorTransient, ""},
		"temporary":     {"exit 75", ErrorTransient, "exit status 75"},
		"protocol":      {"exit 76", ErrorTransient, ""},
		"no permission": {"exit 77", ErrorPermanent, ""},
		"configuration": {"exit 78", ErrorPermanent, ""},
		"any other":     {"exit 1", ErrorTransient, ""},
		"signal":        {"kill -9 $$", ErrorTransient, "signal: killed"},
		"after result":  {`echo '{"result": 1}'; exit 3`, ErrorTransient, "exit status 3"},
		"exception name does not beat the status": {"echo 'ValidationError: x' >&2; exit 75", ErrorTransient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			result, err := shell(t, ExecConfig{}, tc.script)(t.Context(), h.request("{}"))
			if err == nil || result != nil {
				t.Fatalf("got %v, %v; want an error only", result, err)
			}
			if got := classify(err); got != tc.want {
				t.Errorf("%v is %s, want %s", err, got, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %q lacks %q", err, tc.text)
			}
		})
	}
}

func TestExecBoundsOutput(t *testing.T) {
	var h heard
	result, err := shell(t, ExecConfig{}, `
head -c 3000000 /dev/zero | tr '\0' x; echo
i=0; while [ $i -lt 1200 ]; do echo line $i; i=$((i+1)); done
echo '{"result": "after the flood"}'`)(t.Context(), h.request("{}"))
	if err != nil || result != "after the flood" {
		t.Fatalf("got %v, %v", result, err)
	}
	if n := len(h.Log()); n > 200_000 {
		t.Errorf("%d bytes were logged", n)
	}
	for _, text := range []string{"too long", "line 900", "further output"} {
		if !strings.Contains(h.Log(), text) {
			t.Errorf("log lacks %q", text)
		}
	}
	_, err = shell(t, ExecConfig{}, `head -c 1000000 /dev/zero | tr '\0' e >&2; printf '€ the end \0' >&2; exit 1`)(t.Context(), h.request("{}"))
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
	if _, err := shell(t, ExecConfig{}, "exit 0")(t.Context(), h.request(big)); err != nil {
		t.Error(err)
	}
	result, err := shell(t, ExecConfig{}, `printf '{"result": %d}' $(wc -c)`)(t.Context(), h.request(big))
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

// dead reports whether a process is gone or only waits to be collected, which
// the sandbox's init may never do.
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
			run := shell(t, ExecConfig{Dir: dir, KillGrace: Seconds(tc.grace)}, "echo $$ >child; "+tc.script)
			var h heard
			done := make(chan error, 1)
			go func() {
				_, err := run(ctx, h.request("{}"))
				done <- err
			}()
			child, grandchild := pidFile(t, filepath.Join(dir, "child")), pidFile(t, filepath.Join(dir, "grandchild"))
			start := time.Now()
			cancel(ErrCanceled)
			err := <-done
			took := time.Since(start)
			if !errors.Is(err, ErrCanceled) {
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
						cancel(ErrShutdown)
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			var h heard
			result, err := shell(t, ExecConfig{Dir: dir}, tc.script)(ctx, h.request("{}"))
			if result != tc.result {
				t.Errorf("result = %v, want %v", result, tc.result)
			}
			if (tc.result != nil) != (err == nil) || err != nil && !errors.Is(err, ErrShutdown) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

// A program that ends well may leave a process behind that keeps its output
// open: the job must end all the same, and the process too.
func TestExecLeftoverWithOpenPipes(t *testing.T) {
	dir := t.TempDir()
	var h heard
	start := time.Now()
	result, err := shell(t, ExecConfig{Dir: dir, KillGrace: Seconds(300 * time.Millisecond)},
		`sh -c 'echo $$ >grandchild; sleep 60' & until [ -s grandchild ]; do sleep 0.01; done; echo '{"result": true}'`)(t.Context(), h.request("{}"))
	if err != nil || result != true {
		t.Errorf("got %v, %v", result, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	wantDead(t, "leftover", pidFile(t, filepath.Join(dir, "grandchild")))
	if !strings.Contains(h.Log(), "kept its output open") {
		t.Errorf("nothing was logged about it: %s", h.Log())
	}
}

func TestExecBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrTimeout)
	var h heard
	if _, err := shell(t, ExecConfig{}, "exit 0")(ctx, h.request("{}")); !errors.Is(err, ErrTimeout) {
		t.Errorf("error = %v, want ErrTimeout", err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run, err := newExecHandler(ExecConfig{Command: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), h.request("{}")); err == nil || classify(err) != ErrorTransient {
		t.Errorf("program vanished: error = %v, want a transient one", err)
	}
}

func TestNewExecHandlerRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]ExecConfig{
		"no command":       {},
		"empty program":    {Command: []string{""}},
		"unknown program":  {Command: []string{"no-such-program-here"}},
		"not executable":   {Command: []string{file}},
		"no directory":     {Command: []string{"sh"}, Dir: file},
		"missing dir":      {Command: []string{"sh"}, Dir: file + "-x"},
		"reserved name":    {Command: []string{"sh"}, Env: map[string]string{"BRIDGE_SITE": "x"}},
		"name with equals": {Command: []string{"sh"}, Env: map[string]string{"A=B": "x"}},
		"NUL in value":     {Command: []string{"sh"}, Env: map[string]string{"A": "\x00"}},
	} {
		if _, err := newExecHandler(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
