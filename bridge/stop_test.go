package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func TestSecondEngineTakesOverWhatAStopGivesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 0.3, "concurrency": 11})
	b.countTypes()
	first, second := newCounter(), newCounter()
	close(second.open)
	a := b.start(first.register)
	var ids, names []string
	for range 5 {
		ids = append(ids, b.plain("go.holds"))
		names = append(names, b.submit("holds", nil))
	}
	ids = append(ids, b.ids(names...)...)
	first.waitHeld(b, 10)
	other := *b
	other.restartBench()
	other.start(second.register)
	begin := time.Now()
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("the stop took %s with a stop_timeout of 0.3 s", d)
	}
	for _, id := range ids {
		b.waitJob(id, rqcompat.StatusFinished)
	}
	first.wantOnce(t, ids...)
	second.wantOnce(t, ids...)
	for _, name := range names {
		if row := b.waitRow(name, rows.StatusCompleted); row.RetryCount != 0 {
			t.Errorf("retry_count %d, want 0", row.RetryCount)
		}
		if got, want := b.path(name), "Pending Queued Running Failed Queued Running Completed"; got != want {
			t.Errorf("path %s, want %s", got, want)
		}
	}
}

func TestStopWaitsForJobsThatEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 20})
	c := newCounter()
	r := b.start(c.register)
	id := b.plain("go.holds")
	c.waitHeld(b, 1)
	time.AfterFunc(500*time.Millisecond, func() { close(c.open) })
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the stop took %s though its job ended after 0.5 s", d)
	}
	b.waitJob(id, rqcompat.StatusFinished)
	if left := b.plain("go.fine"); left != "" {
		time.Sleep(300 * time.Millisecond)
		if job, err := b.client().RQ().Fetch(t.Context(), left); err != nil || job.Status != rqcompat.StatusQueued {
			t.Errorf("a stopped engine took a job: %+v, %v", job, err)
		}
	}
}

// TestStopLeavesAStubbornHandlerBehind: Run returns in time although a handler
// ignores its context, and gives the job back all the same.
func TestStopLeavesAStubbornHandlerBehind(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 0.2, "cancel_grace": 0.3})
	b.countTypes()
	release, started := make(chan struct{}), make(chan struct{}, 2)
	r := b.start(func(e *Engine) {
		Register(e, "go.holds", func(context.Context, *Job[any]) (any, error) {
			started <- struct{}{}
			<-release
			return "much too late", nil
		})
	})
	defer close(release)
	plain, row := b.plain("go.holds"), b.submit("holds", nil)
	<-started
	<-started
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("the stop took %s", d)
	}
	for _, id := range append(b.ids(row), plain) {
		if job, err := b.client().RQ().Fetch(t.Context(), id); err != nil || job.Status != rqcompat.StatusQueued {
			t.Errorf("job after the stop: %+v, %v", job, err)
		}
	}
	if row := b.row(row); row.Status != rows.StatusQueued || row.RetryCount != 0 {
		t.Errorf("row after the stop: %+v", row)
	}
	b.wantNothingRunning()
}

func TestShutdownCommandStopsTheEngine(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	r := b.start(registerFine)
	b.waitJob(b.plain("go.fine"), rqcompat.StatusFinished)
	var worker string
	b.eventually("a worker is registered", func() bool {
		workers, err := b.client().RQ().Workers(t.Context())
		if err == nil && len(workers) > 0 {
			worker = workers[0].Name
		}
		return worker != ""
	}, func() string { return "" })
	// What others say is no command for us.
	for _, text := range []string{"", "{", "null", `{"command":"levitate"}`, `{"command":7}`, `["shutdown"]`} {
		b.rdb.Publish(t.Context(), rqcompat.PubSubChannel(worker), text)
	}
	b.rdb.Publish(t.Context(), rqcompat.PubSubChannel("somebody-else"), `{"command":"shutdown"}`)
	b.waitJob(b.plain("go.fine"), rqcompat.StatusFinished)
	if n, err := b.client().RQ().SendCommand(t.Context(), worker, rqcompat.Command{Name: rqcompat.CommandShutdown}); err != nil || n != 1 {
		t.Fatalf("%d listeners, %v", n, err)
	}
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the engine goes on after a shutdown command")
	}
}

func TestStopWhileRedisIsAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 0.5, "cancel_grace": 0.5})
	b.countTypes()
	c := newCounter()
	r := b.start(c.register)
	row := b.submit("holds", nil)
	_ = b.plain("go.holds")
	c.waitHeld(b, 2)
	b.redis.Kill()
	begin := time.Now()
	if err := r.stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if d := time.Since(begin); d > 15*time.Second {
		t.Errorf("the stop took %s without Redis", d)
	}
	if got := b.row(row); got.Status != rows.StatusQueued {
		t.Errorf("row %+v, want it given back", got)
	}
}

// TestAServiceThatIsStoppedAsAGroup: the programs get the same SIGTERM as the bridge, and die of it. Their jobs are given
// back: no retry is spent, nothing has failed.
func TestAServiceThatIsStoppedAsAGroup(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	dir := t.TempDir()
	run := ForeignHandler{Exec: &ExecConfig{Command: []string{"/bin/sh", "-c", "echo $$ > " + dir + "/$BRIDGE_JOB_ID; exec sleep 60"}}}
	b.cfg.Foreign = map[string]ForeignHandler{"holds": run, "go.holds": run}
	r := b.start(nil)
	name, plain := b.submit("holds", nil), b.plain("go.holds")
	var pids []int
	for _, id := range []string{b.bench.JobID(testSite, name), plain} {
		b.eventually("the program of "+id+" runs", func() bool {
			text, err := os.ReadFile(filepath.Join(dir, id))
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			if err == nil && pid > 0 {
				pids = append(pids, pid)
			}
			return err == nil && pid > 0
		}, func() string { return id })
	}
	for _, pid := range pids {
		if err := syscall.Kill(-pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond) // the bridge may hear of it later than its programs
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if row := b.row(name); row.Status != rows.StatusQueued || row.RetryCount != 0 {
		t.Errorf("the row is %s after %d retries, want it given back", row.Status, row.RetryCount)
	}
	if j, err := b.client().RQ().Fetch(t.Context(), plain); err != nil || j.Status != rqcompat.StatusQueued {
		t.Errorf("the job without a row: %+v, %v, want it queued again", j, err)
	}
}
