package commands

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestCleanup: what the configuration keeps stays, flags say otherwise for once, and --dry-run only counts.
func TestCleanup(t *testing.T) {
	b := newBed(t, servers.BenchConfig{Bridge: map[string]any{"retention": map[string]any{"dead_letter_days": 0}}})
	var last string
	for range 3 {
		last = strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	}
	b.exec("UPDATE `tabBackground Job` SET status='Completed', modified=modified-INTERVAL 31 DAY")
	b.exec("UPDATE `tabBackground Job` SET status='Dead Letter' WHERE name=?", last)
	wantLines(t, "dry run", must(t, "cleanup", "--dry-run"), "2 jobs would be deleted (Completed)")
	wantLines(t, "longer", must(t, "cleanup", "--days", "60"), "nothing is older than that")
	wantLines(t, "cleanup", must(t, "cleanup"), "2 jobs deleted (Completed)")
	type cleaned struct {
		Deleted map[string]int
		GivenUp int  `json:"given_up"`
		DryRun  bool `json:"dry_run"`
	}
	if got := decode[cleaned](t, must(t, "cleanup", "--dead-letter-days", "20", "--json")); got.Deleted["Dead Letter"] != 1 || got.DryRun {
		t.Errorf("%+v", got)
	}
	if got := must(t, "jobs"); strings.Contains(got, last) {
		t.Errorf("the dead letter is still there:\n%s", got)
	}
	if got := bridgeCommand(t, "cleanup", "--days", "-1"); got.code != exitcode.Usage {
		t.Errorf("%+v", got)
	}
}
