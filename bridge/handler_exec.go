package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Step 4 for programs: a handler in any language, run once per job.

const (
	defaultKillGrace = 5 * time.Second
	// pollGroup is how often a stopped process group is looked at.
	pollGroup = 20 * time.Millisecond
)

// inheritedEnvironment is what a handler's program sees of the bridge's own
// environment, which may hold passwords.
var inheritedEnvironment = []string{"PATH", "HOME", "LANG", "TZ"}

// ExecConfig is a handler that runs a program per job.
//
// The program gets the job's parameters as one JSON value on stdin and, in its
// environment, BRIDGE_JOB_ID, BRIDGE_JOB_NAME, BRIDGE_JOB_TYPE, BRIDGE_SITE,
// BRIDGE_USER, BRIDGE_ORGANIZATION, BRIDGE_ATTEMPT and BRIDGE_TIMEOUT (seconds,
// 0 for none); of the bridge's own environment it sees PATH, HOME, LANG and TZ.
// Lines of JSON on stdout report:
//
//	{"progress": 40, "message": "rendering"}
//	{"output": "/files/report.csv"}
//	{"result": {"rows": 12}}
//
// Any other line goes to the log. The last 8 KiB of stderr become part of the
// error. Exit status 0 is success; of sysexits.h 64 (usage), 65 (data),
// 66 (no input), 67 (no user), 77 (no permission) and 78 (configuration) are
// permanent; every other status (69 unavailable, 70 software, 75 temporary
// failure, …), a signal, and a program that can't be started are transient.
//
// On cancel, timeout and shutdown SIGTERM goes to the program's whole process
// group, and SIGKILL to whatever is left of it after KillGrace. Status 0 after
// SIGTERM counts as success only if a result was reported. What a program
// leaves running in its group when it ends is killed.
type ExecConfig struct {
	// Command is the program and its arguments. No shell is involved. Required.
	Command []string `json:"command"`
	// Dir is the working directory. Default: the bridge's.
	Dir string `json:"dir"`
	// Env is added to the program's environment. BRIDGE_… names are reserved.
	Env map[string]string `json:"env"`
	// KillGrace is how long the process group may take to end after SIGTERM, and
	// how long the pipes of a program that ended may stay open; less than the
	// bridge's cancel_grace. Default: 5 s.
	KillGrace Seconds `json:"kill_grace"`
}

func (c ExecConfig) killGrace() time.Duration {
	if c.KillGrace <= 0 {
		return defaultKillGrace
	}
	return time.Duration(c.KillGrace)
}

// runRequest is one attempt at a job for a handler in another language.
type runRequest struct {
	JobID, Name, JobType, Site, User, Organization string
	Attempt                                        int
	Timeout                                        time.Duration
	// Params are the parameters as JSON; empty means {}.
	Params json.RawMessage
	// Progress and SetOutput take what the handler reports; neither may block.
	Progress  func(pct float64, msg string)
	SetOutput func(ref string)
	Log       zerolog.Logger
}

func (r runRequest) params() json.RawMessage {
	if len(r.Params) == 0 {
		return json.RawMessage("{}")
	}
	return r.Params
}

// newExecHandler checks cfg against this machine: a program that can't be found
// is told at start and not job by job.
func newExecHandler(cfg ExecConfig) (func(ctx context.Context, r runRequest) (any, error), error) {
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, errors.New(`exec: "command" is empty: give the program and its arguments as a list`)
	}
	if cfg.Dir != "" {
		if info, err := os.Stat(cfg.Dir); err != nil {
			return nil, fmt.Errorf("exec: working directory: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("exec: working directory %s is no directory", cfg.Dir)
		}
	}
	program := cfg.Command[0]
	if cfg.Dir == "" || !strings.Contains(program, "/") {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
	}
	for name, value := range cfg.Env {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			return nil, fmt.Errorf("exec: %q is no environment variable", name)
		case strings.HasPrefix(name, "BRIDGE_"):
			return nil, fmt.Errorf("exec: environment variable %q: names that start with BRIDGE_ are reserved", name)
		}
	}
	h := &execHandler{cfg: cfg, grace: cfg.killGrace()}
	return h.run, nil
}

