package attempt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// background runs loop until the returned function is called.
func background(t *testing.T, loop func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		loop(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// TestABurstLeavesOneRecord within seconds: a hundred idle ones would fill RQ's lists of workers.
func TestABurstLeavesOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := background(t, h.RenewLeases)
		slots := h.slots.Take(10)
		for _, s := range slots {
			s.Registered = true
		}
		time.Sleep(7 * time.Second)
		h.slots.GiveBack(slots...)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if h.rq.gone != 9 {
			t.Errorf("nine seconds after a burst of ten %d records are removed, want nine", h.rq.gone)
		}
		stop()
	})
}

// TestLeasesAreRenewed three times in their length, and in full with the workers' heartbeat.
func TestLeasesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := background(t, h.RenewLeases)
		synctest.Wait()
		if len(h.rq.beats) != 1 || h.rq.beats[0] != 1 {
			t.Errorf("heartbeats at the start: %v, want one, of one idle worker", h.rq.beats)
		}
		begin := time.Now()
		first, second := h.start(t.Context(), plain(obeys)), h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
		time.Sleep(31*time.Second + time.Millisecond)
		synctest.Wait()
		stop()
		var at []string
		for _, r := range h.rq.renewed {
			at = append(at, fmt.Sprint(r.at.Sub(begin), " full=", r.full))
			if r.lease != 90*time.Second || len(r.leases) != 2 {
				t.Errorf("%d leases are renewed for %s, want both for lease and slack", len(r.leases), r.lease)
			}
			for _, l := range r.leases {
				if l.Working != r.at.Sub(begin) {
					t.Errorf("after %s the lease says that %s were worked", r.at.Sub(begin), l.Working)
				}
				if l.Worker != first.Worker && l.Worker != second.Worker || l.ExecutionID != "e" || l.Queue != "b:go" {
					t.Errorf("renewed %+v, want one of the claims", l)
				}
			}
		}
		want := []string{"5s full=true", "10s full=false", "15s full=false", "20s full=true", "25s full=false", "30s full=false"}
		if !slices.Equal(at, want) {
			t.Errorf("renewed after %v, want %v", at, want)
		}
		if len(h.rq.beats) != 3 {
			t.Errorf("%d heartbeats, want one at the start and one with each full renewal", len(h.rq.beats))
		}
		for _, r := range h.running.unsettled() {
			r.cancel(job.ErrStopped)
		}
		h.jobs.Wait()
	})
}

func TestWhatARenewalSays(t *testing.T) {
	for state, want := range map[rqcompat.LeaseState]error{
		rqcompat.LeaseHeld: nil, rqcompat.LeaseCanceled: job.ErrCanceled, rqcompat.LeaseLost: job.ErrLost, rqcompat.LeaseJobDeleted: job.ErrLost,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			// Of two jobs only one's lease is odd.
			lease := h.start(t.Context(), plain(obeys))
			other := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
			synctest.Wait()
			r, fine := h.running.worker(lease.Worker), h.running.worker(other.Worker)
			h.rq.state = map[string]rqcompat.LeaseState{"plain-1": state}
			h.renew(t.Context(), true)
			if got := job.CauseOf(r.ctx); got != want {
				t.Errorf("a renewal that answers %d ends the handler with %v, want %v", state, got, want)
			}
			if job.CauseOf(fine.ctx) != nil {
				t.Errorf("a renewal that answers %d of one job ends another one", state)
			}
			r.cancel(job.ErrStopped)
			fine.cancel(job.ErrStopped)
			h.jobs.Wait()
		})
	}
}

