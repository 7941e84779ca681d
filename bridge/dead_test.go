package bridge

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// startsFile has a line for each start of go.starts in a worker process: id, PID, nanoseconds; it lies in the bench.
const startsFile = "starts"

type start struct {
	id  string
	pid int
	at  time.Time
}

// readStarts are the starts of one job, in order.
func readStarts(dir, id string) (all []start) {
	text, _ := os.ReadFile(filepath.Join(dir, startsFile)) // before the first start there is none
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && strings.HasSuffix(line, "\n") && f[0] == id {
			pid, _ := strconv.Atoi(f[1])
			ns, _ := strconv.ParseInt(f[2], 10, 64)
			all = append(all, start{id, pid, time.Unix(0, ns)})
		}
	}
	return all
}

// registerStarting offers go.starts, which holds at its first start until it is released, or told to end, and ends at once at
// its second.
func registerStarting(e *Engine, dir string) {
	Register(e, "go.starts", func(ctx context.Context, job *Job[any]) (any, error) {
		f, err := os.OpenFile(filepath.Join(dir, startsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		again := len(readStarts(dir, job.ID)) > 0
		_, err = fmt.Fprintf(f, "%s %d %d\n", job.ID, os.Getpid(), time.Now().UnixNano())
		if err = cmp.Or(err, f.Close()); err != nil || again {
			return "again", err
		}
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, releaseFile)); err == nil {
				return "first", nil
			}
			time.Sleep(20 * time.Millisecond)
		}
		return nil, context.Cause(ctx)
	})
}

// waitStarts waits for the nth start of a job.
func (b *bed) waitStarts(id string, n int) start {
	b.t.Helper()
	var all []start
	b.eventually(fmt.Sprintf("start %d of %s", n, id), func() bool {
		all = readStarts(b.dir, id)
		return len(all) >= n
	}, func() string { return fmt.Sprint(all) })
	return all[n-1]
}

// waitHeard waits until n processes can be heard, and have looked after each other for long enough.
func (b *bed) waitHeard(n int64) {
	b.t.Helper()
	heard := func() int64 { return b.rdb.SCard(b.t.Context(), rqcompat.HeardKey()).Val() }
	b.eventually(fmt.Sprintf("%d processes are heard", n), func() bool { return heard() >= n }, func() string { return fmt.Sprint(heard()) })
	time.Sleep(4 * time.Second)
}

// TestADeadProcessIsNoticed: what a process ran that was killed starts again in another one, long before its leases lapse.
// BRIDGE_TEST_KILLS is how many are killed, 3 if it isn't set; -v shows how long each took.
func TestADeadProcessIsNoticed(t *testing.T) {
	t.Parallel()
	// With the default lease and pace; the dead one's place among an organization's running jobs is to be free.
	b := newBed(t, map[string]any{"concurrency": 4, "shared_queues": []string{}, "running_per_organization": 1})
	kills, _ := strconv.Atoi(os.Getenv("BRIDGE_TEST_KILLS"))
	kills = cmp.Or(kills, 3)
	alive := map[int]*exec.Cmd{}
	begin := func() {
		child := b.worker()
		alive[child.Process.Pid] = child
	}
	begin()
	begin()
	b.addGoTypes(600, "starts")
	var took []time.Duration
	for i := range kills {
		begin()
		b.waitHeard(3)
		time.Sleep(rand.N(500 * time.Millisecond))
		row := ""
		id := ""
		if i%2 == 0 {
			row = b.submit("starts", nil)
			id = b.bench.JobID(testSite, row)
		} else {
			id = b.plain("go.starts")
		}
		victim := b.waitStarts(id, 1).pid
		killed := time.Now()
		if err := alive[victim].Process.Kill(); err != nil {
			t.Fatal(err)
		}
		delete(alive, victim)
		took = append(took, b.waitStarts(id, 2).at.Sub(killed))
		b.waitJob(id, rqcompat.StatusFinished)
		if row != "" {
			b.waitRow(row, rows.StatusCompleted)
			if got, want := b.path(row), "Pending Queued Running Failed Queued Running Completed"; got != want || b.row(row).RetryCount != 0 {
				t.Errorf("path %s, want %s, and no retry spent", got, want)
			}
		}
		if n := len(readStarts(b.dir, id)); n != 2 {
			t.Errorf("%s started %d times, want twice", id, n)
		}
	}
	slices.Sort(took)
	t.Logf("from kill to second start, %d times: p50 %s, p99 %s, all %s", kills, took[kills/2], took[min(kills*99/100, kills-1)], took)
	// A job whose lease has to lapse is back after 15 s or more.
	if slowest := took[kills-1]; slowest > 12*time.Second {
		t.Errorf("a job was back %s after its process was killed, want some seconds", slowest)
	}
}

// TestAStoppedProcessIsNotDead: one that the system doesn't let run for some seconds goes on with its jobs.
func TestAStoppedProcessIsNotDead(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 4, "shared_queues": []string{}})
	child := b.worker()
	id := b.plain("go.starts")
	b.waitStarts(id, 1)
	b.worker()
	b.waitHeard(2)
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, releaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.waitJob(id, rqcompat.StatusFinished)
	if n := len(readStarts(b.dir, id)); n != 1 {
		t.Errorf("the job of a process that was stopped for 5 s started %d times, want once", n)
	}
}

