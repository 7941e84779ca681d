package bridge

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestRetriesOfOthersDoNotHideOurs: rows that are due for a long time, because
// nobody who has their handler runs, must not keep ours waiting.
func TestRetriesOfOthersDoNotHideOurs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries) VALUES ('others', NOW(6), NOW(6), 'Administrator', 'Administrator', 'others', 1, 60, 5)")
	job := rows.NewJob{JobType: "others", Organization: "ORG-A", OwnerUser: "jane@example.com", MaxRetries: 5, Status: rows.StatusQueued}
	others := make([]rows.NewJob, 100) // what a look takes
	for i := range others {
		others[i] = job
	}
	if _, err := b.db.CreateJobs(t.Context(), others); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET status = 'Failed', next_retry_at = '2020-01-01'")
	job.JobType = "echo_job"
	ours, err := b.db.CreateJobs(t.Context(), []rows.NewJob{job})
	if err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET status = 'Failed', next_retry_at = '2020-01-02' WHERE name = ?", ours[0].Name)
	b.start(nil)
	b.waitRow(ours[0].Name, rows.StatusCompleted)
}
