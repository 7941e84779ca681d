package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// crew is some of RQ's workers, each of which is started anew when it dies.
type crew struct {
	f       *fleet
	stopped chan struct{}
	ended   sync.WaitGroup

	mu   sync.Mutex
	live map[*os.Process]bool
}

func (f *fleet) crew() *crew {
	c := &crew{f: f, stopped: make(chan struct{}), live: map[*os.Process]bool{}}
	f.t.Cleanup(func() { c.end(syscall.SIGKILL) })
	return c
}

// add keeps a worker of a kind alive.
func (c *crew) add(kind string, queues ...string) {
	c.ended.Go(func() {
		for {
			cmd := c.f.py.Command(append([]string{filepath.Join(pythonDir(c.f.t), "victim.py"), kind}, queues...)...)
			cmd.Stderr = os.Stderr
			if !c.run(cmd) {
				return
			}
		}
	})
}

// run runs a worker until it dies; it tells whether there is to be another.
func (c *crew) run(cmd *exec.Cmd) bool {
	c.mu.Lock()
	select {
	case <-c.stopped:
		c.mu.Unlock()
		return false
	default:
	}
	err := cmd.Start()
	if err != nil {
		c.mu.Unlock()
		c.f.t.Errorf("start a worker: %v", err)
		return false
	}
	c.live[cmd.Process] = true
	c.mu.Unlock()
	_ = cmd.Wait()
	c.mu.Lock()
	delete(c.live, cmd.Process)
	c.mu.Unlock()
	return true
}

// end ends all workers, and waits for it.
func (c *crew) end(s os.Signal) {
	c.mu.Lock()
	select {
	case <-c.stopped:
	default:
		close(c.stopped)
	}
	for p := range c.live {
		_ = p.Signal(s)
	}
	c.mu.Unlock()
	c.ended.Wait()
}

// guarded are the queues of guard's tests: two that one worker works, which pops with BLPOP, one of a worker of its own,
// which uses the intermediate list, and a bridge's.
func (f *fleet) guarded() []string {
	return []string{f.shared(), f.bench.QueueName("short"), f.bench.QueueName("long"), f.own()}
}

func (f *fleet) guard(grace time.Duration) []rqcompat.Left {
	f.t.Helper()
	report, err := f.rq.LeftBehind(f.t.Context(), rqcompat.LeftOptions{
		Queues: f.guarded(), Grace: grace, Ours: func(worker string) bool { return strings.HasPrefix(worker, bridge.WorkerPrefix) },
	})
	if err != nil {
		f.t.Errorf("look: %v", err)
	}
	return report.Found
}

// TestGuardOfHealthyWorkers looks again and again while RQ's workers, and a bridge, do all that they do, and finds nothing.
func TestGuardOfHealthyWorkers(t *testing.T) {
	t.Parallel()
	forEachRQ(t, func(t *testing.T, version string) {
		lasts := 8 * time.Second
		if seconds, err := strconv.Atoi(os.Getenv("BRIDGE_TEST_CHAOS")); err == nil {
			lasts = time.Duration(seconds) * time.Second
		} else if version != servers.RQVersions()[0] {
			t.Skip("make anything looks at all versions")
		}
		f := newFleet(t, version, nil)
		f.start(func(e *bridge.Engine) {
			bridge.Register(e, "go.work", func(context.Context, *bridge.Job[json.RawMessage]) (any, error) { return 1, nil })
			bridge.Register(e, "go.fail", func(context.Context, *bridge.Job[json.RawMessage]) (any, error) { return nil, errors.New("boom") })
		})
		queues := f.guarded()
		c := f.crew()
		c.add("scheduling", queues[0], queues[1])
		c.add("simple", queues[1], queues[0])
		c.add("forking", queues[2])
		end := time.Now().Add(lasts)
		var looking sync.WaitGroup
		looks := make([]int, 3)
		for i := range looks {
			looking.Go(func() {
				for time.Sleep(time.Duration(i) * time.Second); time.Now().Before(end); looks[i]++ {
					if left := f.guard(5 * time.Second); len(left) > 0 {
						t.Errorf("a look at healthy workers: %+v", left)
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		n := 0
		for ; time.Now().Before(end); n++ {
			id := func(what string) string { return f.jobID(fmt.Sprint(what, "-", n)) }
			q := queues[n%3]
			jobs := []values{
				{"id": id("quick"), "func": "tasks.add", "args": []any{1, 2}, "queue": q},
				{"id": id("slow"), "func": "tasks.sleep", "args": []any{0.2}, "queue": q},
				{"id": id("child"), "func": "tasks.add", "args": []any{1, 2}, "queue": q, "depends_on": []string{id("slow")}},
				{"id": id("fails"), "func": "tasks.fail", "queue": q},
				{"id": id("flaky"), "func": "tasks.flaky", "args": []any{1}, "queue": queues[0], "retry": values{"max": 2, "interval": 1}},
				{"id": id("later"), "func": "tasks.add", "args": []any{1, 2}, "queue": queues[0], "delay": 1},
				{"id": id("front"), "func": "tasks.add", "args": []any{1, 2}, "queue": q, "at_front": true, "result_ttl": 0},
				{"id": id("go"), "func": "go.work", "queue": []string{f.own(), queues[0]}[n%2]},
				{"id": id("go-fails"), "func": "go.fail", "queue": f.own(), "retry": values{"max": 1, "interval": 1}},
			}
			f.enqueue(q, jobs...)
			if n > 3 {
				_ = f.py.try("look.requeue", values{"id": f.jobID(fmt.Sprint("fails-", n-3))}, nil) // it may not have run
				_ = f.py.try("look.cancel", values{"id": f.jobID(fmt.Sprint("quick-", n))}, nil)
				_ = f.py.try("look.delete", values{"id": f.jobID(fmt.Sprint("slow-", n-3))}, nil)
			}
			time.Sleep(400 * time.Millisecond)
		}
		looking.Wait()
		t.Logf("%d rounds of 9 jobs, looks %v", n, looks)
		c.end(syscall.SIGTERM)
		if left := f.guard(5 * time.Second); len(left) > 0 {
			t.Errorf("after an orderly stop: %+v", left)
		}
		if slices.Min(looks) == 0 {
			t.Errorf("too few looks: %v", looks)
		}
	})
}
