package integration

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// chaos is how often the tests of this file do what they do: a few times, or as often as BRIDGE_TEST_CHAOS says.
func chaos(t *testing.T, few int) int {
	t.Helper()
	many, err := strconv.Atoi(os.Getenv("BRIDGE_TEST_CHAOS"))
	if err != nil {
		return few
	}
	return many
}

// idleWorker starts a Python worker of the fleet's RQ that waits on a queue until the test ends.
func (f *fleet) idleWorker(queue string) {
	f.t.Helper()
	cmd := f.py.Command("-m", "rq.cli", "worker", "--url", f.py.url, "--quiet", queue)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	f.eventually("the Python worker is blocked on its queue", func() bool {
		return f.blocked(func(line string) bool { return !strings.Contains(line, " name=rqcompat ") }) == 1
	})
}

// blocked counts the clients that wait for a list and fit.
func (f *fleet) blocked(fits func(line string) bool) (n int) {
	for line := range strings.Lines(f.rdb.ClientList(f.t.Context()).Val()) {
		if strings.Contains(line, " flags=b ") && fits(line) {
			n++
		}
	}
	return n
}

// failures counts how often each job failed in Python, by the results that RQ kept.
func (f *fleet) failures(ids []string) (most, all int) {
	for _, job := range f.py.jobs(ids...) {
		n := 0
		for _, r := range job.Results {
			if r == "FAILED" {
				n++
			}
		}
		most, all = max(most, n), all+n
	}
	return most, all
}

// took logs the percentiles of durations.
func took(t *testing.T, what string, ds []time.Duration) {
	t.Helper()
	slices.Sort(ds)
	t.Logf("%s: median %s, p99 %s, max %s of %d", what, ds[len(ds)/2], ds[len(ds)*99/100], ds[len(ds)-1], len(ds))
}

// TestIdlePythonWorkerOnASharedQueue pushes Go and Python jobs in turn while a Python worker waits. By default it takes
// the Go jobs, fails each once, and the bridge gets them back; in the mode first none reaches it. Python's own jobs keep
// their order in both.
func TestIdlePythonWorkerOnASharedQueue(t *testing.T) {
	for name, settings := range map[string]map[string]any{
		"default": {"shared_queues": []string{"default"}}, "first": {"shared_queues": []string{"default"}, "first": []string{"default"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "1.15.1", settings)
			n := &noter{}
			f.start(n.register)
			if name == "first" {
				f.eventually("waiters are blocked", func() bool { return f.blocked(func(string) bool { return true }) >= 8 })
			}
			f.idleWorker(f.shared())
			pause := 100 * time.Millisecond
			if os.Getenv("BRIDGE_TEST_CHAOS") != "" {
				pause = 2 * time.Second
			}
			var ours, theirs []string
			var goTook, pythonTook []time.Duration
			for i := range chaos(t, 12) {
				text := fmt.Sprint(i)
				begin := time.Now()
				id := f.frappeEnqueue("default", "go.note", values{"job_id": "go-" + text, "text": text})
				f.waitStatus(id, rqcompat.StatusFinished)
				goTook = append(goTook, time.Since(begin))
				ours = append(ours, id)
				begin = time.Now()
				id = f.frappeEnqueue("default", "site_tasks.note", values{"job_id": "py-" + text, "text": text})
				f.eventually("Python started "+id, func() bool { return f.rdb.LLen(t.Context(), "test:notes").Val() == int64(i+1) })
				pythonTook = append(pythonTook, time.Since(begin))
				theirs = append(theirs, text)
				time.Sleep(pause)
			}
			took(t, "Go, from enqueue to end", goTook)
			took(t, "Python, from enqueue to its run", pythonTook)
			most, all := f.failures(ours)
			t.Logf("%d of %d Go jobs reached Python", all, len(ours))
			if most > 1 || name == "first" && all > 0 {
				t.Errorf("Go jobs failed in Python %d times, one of them %d times, want each at most once and none in the mode first", all, most)
			}
			want(t, "Go ran", n.count(), len(ours))
			want(t, "order of Python's jobs", strings.Join(f.rdb.LRange(t.Context(), "test:notes", 0, -1).Val(), " "), strings.Join(theirs, " "))
			want(t, "left in the failed registry", len(f.py.registries(f.shared())["failed"]), 0)
		})
	}
}

