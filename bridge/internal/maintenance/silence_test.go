package maintenance

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// deathOf looks so many times, twice a second, and gives after how long job a was rescued, -1 if it wasn't.
func deathOf(t *testing.T, l *lapsedJobs, r *Rescue, looks int) time.Duration {
	t.Helper()
	begin := time.Now()
	for range looks {
		if err := r.Do(t.Context()); err != nil && !errors.Is(err, l.silence) {
			t.Errorf("look: %v", err)
		}
		if l.rescued["a"].ID != "" {
			return time.Since(begin)
		}
		time.Sleep(LookForDead)
	}
	return -1
}

// watched has looked for long enough to judge, and left lapsed leases alone.
func watched(t *testing.T) (*lapsedJobs, *Rescue) {
	l := newLapsed()
	l.left = []rqcompat.LapsedJob{{ID: "a", WorkerName: dead, StartedAt: fenceAt}}
	r := l.rescue()
	r.Every = time.Hour
	deathOf(t, l, r, 8)
	return l, r
}

const deadProcess = "bridge-0123"

func TestADeadProcess(t *testing.T) {
	tests := map[string]struct {
		before func(l *lapsedJobs, look func(n int))
		after  time.Duration
	}{
		"silent in three looks": {func(l *lapsedJobs, look func(int)) { l.silent = []string{deadProcess} }, time.Second},
		"heard again before":    {func(l *lapsedJobs, look func(int)) { l.silent = []string{deadProcess}; look(2); l.silent = nil }, -1},
		"silent now and then": {func(l *lapsedJobs, look func(int)) {
			for range 9 {
				l.silent = []string{deadProcess}
				look(2)
				l.silent = nil
				look(1)
			}
			l.silent = []string{deadProcess}
		}, time.Second},
		"while this one isn't heard": {func(l *lapsedJobs, look func(int)) { l.silent, l.deaf = []string{deadProcess}, true }, -1},
		"after this one wasn't heard": {func(l *lapsedJobs, look func(int)) {
			l.silent, l.deaf = []string{deadProcess}, true
			look(1)
			l.deaf = false
		}, 2500 * time.Millisecond},
		"while Redis is away": {func(l *lapsedJobs, look func(int)) { l.silent, l.silence = []string{deadProcess}, errBroken }, -1},
		"after Redis was away": {func(l *lapsedJobs, look func(int)) {
			l.silence = errBroken
			look(1)
			l.silent, l.silence = []string{deadProcess}, nil
		}, newPeriod},
		"after nobody looked": {func(l *lapsedJobs, look func(int)) {
			l.silent = []string{deadProcess}
			look(1)
			time.Sleep(blind)
		}, 3 * time.Second},
		"whose job's lease is renewed": {func(l *lapsedJobs, look func(int)) { l.left = nil; l.silent = []string{deadProcess} }, -1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, r := watched(t)
				tc.before(l, func(n int) { deathOf(t, l, r, n) })
				if got := deathOf(t, l, r, 12); got != tc.after {
					t.Errorf("its job is rescued after %s, want %s", got, tc.after)
				}
			})
		})
	}
}

// TestALookAtTheStart: who has just started takes nobody for dead yet.
func TestALookAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLapsed()
		l.left, l.silent = []rqcompat.LapsedJob{{ID: "a", WorkerName: dead}}, []string{deadProcess}
		r := l.rescue()
		if got := deathOf(t, l, r, 12); got != newPeriod {
			t.Errorf("rescued after %s, want %s", got, newPeriod)
		}
	})
}

// TestTheDeadAreBuried once nothing is left of them, and dug out when they are heard again.
func TestTheDeadAreBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := watched(t)
		l.silent = []string{deadProcess}
		deathOf(t, l, r, 4)
		if r.vigil.buried[deadProcess] {
			t.Error("buried with a job that was still to be rescued")
		}
		delete(l.rescued, "a")
		l.left[0].WorkerName = "python-1"
		deathOf(t, l, r, 2)
		if !r.vigil.buried[deadProcess] {
			t.Error("not buried although it left nothing")
		}
		l.left[0].WorkerName = dead
		if got := deathOf(t, l, r, 4); got != -1 {
			t.Errorf("who is buried is looked at after %s", got)
		}
		l.silent = nil
		deathOf(t, l, r, 1)
		l.silent = []string{deadProcess}
		if got := deathOf(t, l, r, 4); got != time.Second {
			t.Errorf("its second death is noticed after %s, want 1 s", got)
		}
	})
}

