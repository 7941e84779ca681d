package servers

import "syscall"

// childAttributes puts a child into a process group of its own, so that Ctrl-C reaches the parent first, and has the
// kernel kill it when the thread that started it ends. Go ends threads only when a goroutine exits while locked to
// one, which nothing here does, so that is when this process ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
