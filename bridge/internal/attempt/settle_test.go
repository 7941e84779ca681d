package attempt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// errOdd is an error about the data.
var errOdd = fmt.Errorf("%w: odd data", rqcompat.ErrBadRequest)

// errNoRedis is what go-redis says of a server that is away.
var errNoRedis = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func failing(err error) func(context.Context, job.Reporter) (any, error) {
	return func(context.Context, job.Reporter) (any, error) { return nil, err }
}

// TestASignalDuringAStop ends a program as the stop would have: its job goes back and spends no retry. Without a stop it
// is a failure.
func TestASignalDuringAStop(t *testing.T) {
	signaled := fmt.Errorf("report: signal: terminated (%w)", job.ErrSignaled)
	for name, tc := range map[string]struct {
		stopAfter time.Duration
		want      []string
	}{
		"before the stop is known": {300 * time.Millisecond, []string{"row Running > Failed > Queued", "rq given back", "observers Queued", "ended given back"}},
		"without a stop":           {time.Hour, []string{"row Running > Failed", "rq scheduled", "observers Failed", "ended failed"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			time.AfterFunc(tc.stopAfter, h.Stopping)
			h.run(t, h.delivery(rows.StatusQueued, failing(signaled)))
			time.Sleep(signalNotice)
			synctest.Wait()
			h.wantStory(t, name, append([]string{"row Queued > Running", "observers Running"}, tc.want...)...)
			h.wantFree(t)
		})
	}
}

// TestSettlingGoesRowOutcomeObservers, whatever the attempt came to.
func TestSettlingGoesRowOutcomeObservers(t *testing.T) {
	if rqcompat.Judge(errNoRedis) != rqcompat.Away {
		t.Fatal("the fake's error doesn't count as a Redis that is away")
	}
	for name, tc := range map[string]struct {
		err   error
		row   string
		rq    string
		word  string
		exc   string
		grows bool // the failed registry
	}{
		"well":            {nil, "Completed", "finished", "finished", "", false},
		"failed":          {errBoom, "Failed", "scheduled", "failed", "", false},
		"failed for good": {refusal, "Dead Letter", "failed", "failed", "bridge.JobTypeError", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, failing(tc.err)))
			h.wantStory(t, name, "row Queued > Running", "observers Running", "row Running > "+tc.row, "rq "+tc.rq, "observers "+tc.row, "ended "+tc.word)
			o := h.rq.outcomes[0]
			if !o.NoRQRetry {
				t.Errorf("%s: RQ's own retries are spent besides the row's", name)
			}
			if !strings.Contains(o.Exc, tc.exc) || o.ID != site+"::JOB-1" || o.Queue != "b:go" || o.EndedAt.IsZero() {
				t.Errorf("%s: outcome %+v, want %q in its error", name, o, tc.exc)
			}
			if grown := len(h.failed) > 0; grown != tc.grows || grown && h.failed[0] != "b:go" {
				t.Errorf("%s: told of failed registries %v, want one: %v", name, h.failed, tc.grows)
			}
			h.wantFree(t)
		})
	}
}

// TestARetriedAttemptIsScheduled in RQ for a moment after its row is due, so that only one of them moves it; if its row is
// gone, nobody retries it, and it has failed.
func TestARetriedAttemptIsScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, failing(job.Mark(errBoom, job.Transient, 7*time.Second))))
		if due, at := h.rows.rows["JOB-1"].NextRetryAt, h.rq.outcomes[0].RetryAt; !due.Equal(time.Now().Add(7*time.Second)) || !at.After(due) || at.After(due.Add(time.Minute)) {
			t.Errorf("the row is due at %s, and RQ's job at %s, want that within a minute after it", due, at)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
			delete(h.rows.rows, "JOB-1")
			return nil, errBoom
		}))
		if o := h.rq.outcomes[0]; o.Kind != rqcompat.OutcomeFailed || !strings.Contains(o.Exc, "boom") {
			t.Errorf("an attempt whose row was deleted ends in RQ as %+v, want failed with its error", o)
		}
	})
}

// TestRQsOwnRetries belong to jobs that have no row to count them, but for what no retry mends.
func TestRQsOwnRetries(t *testing.T) {
	for err, want := range map[error]bool{errBoom: false, refusal: true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, plain(failing(err)))
			if got := h.rq.outcomes[0].NoRQRetry; got != want {
				t.Errorf("a plain job failed with %v: NoRQRetry is %v, want %v", err, got, want)
			}
		})
	}
}

// TestARetryIsScheduled by the handler's schedule, if it has one.
func TestARetryIsScheduled(t *testing.T) {
	for policy, want := range map[*job.RetryPolicy]time.Duration{nil: time.Minute, {Base: time.Second, Jitter: -1}: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			q := h.delivery(rows.StatusQueued, failing(errBoom))
			q.Handler.Retry = policy
			h.run(t, q)
			if got := time.Until(h.rows.rows["JOB-1"].NextRetryAt); got != want {
				t.Errorf("the retry is due in %s, want %s", got, want)
			}
		})
	}
}

