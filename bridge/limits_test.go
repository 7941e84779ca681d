package bridge

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// countedKey is a list of what counted jobs did, in the order in which Redis heard of it: "+ group process" for a start,
// "- group process" for an end, and from the test "x process" for the death of a process.
const countedKey = "test:counted"

// counted are the parameters of a counted job, which runs so long.
type counted struct{ Account, Millis int }

// registerCounting registers the handlers of counted jobs: each says where it begins and ends which groups it belongs to.
func registerCounting(e *Engine, bench *frappe.Bench) {
	queue, err := bench.RedisQueue()
	if err != nil {
		panic(err)
	}
	rdb := queue.Open()
	for _, name := range []JobType[counted]{"go.counted", "go.capped"} {
		Register(e, name, func(ctx context.Context, job *Job[counted]) (any, error) {
			say := func(what string) {
				for _, group := range []string{"organization " + job.Organization, "type " + job.JobType, fmt.Sprintf("key %s %s %d", job.JobType, job.Organization, job.Params.Account)} {
					rdb.RPush(context.WithoutCancel(ctx), countedKey, fmt.Sprintf("%s|%s|%d", what, group, os.Getpid()))
				}
			}
			say("+")
			time.Sleep(time.Duration(job.Params.Millis) * time.Millisecond)
			say("-")
			return nil, nil
		})
	}
}

// mostCounted replays what counted jobs did: how many of each group ran at once, at most.
func (b *bed) mostCounted() map[string]int {
	b.t.Helper()
	most, running := map[string]int{}, map[string]map[string]int{}
	for _, line := range b.rdb.LRange(b.t.Context(), countedKey, 0, -1).Val() {
		what, rest, _ := strings.Cut(line, "|")
		group, process, _ := strings.Cut(rest, "|")
		switch what {
		case "x":
			for _, by := range running {
				delete(by, group)
			}
			continue
		case "+":
			if running[group] == nil {
				running[group] = map[string]int{}
			}
			running[group][process]++
		case "-":
			running[group][process]--
		}
		sum := 0
		for _, n := range running[group] {
			sum += n
		}
		most[group] = max(most[group], sum)
	}
	return most
}

// limitedTypes makes two Job Types: capped may run five times, and twice for an account; counted has no limits.
func (b *bed) limitedTypes() {
	b.t.Helper()
	b.countTypes()
	b.addGoTypes(60, "counted", "capped")
	b.exec("UPDATE `tabJob Type` SET max_running = 5, limit_key = 'account', limit_running = 2 WHERE name = 'capped'")
}

// countedJobs enqueues n jobs as frappe.enqueue does: of both organizations and types, of three accounts.
func (b *bed) countedJobs(n int) (ids []string) {
	b.t.Helper()
	requests := make([]rqcompat.Request, n)
	for i := range requests {
		ids = append(ids, fmt.Sprintf("%s||counted-%d", testSite, i))
		requests[i] = rqcompat.Request{Queue: b.bench.QueueName("go"), ID: ids[i], Data: call(b.t, frappe.ExecuteJob, envelope(testSite, []string{"go.counted", "go.capped"}[i/2%2], map[string]any{
			"organization": []string{"ORG-A", "ORG-B"}[i%2], "account": i % 3, "millis": 150,
		}))}
	}
	if _, err := b.client().RQ().EnqueueMany(b.t.Context(), requests); err != nil {
		b.t.Fatal(err)
	}
	return ids
}

