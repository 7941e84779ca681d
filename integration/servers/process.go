package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one child with a temporary directory that outlives restarts. It owns no goroutine: a server that a whole
// test process shares must not look like a leak. Its methods may be called from several goroutines.
type process struct {
	program string // for messages
	dir     string // temporary, removed by remove
	path    string
	args    []string
	env     []string
	stdout  *os.File   // nil = the log
	extra   []*os.File // its files from 3 on

	mu     sync.Mutex
	cmd    *exec.Cmd // nil when not running
	reaper *reaper
}

// newProcess makes the temporary directory and the reaper that removes it should this process die.
func newProcess(program, path string) (*process, error) {
	dir, err := os.MkdirTemp("", "bridge-"+program+"-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for %s: %w", program, err)
	}
	r, err := startReaper(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guard the directory of %s: %w", program, err), os.RemoveAll(dir))
	}
	return &process{program: program, dir: dir, path: path, reaper: r}, nil
}

func (p *process) logPath() string { return filepath.Join(p.dir, "server.log") }

// start runs the program and waits until ready returns nil. ready is called again after 2 ms, later 20 ms, and must
// make sure that it talks to this very child: someone else may have taken the port between choosing and binding it.
func (p *process) start(ctx context.Context, ready func(ctx context.Context) error) error {
	if err := p.spawn(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		notReady := ready(ctx)
		if notReady == nil {
			return nil
		}
		if !p.running() {
			return fmt.Errorf("%s ended while starting; end of its log:\n%s", p.program, p.logTail())
		}
		select {
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("%s does not answer (%w): %w; end of its log:\n%s",
				p.program, context.Cause(ctx), notReady, p.logTail())
		case <-time.After(pause):
		}
	}
}

func (p *process) spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("start %s: it runs already", p.program)
	}
	// A file, not a pipe: a pipe would need a goroutine to drain it.
	logFile, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.program, err)
	}
	defer logFile.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if p.stdout != nil {
		cmd.Stdout = p.stdout
	}
	cmd.ExtraFiles = p.extra
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	p.cmd = cmd
	return nil
}

// pid is the process number of the child, 0 when there is none.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// running reports whether the child lives, and buries it if it does not.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.buryLocked(syscall.WNOHANG)
}

// buryLocked collects the exit status of an ended child. With options 0 it waits for the end.
func (p *process) buryLocked(options int) (gone bool) {
	if p.cmd == nil {
		return true
	}
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(p.cmd.Process.Pid, &status, options, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid == 0 && err == nil {
			return false
		}
		break
	}
	// An error means that somebody else collected it; gone either way.
	p.cmd.Process.Release()
	p.cmd = nil
	return true
}

// signal sends sig to the whole process group of a running child.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buryLocked(syscall.WNOHANG) {
		return fmt.Errorf("signal %s: it does not run", p.program)
	}
	return syscall.Kill(-p.cmd.Process.Pid, sig)
}

// kill ends the child at once, as a crash or an out-of-memory kill would, and returns when it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buryLocked(syscall.WNOHANG) {
		return
	}
	// Also fells a child that is paused.
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.buryLocked(0)
}

// terminate asks the child to end in order, and kills it when it has not after ten seconds or when ctx ends.
func (p *process) terminate(ctx context.Context) {
	if p.signal(syscall.SIGTERM) != nil {
		return
	}
	deadline := time.After(10 * time.Second)
	for p.running() {
		select {
		case <-ctx.Done():
			p.kill()
		case <-deadline:
			p.kill()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// remove kills the child and deletes its directory. It may be called more than once.
func (p *process) remove() error {
	p.kill()
	err := os.RemoveAll(p.dir)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaper.dismiss()
	if err != nil {
		return fmt.Errorf("remove the files of %s: %w", p.program, err)
	}
	return nil
}

// logTail is the last part of what the server wrote, enough to see why it did not start.
func (p *process) logTail() string {
	f, err := os.Open(p.logPath())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 3000
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	if tail := strings.TrimSpace(string(b)); tail != "" {
		return tail
	}
	return "(empty)"
}