// TestALostLease drops the result and frees the worker.
func TestALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(ctx context.Context, _ job.Reporter) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}))
		h.running.ofRow(site, "JOB-1").cancel(job.ErrLost)
		synctest.Wait()
		h.wantStory(t, "lost", "row Queued > Running", "observers Running", "rq given back")
		h.wantLog(t, "attempt no longer belongs to this worker; its result is dropped")
		h.wantFree(t)
	})
}

// TestALostLeaseOfWhatEndedWell: the result is tried all the same; row and RQ know whose it is.
func TestALostLeaseOfWhatEndedWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(ctx context.Context, _ job.Reporter) (any, error) {
			<-ctx.Done()
			return 1, nil
		}))
		h.running.ofRow(site, "JOB-1").cancel(job.ErrLost)
		synctest.Wait()
		h.wantStory(t, "lost, but well", "row Queued > Running", "observers Running",
			"row Running > Completed", "rq finished", "observers Completed", "ended finished")
	})
}

// TestARowThatIsAway is insisted on until it is back; the attempt holds its lease meanwhile.
func TestARowThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
			h.rows.fail(errAway)
			return "result", nil
		}))
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(h.running.unsettled()); n != 1 || !h.Holds(h.running.unsettled()[0].lease.Worker) {
			t.Fatalf("%d attempts are unsettled while the row is away, want the one, which holds its lease", n)
		}
		h.wantStory(t, "away", "row Queued > Running", "observers Running")
		h.rows.fail(nil)
		h.jobs.Wait()
		h.wantStory(t, "back", "row Queued > Running", "observers Running",
			"row Running > Completed", "rq finished", "observers Completed", "ended finished")
		if n := strings.Count(h.log.String(), "row can't be settled yet"); n != 2 {
			t.Errorf("an hour without the row takes %d lines, want one when it begins and one when it is over:\n%s", n, h.log.String())
		}
		h.wantFree(t)
	})
}

// TestTheLastMomentIsOver: what can't be written then is left to the next delivery.
func TestTheLastMomentIsOver(t *testing.T) {
	for name, end := range map[string]func(h *house, cancel func()){
		"the process ends":  func(_ *house, cancel func()) { cancel() },
		"the lease is lost": func(h *house, _ func()) { h.running.ofRow(site, "JOB-1").cancel(job.ErrLost) },
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			q := h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
				h.rows.fail(errAway)
				return "result", nil
			})
			settle, cancel := context.WithCancel(t.Context())
			defer cancel()
			slot := h.slots.Take(1)[0]
			h.Start(t.Context(), settle, q, nil, slot, rqcompat.Lease{Queue: "b:go", ID: q.ID, Worker: slot.Worker.Name, StartedAt: time.Now()})
			time.Sleep(time.Minute)
			end(h, cancel)
			h.jobs.Wait()
			h.wantStory(t, name, "row Queued > Running", "observers Running", "ended finished")
			h.wantLog(t, "row can't be settled yet; left to the next delivery")
			h.wantFree(t)
		})
	}
}

// TestARowThatWasMovedMeanwhile: the row wins, and RQ's outcome follows it.
func TestARowThatWasMovedMeanwhile(t *testing.T) {
	for status, tc := range map[rows.Status]struct {
		err  error
		word string
		exc  string
	}{
		rows.StatusCanceled:   {nil, "stopped", stoppedText},
		rows.StatusDeadLetter: {nil, "failed", "row is Dead Letter"},
		rows.StatusFailed:     {errBoom, "failed", "boom"},
		rows.StatusCompleted:  {errBoom, "finished", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
				h.rows.rows["JOB-1"].Status = status
				return nil, tc.err
			}))
			h.wantStory(t, string(status), "row Queued > Running", "observers Running", "rq "+tc.word, "ended "+tc.word)
			if exc := h.rq.outcomes[0].Exc; !strings.Contains(exc, tc.exc) || tc.exc == "" && exc != "" {
				t.Errorf("%s: RQ's error is %q, want %q in it", status, exc, tc.exc)
			}
		})
	}
}

// TestARowThatSomebodyWroteMeanwhile ends as its attempt did: its log still says that it runs.
func TestARowThatSomebodyWroteMeanwhile(t *testing.T) {
	for _, status := range []rows.Status{rows.StatusCompleted, rows.StatusQueued, rows.StatusFailed, rows.StatusPending} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
				row := h.rows.rows["JOB-1"]
				row.Status, row.ModifiedBy, row.ModifiedRaw = status, "joe", "later"
				h.rows.log = map[string]rows.Status{"JOB-1": rows.StatusRunning}
				return nil, job.Mark(errBoom, job.Permanent, 0)
			}))
			if row := h.rows.rows["JOB-1"]; row.Status != rows.StatusDeadLetter || len(h.rq.outcomes) != 1 || h.rq.outcomes[0].Kind != rqcompat.OutcomeFailed {
				t.Errorf("set to %s it ends as %s, RQ is told %+v; want what its attempt came to", status, row.Status, h.rq.outcomes)
			}
			if m := h.rows.moves[1]; m.Was != rows.StatusRunning || !strings.HasSuffix(m.Message, "; undone: joe had set the status to "+string(status)) {
				t.Errorf("set to %s: the move is %+v", status, m)
			}
		})
	}
}

