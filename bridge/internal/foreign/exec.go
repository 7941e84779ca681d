package foreign

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

const (
	defaultKillGrace = 5 * time.Second
	// pollGroup is how often a stopped process group is looked at.
	pollGroup = 20 * time.Millisecond
)

// inheritedEnvironment is what a handler's program sees of the bridge's own environment, which may hold passwords.
var inheritedEnvironment = []string{"PATH", "HOME", "LANG", "TZ"}

// Exec is a handler that runs a program per job. Package bridge publishes it as ExecConfig, with the protocol.
type Exec struct {
	// Command is the program and its arguments. No shell is involved. Required.
	Command []string
	// Dir is the working directory. Default: the bridge's.
	Dir string
	// Env is added to the program's environment. BRIDGE_… names are reserved.
	Env map[string]string
	// KillGrace is how long the process group may take to end after SIGTERM, and how long the pipes of a program that
	// ended may stay open; less than Config.CancelGrace. Default: 5 s.
	KillGrace time.Duration
}

// Grace is how long the process group may take to end.
func Grace(c Exec) time.Duration { return cmp.Or(max(c.KillGrace, 0), defaultKillGrace) }

// NewExec checks cfg against this machine: a program that can't be found is told at start and not job by job.
func NewExec(cfg Exec) (Call, error) {
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
			return nil, fmt.Errorf("exec: environment variable %q: a name must be without =, and nothing of it may be NUL", upTo(name, "=\x00"))
		case strings.HasPrefix(name, "BRIDGE_"):
			return nil, fmt.Errorf("exec: environment variable %q: names that start with BRIDGE_ are reserved", name)
		}
	}
	return cfg.run, nil
}

func (c Exec) run(ctx context.Context, info job.Info, params json.RawMessage, r Reporter) (any, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	reports := &reportReader{r: r, ctx: ctx}
	stderr, said := &tail{max: stderrTail}, &complaints{log: r.Log()}
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = c.environment(info)
	cmd.Stdin = bytes.NewReader(orEmpty(params))
	cmd.Stdout = reports
	cmd.Stderr = io.MultiWriter(stderr, said)
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = Grace(c)
	var told atomic.Pointer[time.Time]
	cmd.Cancel = func() error {
		now := time.Now()
		told.Store(&now)
		return signalGroup(cmd.Process.Pid, syscall.SIGTERM)
	}
	err := startAndWait(cmd)
	if cmd.Process == nil {
		return nil, notStarted(fmt.Errorf("start %s: %w", c.Command[0], err))
	}
	c.endGroup(cmd.Process.Pid, told.Load())
	reports.end()
	said.finish()
	return c.outcome(ctx, r, cmd, err, reports, stderr)
}

// unstartable are what no retry mends: nothing is there, or nothing that may be run, or what the job brings is too long.
// Anything else, a machine that has no memory or processes left (ENOMEM, EAGAIN), passes.
var unstartable = []error{
	exec.ErrNotFound, syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.E2BIG, syscall.EINVAL,
}

func notStarted(err error) error {
	if slices.ContainsFunc(unstartable, func(e error) bool { return errors.Is(err, e) }) {
		return permanent(err)
	}
	return transient(err)
}

// endGroup leaves a stopped group its grace and kills what is left. The group id can't have been reused: it stays taken
// while the group has members, and ids are given out in turn.
func (c Exec) endGroup(pid int, told *time.Time) {
	if told != nil {
		for deadline := told.Add(Grace(c)); groupAlive(pid) && time.Now().Before(deadline); {
			time.Sleep(pollGroup)
		}
	}
	// An error means that nobody is left.
	_ = signalGroup(pid, syscall.SIGKILL)
}

func (c Exec) outcome(ctx context.Context, r Reporter, cmd *exec.Cmd, err error, reports *reportReader, stderr *tail) (any, error) {
	status := cmd.ProcessState.ExitCode()
	if ctx.Err() != nil && !(status == 0 && reports.hasResult && reports.away == nil) {
		return nil, fmt.Errorf("%s was stopped: %w", c.Command[0], context.Cause(ctx))
	}
	if status == 0 {
		cut := errors.Is(err, exec.ErrWaitDelay)
		switch {
		case reports.away != nil:
			return nil, transient(fmt.Errorf("%s: %w", c.Command[0], reports.away))
		case cut && time.Since(reports.submitted) < Grace(c)/2:
			return nil, transient(fmt.Errorf("%s: its jobs could not be submitted within %s of its end", c.Command[0], Grace(c)))
		case cut:
			r.Log().Warn("the program left a process behind that kept its output open; it was killed", "program", c.Command[0])
		}
		if reports.lost != nil {
			return nil, permanent(fmt.Errorf("%s: %w", c.Command[0], reports.lost))
		}
		return ended(reports.result, reports.snooze)
	}
	text := fmt.Sprintf("%s: %s", c.Command[0], cmd.ProcessState)
	if said := stderr.String(); said != "" {
		text += ": " + said
	}
	switch {
	case endedBySignal(cmd.ProcessState):
		return nil, transient(signaled{errors.New(text)})
	case slices.Contains(permanentStatuses, status):
		return nil, permanent(errors.New(text))
	}
	return nil, transient(errors.New(text))
}

// signaled is the error of a program that a signal ended.
type signaled struct{ error }

// Is makes it a job.ErrSignaled, in its own words.
func (signaled) Is(target error) bool { return target == job.ErrSignaled }

// shellSignaled is what shells add to the signal that ended what they ran, as their own exit status.
const shellSignaled = 128

func endedBySignal(p *os.ProcessState) bool {
	status, ok := p.Sys().(syscall.WaitStatus)
	stop := []int{shellSignaled + int(syscall.SIGTERM), shellSignaled + int(syscall.SIGINT), shellSignaled + int(syscall.SIGHUP)}
	return ok && status.Signaled() || slices.Contains(stop, p.ExitCode())
}

// permanentStatuses of sysexits.h: usage, data, no input, no user, no permission, configuration.
var permanentStatuses = []int{64, 65, 66, 67, 77, 78}

// environment puts the job's own variables last: of equal names the last wins.
func (c Exec) environment(r job.Info) []string {
	var env []string
	for _, name := range inheritedEnvironment {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range c.Env {
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
	if len(r.Lossy) > 0 {
		lossy, _ := json.Marshal(r.Lossy) // texts always encode
		env = append(env, "BRIDGE_LOSSY="+string(lossy))
	}
	return env
}
