package rows

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withHash is a job to be created for a delivery that may come a second time.
func withHash(hash string) NewJob {
	n := newJob(StatusQueued)
	n.JobHash = hash
	return n
}

func TestCreateOrFindJobs(t *testing.T) {
	_, d := installed(t, testMajor)
	old, err := d.CreateJobs(t.Context(), []NewJob{withHash("a"), withHash("a"), withHash("b")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.CreateOrFindJobs(t.Context(), []NewJob{withHash("new"), withHash("b"), withHash("a")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("JOB-%s-00004", d.Now().Format("2006")), old[2].Name, old[1].Name}, names(got)); diff != "" {
		t.Errorf("a new hash, one that a row has, and one that two have (of these the newest), -want +got:\n%s", diff)
	}
	again, err := d.CreateOrFindJobs(t.Context(), []NewJob{withHash("new")})
	if err != nil || again[0].Name != got[0].Name {
		t.Errorf("the new hash a second time: %v, %v; want the row made for it, %s", names(again), err, got[0].Name)
	}
	if _, err := d.CreateOrFindJobs(t.Context(), []NewJob{withHash("c"), withHash("")}); err == nil || !strings.Contains(err.Error(), "job 2 of 2: value refused: job_hash is empty") {
		t.Errorf("without a hash: %v", err)
	}
	if _, total, err := d.ListJobs(t.Context(), ListFilter{}); err != nil || total != 4 {
		t.Errorf("%d rows, %v; want the three old ones and one new", total, err)
	}
}

func TestTakeBack(t *testing.T) {
	_, d := installed(t, testMajor)
	queued, started, other, wanted := newJobs(t, d, 1, StatusQueued)[0], newJobs(t, d, 1, StatusQueued)[0], newJobs(t, d, 1, StatusQueued)[0], withHash("wanted")
	pending := newJobs(t, d, 1, StatusPending)[0]
	transit(t, d, start(started.Name, d.Now()))
	wanted.Within = Ever
	var shared [2][]Created // by two submitters
	for i := range shared {
		var err error
		if shared[i], err = d.CreateUnlessThere(t.Context(), []NewJob{wanted}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.TakeBack(t.Context(), []*BackgroundJob{queued, pending, started, shared[0][0].Row, {Name: "JOB-0000-00000"}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{queued.Name, pending.Name} {
		if _, err := d.BackgroundJob(t.Context(), name); !errors.Is(err, ErrNoSuchJob) {
			t.Errorf("deleted %s: %v, want ErrNoSuchJob", name, err)
		}
		if lines := history(t, d, name); len(lines) != 0 {
			t.Errorf("deleted %s: its log is still there: %q", name, lines)
		}
	}
	for name, lines := range map[string]int{started.Name: 3, other.Name: 2, shared[0][0].Row.Name: 2} {
		if got := len(history(t, d, name)); got != lines {
			t.Errorf("%s, which has moved on, counts for another submitter too, or was not meant: %d lines of log, want %d", name, got, lines)
		}
		row(t, d, name)
	}
}

// A row that is made for a job which has started already must not have been created after that.
func TestCreatedAt(t *testing.T) {
	_, d := installed(t, testMajor)
	started := d.Now().Add(-2 * time.Millisecond)
	n := newJob(StatusQueued)
	n.CreatedAt = started.UTC()
	jobs, err := d.CreateJobs(t.Context(), []NewJob{n})
	if err != nil {
		t.Fatal(err)
	}
	transit(t, d, start(jobs[0].Name, started))
	if got := row(t, d, jobs[0].Name); !got.CreatedAt.Equal(got.StartedAt) || !got.Creation.After(got.StartedAt) {
		t.Errorf("created at %s, started at %s, the row made at %s; want the first two alike", got.CreatedAt, got.StartedAt, got.Creation)
	}
}