type execHandler struct {
	cfg   ExecConfig
	grace time.Duration
}

func (h *execHandler) run(ctx context.Context, r runRequest) (any, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	reports := newReportReader(r)
	stderr := &tail{max: stderrTail}
	cmd := exec.CommandContext(ctx, h.cfg.Command[0], h.cfg.Command[1:]...)
	cmd.Dir = h.cfg.Dir
	cmd.Env = h.environment(r)
	cmd.Stdin = bytes.NewReader(r.params())
	cmd.Stdout = reports
	cmd.Stderr = stderr
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = h.grace
	var told stopTime
	cmd.Cancel = func() error {
		told.set(time.Now())
		return signalGroup(cmd.Process.Pid, syscall.SIGTERM)
	}
	err := startAndWait(cmd)
	if cmd.Process == nil {
		return nil, Transient(fmt.Errorf("start %s: %w", h.cfg.Command[0], err))
	}
	h.endGroup(cmd.Process.Pid, told.get())
	reports.finish()
	return h.outcome(ctx, r, cmd, err, reports, stderr)
}

// endGroup leaves a stopped group its grace and kills what is left. The group
// id can't have been reused: it stays taken while the group has members, and
// ids are given out in turn.
func (h *execHandler) endGroup(pid int, told time.Time) {
	if !told.IsZero() {
		for deadline := told.Add(h.grace); groupAlive(pid) && time.Now().Before(deadline); {
			time.Sleep(pollGroup)
		}
	}
	// An error means that nobody is left.
	_ = signalGroup(pid, syscall.SIGKILL)
}

func (h *execHandler) outcome(ctx context.Context, r runRequest, cmd *exec.Cmd, err error, reports *reportReader, stderr *tail) (any, error) {
	status := cmd.ProcessState.ExitCode()
	if ctx.Err() != nil && !(status == 0 && reports.hasResult) {
		return nil, fmt.Errorf("%s was stopped: %w", h.cfg.Command[0], context.Cause(ctx))
	}
	if status == 0 {
		if errors.Is(err, exec.ErrWaitDelay) {
			r.Log.Warn().Str("program", h.cfg.Command[0]).Msg("the program left a process behind that kept its output open; it was killed")
		}
		return reports.result, nil
	}
	text := fmt.Sprintf("%s: %s", h.cfg.Command[0], cmd.ProcessState)
	if said := stderr.String(); said != "" {
		text += ": " + said
	}
	if permanentStatus(status) {
		return nil, Permanent(errors.New(text))
	}
	return nil, Transient(errors.New(text))
}

// permanentStatus sorts the codes of sysexits.h: permanent is what the same
// call will meet again.
func permanentStatus(status int) bool {
	const usage, dataErr, noInput, noUser, noPerm, config = 64, 65, 66, 67, 77, 78
	return slices.Contains([]int{usage, dataErr, noInput, noUser, noPerm, config}, status)
}

// environment puts the job's own variables last: of equal names the last wins.
func (h *execHandler) environment(r runRequest) []string {
	var env []string
	for _, name := range inheritedEnvironment {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range h.cfg.Env {
		env = append(env, name+"="+value)
	}
	for _, v := range [][2]string{
		{"JOB_ID", r.JobID}, {"JOB_NAME", r.Name}, {"JOB_TYPE", r.JobType}, {"SITE", r.Site},
		{"USER", r.User}, {"ORGANIZATION", r.Organization}, {"ATTEMPT", strconv.Itoa(r.Attempt)},
		{"TIMEOUT", strconv.FormatFloat(r.Timeout.Seconds(), 'f', -1, 64)},
	} {
		// A NUL would make the program impossible to start.
		env = append(env, "BRIDGE_"+v[0]+"="+strings.ReplaceAll(v[1], "\x00", ""))
	}
	return env
}

// stopTime is when the process group was told to stop; written by the
// goroutine that watches the context.
type stopTime struct {
	mu sync.Mutex
	at time.Time
}

func (s *stopTime) set(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = t
}

func (s *stopTime) get() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}
