package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestSubmitFromAFile: each line is a job; with keys the same file makes only what isn't there; a line that can't be read ends
// all before anything is submitted, and a job that is refused keeps no other.
func TestSubmitFromAFile(t *testing.T) {
	newBed(t, servers.BenchConfig{})
	file := filepath.Join(t.TempDir(), "jobs.jsonl")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf(`{"job_type": "echo_job", "key": "k%d", "parameters": {"n": %d}}`, i, i))
	}
	write(append(lines[:299:299], "", `{"job_type": "no such type"}`)...)
	got := bridgeCommand(t, "submit", "--from", file, "--organization", testOrg, "--json")
	if made := strings.Count(got.out, `"created": true`); got.code != exitcode.NotFound || made != 299 || !strings.Contains(got.err, "line 301: ") {
		t.Fatalf("299 good jobs and one without a Job Type: %d made, code %d, %s", made, got.code, got.err)
	}
	write(lines...)
	if got := must(t, "submit", "--from", file, "--organization", testOrg, "--json"); strings.Count(got, `"created": true`) != 1 || strings.Count(got, `"name"`) != 300 {
		t.Errorf("the same file with one job more: %d made of %d", strings.Count(got, `"created": true`), strings.Count(got, `"name"`))
	}
	for line, want := range map[string]string{
		`{"job_type": "echo_job"`:                             "line 1: unexpected EOF",
		`{"job_type": "echo_job", "paramters": {}}`:           `line 1: json: unknown field "paramters"`,
		`{"parameters": {}}`:                                  "line 1: no job_type",
		`{"job_type": "echo_job", "run_after": "next month"}`: "line 1: ",
	} {
		write(line)
		if got := bridgeCommand(t, "submit", "--from", file, "--organization", testOrg); got.code != exitcode.Data || !strings.Contains(got.err, want) {
			t.Errorf("%s: code %d, %s; want %q", line, got.code, got.err, want)
		}
	}
	parent := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg, "n=parent"))
	child := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg, "--depends-on", parent, "n=child"))
	if got := must(t, "job", child); !strings.Contains(got, "Pending") || !strings.Contains(got, parent) {
		t.Errorf("a job that depends on %s: %s", parent, got)
	}
	if got := bridgeCommand(t, "submit"); got.code != exitcode.Usage {
		t.Errorf("nothing named: %+v", got)
	}
}
