package rows

import (
	"fmt"
	"math"
	"slices"
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
		{Name: jobs[0].Name, Fence: fence(d, at), Percent: 10, Message: "first"},
		{Name: jobs[1].Name, Fence: fence(d, at), Percent: 20, Message: "has ended"},
		{Name: jobs[2].Name, Fence: fence(d, at.Add(time.Second)), Percent: 30, Message: "of another attempt"},
		{Name: jobs[3].Name, Fence: fence(d, at), Percent: 40.5, Message: strings.Repeat("ü", 300)},
		{Name: jobs[0].Name, Fence: fence(d, at), Percent: 50, Message: "second"},
		{Name: "JOB-0000-00000", Fence: fence(d, at), Percent: 1, Message: "no such row"},
		{Name: jobs[4].Name, Fence: fence(d, at), Percent: math.NaN(), Message: ""},
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
	again, err := d.SetProgress(t.Context(), []Progress{{Name: jobs[0].Name, Fence: fence(d, at), Percent: 50, Message: "second"}})
	if err != nil || !again[0] {
		t.Errorf("the same progress again counts as %v, %v", again, err)
	}
	if over, err := d.SetProgress(t.Context(), []Progress{{Name: jobs[0].Name, Fence: fence(d, at), Percent: 1e9, Message: ""}}); err != nil || !over[0] || row(t, d, jobs[0].Name).Progress != 100 {
		t.Errorf("%v, %v", over, err)
	}
}

// A form that is being saved delays its own job's progress only.
func TestSetProgressLockedRow(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 3)
	defer lockRow(t, d, jobs[1].Name)()
	got, err := d.SetProgress(t.Context(), []Progress{{Name: jobs[0].Name, Fence: fence(d, at), Percent: 1, Message: ""}, {Name: jobs[1].Name, Fence: fence(d, at), Percent: 2, Message: ""}, {Name: jobs[2].Name, Fence: fence(d, at), Percent: 3, Message: ""}})
	if err != nil || !got[0] || !got[1] || !got[2] {
		t.Errorf("%v, %v: all three still run", got, err)
	}
	if a, b := row(t, d, jobs[0].Name).Progress, row(t, d, jobs[2].Name).Progress; a != 1 || b != 3 {
		t.Errorf("the others' progress is %v and %v", a, b)
	}
}

// The last lines of the log go with a report that has some, and stay with one that has none.
func TestProgressWritesTheLogTail(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 3)
	tails := func() (list []string) {
		if err := d.x.Select(&list, "SELECT COALESCE(log_tail,'') FROM `tabBackground Job` ORDER BY name"); err != nil {
			t.Fatal(err)
		}
		return list
	}
	set := func(ps ...Progress) {
		t.Helper()
		for i := range ps {
			ps[i].Fence = fence(d, at)
		}
		if running, err := d.SetProgress(t.Context(), ps); err != nil || slices.Contains(running, false) {
			t.Fatalf("%v, %v", running, err)
		}
	}
	set(Progress{Name: jobs[0].Name, LogTail: "one\ntwo"}, Progress{Name: jobs[1].Name}, Progress{Name: jobs[2].Name, LogTail: "a\x00\xff😀"})
	set(Progress{Name: jobs[0].Name, Percent: 5}, Progress{Name: jobs[1].Name, LogTail: "first"}, Progress{Name: jobs[1].Name, Percent: 7})
	if diff := cmp.Diff([]string{"one\ntwo", "first", "a\x00\uFFFD😀"}, tails()); diff != "" {
		t.Error(diff)
	}
	set(Progress{Name: jobs[2].Name, LogTail: "b"})
	mustExec(t, d, "ALTER TABLE `tabBackground Job` MODIFY log_tail tinytext CHARACTER SET utf8mb3")
	d.tables.tables.Forget()
	set(Progress{Name: jobs[0].Name, LogTail: strings.Repeat("x", 300)}, Progress{Name: jobs[1].Name, LogTail: "😀"})
	if diff := cmp.Diff([]string{strings.Repeat("x", 252) + "…", "\uFFFD", "b"}, tails()); diff != "" {
		t.Errorf("a narrower column:\n%s", diff)
	}
}
