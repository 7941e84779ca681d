//go:build unix

package foreign

import (
	"errors"
	"os"
	"syscall"
)

// signalGroup signals all of a group; one that is gone is os.ErrProcessDone, as exec.Cmd expects of Cancel.
func signalGroup(pgid int, sig syscall.Signal) error {
	err := syscall.Kill(-pgid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// groupAlive reports whether the group has members. Signal 0 reaches nobody.
func groupAlive(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }
