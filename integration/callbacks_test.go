package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// calledBack is what a callback in Python says that it got, see tell in testdata/python/tasks.py.
type calledBack struct {
	Job, In, Func, Origin, Status string
	Timeout                       int
	Args, Got                     []any
	Meta                          values
	Ended, Same                   bool
}

// told are the calls of callbacks so far, by job.
func (f *fleet) told() map[string][]calledBack {
	f.t.Helper()
	all := map[string][]calledBack{}
	for _, line := range f.rdb.LRange(f.t.Context(), "test:told", 0, -1).Val() {
		var one calledBack
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			f.t.Fatal(err)
		}
		all[one.Job] = append(all[one.Job], one)
	}
	return all
}

// handed are the jobs that wait on the shared queue, each of which calls a callback.
func (f *fleet) handed(queue string) map[string]*rqcompat.Job {
	f.t.Helper()
	all := map[string]*rqcompat.Job{}
	for _, id := range f.rdb.LRange(f.t.Context(), rqcompat.QueueKey(queue), 0, -1).Val() {
		j, err := f.rq.Fetch(f.t.Context(), id)
		if err != nil {
			f.t.Fatal(err)
		}
		all[j.Extra["bridge_of"]] = j
	}
	return all
}

// TestCallbacks: of a job on an own queue Python calls the callbacks, once each and with what RQ's own workers pass, in jobs
// of their own.
func TestCallbacks(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		runs := &attempts{}
		both := func(more values) values {
			job := values{"on_success": "tasks.tell", "on_failure": "tasks.tell", "meta": values{"k": "ü"}, "callback_timeout": 77}
			for k, v := range more {
				job[k] = v
			}
			return job
		}
		f.enqueue(f.own(),
			both(values{"id": "add", "args": []int{2, 3}}),
			both(values{"id": "gone", "args": []int{2, 4}, "result_ttl": 0}),
			both(values{"id": "retried", "func": "tasks.flaky", "kwargs": values{"times": 1}, "retry": values{"max": 2}}),
			both(values{"id": "fails", "func": "tasks.fail", "retry": values{"max": 1}}),
			both(values{"id": "nobody", "func": "tasks.describe"}),
			both(values{"id": "slow", "func": "tasks.sleep", "timeout": 1}),
			values{"id": "bad", "args": []int{2, 5}, "on_success": "tasks.tell_and_fail"},
			values{"id": "none", "args": []int{2, 6}, "on_failure": "tasks.tell"})
		f.enqueue(f.own(), both(values{"id": "poison", "args": []int{1, 1}}))
		takeDown(t, f, "poison")
		f.start(func(e *bridge.Engine) {
			registerTasks(runs)(e)
			bridge.Register(e, "tasks.sleep", func(ctx context.Context, _ *bridge.RawJob) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		})
		for id, status := range map[string]rqcompat.Status{"add": "finished", "retried": "finished", "fails": "failed", "slow": "failed", "poison": "failed", "nobody": "failed", "bad": "finished", "none": "finished"} {
			f.waitStatus(id, status)
		}
		f.eventually("the job that isn't kept is gone", func() bool { j, _ := f.rq.Fetch(t.Context(), "gone"); return j == nil })
		handed := f.handed(f.shared())
		want(t, "jobs handed over", len(handed), 8)
		f.rdb.Del(t.Context(), rqcompat.JobKey("add")) // Python may come later than the job's hash is kept
		f.burst("forking", false, f.shared())
		got := f.told()
		for id, wants := range map[string]string{
			"add": "[5] finished", "gone": "[6] finished", "retried": "[2] finished", "bad": "[7] finished",
			"fails":  "[bridge.TransientError boom true true] failed",
			"slow":   "[rq.timeouts.JobTimeoutException Task exceeded maximum timeout value (1 seconds) true true] failed",
			"poison": "[rq.exceptions.AbandonedJobError the job took its worker down 3 times",
			"nobody": `[bridge.NoHandlerError no handler for "tasks.describe"`,
		} {
			if len(got[id]) != 1 {
				t.Errorf("%s: callbacks %+v, want one", id, got[id])
				continue
			}
			call, timeout, args := got[id][0], 77, map[string]string{"add": "[2 3]", "gone": "[2 4]", "bad": "[2 5]"}[id]
			if text := fmt.Sprint(call.Got, " ", call.Status); !strings.HasPrefix(text, wants) {
				t.Errorf("%s: got %s, want %s", id, text, wants)
			}
			if id == "bad" {
				timeout = 60
			} else {
				want(t, id+": meta", fmt.Sprint(call.Meta), "map[k:ü]")
			}
			if call.In != handed[id].ID || call.Timeout != timeout || call.Origin != f.own() || !call.Ended || !call.Same || args != "" && fmt.Sprint(call.Args) != args {
				t.Errorf("%s: %+v, want it called in %s", id, call, handed[id].ID)
			}
			status := "finished"
			if id == "bad" {
				status = "failed"
			}
			want(t, id+": the callback's job", f.py.job(handed[id].ID).Status, status)
		}
		want(t, "callbacks that nobody asked for", len(got["none"]), 0)
		want(t, "failures of callbacks", f.rdb.Get(t.Context(), "test:truncated").Val(), "1")
		if text := f.py.cli("info"); !strings.Contains(text, f.shared()) { // RQ's readers read such jobs
			t.Error(text)
		}
	})
}

// takeDown claims a job as a process does that it then takes down, for the third time.
func takeDown(t *testing.T, f *fleet, id string) {
	t.Helper()
	w, x := rqcompat.NewWorker("bridge-dead-1", f.own()), rqcompat.NewExecutionID()
	claimed, err := f.rq.Claim(t.Context(), []rqcompat.Claim{{Queue: f.own(), ID: id, Worker: w, Register: true, ExecutionID: x}}, time.Now(), time.Second)
	if err != nil || claimed[0].Result != rqcompat.Claimed {
		t.Fatal(claimed, err)
	}
	f.rdb.HSet(t.Context(), rqcompat.JobKey(id), "bridge_kills", 2)
}

// TestCallbacksOfRows: the log of a job with a row says which callback was handed over as what, when all retries are spent, and
// whoever finds such a row ended hands over what wasn't, and nothing twice.
func TestCallbacksOfRows(t *testing.T) {
	for _, version := range []string{"1.15.1", "2.6.1"} { // Frappe's, whose ids have the site in front
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, version, nil)
			db := f.install()
			addJobType(t, f, db)
			f.cfg.Retry.Base = time.Millisecond
			held := make(chan struct{})
			f.start(func(e *bridge.Engine) {
				bridge.Register(e, "go.work", func(ctx context.Context, job *bridge.Job[struct{ Do string }]) (any, error) {
					switch job.Params.Do {
					case "fail":
						return nil, errors.New("boom")
					case "hold":
						close(held)
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return map[string]any{"rows": 3}, nil
				})
			})
			enqueue := func(do string) string {
				return f.frappeEnqueue("go", "go.work", values{"job_id": do, "organization": "ORG-A", "do": do, "on_success": "tasks.tell", "on_failure": "tasks.tell"})
			}
			well, fails := enqueue("well"), enqueue("fail")
			f.waitStatus(well, rqcompat.StatusFinished)
			f.waitStatus(fails, rqcompat.StatusFailed)
			handed := f.handed(f.shared())
			want(t, "jobs handed over", len(handed), 2)
			last := lastMessages(t, db)
			want(t, "log", last[rows.StatusCompleted], "Job completed successfully; handed the success callback tasks.tell to Python as job "+handed[well].ID+" on queue bench:default")
			want(t, "log", last[rows.StatusDeadLetter], "Retries exhausted after 4 attempts; handed the failure callback tasks.tell to Python as job "+handed[fails].ID+" on queue bench:default")
			checkHandedAgain(t, f, well, handed[well].ID)
			f.burst("forking", false, f.shared())
			got := f.told()
			want(t, "of the one that went well", len(got[well]), 1)
			want(t, "of the one that failed", len(got[fails]), 1)
			want(t, "result", fmt.Sprint(got[well][0].Got, got[well][0].Func), "[map[rows:3]]frappe.utils.background_jobs.execute_job")
			want(t, "error", fmt.Sprint(got[fails][0].Got), "[bridge.TransientError boom true true]")

			halted := f.enqueue(f.own(), values{"id": "halted", "func": "go.work", "kwargs": values{"do": "hold"}, "on_stopped": "tasks.tell"})[0]
			<-held
			f.py.call("look.stop", values{"id": halted}, nil)
			f.waitStatus(halted, rqcompat.StatusStopped)
			f.burst("simple", false, f.shared())
			want(t, "of the one that was stopped", fmt.Sprint(f.told()[halted][0].Got, f.told()[halted][0].Status), "[]stopped")
		})
	}
}

