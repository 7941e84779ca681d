package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/doctor"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestPausesOfASite: by command and, deleted, by document; a worker heeds both within seconds, and the job says who it was.
func TestPausesOfASite(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.worker()
	for _, c := range []struct{ args, said string }{
		{"--organization " + testOrg, "organization " + testOrg}, {"--job-type echo_job", "job type echo_job"}, {"go --site " + testSite, "queue go"},
	} {
		args := strings.Fields(c.args)
		if got, want := must(t, append([]string{"pause", "--reason", "it moves", "--user", "jane@example.com"}, args...)...), testSite+": paused "+c.said+"\n"; got != want {
			t.Errorf("pause prints %q, want %q", got, want)
		}
		time.Sleep(2100 * time.Millisecond) // so long it may be unseen
		held := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
		time.Sleep(time.Second)
		waitStatus(t, held, "Queued")
		if got := must(t, "job", held); !strings.Contains(got, args[len(args)-1]) && !strings.Contains(got, "queue go") || !strings.Contains(got, "was paused by jane@example.com") || !strings.Contains(got, ": it moves") {
			t.Errorf("job prints\n%s", got)
		}
		wantLines(t, "pauses", must(t, "pauses"), "jane@example.com")
		wantFinding(t, decode[[]doctor.Finding](t, bridgeCommand(t, "doctor", "--json").out), doctor.Warning, "site "+testSite, "is paused by jane@example.com")
		if c.said == "job type echo_job" {
			b.exec("DELETE FROM `tabBackground Job Pause`")
		} else if got, want := must(t, append([]string{"resume"}, args...)...), testSite+": resumed "+c.said+"\n"; got != want {
			t.Errorf("resume prints %q, want %q", got, want)
		}
		waitStatus(t, held, "Completed")
	}
	if got := must(t, "resume", "--organization", testOrg); !strings.Contains(got, "wasn't paused") {
		t.Errorf("resume of what isn't paused prints %q", got)
	}
	for _, args := range [][]string{{"pause", "go", "--organization", testOrg}, {"pause", "--site", testSite}, {"pause", "--reason", "x", "go"}, {"pause", "nope", "--site", testSite}} {
		if got := bridgeCommand(t, args...); got.code != exitcode.Usage {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := bridgeCommand(t, "pause", "--organization", "ORG-X"); got.code == exitcode.OK {
		t.Errorf("an organization that isn't there is paused: %+v", got)
	}
}

// TestBreakers lists what is open, and closes it.
func TestBreakers(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.exec("INSERT INTO `tabJob Circuit Breaker` (name,modified,job_type,organization,status,opened_at,next_trial_at,until_utc,failures,attempts,last_error) VALUES"+
		" ('b1',NOW(6),'echo_job',?,'Open',NOW(6),NOW(6)+INTERVAL 1 HOUR,'2100-01-01T00:00:00Z',7,12,'connection refused\nby peer'), ('b2',NOW(6),'sample_job',?,'Closed',NOW(6),NULL,NULL,5,10,'x')", testOrg, testOrg)
	held := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	b.worker()
	time.Sleep(time.Second)
	waitStatus(t, held, "Queued")
	wantLines(t, "job", must(t, "job", held), "breaker the circuit breaker of echo_job for "+testOrg+" is open: 7 of 12 attempts failed; one job is tried at")
	if got := must(t, "breakers"); !strings.Contains(got, "7 of 12") || strings.Contains(got, "sample_job") || strings.Count(got, "\n") != 2 {
		t.Errorf("breakers prints\n%s", got)
	}
	if got := must(t, "breakers", "--all"); strings.Count(got, "\n") != 3 {
		t.Errorf("breakers --all prints\n%s", got)
	}
	wantFinding(t, decode[[]doctor.Finding](t, bridgeCommand(t, "doctor", "--json").out), doctor.Warning, "site "+testSite, "the circuit breaker of echo_job for "+testOrg+" is open since")
	if got := must(t, "breakers", "close", "echo_job", testOrg, "--user", "jane@example.com"); !strings.Contains(got, "closed the circuit breaker of echo_job") {
		t.Errorf("close prints %q", got)
	}
	waitStatus(t, held, "Completed")
	if got := must(t, "breakers", "close", "echo_job", testOrg); !strings.Contains(got, "no circuit breaker of echo_job") {
		t.Errorf("close prints %q", got)
	}
	if got := decode[[]breakerView](t, must(t, "breakers", "--json")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
