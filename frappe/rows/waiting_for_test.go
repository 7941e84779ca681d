package rows

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waitingFor reads what all rows wait for.
func waitingFor(t *testing.T, d *DB) (list []string) {
	t.Helper()
	if err := d.x.Select(&list, "SELECT CONCAT_WS(' ',status,COALESCE(waiting_for,'NULL')) FROM `tabBackground Job` ORDER BY name"); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWaiting are the rows that should run and have not moved, oldest first, in steps.
func TestWaiting(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 6, StatusQueued)
	transit(t, d, start(jobs[4].Name, d.Now()))
	mustExec(t, d, "UPDATE `tabBackground Job` SET modified=modified - INTERVAL 1 HOUR, waiting_for='x', input_parameters='{}' WHERE name<>?", jobs[5].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Pending', modified=modified + INTERVAL 1 MINUTE WHERE name=?", jobs[0].Name)
	read := func(behind Place, limit int) (list []string, last Place) {
		t.Helper()
		found, err := d.Waiting(t.Context(), behind, time.Minute, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range found {
			list, last = append(list, fmt.Sprint(j.Name[len(j.Name)-1:], j.Status, j.WaitingFor, len(j.InputParameters))), j.Place()
		}
		return list, last
	}
	first, place := read(Place{}, 3)
	second, _ := read(place, 3)
	if diff := cmp.Diff([]string{"2Queuedx0", "3Queuedx0", "4Queuedx0", "1Pendingx0"}, append(first, second...)); diff != "" {
		t.Error(diff)
	}
	mustExec(t, d, "ALTER TABLE `tabBackground Job` DROP COLUMN waiting_for")
	d.tables.tables.Forget()
	if list, _ := read(Place{}, 3); len(list) > 0 {
		t.Errorf("without the column: %q", list)
	}
	if err := d.SetWaitingFor(t.Context(), map[string]string{jobs[0].Name: "x"}); err != nil {
		t.Errorf("without the column: %v", err)
	}
}

// TestSetWaitingFor writes to rows that still wait, moves none, and stays away from one that somebody holds.
func TestSetWaitingFor(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 4, StatusQueued)
	set := func(why map[string]string) {
		t.Helper()
		if err := d.SetWaitingFor(t.Context(), why); err != nil {
			t.Fatal(err)
		}
	}
	at := d.Now()
	transit(t, d, start(jobs[2].Name, at))
	long := strings.Repeat("ä\x00", 40_000)
	set(map[string]string{jobs[0].Name: "queue go is paused \xff😀", jobs[1].Name: long, jobs[2].Name: "too late", "JOB-0000-00000": "nobody"})
	got := waitingFor(t, d)
	if len(got[1]) > 65_600 || !strings.HasSuffix(got[1], "…") {
		t.Errorf("a long text has %d bytes", len(got[1]))
	}
	got[1] = "long"
	if diff := cmp.Diff([]string{"Queued queue go is paused \uFFFD😀", "long", "Running NULL", "Queued NULL"}, got); diff != "" {
		t.Error(diff)
	}
	if after := row(t, d, jobs[0].Name); after.ModifiedRaw != jobs[0].ModifiedRaw || after.WaitingFor != "queue go is paused \uFFFD😀" {
		t.Errorf("modified %q, was %q; it waits for %q", after.ModifiedRaw, jobs[0].ModifiedRaw, after.WaitingFor)
	}
	release := lockRow(t, d, jobs[3].Name)
	set(map[string]string{jobs[3].Name: "held"})
	release()
	set(map[string]string{jobs[0].Name: ""})
	if got := waitingFor(t, d); got[0] != "Queued NULL" || got[3] != "Queued NULL" {
		t.Errorf("after one has ended its waiting, and one was locked: %q", got)
	}
}

// TestSetHandledBy writes to the Job Types that are named; one that the site doesn't have, and columns that it lacks, are left out.
func TestSetHandledBy(t *testing.T) {
	_, d := installed(t, testMajor)
	if _, err := d.InsertJobTypes(t.Context(), sampleJobTypes); err != nil {
		t.Fatal(err)
	}
	read := func() (list []string) {
		t.Helper()
		if err := d.x.Select(&list, "SELECT CONCAT_WS('|',name,COALESCE(LEFT(handled_by,20),'nobody'),COALESCE(handled_at>NOW() - INTERVAL 2 DAY,'never'),modified=creation,LENGTH(handled_by)<65536) FROM `tabJob Type` ORDER BY name"); err != nil {
			t.Fatal(err)
		}
		return list
	}
	by := map[string]string{"echo_job": "bridge-1 \xff😀", "sample_job": strings.Repeat("x", 100_000), "nobodys": "x"}
	if err := d.SetHandledBy(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"echo_job|bridge-1 \uFFFD😀|1|1|1", "long_running_job|nobody|never|1", "sample_job|" + strings.Repeat("x", 20) + "|1|1|1"}, read()); diff != "" {
		t.Error(diff)
	}
	mustExec(t, d, "ALTER TABLE `tabJob Type` DROP COLUMN handled_by")
	d.tables.tables.Forget()
	if err := d.SetHandledBy(t.Context(), by); err != nil {
		t.Errorf("without the column: %v", err)
	}
}

// TestCount counts by organization and status, and no further than asked: it reads an index, and of that as much as it counts.
func TestCount(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 7, StatusQueued)
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Pending' WHERE name IN (?,?)", jobs[0].Name, jobs[1].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET organization='ORG-B' WHERE name IN (?,?,?)", jobs[1].Name, jobs[2].Name, jobs[3].Name)
	for _, tc := range []struct {
		organization string
		most, want   int
	}{{"ORG-2026-00001", 100, 4}, {"ORG-B", 100, 3}, {"", 100, 7}, {"", 5, 5}, {"nobody", 100, 0}} {
		n, err := d.Count(t.Context(), tc.organization, []Status{StatusPending, StatusQueued}, tc.most)
		if err != nil || n != tc.want {
			t.Errorf("of %q, at most %d: %d, %v, want %d", tc.organization, tc.most, n, err, tc.want)
		}
	}
}