// lastMessages are what the logs of rows say of their ends.
func lastMessages(t *testing.T, db *rows.DB) map[rows.Status]string {
	t.Helper()
	all, _, err := db.ListJobs(t.Context(), rows.ListFilter{})
	if err != nil {
		t.Fatal(err)
	}
	last := map[rows.Status]string{}
	for _, row := range all {
		history, err := db.History(t.Context(), row.Name)
		if err != nil || len(history) == 0 {
			t.Fatal(len(history), err)
		}
		last[row.Status] = history[len(history)-1].Message
	}
	return last
}

// checkHandedAgain brings the delivery of a row that has ended once more: as if the bridge had died after it had ended row and
// job, and as if it had died in between.
func checkHandedAgain(t *testing.T, f *fleet, id, as string) {
	t.Helper()
	ctx := t.Context()
	again := func() {
		f.rdb.HSet(ctx, rqcompat.JobKey(id), "status", "queued", "ended_at", "")
		f.rdb.ZRem(ctx, rqcompat.RegistryKey(rqcompat.Finished, f.own()), id)
		f.rdb.RPush(ctx, rqcompat.QueueKey(f.own()), id)
		f.waitStatus(id, rqcompat.StatusFinished)
	}
	queued := f.rdb.LRange(ctx, rqcompat.QueueKey(f.shared()), 0, -1).Val()
	again()
	want(t, "handed over again", fmt.Sprint(f.rdb.LRange(ctx, rqcompat.QueueKey(f.shared()), 0, -1).Val()), fmt.Sprint(queued))
	result := f.rdb.HGet(ctx, rqcompat.JobKey(as), "bridge_payload").Val()
	f.rdb.Del(ctx, rqcompat.JobKey(as))
	again()
	want(t, "handed over again though Python had it", f.rdb.Exists(ctx, rqcompat.JobKey(as)).Val(), 0)
	f.rdb.HDel(ctx, rqcompat.JobKey(id), "bridge_handed")
	f.rdb.LRem(ctx, rqcompat.QueueKey(f.shared()), 0, as)
	again()
	want(t, "handed over as", f.handed(f.shared())[id].ID, as)
	f.rdb.HSet(ctx, rqcompat.JobKey(as), "bridge_payload", result) // which had died with the bridge
}

// TestCallbackOfAKilledBridge kills a bridge that has written the row's end, and of whose last words to Redis nothing came: the
// next one hands the callback over, once and under the id that the log names.
func TestCallbackOfAKilledBridge(t *testing.T) {
	f := newFleet(t, "2.6.1", nil)
	db := f.install()
	addJobType(t, f, db)
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env, child.Stderr = append(os.Environ(), childVariable+"="+f.dir, childDoes+"=works"), os.Stderr
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	id := f.frappeEnqueue("go", "go.work", values{"job_id": "a", "organization": "ORG-A", "end": "slow", "on_success": "tasks.tell"})
	f.waitStatus(id, rqcompat.StatusStarted)
	if err := f.rdb.Do(t.Context(), "CLIENT", "PAUSE", 20_000, "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	f.eventually("the row is completed", func() bool { return lastMessages(t, db)[rows.StatusCompleted] != "" })
	_ = child.Process.Kill()
	_ = child.Wait()
	if err := f.rdb.Do(t.Context(), "CLIENT", "UNPAUSE").Err(); err != nil {
		t.Fatal(err)
	}
	want(t, "status after the kill", statusOf(fetch(t, f, id)), "started")
	want(t, "handed over by then", len(f.handed(f.shared())), 0)

	f.start(func(e *bridge.Engine) { bridge.Register(e, "go.work", anything) })
	f.waitStatus(id, rqcompat.StatusFinished)
	as := f.handed(f.shared())[id]
	if as == nil || !strings.HasSuffix(lastMessages(t, db)[rows.StatusCompleted], "to Python as job "+as.ID+" on queue bench:default") {
		t.Fatalf("handed over as %+v; the log says %q", as, lastMessages(t, db)[rows.StatusCompleted])
	}
	f.burst("simple", false, f.shared())
	want(t, "calls", len(f.told()[id]), 1)
}
