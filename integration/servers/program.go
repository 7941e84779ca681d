package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotInstalled is wrapped by every error whose cause is a program that this machine lacks. The message names the
// program and the command that installs it on Debian.
var ErrNotInstalled = errors.New("not installed")

// debianPackages names the package of each program that this package runs.
var debianPackages = map[string]string{
	"redis-server":       "redis-server",
	"mariadbd":           "mariadb-server-core",
	"mariadb-install-db": "mariadb-server-core",
	"python3":            "python3",
	"node":               "nodejs",
	"npm":                "npm",
	"chromium":           "chromium",
}

// lookPath finds a program, also in the sbin directories, which an ordinary user's PATH on Debian lacks.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", notInstalled(program, debianPackages[program])
}

func notInstalled(what, debianPackage string) error {
	return fmt.Errorf("%s is %w; run: apt-get install %s (or: make setup)", what, ErrNotInstalled, debianPackage)
}

// identity tells one build of a program from another, without running it.
func identity(program string) (string, error) {
	path, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", program, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", program, err)
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano()), nil
}
