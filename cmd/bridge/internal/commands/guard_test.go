package commands

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// loseJob leaves a job behind as a worker does that is killed between its pop and the start.
func (b *bed) loseJob(id, kind string) {
	b.t.Helper()
	b.bench(func(ctx context.Context, rq *rqcompat.Client, rdb *redis.Client, queue func(string) string) error {
		_, err := rq.Enqueue(ctx, rqcompat.Request{ID: id, Queue: queue(kind), Call: rqcompat.Call{Func: "frappe.ping"}})
		return errors.Join(err, rdb.LRem(ctx, rqcompat.QueueKey(queue(kind)), 1, id).Err())
	})
}

func TestGuard(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	must(t, "enqueue", "frappe.ping", "--queue", "long")
	if got := bridgeCommand(t, "guard"); got.code != exitcode.OK || got.out != "nothing was left behind: 1 job looked at\n" || got.err != "" {
		t.Errorf("guard of a healthy bench: %+v", got)
	}
	b.loseJob(testSite+"::lost", "short")
	if err := os.Symlink(testSite, filepath.Join(b.dir, "sites", "alias.localhost")); err != nil {
		t.Fatal(err)
	}
	b.loseJob("alias.localhost::other", "long")
	b.loseJob("of.another.bench::lost", "short")
	b.bench(func(ctx context.Context, _ *rqcompat.Client, rdb *redis.Client, _ func(string) string) error {
		return rdb.HSet(ctx, "rq:job:plain", "status", "queued", "origin", "another-bench:short", "data", "x").Err()
	})
	type report struct {
		Jobs  int
		Found []guarded
	}
	got := bridgeCommand(t, "guard", "--grace", "1s", "--json")
	if found := decode[report](t, got.out).Found; got.code != exitcode.Warnings || len(found) != 2 || found[1].ID != testSite+"::lost" || found[1].Kind != rqcompat.LeftLost || !found[1].BlocksDeduplicate {
		t.Errorf("guard --json: %+v", got)
	}
	if !strings.Contains(got.err, "looking again in 1s") {
		t.Errorf("guard says %q meanwhile", got.err)
	}
	got = bridgeCommand(t, "guard", "--grace", "1s", "--repair", "short")
	wantLines(t, "guard --repair", got.out, "lost long alias.localhost::other queued", "lost short "+testSite+"::lost queued", "queued again")
	if got.code != exitcode.Warnings {
		t.Errorf("guard that repairs one of two queues: exit code %d", got.code)
	}
	if got = bridgeCommand(t, "guard", "--grace", "1s", "--repair", "long"); got.code != exitcode.OK || strings.Contains(got.out, "short") {
		t.Errorf("guard that repairs the rest: %+v", got)
	}
	b.bench(func(ctx context.Context, rq *rqcompat.Client, _ *redis.Client, queue func(string) string) error {
		ids, err := rq.QueueIDs(ctx, queue("short"), 0, -1)
		if len(ids) != 1 || ids[0] != testSite+"::lost" {
			t.Errorf("on the queue are %q", ids)
		}
		return err
	})
	for _, args := range [][]string{{"--repair", "nope"}, {"--grace", "0s"}, {"--every", "5s"}, {"--watch", "--every", "1ms"}} {
		if got := bridgeCommand(t, append([]string{"guard"}, args...)...); got.code != exitcode.Usage {
			t.Errorf("guard %q: %+v", args, got)
		}
	}
}

// TestGuardWatches: what is left behind later is printed, once.
func TestGuardWatches(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	var out servertest.Output
	watching := program(t, &out, "guard", "--watch", "--every", "1s", "--grace", "1s")
	b.loseJob(testSite+"::one", "short")
	out.AwaitText(t, testSite+"::one")
	b.loseJob(testSite+"::two", "short")
	out.AwaitText(t, testSite+"::two")
	if n := strings.Count(out.String(), testSite+"::one"); n != 1 {
		t.Errorf("the first is named %d times:\n%s", n, out.String())
	}
	if err := watching.Stop(waitLong); err != nil {
		t.Error(err)
	}
}