// TestNobodyDiesOfALostConnection: neither of a Redis that starts anew under load, again and again, nor of connections that
// somebody cuts.
func TestNobodyDiesOfALostConnection(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, servertest.Redis(t, servers.WithAppendOnly()), map[string]any{"concurrency": 40, "shared_queues": []string{}}, servers.BenchConfig{})
	log := b.capture()
	b.start(func(e *Engine) {
		registerFine(e)
		registerStarting(e, b.dir)
	})
	b.worker()
	b.worker()
	var held, load []string
	for range 20 {
		held = append(held, b.plain("go.starts"))
	}
	for _, id := range held {
		b.waitStarts(id, 1)
	}
	b.waitHeard(3)
	for range 20 { // before Redis was away: then nobody is rescued for a lease
		b.rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
		time.Sleep(rand.N(400 * time.Millisecond))
	}
	for range 5 {
		b.rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
		b.rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes")
		time.Sleep(rand.N(400 * time.Millisecond))
	}
	if strings.Contains(log.String(), "worker died") {
		t.Errorf("somebody was taken for dead:\n%s", log.String())
	}
	// A claim whose answer is lost with Redis comes back by its lease, so that only those count that were held all the time.
	for _, away := range []time.Duration{0, 1500 * time.Millisecond, 4 * time.Second} {
		for range 200 {
			load = append(load, b.plain("go.fine"))
		}
		b.redis.Kill()
		time.Sleep(away)
		if err := b.redis.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
	}
	if err := os.WriteFile(filepath.Join(b.dir, releaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range held {
		b.waitJob(id, rqcompat.StatusFinished)
		if n := len(readStarts(b.dir, id)); n != 1 {
			t.Errorf("%s started %d times, want once: its process was alive all the time", id, n)
		}
	}
	for _, id := range load {
		b.waitJob(id, rqcompat.StatusFinished)
	}
}

// TestAJobThatKillsThreeProcesses becomes a dead letter within seconds, and the fourth lives.
func TestAJobThatKillsThreeProcesses(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 4, "shared_queues": []string{}})
	b.addGoTypes(60, "kills")
	for range 4 {
		b.worker()
	}
	b.waitHeard(4)
	begin := time.Now()
	name := b.submit("kills", nil)
	row := b.waitRow(name, rows.StatusDeadLetter)
	t.Logf("killed three processes, and is a dead letter after %s", time.Since(begin))
	if got, want := b.path(name), "Pending Queued"+strings.Repeat(" Running Failed Queued", 2)+" Running Dead Letter"; got != want || row.RetryCount != 0 {
		t.Errorf("path %s, want %s, and no retry spent", got, want)
	}
	if !strings.HasPrefix(row.ErrorMessage, "the job took its worker down 3 times") {
		t.Errorf("error %q, want that it killed its workers", row.ErrorMessage)
	}
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFailed) // a moment after the row
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("that took %s; the leases of three jobs lapse within 45 s", took)
	}
	id := b.plain("go.fine")
	b.waitJob(id, rqcompat.StatusFinished)
}

// TestKilledAndStartedAtOnce: a single process that dies and is started again gets its jobs back as soon as another would.
// BRIDGE_TEST_KILLS is how often, 3 if it isn't set; -v shows how long each took.
func TestKilledAndStartedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 4, "shared_queues": []string{}})
	kills, _ := strconv.Atoi(os.Getenv("BRIDGE_TEST_KILLS"))
	kills = cmp.Or(kills, 3)
	b.addGoTypes(600, "starts")
	child := b.worker()
	b.waitHeard(1)
	time.Sleep(3 * time.Second) // Redis has been there for a while
	var took []time.Duration
	for i := range kills {
		var id string
		if i%2 == 0 {
			id = b.bench.JobID(testSite, b.submit("starts", nil))
		} else {
			id = b.plain("go.starts")
		}
		b.waitStarts(id, 1)
		time.Sleep(rand.N(500 * time.Millisecond))
		killed := time.Now()
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		child = b.worker()
		took = append(took, b.waitStarts(id, 2).at.Sub(killed))
		b.waitJob(id, rqcompat.StatusFinished)
	}
	slices.Sort(took)
	t.Logf("from kill to second start, %d times: p50 %s, p99 %s, all %s", kills, took[kills/2], took[min(kills*99/100, kills-1)], took)
	if slowest := took[kills-1]; slowest > 10*time.Second {
		t.Errorf("a job was back %s after its only process was killed and started again, want some seconds", slowest)
	}
}

// TestManyJobsOfAKilledProcess all run elsewhere, once; the log has how soon.
func TestManyJobsOfAKilledProcess(t *testing.T) { // not in parallel: it keeps the machine from others
	b := newBed(t, map[string]any{"concurrency": 400, "shared_queues": []string{}})
	b.countTypes()
	const n = 300
	child := b.worker()
	for range n {
		b.submit("holds", nil)
	}
	b.eventually("all run", func() bool { return b.statuses()["Running"] == n }, func() string { return fmt.Sprint(b.statuses()) })
	var again atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "go.holds", func(context.Context, *Job[any]) (any, error) { again.Add(1); return nil, nil })
	})
	b.waitHeard(2)
	killed := time.Now()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var first time.Duration
	b.eventually("all run again", func() bool {
		if first == 0 && again.Load() > 0 {
			first = time.Since(killed)
		}
		return again.Load() == n
	}, func() string { return fmt.Sprint(again.Load()) })
	t.Logf("%d jobs of a killed process: the first runs again after %s, all after %s", n, first, time.Since(killed))
	b.eventually("all have ended", func() bool { return b.statuses()["Completed"] == n }, func() string { return fmt.Sprint(b.statuses()) })
}
