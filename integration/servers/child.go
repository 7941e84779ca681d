package servers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Child is a program, of this project or of the Python side, that a test or the demo runs beside itself. Its methods
// may be called from several goroutines.
type Child struct {
	name   string
	cmd    *exec.Cmd
	output tail
	done   chan struct{} // closed when it has ended and err is set
	err    error
}

// tail keeps the end of what a process printed.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

// StartChild starts a program in a process group of its own, so that Ctrl-C reaches only us and everything is stopped
// in order. env is added to our environment. stdout nil keeps what it prints with stderr, for [Child.Output]. The
// caller calls Stop; if we die first, the kernel kills it (on Linux).
func StartChild(name, dir string, env []string, stdout io.Writer, program string, args ...string) (*Child, error) {
	c := &Child{name: name, done: make(chan struct{})}
	c.cmd = exec.Command(program, args...)
	c.cmd.Dir = dir
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.output
	if c.cmd.Stdout = stdout; stdout == nil {
		c.cmd.Stdout = &c.output
	}
	c.cmd.SysProcAttr = childAttributes()
	// A grandchild that keeps the pipes open must not hold us up.
	c.cmd.WaitDelay = time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// PID is its process number and that of its group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Output is the end of what it printed, at most 4 KiB.
func (c *Child) Output() string { return c.output.String() }

// Done is closed when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// ExitCode is the code of a process that has ended, -1 after a signal.
func (c *Child) ExitCode() int { return c.cmd.ProcessState.ExitCode() }

// Ended says why the process has ended by itself, also that it did with code 0; nil while it runs.
func (c *Child) Ended() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	err := c.err
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("%s: %w; the end of its output:\n%s", c.name, err, &c.output)
}

// Wait waits for a process that is to end by itself. Any exit code but 0 is an error.
func (c *Child) Wait() error {
	<-c.done
	if c.err != nil {
		return c.Ended()
	}
	return nil
}

// Kill ends the process and its group at once, as a crash or an out-of-memory kill would, and returns when it is gone.
func (c *Child) Kill() {
	if c.Ended() == nil {
		_ = syscall.Kill(-c.PID(), syscall.SIGKILL) // it may end by itself this very moment
	}
	<-c.done
}

// Stop asks the process to stop, and kills its group if it doesn't within the limit, which is an error.
func (c *Child) Stop(limit time.Duration) error {
	group := -c.PID()
	if c.Ended() == nil {
		// It may end by itself this very moment.
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case <-c.done:
	case <-timer.C:
		err = fmt.Errorf("%s did not stop within %s and was killed; the end of its output:\n%s", c.name, limit, &c.output)
	}
	// Whatever it left in its group goes with it.
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-c.done
	return err
}
