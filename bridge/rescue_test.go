package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// workerBench is the environment variable that makes the test binary a worker
// of the bench in that directory.
const workerBench = "BRIDGE_TEST_WORKER"

// workerSettings has its settings, as JSON.
const workerSettings = "BRIDGE_TEST_SETTINGS"

// releaseFile lets the jobs of worker processes end; it lies in the bench.
const releaseFile = "release"

// workerProcess works a bench until its standard input ends, as it does when
// the test process dies.
func workerProcess(dir string) {
	bench, err := frappe.OpenBench(dir, frappe.Options{Section: "bridge"})
	if err != nil {
		panic(err)
	}
	var settings map[string]any
	if err := json.Unmarshal([]byte(os.Getenv(workerSettings)), &settings); err != nil {
		panic(err)
	}
	cfg := configured(bench, settings)
	if cfg.Lease > 0 && cfg.Lease < 5*time.Second {
		cfg.pace = fastPace
	}
	cfg.decode = deadly
	e, err := New(cfg)
	if err != nil {
		panic(err)
	}
	registerFine(e)
	Register(e, "go.kills", func(context.Context, *Job[any]) (any, error) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	Register(e, "go.exits", func(context.Context, *Job[any]) (any, error) {
		time.Sleep(100 * time.Millisecond)
		os.Exit(3)
		return nil, nil
	})
	Register(e, "go.works", func(context.Context, *Job[any]) (any, error) {
		time.Sleep(500 * time.Millisecond)
		return "well", nil
	})
	registerCounting(e, bench)
	registerStarting(e, dir)
	registerFreezing(e, dir)
	Register(e, "go.holds", func(context.Context, *Job[any]) (any, error) {
		for {
			if _, err := os.Stat(filepath.Join(dir, releaseFile)); err == nil {
				return "late", nil
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := e.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		panic(err)
	}
}

// worker starts a process that works the bench.
func (b *bed) worker(env ...string) *exec.Cmd {
	b.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(binary)
	settings, err := json.Marshal(b.settings)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Env = append(append(os.Environ(), workerBench+"="+b.dir, workerSettings+"="+string(settings)), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error says that it was killed
	})
	return cmd
}

func TestJobOfAKilledProcessRunsElsewhereWithin20s(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil) // with the default lease and pace
	b.countTypes()
	child := b.worker()
	row := b.submit("holds", nil)
	plain := b.plain("go.holds")
	b.waitRow(row, rows.StatusRunning)
	b.waitJob(plain, rqcompat.StatusStarted)
	c := newCounter()
	close(c.open)
	b.start(c.register)
	time.Sleep(time.Second)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	b.waitRow(row, rows.StatusCompleted)
	b.waitJob(plain, rqcompat.StatusFinished)
	if d := time.Since(killed); d > 20*time.Second {
		t.Errorf("the jobs ran again after %s", d)
	}
	c.wantOnce(t, b.bench.JobID(testSite, row), plain)
	if got, want := b.path(row), "Pending Queued Running Failed Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	if got := strings.Join(b.history(row), "\n"); !strings.Contains(got, "Running>Failed Worker died\nFailed>Queued Job given back to the queue") {
		t.Errorf("history\n%s", got)
	}
	if got := b.row(row); got.RetryCount != 0 || got.ErrorMessage != "" {
		t.Errorf("the rescue cost a retry or left an error: %+v", got)
	}
	b.wantNothingRunning()
}

// workerDies starts a worker and waits for its end, no longer than that; says tells what is wrong if it lives on.
func (b *bed) workerDies(most time.Duration, says func() string) {
	b.t.Helper()
	child := b.worker()
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case <-ended:
	case <-time.After(most):
		b.t.Fatal(says())
	}
}

