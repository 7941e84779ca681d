package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/mattn/go-isatty"
)

// benchAbove finds the nearest directory at or above start that is a bench.
func benchAbove(start string) string {
	for dir := start; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "sites", "common_site_config.json")); err == nil && info.Mode().IsRegular() {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// isTerminal reports whether w shows what is written to a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