// TestALeaseThatRedisRefuses says nothing of its job, nor of others: the attempts go on. What passes is tried again.
func TestALeaseThatRedisRefuses(t *testing.T) {
	for _, refusal := range []error{errOdd, errNoRedis} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			lease := h.start(t.Context(), plain(obeys))
			other := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
			synctest.Wait()
			r, fine := h.running.worker(lease.Worker), h.running.worker(other.Worker)
			h.rq.odd = map[string]error{"plain-1": refusal}
			if err := h.renew(t.Context(), true); (err != nil) != passes(refusal) {
				t.Errorf("a renewal that meets %v for one job: %v, want that only if it passes", refusal, err)
			}
			if a, b := job.CauseOf(r.ctx), job.CauseOf(fine.ctx); a != nil || b != nil {
				t.Errorf("a renewal that meets %v for one job ends it with %v, and another one with %v", refusal, a, b)
			}
			if refusal == errOdd {
				h.wantLog(t, "lease can't be renewed in full", "job_id=plain-1")
			}
			r.cancel(job.ErrStopped)
			fine.cancel(job.ErrStopped)
			h.jobs.Wait()
		})
	}
}

// TestARenewalThatFails leaves the jobs alone: Redis may be back before the leases lapse.
func TestARenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, plain(obeys))
		h.rq.fail(errNoRedis)
		ctx, cancel := context.WithCancel(t.Context())
		go h.RenewLeases(ctx)
		time.Sleep(h.Lease / 3)
		synctest.Wait()
		refused := h.rq.renewals()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := h.rq.renewals() - refused; n < 10 || n > 20 {
			t.Errorf("%d renewals were tried in the 10 s after one that failed, want about one a second", n)
		}
		if n := strings.Count(h.log.String(), "leases can't be renewed"); n != 1 {
			t.Errorf("that takes %d lines, want one:\n%s", n, h.log.String())
		}
		cancel()
		synctest.Wait()
		r := h.running.unsettled()[0]
		if r.ctx.Err() != nil {
			t.Errorf("a renewal that failed ended the handler: %v", context.Cause(r.ctx))
		}
		h.rq.fail(nil)
		r.cancel(job.ErrStopped)
		h.jobs.Wait()
		h.rq.renewed = nil
		h.renew(t.Context(), true)
		if len(h.rq.renewed) > 0 {
			t.Errorf("without a job Redis is asked to renew %+v", h.rq.renewed)
		}
	})
}

// TestAnAbandonedAttemptNeedsNoLease: its outcome is written.
func TestAnAbandonedAttemptNeedsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		release := make(chan struct{})
		h.run(t, plain(func(context.Context, job.Reporter) (any, error) {
			<-release
			return nil, nil
		}))
		h.running.unsettled()[0].cancel(job.ErrStopped)
		time.Sleep(time.Minute)
		h.renew(t.Context(), true)
		if len(h.rq.renewed) > 0 {
			t.Errorf("renewed %+v of an attempt that is settled", h.rq.renewed)
		}
		close(release)
		h.jobs.Wait()
	})
}

// TestTheRowOfARunningJobWasCanceled: its handler is told, and no other.
func TestTheRowOfARunningJobWasCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := background(t, h.WatchCancels)
		begin := time.Now()
		first, second := h.delivery(rows.StatusQueued, obeys), h.delivery(rows.StatusQueued, obeys)
		second.Row.Name, second.RowName, second.ID = "JOB-2", "JOB-2", site+"::JOB-2"
		other := *h.rows.rows["JOB-1"]
		other.Name = "JOB-2"
		h.rows.put(&other)
		h.start(t.Context(), first)
		h.start(t.Context(), second)
		h.start(t.Context(), plain(obeys))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		h.rows.fail(errAway) // asks again later
		time.Sleep(2 * time.Second)
		synctest.Wait()
		h.rows.fail(nil)
		h.rows.cancel("JOB-2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		left := map[string]bool{}
		for _, r := range h.running.unsettled() {
			left[r.lease.ID] = true
		}
		if want := map[string]bool{site + "::JOB-1": true, "plain-1": true}; !maps.Equal(left, want) {
			t.Errorf("%s after the start %v still run, want all but the canceled one", time.Since(begin), left)
		}
		if n := len(h.rq.outcomes); n != 1 || h.rq.outcomes[0].Kind != rqcompat.OutcomeStopped {
			t.Errorf("outcomes %+v, want one job stopped", h.rq.outcomes)
		}
		stop()
		for _, r := range h.running.unsettled() {
			r.cancel(errors.New("the test ends"))
		}
		h.jobs.Wait()
	})
}
