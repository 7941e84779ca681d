package bridge

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// kill takes down the worker of a job, or freezes it.
func (w *world) kill(name string) {
	if d := w.deliveries[name]; d != nil && d.attempt != nil && !d.attempt.dead {
		d.attempt.dead = true
		if w.chance(2) {
			w.zombies = append(w.zombies, d.attempt)
		}
	}
}

// rescue gives back what dead workers ran, and ends what took too many down.
func (w *world) rescue() {
	for _, name := range w.names {
		d := w.deliveries[name]
		if d == nil || d.attempt == nil || !d.attempt.dead {
			continue
		}
		if row := w.read(name); row.Status == rows.StatusRunning && row.StartedAt.Equal(d.startedAt) {
			move := moves.GiveBack(testSite, row, "Worker died")
			if d.kills+1 >= mostKills {
				move = moves.Poison(testSite, row, "it did", time.Now())
			}
			w.apply(move)
		}
		if d.kills++; d.kills >= mostKills {
			delete(w.deliveries, name)
			continue
		}
		d.started, d.attempt = false, nil
	}
}

// late lets a worker speak that was frozen: nothing of what it says may count if its row has moved on.
func (w *world) late() {
	if len(w.zombies) == 0 {
		return
	}
	z := w.zombies[0]
	w.zombies = w.zombies[1:]
	own := w.rows[z.row.Name].StartedRaw == z.row.StartedRaw && w.rows[z.row.Name].Status == rows.StatusRunning
	if result := w.settle(z.row, nil, nil); result.Applied != own {
		w.fail("%s: a worker that had been frozen settled it: %v, and the row was its: %v", z.row.Name, result.Applied, own)
	}
}

// byHand is what a person does to a job, perhaps by what he read a while ago.
func (w *world) byHand(name string) {
	row := w.read(name)
	if w.chance(4) {
		w.claim(name)
		w.end(name)
	}
	was := row.Status
	if w.chance(2) {
		if result := w.apply(moves.Cancel(testSite, row, "jane@example.com", moves.CanceledBy("jane@example.com"), time.Now())); result.Applied {
			if d := w.deliveries[name]; d != nil && d.attempt != nil {
				d.attempt.cause = job.ErrCanceled
			} else if was != rows.StatusRunning {
				delete(w.deliveries, name)
			}
		}
		return
	}
	if !row.NextRetryAt.IsZero() && w.chance(3) {
		w.deliveries[name] = &delivery{} // requeued in RQ, before its time: that spends the retry
		return
	}
	if was != rows.StatusPending && was != rows.StatusQueued && w.apply(moves.Requeue(testSite, row, "jane@example.com")).Applied {
		w.redeliver(name)
	}
}

// change is what may become of a site meanwhile.
func (w *world) change() {
	switch w.IntN(7) {
	case 6:
		w.facts.breaker = time.Now().Add(15 * time.Minute)
	case 5:
		w.facts.paused = w.chance(2)
	case 4:
		w.facts.left = w.chance(4)
	case 0:
		w.facts.maintenance = w.chance(2)
	case 1:
		w.facts.disabled = w.chance(4)
	default:
		w.facts.status = []string{
			rows.OrganizationActive, rows.OrganizationActive, rows.OrganizationActive, rows.OrganizationInactive, rows.OrganizationSuspended, rows.OrganizationDissolved, "",
		}[w.IntN(7)]
	}
}

// TestRetriesFollowTheirSchedule: a job that fails again and again starts six times, 1, 2, 4, 8 and 16 minutes after each failure,
// a fifth sooner or later and never at one moment with others, and is a dead letter then.
func TestRetriesFollowTheirSchedule(t *testing.T) {
	const jobs = 200
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.mended = true // nothing else happens
		started, failed := map[string]int{}, map[string]time.Time{}
		for range jobs {
			w.deliver(w.create(rows.BackgroundJob{JobType: "export", Organization: "ORG-A", OwnerUser: "jane@example.com", MaxRetries: 5, TimeoutSeconds: 300}).Name)
		}
		pauses := make([]map[time.Duration]bool, 5)
		for begun := time.Now(); time.Since(begun) < 45*time.Minute; time.Sleep(time.Second) {
			w.sweep()
			for _, name := range w.names {
				w.claim(name)
				d := w.deliveries[name]
				if d == nil || d.attempt == nil {
					continue
				}
				if n := started[name]; n > 0 {
					pause, want := time.Since(failed[name]), time.Minute<<(n-1)
					if pause < want*8/10 || pause > want*12/10+2*time.Second { // it is looked for once a second, and one in ten is lost on its way
						t.Errorf("%s: retry %d comes after %s, want %s ± 20 %%", name, n, pause, want)
					}
					if pauses[n-1] == nil {
						pauses[n-1] = map[time.Duration]bool{}
					}
					pauses[n-1][pause] = true
				}
				started[name]++
				failed[name] = time.Now()
				w.settle(d.attempt.row, errors.New("connection reset"), nil)
			}
		}
		for _, name := range w.names {
			if row := w.read(name); row.Status != rows.StatusDeadLetter || started[name] != 6 {
				t.Errorf("%s started %d times and is %s, want a dead letter after 6", name, started[name], row.Status)
			}
		}
		for n, found := range pauses {
			if len(found) < 10 {
				t.Errorf("retry %d comes after %d different pauses of %d jobs: they come back together", n+1, len(found), jobs)
			}
		}
	})
}
