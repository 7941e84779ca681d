package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"go.uber.org/goleak"
)

// standIn is the variable that makes the test binary the demo itself, in a process of its own.
const standIn = "DEMO_STAND_IN"

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// buildBridge builds the program that is shown, with the race detector if these tests have it.
func buildBridge(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bridge")
	args := []string{"build", "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	cmd := exec.Command("go", append(args, "./cmd/bridge")...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	return program
}

func TestWrongUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"--rq 2.10.0", "want one of 1.15.1, 1.16.2, 2.6.1"},
		{"--bridge ./nowhere", "nowhere"},
		{"--bridge true --log-level loud", "--log-level"},
		{"--nope", "unknown flag"},
		{"extra", "unknown command"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), strings.Fields(tc.args), &out, &err)
		if code != exitcode.Usage || !strings.Contains(err.String(), tc.want) || out.Len() > 0 {
			t.Errorf("demo %s: code %d, %q, want code %d and %q", tc.args, code, err.String(), exitcode.Usage, tc.want)
		}
	}
}

func TestWhatIsNotInstalledIsAMatterOfConfiguration(t *testing.T) {
	if got := exitcode.Of(coded(fmt.Errorf("start: %w", servers.ErrNotInstalled))); got != exitcode.Config {
		t.Errorf("exit code %d, want %d", got, exitcode.Config)
	}
	if err := errors.New("anything"); coded(err) != err {
		t.Error("another error was given a code")
	}
}
