package main

import "syscall"

// childAttributes gives a child a process group of its own and has the kernel
// kill it should this process die without stopping it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
