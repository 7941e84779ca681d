//go:build !linux

package dial

import "syscall"

// limit has no counterpart that all systems know.
func limit(string, string, syscall.RawConn) error { return nil }
