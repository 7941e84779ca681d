package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pythonPackages lists what goes beside RQ into each environment: the redis-py that Frappe pins beside that RQ
// version, or the newest one that RQ version was written for.
var pythonPackages = map[string][]string{
	"1.15.1": {"redis==4.5.5"},
	"1.16.2": {"redis==5.0.8"},
	"2.6.1":  {"redis==7.1.0"},
	"2.10.0": {"redis==7.1.0"},
}

// RQVersions are the versions PythonVenv can prepare, oldest first.
func RQVersions() []string { return []string{"1.15.1", "1.16.2", "2.6.1", "2.10.0"} }

// PythonVenv returns the path of the python of a virtual environment with that version of RQ, a matching redis-py and
// PyMySQL. The first call for a version downloads and takes about ten seconds; later ones return at once.
func PythonVenv(ctx context.Context, rqVersion string) (python string, err error) {
	packages, ok := pythonPackages[rqVersion]
	if !ok {
		return "", fmt.Errorf("no environment for RQ %q; there are: %s", rqVersion, strings.Join(RQVersions(), ", "))
	}
	packages = append(slices.Clone(packages), "rq=="+rqVersion, "PyMySQL==1.1.1")
	system, err := lookPath("python3")
	if err != nil {
		return "", err
	}
	build, err := identity(system)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("python-rq-%s-%s", rqVersion, cacheKey(append(packages, build)...))
	dir, err := cached(ctx, name, func(dir string) error { return makeVenv(ctx, system, dir, packages) })
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin", "python"), nil
}

func makeVenv(ctx context.Context, system, dir string, packages []string) error {
	// ensurepip is what Debian leaves out of python3 and puts into python3-venv.
	if err := exec.CommandContext(ctx, system, "-c", "import ensurepip, venv").Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return notInstalled("the venv module of "+system, "python3-venv")
	}
	if err := runQuietly(ctx, dir, system, "-m", "venv", dir); err != nil {
		return err
	}
	pip := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"}, packages...)
	return runQuietly(ctx, dir, filepath.Join(dir, "bin", "python"), pip...)
}

// runQuietly runs a program and puts what it printed into the error when it does not succeed.
func runQuietly(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s %s: %w\n%s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
