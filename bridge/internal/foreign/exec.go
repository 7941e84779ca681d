package foreign

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

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

const (
	defaultKillGrace = 5 * time.Second
	// pollGroup is how often a stopped process group is looked at.
	pollGroup = 20 * time.Millisecond
)

// inheritedEnvironment is what a handler's program sees of the bridge's own
// environment, which may hold passwords.
var inheritedEnvironment = []string{"PATH", "HOME", "LANG", "TZ"}

// Exec is a handler that runs a program per job. Package bridge documents it, as ExecConfig.
type Exec struct {
	Command   []string
	Dir       string
	Env       map[string]string
	KillGrace time.Duration
}

// Grace is how long the process group may take to end.
func (c Exec) Grace() time.Duration {
	if c.KillGrace <= 0 {
		return defaultKillGrace
	}
	return c.KillGrace
}

// NewExec checks cfg against this machine: a program that can't be found is told at start and not job by job.
func NewExec(cfg Exec) (Handler, error) {
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, errors.New(`exec: "command" is empty: give the program and its arguments as a list`)
	}
	if cfg.Dir != "" {
		if info, err := os.Stat(cfg.Dir); err != nil {
			return nil, fmt.Errorf("exec: working directory: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("exec: working directory %s is not a directory", cfg.Dir)
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
			return nil, fmt.Errorf("exec: %q is not an environment variable", name)
		case strings.HasPrefix(name, "BRIDGE_"):
			return nil, fmt.Errorf("exec: environment variable %q: names that start with BRIDGE_ are reserved", name)
		}
	}
	h := &execHandler{cfg: cfg, grace: cfg.Grace()}
	return h.run, nil
}

type execHandler struct {
	cfg   Exec
	grace time.Duration
}

func (h *execHandler) run(ctx context.Context, info job.Info, params json.RawMessage, r Reporter) (any, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	reports := newReportReader(r)
	stderr := &tail{max: stderrTail}
	cmd := exec.CommandContext(ctx, h.cfg.Command[0], h.cfg.Command[1:]...)
	cmd.Dir = h.cfg.Dir
	cmd.Env = h.environment(info)
	cmd.Stdin = bytes.NewReader(orEmpty(params))
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
		return nil, transient(fmt.Errorf("start %s: %w", h.cfg.Command[0], err))
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

func (h *execHandler) outcome(ctx context.Context, r Reporter, cmd *exec.Cmd, err error, reports *reportReader, stderr *tail) (any, error) {
	status := cmd.ProcessState.ExitCode()
	if ctx.Err() != nil && !(status == 0 && reports.hasResult) {
		return nil, fmt.Errorf("%s was stopped: %w", h.cfg.Command[0], context.Cause(ctx))
	}
	if status == 0 {
		if errors.Is(err, exec.ErrWaitDelay) {
			r.Log().Warn("the program left a process behind that kept its output open; it was killed", "program", h.cfg.Command[0])
		}
		return reports.result, nil
	}
	text := fmt.Sprintf("%s: %s", h.cfg.Command[0], cmd.ProcessState)
	if said := stderr.String(); said != "" {
		text += ": " + said
	}
	if permanentStatus(status) {
		return nil, permanent(errors.New(text))
	}
	return nil, transient(errors.New(text))
}

// permanentStatus sorts the codes of sysexits.h: permanent is what the same
// call will meet again.
func permanentStatus(status int) bool {
	const usage, dataErr, noInput, noUser, noPerm, config = 64, 65, 66, 67, 77, 78
	return slices.Contains([]int{usage, dataErr, noInput, noUser, noPerm, config}, status)
}

// environment puts the job's own variables last: of equal names the last wins.
func (h *execHandler) environment(r job.Info) []string {
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
		{"JOB_ID", r.ID}, {"JOB_NAME", r.Name}, {"JOB_TYPE", r.JobType}, {"SITE", r.Site},
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
