package main

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

// child is a process that the demo runs beside itself.
type child struct {
	name   string
	cmd    *exec.Cmd
	output *tail
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

// startChild starts a process in a group of its own, so that Ctrl-C reaches
// only us and everything is stopped in order. stdout nil keeps it with stderr.
func startChild(name, dir string, env []string, stdout io.Writer, program string, args ...string) (*child, error) {
	c := &child{name: name, output: &tail{}, done: make(chan struct{})}
	c.cmd = exec.Command(program, args...)
	c.cmd.Dir = dir
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = c.output
	if c.cmd.Stdout = stdout; stdout == nil {
		c.cmd.Stdout = c.output
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

// ended says why the process has ended by itself; nil while it runs.
func (c *child) ended() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	err := c.err
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("%s: %w; the end of its output:\n%s", c.name, err, c.output)
}

// wait waits for a process that is to end by itself.
func (c *child) wait() error {
	<-c.done
	if c.err != nil {
		return c.ended()
	}
	return nil
}

// stop asks the process to stop and kills its group if it doesn't in time.
func (c *child) stop(limit time.Duration) error {
	group := -c.cmd.Process.Pid
	if c.ended() == nil {
		// It may end by itself this very moment.
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case <-c.done:
	case <-timer.C:
		err = fmt.Errorf("%s did not stop within %s and was killed; the end of its output:\n%s", c.name, limit, c.output)
	}
	// Whatever it left in its group goes with it.
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-c.done
	return err
}