// TestPythonWorkerOnAnOwnQueue does no harm: bench starts one for each queue under "workers".
func TestPythonWorkerOnAnOwnQueue(t *testing.T) {
	f := newFleet(t, "1.15.1", nil)
	n := &noter{}
	f.start(n.register)
	f.idleWorker(f.own())
	var ids []string
	for i := range 8 {
		text := fmt.Sprint(i)
		ids = append(ids, f.frappeEnqueue("go", "go.note", values{"job_id": "go-" + text, "text": text}))
	}
	for _, id := range ids {
		f.waitStatus(id, rqcompat.StatusFinished)
	}
	if most, all := f.failures(ids); most > 1 {
		t.Errorf("%d failures in Python, one job failed %d times, want each at most once", all, most)
	}
	want(t, "Go ran", n.count(), len(ids))
}

// TestKilledWithAJobInHand kills a bridge of the mode first at the moment when its waiters have popped a Python job that
// nobody has judged yet: it is stopped first, so that Redis serves its blocked connections. Python runs the job within
// three seconds all the same, brought back by a bridge of any mode, or by the next start.
func TestKilledWithAJobInHand(t *testing.T) {
	for name, modes := range map[string][]string{"another bridge lives": {}, "another of the mode first lives": {"default"}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "1.15.1", map[string]any{"shared_queues": []string{"default"}, "first": []string{"default"}})
			other := f.cfg
			other.First = modes
			f.idleWorker(f.shared())
			f.cfg = other
			f.start((&noter{}).register)
			ours := 8 * len(modes)
			var back []time.Duration
			for i := range chaos(t, 3) {
				text := fmt.Sprint(i)
				child := f.startChild()
				f.eventually("the child's waiters are blocked", func() bool {
					return f.blocked(func(line string) bool { return strings.Contains(line, "cmd=blmove") }) >= 8+ours
				})
				pid := child.Process.Pid
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				f.frappeEnqueue("default", "site_tasks.note", values{"job_id": "py-" + text, "text": text})
				_ = child.Process.Kill()
				_ = child.Wait()
				f.eventually("Python ran py-"+text, func() bool { return f.rdb.LLen(t.Context(), "test:notes").Val() > int64(i) })
				back = append(back, time.Since(begin))
			}
			took(t, "from the push to Python's run", back)
			if last := back[len(back)-1]; last > 3*time.Second {
				t.Errorf("a job came back %s after its bridge was killed, want 3 s at most", last)
			}
			var all []string
			for i := range back {
				all = append(all, fmt.Sprint(i))
			}
			want(t, "Python's jobs, each once", strings.Join(f.rdb.LRange(t.Context(), "test:notes", 0, -1).Val(), " "), strings.Join(all, " "))
		})
	}
	t.Run("the next start", func(t *testing.T) {
		f := newFleet(t, "1.15.1", map[string]any{"shared_queues": []string{"default"}, "first": []string{"default"}})
		f.rdb.RPush(t.Context(), rqcompat.FirstKey(f.shared()), f.enqueue(f.own(), values{"id": "left", "func": "tasks.note", "args": []string{"left"}})[0])
		f.rdb.Del(t.Context(), rqcompat.QueueKey(f.own()))
		f.start((&noter{}).register)
		f.idleWorker(f.shared())
		f.eventually("Python ran what was left", func() bool { return f.rdb.LLen(t.Context(), "test:notes").Val() == 1 })
	})
}

// startChild starts an engine in a process of its own.
func (f *fleet) startChild() *exec.Cmd {
	f.t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+f.dir)
	child.Stderr = os.Stderr
	if _, err := child.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = child.Process.Kill() })
	return child
}
