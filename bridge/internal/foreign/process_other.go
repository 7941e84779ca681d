//go:build unix && !linux

package foreign

import (
	"os/exec"
	"syscall"
)

// processAttributes gives a program its own process group. Only Linux can also have it killed together with the bridge.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func startAndWait(cmd *exec.Cmd) error { return cmd.Run() }