// TestWhatTheDeadRan is known of all of them before the first is rescued.
func TestWhatTheDeadRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := watched(t)
		row := l.add("JOB-1", rows.StatusRunning, runs)
		l.lapse("a", row)
		l.jobs = nil
		l.left[0].Kills, l.left[0].Beside = 2, "x\ny"
		l.left = append(l.left, rqcompat.LapsedJob{ID: "b", WorkerName: "bridge-0123-2"}, rqcompat.LapsedJob{ID: "c", WorkerName: "bridge-4567-1"})
		l.silent = []string{deadProcess}
		deathOf(t, l, r, 4)
		if got := l.rescued["b"].Beside; got != "a" {
			t.Errorf("beside b ran %q, want a", got)
		}
		if _, taken := l.rescued["c"]; taken {
			t.Error("a job of another process was rescued")
		}
		if want := "the job took its worker down 3 times; beside it ran, death by death: x; y; b"; l.rows["JOB-1"].Status != rows.StatusDeadLetter || l.rows["JOB-1"].ErrorMessage != want {
			t.Errorf("row %s: %q, want a dead letter with %q", l.rows["JOB-1"].Status, l.rows["JOB-1"].ErrorMessage, want)
		}
	})
}

// TestNoRightToAsk leaves it to the leases, without a word each time.
func TestNoRightToAsk(t *testing.T) {
	l := newLapsed()
	l.silence = denied{}
	l.lapse("a", nil)
	r := l.rescue()
	if err := r.Do(t.Context()); err != nil || l.rescued["a"].ID != "a" {
		t.Errorf("error %v, rescued %v, want what has lapsed rescued", err, l.rescued)
	}
	l.silence = errBroken
	if err := r.Do(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want that of the question", err)
	}
}

type denied struct{}

func (denied) Error() string {
	return "NOPERM this user has no permissions to run the 'pubsub' command"
}
func (denied) RedisError() {}

// TestAProcessThatHasJustStarted has lost no connection itself. Whether others have, it knows by how long Redis has been as it is.
func TestAProcessThatHasJustStarted(t *testing.T) {
	for name, tc := range map[string]struct {
		since  string // of Redis's data
		before func(l *lapsedJobs)
		after  time.Duration
	}{
		"of a server that has been there":         {"abc 946684740", func(*lapsedJobs) {}, time.Second},
		"of one that has just come":               {"abc 946684799", func(*lapsedJobs) {}, newPeriod},
		"of one that doesn't tell":                {" 946684740", func(*lapsedJobs) {}, newPeriod},
		"and isn't heard yet":                     {"abc 946684740", func(l *lapsedJobs) { l.deaf = true }, time.Second},
		"and found nobody to ask when it started": {"abc 946684740", func(l *lapsedJobs) { l.silence = errBroken }, newPeriod},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose time begins at 946684800
				l := newLapsed()
				l.left = []rqcompat.LapsedJob{{ID: "a", WorkerName: dead, StartedAt: fenceAt}}
				l.silent, l.mark = []string{deadProcess}, "mark "+tc.since
				r := l.rescue()
				r.Every = time.Hour
				tc.before(l)
				deathOf(t, l, r, 1)
				asked := l.silence != nil
				l.deaf, l.silence = false, nil
				want := tc.after
				if !asked {
					want -= LookForDead // the first look was the one before
				}
				if got := deathOf(t, l, r, 20); got != want {
					t.Errorf("a dead process is noticed after %s, want %s", got, want)
				}
			})
		})
	}
}

// TestManyJobsOfADeadProcess come back together: what is read, moved and written for them shares round trips.
func TestManyJobsOfADeadProcess(t *testing.T) {
	l := newLapsed()
	l.large, l.answers = map[string]bool{"job-7": true}, 2*time.Millisecond
	var left []rqcompat.LapsedJob
	for i := range 500 {
		left = append(left, rqcompat.LapsedJob{ID: fmt.Sprintf("job-%d", i), WorkerName: dead, StartedAt: fenceAt})
	}
	if err := l.rescue().rescue(t.Context(), queues[0], left); err != nil {
		t.Fatal(err)
	}
	if len(l.rescued) != 500 {
		t.Errorf("%d jobs are back, want all 500", len(l.rescued))
	}
	if l.calls > 50 {
		t.Errorf("that takes %d calls of Redis", l.calls)
	}
}
