package commands

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestRetryOfManyJobs: all that are chosen, not only a page of them; nothing to choose is no failure.
func TestRetryOfManyJobs(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	const many = 25 // more than a page of bridge jobs
	var last string
	for range many {
		last = strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	}
	other := strings.TrimSpace(must(t, "submit", "sample_job", "--organization", testOrg))
	b.exec("UPDATE `tabBackground Job` SET status='Dead Letter', error_message='no paper\nat tray 2'")
	b.exec("UPDATE `tabBackground Job` SET error_message='on fire' WHERE name=?", other)

	wantLines(t, "jobs", must(t, "jobs", "--status", "dead-letter"), "NAME TYPE ORGANIZATION STATUS PROGRESS CREATED USER ERROR", other+" sample_job ORG-A Dead Letter", "on fire", "no paper\n")
	wantLines(t, "jobs --group-by error", must(t, "jobs", "--status", "dead-letter", "--group-by", "error"), "JOBS TYPE NEWEST ERROR\n25 echo_job "+last+" no paper\n1 sample_job "+other+" on fire")
	if groups := decode[[]rows.ErrorGroup](t, must(t, "jobs", "--group-by", "error", "--json")); len(groups) != 2 || groups[0].Jobs != many {
		t.Errorf("groups %+v", groups)
	}
	if got := must(t, "retry", "--status", "dead-letter", "--error", "paper", "--dry-run"); strings.Count(got, " is chosen\n") != many {
		t.Errorf("a dry run prints\n%s\nwant %d jobs", got, many)
	}
	if got := must(t, "retry", "--status", "dead-letter", "--type", "echo_job", "--limit", "2"); strings.Count(got, " Queued\n") != 2 {
		t.Errorf("retry of two prints\n%s", got)
	}
	if got := must(t, "retry", "--status", "dead-letter", "--type", "echo_job", "--organization", testOrg, "--since", "-1h"); strings.Count(got, " Queued\n") != many-2 {
		t.Errorf("retry prints\n%s\nwant %d jobs", got, many-2)
	}
	if got := bridgeCommand(t, "retry", "--status", "dead-letter", "--type", "echo_job"); got.code != exitcode.OK || got.out != "no job matches\n" {
		t.Errorf("retry of nothing: %+v", got)
	}
	if got := must(t, "cancel", "--status", "queued", "--type", "echo_job"); strings.Count(got, " Canceled\n") != many {
		t.Errorf("cancel prints\n%s\nwant %d jobs", got, many)
	}
	for _, args := range [][]string{{"retry"}, {"retry", "--type", "echo_job"}, {"retry", last, "--status", "failed"}, {"cancel", "--status", "nope"}} {
		if got := bridgeCommand(t, args...); got.code != exitcode.Usage {
			t.Errorf("bridge %q: %+v, want code %d", args, got, exitcode.Usage)
		}
	}
}

// TestProgressOfALongCommand is told every two seconds, and of a short one never.
func TestProgressOfALongCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		p := newProgress(&cli.App{Streams: cli.Streams{Err: &said}}, 50)
		for i := range 50 {
			time.Sleep(100 * time.Millisecond)
			p.step(i + 1)
		}
		if got, want := said.String(), "21 of 50 after 2s\n42 of 50 after 4s\n"; got != want {
			t.Errorf("in five seconds it says %q, want %q", got, want)
		}
	})
}