// TestCapsHoldAcrossProcesses: four of them work, some are killed with jobs in hand, and never do more jobs of an
// organization, a Job Type or a key run than may, as the jobs themselves count.
func TestCapsHoldAcrossProcesses(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 8, "lease": 1, "running_per_organization": 7})
	b.limitedTypes()
	jobs, kills := 240, 3
	if full, _ := strconv.Atoi(os.Getenv("BRIDGE_TEST_FAIRNESS")); full > 0 {
		jobs, kills = 10*full, full/25
	}
	b.countedJobs(jobs)
	processes := make([]*exec.Cmd, 4)
	for i := range processes {
		processes[i] = b.worker()
	}
	for i := range kills {
		before := b.rdb.LLen(t.Context(), countedKey).Val()
		b.eventually("jobs run", func() bool { return b.rdb.LLen(t.Context(), countedKey).Val() > before+60 || b.allEnded(jobs) }, func() string { return "" })
		killed := processes[i%4]
		_ = killed.Process.Kill()
		_ = killed.Wait()
		b.rdb.RPush(t.Context(), countedKey, fmt.Sprintf("x|%d|", killed.Process.Pid))
		processes[i%4] = b.worker()
	}
	b.within(4*time.Minute, "all jobs have ended", func() bool { return b.allEnded(jobs) }, func() string {
		return fmt.Sprint(b.statuses())
	})
	most := b.mostCounted()
	t.Logf("ran at once at most: %v", most)
	for group, may := range map[string]int{"organization ORG-A": 7, "organization ORG-B": 7, "type capped": 5} {
		if most[group] > may {
			t.Errorf("of %s %d ran at once, want at most %d", group, most[group], may)
		}
		if most[group] <= may/2 { // how many of those that may do run is for a machine that has the time
			t.Errorf("of %s %d ran at once, and %d may: the test shows too little", group, most[group], may)
		}
	}
	for _, organization := range []string{"ORG-A", "ORG-B"} {
		for account := range 3 {
			if group := fmt.Sprintf("key capped %s %d", organization, account); most[group] > 2 {
				t.Errorf("of %s %d ran at once, want at most 2", group, most[group])
			}
		}
	}
	if most["type counted"] <= 5 {
		t.Errorf("of a Job Type without limits %d ran at once: the test shows too little", most["type counted"])
	}
	if left := b.rdb.Keys(t.Context(), "rq:limit:*").Val(); len(left) > 0 {
		for _, key := range left {
			now := time.Now().UnixMilli()
			if n := b.rdb.ZCount(t.Context(), key, strconv.FormatInt(now, 10), "+inf").Val(); n > 0 {
				t.Errorf("%s still counts %d jobs", key, n)
			}
		}
	}
}

// statuses counts the rows by status.
func (b *bed) statuses() map[string]int {
	b.t.Helper()
	var found []struct {
		Status string
		N      int
	}
	if err := b.sql.Select(&found, "SELECT status, COUNT(*) AS n FROM `tabBackground Job` GROUP BY status"); err != nil {
		b.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, f := range found {
		counts[f.Status] = f.N
	}
	return counts
}

func (b *bed) allEnded(jobs int) bool {
	counts := b.statuses()
	return counts["Completed"]+counts["Dead Letter"] >= jobs
}

// TestStartsWithinAWindow: of two engines no more jobs of a key start within a window than may.
func TestStartsWithinAWindow(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 8})
	b.limitedTypes()
	b.exec("UPDATE `tabJob Type` SET limit_rate = 4, limit_rate_window = 3, limit_running = 0, max_running = 0 WHERE name = 'capped'")
	starts := make(chan time.Time, 100)
	register := func(e *Engine) {
		Register(e, "go.capped", func(context.Context, *Job[any]) (any, error) {
			starts <- time.Now()
			return nil, nil
		})
	}
	const jobs = 10
	var names []string
	for range jobs {
		names = append(names, b.submit("capped", map[string]any{"account": 1}))
	}
	other := *b
	other.restartBench()
	b.start(register)
	other.start(register)
	var at []time.Time
	for _, name := range names {
		b.waitRow(name, rows.StatusCompleted)
		at = append(at, <-starts)
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := 4; i < len(at); i++ { // a start is seen a moment after it was counted
		if d := at[i].Sub(at[i-4]); d < 1500*time.Millisecond {
			t.Errorf("start %d came %s after start %d, want about three seconds", i, d, i-4)
		}
	}
}

// TestWhoAsksIsToldOfTheLimit that a job waits for, and it runs when there is room; another Job Type's isn't kept.
func TestWhoAsksIsToldOfTheLimit(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	b.exec("UPDATE `tabJob Type` SET max_running_per_organization = 1 WHERE name = 'holds'")
	c := newCounter()
	b.start(c.register)
	first := b.submit("holds", nil)
	c.waitHeld(b, 1)
	second, free := b.submit("holds", nil), b.submit("count", nil)
	b.waitRow(free, rows.StatusCompleted)
	in, err := b.client().Inspect(t.Context(), testSite, second)
	if err != nil {
		t.Fatal(err)
	}
	standing, err := b.client().Standing(t.Context(), testSite, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(standing.Waits) == 0 || standing.Waits[0].Rule != "limit" || standing.Waits[0].Why != "Job Type holds has its 1 running job of organization ORG-A" {
		t.Errorf("it waits for %+v", standing.Waits)
	}
	b.eventually("the row says so", func() bool { return b.row(second).WaitingFor == standing.Waits[0].Why }, func() string { return b.row(second).WaitingFor })
	close(c.open)
	b.waitRow(first, rows.StatusCompleted)
	b.waitRow(second, rows.StatusCompleted)
}
