package attempt

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestRedisLosesWhatRuns: it goes on and is put back, as it was if there is a copy, unless somebody else has it.
func TestRedisLosesWhatRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		copied, taken, moved bool
		wantPlain, wantRow   error
		job                  string // that the row's attempt is put back with
	}{
		"there are copies":     {copied: true, job: "as it was"},
		"there is none":        {job: "envelope of JOB-1"},
		"somebody took both":   {copied: true, taken: true, wantPlain: job.ErrLost, wantRow: job.ErrLost, job: "as it was"},
		"the row is another's": {copied: true, moved: true, wantRow: job.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				plainLease := h.start(t.Context(), plain(obeys))
				rowLease := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
				synctest.Wait()
				p, r := h.running.worker(plainLease.Worker), h.running.worker(rowLease.Worker)
				if tc.copied {
					h.rq.copies = map[string]*rqcompat.Job{}
					for _, l := range []rqcompat.Lease{plainLease, rowLease} {
						h.rq.copies[l.ID] = &rqcompat.Job{ID: l.ID, WorkerName: l.Worker, Description: "as it was"}
					}
				}
				h.rq.mark = "first"
				stop := background(t, func(ctx context.Context) { loops(ctx, h.KeepCopies, h.WatchData, h.RenewLeases) })
				time.Sleep(time.Second)
				h.rq.empty()
				h.rq.mu.Lock()
				h.rq.state = map[string]rqcompat.LeaseState{plainLease.ID: rqcompat.LeaseJobDeleted, rowLease.ID: rqcompat.LeaseJobDeleted}
				h.rq.lost = map[string]bool{plainLease.ID: tc.taken, rowLease.ID: tc.taken}
				h.rq.mu.Unlock()
				if tc.moved {
					h.rows.mu.Lock()
					h.rows.rows["JOB-1"].StartedRaw = fenceText(time.Now())
					h.rows.mu.Unlock()
				}
				time.Sleep(h.Lease)
				synctest.Wait()
				if got := job.CauseOf(p.ctx); got != tc.wantPlain {
					t.Errorf("the job without a row ends with %v, want %v", got, tc.wantPlain)
				}
				if got := job.CauseOf(r.ctx); got != tc.wantRow {
					t.Errorf("the row's ends with %v, want %v", got, tc.wantRow)
				}
				for _, back := range h.rq.restored {
					if back.Lease.ID == rowLease.ID && back.Job.Description != tc.job {
						t.Errorf("the row's is put back with the job %q, want %q", back.Job.Description, tc.job)
					}
				}
				stop()
				p.cancel(job.ErrStopped)
				r.cancel(job.ErrStopped)
				h.jobs.Wait()
			})
		})
	}
}

// TestPutBackAroundARenewal: an attempt whose claim was answered when the others were put back, or that is put back while its lease is
// being renewed, goes on like them.
func TestPutBackAroundARenewal(t *testing.T) {
	for _, name := range []string{"missed", "meanwhile"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				h.rq.mark = "first"
				h.lookAtData(t.Context())
				claimed := time.Now()
				time.Sleep(time.Second)
				h.rq.empty()
				if name == "missed" {
					h.lookAtData(t.Context())
				}
				lease := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
				synctest.Wait()
				r := h.running.worker(lease.Worker)
				r.began = claimed
				h.rq.state = map[string]rqcompat.LeaseState{lease.ID: rqcompat.LeaseJobDeleted}
				if name == "meanwhile" {
					h.rows.fail(errors.New("away"))
					h.lookAtData(t.Context()) // notices the loss, and can't put back yet
					h.rows.fail(nil)
					time.Sleep(time.Second)
					h.rq.asked = func() {
						h.rq.asked = nil
						time.Sleep(time.Second)
						h.lookAtData(t.Context())
					}
				}
				for range 2 {
					if err := h.renew(t.Context(), false); err != nil {
						t.Fatal(err)
					}
					h.lookAtData(t.Context())
				}
				if cause := job.CauseOf(r.ctx); cause != nil || len(h.rq.restored) == 0 {
					t.Errorf("it ended with %v, and was put back %d times", cause, len(h.rq.restored))
				}
				r.cancel(job.ErrStopped)
				h.jobs.Wait()
			})
		})
	}
}

// loops runs several until ctx ends.
func loops(ctx context.Context, all ...func(context.Context)) {
	done := make(chan struct{})
	for _, loop := range all {
		go func() { loop(ctx); done <- struct{}{} }()
	}
	for range all {
		<-done
	}
}

// TestALeaseThatHasRunOut: the handler ends unless Redis says that nobody takes jobs, or the row that it is still this attempt's.
func TestALeaseThatHasRunOut(t *testing.T) {
	silent := errors.New("i/o timeout")
	for name, tc := range map[string]struct {
		redis, site        error
		moved              bool
		wantPlain, wantRow error
	}{
		"Redis is silent":          {redis: silent, wantPlain: job.ErrLost},
		"and the row is another's": {redis: silent, moved: true, wantPlain: job.ErrLost, wantRow: job.ErrLost},
		"and so is the site":       {redis: silent, site: errAway, wantPlain: job.ErrLost, wantRow: job.ErrLost},
		"Redis's host refuses":     {redis: syscall.ECONNREFUSED, site: errAway},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				plainLease := h.start(t.Context(), plain(obeys))
				rowLease := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
				synctest.Wait()
				p, r := h.running.worker(plainLease.Worker), h.running.worker(rowLease.Worker)
				stop := background(t, func(ctx context.Context) { loops(ctx, h.RenewLeases, h.WatchOverdue) })
				h.rq.fail(tc.redis)
				h.rows.fail(tc.site)
				if tc.moved {
					h.rows.mu.Lock()
					h.rows.rows["JOB-1"].StartedRaw = fenceText(time.Now().Add(time.Second))
					h.rows.mu.Unlock()
				}
				time.Sleep(h.Lease - 10*time.Millisecond)
				synctest.Wait()
				if a, b := job.CauseOf(p.ctx), job.CauseOf(r.ctx); a != nil || b != nil {
					t.Errorf("before their leases have run out the handlers end with %v and %v", a, b)
				}
				if !h.overdue(p, time.Now().Add(20*time.Millisecond)) || job.Owned(r.ctx) != nil {
					t.Error("leases run out at another time than they should")
				}
				time.Sleep(2 * h.Lease)
				synctest.Wait()
				if got := job.CauseOf(p.ctx); got != tc.wantPlain {
					t.Errorf("the handler without a row ends with %v, want %v", got, tc.wantPlain)
				}
				if got := job.CauseOf(r.ctx); got != tc.wantRow {
					t.Errorf("the row's ends with %v, want %v", got, tc.wantRow)
				}
				if tc.wantPlain != nil && job.Owned(p.ctx) == nil {
					t.Error("what was lost may still submit")
				}
				h.rq.fail(nil)
				h.rows.fail(nil)
				stop()
				p.cancel(job.ErrStopped)
				r.cancel(job.ErrStopped)
				h.jobs.Wait()
			})
		})
	}
}