// TestARowThatIsAnotherAttempts: nothing is written, the delivery is the rescuer's to give back.
func TestARowThatIsAnotherAttempts(t *testing.T) {
	for name, change := range map[string]func(*rows.BackgroundJob){
		"runs elsewhere": func(row *rows.BackgroundJob) { row.StartedRaw = fenceText(time.Now().Add(time.Second)) },
		"is queued":      func(row *rows.BackgroundJob) { row.Status = rows.StatusQueued },
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
				change(h.rows.rows["JOB-1"])
				return nil, errBoom
			}))
			if len(h.rq.outcomes) > 0 {
				t.Errorf("a row that %s: RQ is told %+v, want nothing", name, h.rq.outcomes)
			}
			h.wantLog(t, "row belongs to another attempt by now; this result is dropped")
			h.wantFree(t)
		})
	}
}

func TestARowThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
			delete(h.rows.rows, "JOB-1")
			return nil, nil
		}))
		h.wantStory(t, "deleted", "row Queued > Running", "observers Running", "rq finished", "ended finished")
		h.wantLog(t, "row was deleted while its job ran")
	})
}

// TestRedisIsAway: the row is settled meanwhile, RQ's outcome when it is back, and only then the observers.
func TestRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.rq.fail(errNoRedis)
		h.run(t, h.delivery(rows.StatusQueued, nil))
		time.Sleep(time.Hour)
		synctest.Wait()
		h.wantStory(t, "away", "row Queued > Running", "observers Running", "row Running > Completed")
		h.rq.fail(nil)
		h.jobs.Wait()
		h.wantStory(t, "back", "row Queued > Running", "observers Running", "row Running > Completed", "rq finished", "observers Completed", "ended finished")
		h.wantLog(t, "outcome can't be written yet")
		h.wantFree(t)
	})
}

// TestAnOutcomeThatRedisRefusesKeepsNobodyElse: one of many meets a key of the wrong type.
func TestAnOutcomeThatRedisRefusesKeepsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.rq.odd = map[string]error{"plain-3": errOdd}
		h.rq.bareErr = errOdd
		h.rq.fail(errNoRedis) // so that they end in one batch
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			q := plain(nil)
			q.ID = "plain-" + id
			h.start(t.Context(), q)
		}
		time.Sleep(time.Minute)
		h.rq.fail(nil)
		h.jobs.Wait()
		if n := len(h.rq.outcomes); n != 4 {
			t.Errorf("%d outcomes are written, want the four that Redis takes: %v", n, h.rq.outcomes)
		}
		h.wantLog(t, "the outcome can't be written at all; the lease lapses, and maintenance decides", "odd data", "job_id=plain-3")
		h.wantFree(t)
	})
}

// TestAnOutcomeWithoutItsResult: where a key of the job holds something else, the job ends all the same.
func TestAnOutcomeWithoutItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, nil)
		h.rq.odd = map[string]error{q.ID: errOdd}
		h.run(t, q)
		h.jobs.Wait()
		h.wantStory(t, "odd", "row Queued > Running", "observers Running", "row Running > Completed", "rq bare finished", "observers Completed", "ended finished")
		h.wantLog(t, "it ends without result", "odd data")
		h.wantFree(t)
	})
}

// TestARowThatRefusesItsEnd is settled without what it refuses; one that refuses even that is left to RQ's word.
func TestARowThatRefusesItsEnd(t *testing.T) {
	for refusals, story := range map[int][]string{
		1: {"row Queued > Running", "observers Running", "row Running > Completed", "rq finished", "observers Completed", "ended finished"},
		2: {"row Queued > Running", "observers Running", "rq finished", "ended finished"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
				r.Progress(50, "a message")
				h.rows.refuse(refusals)
				return "result", nil
			}))
			h.jobs.Wait()
			h.wantStory(t, fmt.Sprint(refusals, " refusals"), story...)
			h.wantLog(t, "the row refuses what was to be written")
			if refusals > 1 {
				h.wantLog(t, "row can't be settled at all")
			}
			if last := h.rows.moves[len(h.rows.moves)-1]; refusals == 1 && (last.To != rows.StatusCompleted || slices.ContainsFunc(last.Set, rows.Value.IsText)) {
				t.Errorf("the last move is %+v, want Completed without any text", last)
			}
			h.wantFree(t)
		})
	}
}

// TestAnOutcomeThatRedisRefusesForNow is no refusal, though others of its batch were taken.
func TestAnOutcomeThatRedisRefusesForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.rq.odd = map[string]error{"plain-1": errNoRedis}
		h.start(t.Context(), plain(nil))
		h.jobs.Wait()
		h.wantStory(t, "tried again", "rq finished", "ended finished")
	})
}

func TestADeliveryThatIsNoLongerOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.rq.refused = true
		h.run(t, plain(nil))
		h.wantLog(t, "delivery was no longer this worker's")
		h.wantFree(t)
	})
}
