// Package reaper makes the program fit to be a container's first process.
//
// Whoever is orphaned in a container becomes a child of its first process, which has to take in how it ended, or it stays
// as a zombie for ever: programs of exec handlers leave such behind. A process that also starts programs of its own can't
// do that without taking away what os/exec waits for. So the first process does nothing else, and the work is a child's.
package reaper

import (
	"os"
	"os/signal"
	"syscall"
)

// Run returns at once, unless this is the first process: then it starts the same program again, hands signals on to it,
// takes in all that end, and returns when the program has ended, with its exit code, 128 and the number for a signal.
func Run() (code int, first bool, err error) {
	if os.Getpid() != 1 {
		return 0, false, nil
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	self, err := os.Executable()
	if err != nil {
		return 0, true, err
	}
	// In a process group of its own: a Ctrl-C would reach it twice else, and a second signal stops at once.
	program, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, true, err
	}
	for s := range signals {
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE: // of this process: SIGURG is the Go runtime's
		default:
			_ = program.Signal(s) // it may have ended
		}
		if code, ended := takeIn(program.Pid); ended {
			return code, true, nil
		}
	}
	return 0, true, nil // not reached: nobody closes signals
}

// takeIn takes in all children that have ended; the program's own end is reported.
func takeIn(program int) (code int, ended bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || pid <= 0:
			return code, ended
		case pid == program && status.Exited():
			code, ended = status.ExitStatus(), true
		case pid == program && status.Signaled():
			code, ended = 128+int(status.Signal()), true
		}
	}
}
