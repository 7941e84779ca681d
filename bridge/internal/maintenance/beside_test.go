package maintenance

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestRescueSaysWhoRanBeside: the jobs of a process that died lapse within some seconds, and each is told of all.
func TestRescueSaysWhoRanBeside(t *testing.T) {
	l := newLapsed()
	crasher := l.lapse("crasher", l.add("JOB-1", rows.StatusRunning, runs))
	crasher.Kills, crasher.Beside = 2, "x\ny"
	l.lapse("first", nil)
	l.lapse("second", nil).WorkerName = "bridge-0123-2"
	l.lapse("other process", nil).WorkerName = "bridge-4567-1"
	l.lapse("python's", nil).WorkerName = "python-1"
	all := l.jobs
	l.soon, l.jobs = all, all[1:2] // the lease of the first one has ended, those of the others have seconds left
	rescue := l.rescue()
	if err := rescue.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.jobs, l.soon = all[:1], all[:1] // by then the others were rescued
	if err := rescue.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"first": "crasher, second", "crasher": "x\ny\nfirst, second"} {
		if got := l.rescued[id].Beside; got != want {
			t.Errorf("beside %s ran %q, want %q", id, got, want)
		}
	}
	want := "the job took its worker down 3 times; beside it ran, death by death: x; y; first, second"
	if row := l.rows["JOB-1"]; row.Status != rows.StatusDeadLetter || row.ErrorMessage != want {
		t.Errorf("row %s: %q, want a dead letter with %q", row.Status, row.ErrorMessage, want)
	}
	if len(l.reasons) != 1 || !strings.Contains(l.reasons[0], want) {
		t.Errorf("told of poison as %q, want %q", l.reasons, want)
	}
}

// TestRescueWhenNobodyKnowsWhoRanBeside: Redis is away for that question, and nothing is rescued with half an answer.
func TestRescueWhenNobodyKnowsWhoRanBeside(t *testing.T) {
	l := newLapsed()
	l.lapse("a", nil)
	l.soonErr = errBroken
	if err := l.rescue().Do(t.Context()); err == nil || len(l.rescued) > 0 {
		t.Errorf("error %v, rescued %v, want an error and nobody rescued", err, l.rescued)
	}
}
