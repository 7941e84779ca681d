package rows

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// running is n jobs that have started at the same time.
func running(t testing.TB, d *DB, n int) ([]*BackgroundJob, time.Time) {
	t.Helper()
	at := d.Now()
	var ts []Transition
	for _, j := range newJobs(t, d, n, StatusQueued) {
		ts = append(ts, start(j.Name, at))
	}
	if _, err := d.Transition(t.Context(), ts); err != nil {
		t.Fatal(err)
	}
	var jobs []*BackgroundJob
	for _, tr := range ts {
		jobs = append(jobs, row(t, d, tr.Name))
	}
	return jobs, at
}

func TestSetProgress(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 5)
	transit(t, d, Transition{Name: jobs[1].Name, From: StatusRunning, To: StatusCompleted, Fence: fence(d, at)})
	got, err := d.SetProgress(t.Context(), []Progress{
		{jobs[0].Name, fence(d, at), 10, "first"},
		{jobs[1].Name, fence(d, at), 20, "has ended"},
		{jobs[2].Name, fence(d, at.Add(time.Second)), 30, "of another attempt"},
		{jobs[3].Name, fence(d, at), 40.5, strings.Repeat("ü", 300)},
		{jobs[0].Name, fence(d, at), 50, "second"},
		{"JOB-0000-00000", fence(d, at), 1, "no such row"},
		{jobs[4].Name, fence(d, at), math.NaN(), ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{true, false, false, true, true, false, true}, got); diff != "" {
		t.Error(diff)
	}
	for i, want := range []string{"50 second", "0 ", "0 ", "40.5 " + strings.Repeat("ü", 139) + "…", "0 "} {
		after := row(t, d, jobs[i].Name)
		if got := fmt.Sprintf("%v %s", after.Progress, after.ProgressMessage); got != want {
			t.Errorf("job %d: %q, want %q", i, got, want)
		}
		if i != 1 && after.ModifiedRaw != jobs[i].ModifiedRaw {
			t.Errorf("job %d: modified moved", i)
		}
	}
	again, err := d.SetProgress(t.Context(), []Progress{{jobs[0].Name, fence(d, at), 50, "second"}})
	if err != nil || !again[0] {
		t.Errorf("the same progress again counts as %v, %v", again, err)
	}
	if over, err := d.SetProgress(t.Context(), []Progress{{jobs[0].Name, fence(d, at), 1e9, ""}}); err != nil || !over[0] || row(t, d, jobs[0].Name).Progress != 100 {
		t.Errorf("%v, %v", over, err)
	}
}

// A form that is being saved delays its own job's progress only.
func TestSetProgressLockedRow(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 3)
	defer lockRow(t, d, jobs[1].Name)()
	got, err := d.SetProgress(t.Context(), []Progress{{jobs[0].Name, fence(d, at), 1, ""}, {jobs[1].Name, fence(d, at), 2, ""}, {jobs[2].Name, fence(d, at), 3, ""}})
	if err != nil || !got[0] || !got[1] || !got[2] {
		t.Errorf("%v, %v: all three still run", got, err)
	}
	if a, b := row(t, d, jobs[0].Name).Progress, row(t, d, jobs[2].Name).Progress; a != 1 || b != 3 {
		t.Errorf("the others' progress is %v and %v", a, b)
	}
}
