package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// wantLines fails unless text has a line of these words for each of want.
func wantLines(t *testing.T, what, text string, want ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	squeezed := strings.Join(lines, "\n")
	for _, w := range want {
		if !strings.Contains(squeezed, w) {
			t.Errorf("%s prints\n%s\nwant %q", what, squeezed, w)
		}
	}
}

func TestQueuesAndWorkers(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.process(2, rqcompat.Abandoned{JobID: "x"})
	b.bench(func(ctx context.Context, rq *rqcompat.Client, rdb *redis.Client, queue func(string) string) error {
		python, slot := rqcompat.NewWorker("python-1", queue("short"), queue("default")), rqcompat.NewWorker("bridge-pretended-0", queue("go"))
		slot.CurrentJob = "site1||JOB-7"
		return errors.Join(rq.Heartbeat(ctx, []*rqcompat.Worker{python, slot}, time.Minute),
			rdb.ZAdd(ctx, "rq:failed:"+queue("go"), redis.Z{Member: "f"}).Err())
	})
	must(t, "enqueue", "a", "--queue", "long")
	must(t, "enqueue", "a", "--queue", "go", "--at", "1h")
	must(t, "pause", "go")
	text := must(t, "queues")
	wantLines(t, "queues", text, "QUEUE ROLE WAITING OLDEST RUNNING FAILED SCHEDULED DEFERRED BRIDGES PYTHON HELD",
		"short shared 0 - 0 0 0 0 0 1 -", "long shared 1 ", "go own 0 - 0 1 1 0 1 0 paused")
	queues := decode[[]view.Queue](t, must(t, "queues", "--json"))
	if len(queues) != 4 || queues[2].Queue != "long" || time.Since(queues[2].Oldest).Abs() > time.Minute {
		t.Errorf("queues --json: %+v", queues)
	}
	wantLines(t, "workers", must(t, "workers"), "NAME KIND HOST PID VERSION QUEUES STATE CURRENT JOB SINCE", "1.2.3 go 2 of 2 run, 1 abandoned",
		"bridge-pretended-0 slot", "busy site1||JOB-7", "python-1 python", "short,default idle")
	workers := decode[[]view.Worker](t, must(t, "workers", "--json"))
	if len(workers) != 3 || workers[0].Process == nil || workers[1].CurrentJob != "site1||JOB-7" || workers[2].Kind != view.Python {
		t.Errorf("workers --json: %+v", workers)
	}
}

// TestPauseAndResume: a queue for bridges, everything for all workers; a bridge obeys within a second.
func TestPauseAndResume(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.worker()
	waitStatus(t, strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg)), "Completed")
	if got := must(t, "pause", "go"); got != "paused for bridges: go\n" {
		t.Errorf("pause go prints %q", got)
	}
	time.Sleep(1100 * time.Millisecond)
	held := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	time.Sleep(1500 * time.Millisecond)
	waitStatus(t, held, "Queued")
	wantLines(t, "job", must(t, "job", held), "pause queue go is paused for bridges", "turn it is the first on queue go")
	must(t, "resume", "go")
	waitStatus(t, held, "Completed")
	if got := must(t, "pause"); !strings.Contains(got, "Python's too") {
		t.Errorf("pause prints %q", got)
	}
	if got := must(t, "pause", "long", "--json"); !strings.Contains(got, `"suspended": true`) || !strings.Contains(got, ":long\"") {
		t.Errorf("pause --json prints %s", got)
	}
	if got := must(t, "resume"); !strings.Contains(got, "still paused for bridges") {
		t.Errorf("resume prints %q", got)
	}
	if got := bridgeCommand(t, "pause", "nope"); got.code != exitcode.Usage {
		t.Errorf("pause of a queue that isn't there: %+v", got)
	}
}

func TestFailed(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.worker()
	id := func(method string) string {
		return strings.TrimSpace(must(t, "enqueue", method, "--queue", "go"))
	}
	first, second := id("nobody.knows"), id("nobody.knows.either")
	dead := strings.TrimSpace(must(t, "submit", "sample_job", "--organization", testOrg, "duration=0", "fail_type=permanent", "fail_attempts=1"))
	waitStatus(t, dead, "Dead Letter")
	var list []failedJob
	eventually(t, "three failed", func() bool {
		list = decode[[]failedJob](t, must(t, "failed", "--json"))
		return len(list) == 3
	})
	for _, j := range list {
		if j.Queue != "go" || j.Error == "" || time.Since(j.At).Abs() > time.Minute || (j.Row == dead) != (j.Method != "nobody.knows" && j.Method != "nobody.knows.either") {
			t.Errorf("failed --json has %+v", j)
		}
	}
	wantLines(t, "failed", must(t, "failed", "--queue", "go", "--since", "-1h"), first+" go nobody.knows ", `no handler for "nobody.knows.either"`)
	if got := must(t, "failed", "--limit", "1"); strings.Count(got, "\n") != 2 {
		t.Errorf("failed --limit 1 prints\n%s", got)
	}
	if got := must(t, "failed", "--method", "nobody.knows", "--requeue", "--dry-run"); !strings.Contains(got, first+" would be requeued") || strings.Contains(got, second) {
		t.Errorf("a dry run prints %q", got)
	}
	must(t, "pause", "go")
	time.Sleep(1100 * time.Millisecond)
	if got := must(t, "failed", "--requeue"); !strings.Contains(got, "2 jobs requeued") || !strings.Contains(got, "left to bridge retry, which knows its row "+dead) {
		t.Errorf("failed --requeue prints %q", got)
	}
	must(t, "resume", "go")
	eventually(t, "three failed again", func() bool { return len(decode[[]failedJob](t, must(t, "failed", "--json"))) == 3 })
	if got := must(t, "failed", "--delete", "--method", "nobody.knows"); got != "1 job deleted\n" {
		t.Errorf("failed --delete prints %q", got)
	}
	if got := must(t, "failed", "--delete", "--method", "nobody.knows"); got != "no failed job matches\n" {
		t.Errorf("failed --delete of nothing prints %q", got)
	}
	if got := bridgeCommand(t, "failed", "--delete", "--requeue"); got.code != exitcode.Usage {
		t.Errorf("failed --delete --requeue: %+v", got)
	}
}
