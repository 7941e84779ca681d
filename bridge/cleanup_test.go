package bridge

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestJobsThatEndedLongAgoAreDeleted by the engine, with their logs; a dead letter has a time of its own, and what nobody retries
// becomes one.
func TestJobsThatEndedLongAgoAreDeleted(t *testing.T) {
	b := newBed(t, map[string]any{"queues": []string{"go"}})
	b.cfg.pace = fastPace
	b.cfg.Retention = Retention{Days: 10, DeadLetterDays: 20}
	handled, nobodys := "echo_job", "nobodys_job"
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, type_name, is_enabled) VALUES (?, NOW(6), NOW(6), ?, 1)", nobodys, nobodys)
	row := func(jobType string, status rows.Status, days int, retry string) string {
		t.Helper()
		created, err := b.db.CreateJobs(t.Context(), []rows.NewJob{{JobType: jobType, Organization: "ORG-A", OwnerUser: "jane@example.com", Status: rows.StatusQueued}})
		if err != nil {
			t.Fatal(err)
		}
		b.exec("UPDATE `tabBackground Job` SET status=?, modified=modified-INTERVAL ? DAY, next_retry_at="+retry+" WHERE name=?", status, days, created[0].Name)
		return created[0].Name
	}
	const none, past, future = "NULL", "NOW(6)-INTERVAL 11 DAY", "NOW(6)+INTERVAL 2 DAY"
	gone := []string{row(handled, rows.StatusCompleted, 11, none), row(handled, rows.StatusCanceled, 11, none), row(handled, rows.StatusDeadLetter, 21, none)}
	stay := []string{row(handled, rows.StatusCompleted, 9, none), row(handled, rows.StatusDeadLetter, 11, none), row(nobodys, rows.StatusFailed, 11, future)}
	givenUp := []string{row(nobodys, rows.StatusFailed, 11, past), row(handled, rows.StatusTimedOut, 11, none)}
	r := b.start(nil)
	b.eventually("what ended long ago is gone", func() bool {
		found, err := b.db.Statuses(t.Context(), append(slices.Clone(gone), givenUp...))
		return err == nil && len(found) == len(givenUp) && found[givenUp[0]] == rows.StatusDeadLetter && found[givenUp[1]] == rows.StatusDeadLetter
	}, func() string { return "" })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if found, err := b.db.Statuses(t.Context(), stay); err != nil || len(found) != len(stay) {
		t.Errorf("of %v are left %v, %v", stay, found, err)
	}
	for _, name := range gone {
		if lines := b.history(name); len(lines) > 0 {
			t.Errorf("%s has a log: %q", name, lines)
		}
	}
	story := b.history(givenUp[0])
	if want := "Failed>Dead Letter Job given up: nobody has retried it since "; !strings.HasPrefix(story[len(story)-1], want) {
		t.Errorf("story %q", story)
	}
}

// TestCleanupByHand counts first, deletes then what a configuration would keep, and tells how far it is.
func TestCleanupByHand(t *testing.T) {
	b := newBed(t, map[string]any{"queues": []string{"go"}})
	const n = 250
	created, err := b.db.CreateJobs(t.Context(), slices.Repeat([]rows.NewJob{{JobType: "echo_job", Organization: "ORG-A", OwnerUser: "jane@example.com", Status: rows.StatusQueued}}, n))
	if err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET status='Completed', modified=modified-INTERVAL 8 DAY")
	keep := Retention{Days: 7}
	c := b.client()
	if would, err := c.CountCleanup(t.Context(), testSite, keep); err != nil || would.Sum() != n {
		t.Errorf("would delete %+v, %v", would, err)
	}
	if done, err := c.Cleanup(t.Context(), testSite, Retention{}, nil); err != nil || done.Sum() != 0 {
		t.Errorf("deleted %+v, %v", done, err)
	}
	// What Frappe remembers of a document is forgotten.
	site, err := b.bench.Site(testSite)
	if err != nil {
		t.Fatal(err)
	}
	cached := site.DBName() + "|document_cache::Background Job::" + created[0].Name
	if err := b.rdb.Set(t.Context(), cached, "the row as it was", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var told []int
	done, err := c.Cleanup(t.Context(), testSite, keep, func(so Cleaned) { told = append(told, so.Sum()) })
	if err != nil || done.Deleted[rows.StatusCompleted] != n {
		t.Errorf("deleted %+v, %v", done, err)
	}
	if diff := cmp.Diff([]int{100, 200, 250}, told); diff != "" {
		t.Error(diff)
	}
	if left := b.rdb.Exists(t.Context(), cached).Val(); left != 0 {
		t.Error("Frappe still remembers a document that is gone")
	}
	if _, err := b.db.BackgroundJob(t.Context(), created[0].Name); err == nil {
		t.Error("a row is left")
	}
}
