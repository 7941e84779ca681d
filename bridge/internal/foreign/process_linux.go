package foreign

import (
	"os/exec"
	"runtime"
	"syscall"
)

// processAttributes puts a program into a process group of its own, and has the kernel kill it when the bridge is
// killed: otherwise it would run on while the job, its lease lapsed, runs a second time elsewhere.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startAndWait keeps its thread while the program runs: Pdeathsig fires when the thread that started it ends.
func startAndWait(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}
