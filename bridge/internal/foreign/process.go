//go:build unix

package foreign

import (
	"errors"
	"os"
	"syscall"
)

// signalGroup signals every process of a group. A group that is gone is os.ErrProcessDone, as package exec expects of a
// Cancel function.
func signalGroup(pgid int, sig syscall.Signal) error {
	err := syscall.Kill(-pgid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// groupAlive reports whether the group has members. Signal 0 reaches nobody.
func groupAlive(pgid int) bool {
	return syscall.Kill(-pgid, 0) == nil
}