func TestJobThatKillsItsWorkersIsPoison(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"lease": 1, "shared_queues": []string{}})
	b.addGoTypes(60, "kills")
	name := b.submit("kills", nil)
	for i := range 3 {
		b.workerDies(30*time.Second, func() string {
			return fmt.Sprintf("worker %d still lives; history:\n%s", i+1, strings.Join(b.history(name), "\n"))
		})
	}
	b.cfg.pace = fastPace
	var mended atomic.Bool
	b.start(func(e *Engine) {
		Register(e, "go.kills", func(context.Context, *Job[any]) (any, error) {
			if !mended.Load() {
				t.Error("a poisonous job was run a fourth time")
			}
			return nil, nil
		})
	})
	row := b.waitRow(name, rows.StatusDeadLetter)
	if row.ErrorType != string(ErrorPermanent) || row.CompletedAt.IsZero() || row.RetryCount != 0 {
		t.Errorf("row %+v", row)
	}
	if got, want := b.path(name), "Pending Queued"+strings.Repeat(" Running Failed Queued", 2)+" Running Dead Letter"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	id := b.bench.JobID(testSite, name)
	b.waitJob(id, rqcompat.StatusFailed)
	failed, err := b.client().RQ().Members(t.Context(), rqcompat.Failed, b.bench.QueueName("go"), 0, -1)
	if err != nil || len(failed) != 1 || failed[0].ID != id {
		t.Errorf("failed registry %v, %v", failed, err)
	}
	if exc := b.lastExc(id); !strings.Contains(exc, "took its worker down 3 times") {
		t.Errorf("exc %q", exc)
	}
	// By hand it may be tried again.
	mended.Store(true)
	if _, err := b.client().Retry(t.Context(), testSite, name, "admin@example.com"); err != nil {
		t.Errorf("retry by hand: %v", err)
	}
	b.waitRow(name, rows.StatusCompleted)
}

// TestOneThatKillsAmongHealthyJobs: it is found, and named with those that were suspected beside it, who all end well.
func TestOneThatKillsAmongHealthyJobs(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"lease": 1, "shared_queues": []string{}, "concurrency": 8})
	for _, name := range []string{"exits", "works"} {
		b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries, handler_method) VALUES ('" +
			name + "', NOW(6), NOW(6), 'Administrator', 'Administrator', '" + name + "', 1, 60, 0, 'go." + name + "')")
	}
	var healthy []string
	for range 6 {
		healthy = append(healthy, b.submit("works", nil))
	}
	crasher := b.submit("exits", nil)
	for i := range 3 {
		b.workerDies(60*time.Second, func() string {
			return fmt.Sprintf("worker %d still lives; history:\n%s", i+1, strings.Join(b.history(crasher), "\n"))
		})
	}
	last := b.worker()
	row := b.waitRow(crasher, rows.StatusDeadLetter)
	for _, name := range healthy {
		if b.waitRow(name, rows.StatusCompleted); !strings.Contains(row.ErrorMessage, b.bench.JobID(testSite, name)) {
			t.Errorf("%s was there at the first death, and isn't named: %q", name, row.ErrorMessage)
		}
	}
	if !strings.HasPrefix(row.ErrorMessage, "the job took its worker down 3 times; beside it ran, death by death: ") || !strings.HasSuffix(row.ErrorMessage, "; no other job") {
		t.Errorf("the poisonous job says %q, want that it was alone at last", row.ErrorMessage)
	}
	if last.ProcessState != nil {
		t.Error("a fourth worker died")
	}
}

func TestFrozenWorkerIsRefusedWhenItComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"lease": 1})
	b.countTypes()
	child := b.worker()
	row := b.submit("holds", nil)
	plain := b.plain("go.holds")
	id := b.bench.JobID(testSite, row)
	b.waitRow(row, rows.StatusRunning)
	b.waitJob(plain, rqcompat.StatusStarted)
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.cfg.pace = fastPace
	open := make(chan struct{})
	here := make(chan string, 2)
	b.start(func(e *Engine) {
		Register(e, "go.holds", func(_ context.Context, job *Job[any]) (any, error) {
			here <- job.ID
			<-open
			return "in time", nil
		})
	})
	got := []string{<-here, <-here}
	if fmt.Sprint(got) != fmt.Sprint([]string{id, plain}) && fmt.Sprint(got) != fmt.Sprint([]string{plain, id}) {
		t.Fatalf("ran here: %v", got)
	}
	owner := b.waitRow(row, rows.StatusRunning).StartedAt
	if err := os.WriteFile(filepath.Join(b.dir, releaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if now := b.row(row); now.Status != rows.StatusRunning || !now.StartedAt.Equal(owner) {
		t.Errorf("the late result changed the row: %+v", now)
	}
	for _, id := range []string{id, plain} {
		if job, err := b.client().RQ().Fetch(t.Context(), id); err != nil || job.Status != rqcompat.StatusStarted {
			t.Errorf("the late result changed the job: %+v, %v", job, err)
		}
	}
	close(open)
	b.waitRow(row, rows.StatusCompleted)
	for _, id := range []string{id, plain} {
		b.waitJob(id, rqcompat.StatusFinished)
		results, err := b.client().RQ().Results(t.Context(), id)
		if err != nil || len(results) != 1 {
			t.Fatalf("results %v, %v", results, err)
		}
		if value, err := results[0].Value(); err != nil || plainOf(value) != "in time" {
			t.Errorf("result %v, %v", value, err)
		}
	}
	if got, want := b.path(row), "Pending Queued Running Failed Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}
