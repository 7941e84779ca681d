package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The test binary is also the program, and its worker, in processes of their own.
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Args[1] == "--bench") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// buildBridge builds the program that is tried, with the race detector if these tests have it.
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
		{"", "--site"},
		{"--site a --bridge ./nowhere", "nowhere"},
		{"--site a --bridge true --log-level loud", "--log-level"},
		{"--owner me", "USER,KEY,SECRET"},
		{"--nope", "unknown flag"},
		{"extra", "unknown command"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), strings.Fields(tc.args), &out, &err)
		if code != exitcode.Usage || !strings.Contains(err.String(), tc.want) || out.Len() > 0 {
			t.Errorf("acceptance %s: code %d, %q, want code %d and %q", tc.args, code, err.String(), exitcode.Usage, tc.want)
		}
	}
}

func TestCasesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCases(&bed{}) {
		if c.Name == "" || c.Means == "" || c.Fix == "" || c.Run == nil {
			t.Errorf("%q lacks something: %+v", c.Name, c)
		}
		if seen[c.Name] {
			t.Errorf("there are two cases %q", c.Name)
		}
		seen[c.Name] = true
	}
}
