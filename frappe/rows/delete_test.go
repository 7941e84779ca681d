package rows

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// left are the names in a table, sorted.
func left(t testing.TB, d *DB, query string) (names []string) {
	t.Helper()
	if err := d.x.Select(&names, query); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// end makes jobs that have ended, so many days ago.
func end(t testing.TB, d *DB, n int, status Status, days int) (names []string) {
	t.Helper()
	for _, j := range newJobs(t, d, n, StatusQueued) {
		names = append(names, j.Name)
		mustExec(t, d, "UPDATE `tabBackground Job` SET status=?, modified=modified-INTERVAL ? DAY WHERE name=?", string(status), days, j.Name)
	}
	return names
}

func TestDeleteOld(t *testing.T) {
	_, d := installed(t, testMajor)
	old := end(t, d, deleteBatch+3, StatusCompleted, 31)
	young := end(t, d, 1, StatusCompleted, 29)
	dead := end(t, d, 1, StatusDeadLetter, 99)
	parent := end(t, d, 2, StatusCompleted, 40)
	child := newJobs(t, d, 2, StatusQueued)
	mustExec(t, d, "UPDATE `tabBackground Job` SET depends_on=? WHERE name=?", parent[0], child[0].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET depends_on=?, status='Canceled' WHERE name=?", parent[1], child[1].Name)
	release := lockRow(t, d, old[0])
	defer release()

	before := d.Now().Add(-30 * 24 * time.Hour)
	if n, err := d.CountOld(t.Context(), StatusCompleted, before); err != nil || n != len(old)+len(parent) {
		t.Errorf("CountOld: %d, %v", n, err)
	}
	var batches []int
	for behind, more := (Place{}), true; more; more = behind != (Place{}) {
		gone, next, err := d.DeleteOld(t.Context(), StatusCompleted, before, behind)
		if err != nil {
			t.Fatal(err)
		}
		batches, behind = append(batches, len(gone)), next
	}
	// The first is among the parents, which are older: one of them, and the row that is locked, stay.
	if diff := cmp.Diff([]int{deleteBatch - 1, 4, 0}, batches); diff != "" {
		t.Errorf("batches: %s", diff)
	}
	stay := slices.Sorted(slices.Values([]string{old[0], young[0], dead[0], parent[0], child[0].Name, child[1].Name}))
	if diff := cmp.Diff(stay, left(t, d, "SELECT name FROM `tabBackground Job`")); diff != "" {
		t.Errorf("rows left: %s", diff)
	}
	if diff := cmp.Diff(stay, left(t, d, "SELECT DISTINCT background_job FROM `tabJob Execution Log`")); diff != "" {
		t.Errorf("logs left: %s", diff)
	}
}

// TestDeleteWithLongLogs: a transaction takes no more rows of log than it may, unless one job alone has more.
// TestDeleteOldBatches: a batch stays as long as it has a job, or hasn't ended.
func TestDeleteOldBatches(t *testing.T) {
	_, d := installed(t, testMajor)
	for name, completed := range map[string]any{
		"BATCH-OLD": "2020-01-01", "BATCH-WITH-A-JOB": "2020-01-01", "BATCH-RUNNING": nil, "BATCH-YOUNG": deskTime(d.Now().Format("2006-01-02 15:04:05")),
	} {
		mustExec(t, d, "INSERT INTO `tabBackground Job Batch` (name, creation, modified, completed_at) VALUES (?, '2020-01-01', '2020-01-01', ?)", name, completed)
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET batch='BATCH-WITH-A-JOB' WHERE name=?", newJobs(t, d, 1, StatusQueued)[0].Name)
	if n, err := d.DeleteOldBatches(t.Context(), d.Now().Add(-30*24*time.Hour)); err != nil || n != 1 {
		t.Errorf("%d deleted, %v", n, err)
	}
	if diff := cmp.Diff([]string{"BATCH-RUNNING", "BATCH-WITH-A-JOB", "BATCH-YOUNG"}, left(t, d, "SELECT name FROM `tabBackground Job Batch`")); diff != "" {
		t.Error(diff)
	}
}

func TestDeleteWithLongLogs(t *testing.T) {
	_, d := installed(t, testMajor)
	names := end(t, d, 4, StatusDeadLetter, 50)
	for _, name := range names[1:3] {
		mustExec(t, d, "INSERT INTO `tabJob Execution Log` (name, creation, modified, background_job, to_status, timestamp) SELECT CONCAT(?, seq), NOW(), NOW(), ?, 'Failed', NOW() FROM seq_1_to_"+fmt.Sprint(deleteLogs), name, name)
	}
	var batches [][]string
	for behind, more := (Place{}), true; more; more = behind != (Place{}) {
		gone, next, err := d.DeleteOld(t.Context(), StatusDeadLetter, d.Now(), behind)
		if err != nil {
			t.Fatal(err)
		}
		batches, behind = append(batches, gone), next
	}
	if diff := cmp.Diff([][]string{names[:1], names[1:2], names[2:3], names[3:], nil}, batches); diff != "" {
		t.Error(diff)
	}
	if n := len(left(t, d, "SELECT name FROM `tabJob Execution Log`")); n != 0 {
		t.Errorf("%d rows of log are left", n)
	}
}

// TestDeleteEnded: only what is in one of the statuses goes, with what Frappe keeps about it in tables that have an index for
// that; others stay as they are.
func TestDeleteEnded(t *testing.T) {
	_, d := installed(t, testMajor)
	for table, index := range map[string]string{"tabComment": "INDEX (reference_doctype, reference_name)", "tabView Log": "INDEX (reference_name)", "tabDocShare": ""} {
		doctype, name := "reference_doctype", "reference_name"
		if table == "tabDocShare" {
			doctype, name = "share_doctype", "share_name"
		}
		create := "CREATE TABLE `" + table + "` (name varchar(140) PRIMARY KEY, " + doctype + " varchar(140), " + name + " varchar(140)"
		if index != "" {
			create += ", " + index
		}
		mustExec(t, d, create+")")
	}
	dead, canceled, waits := end(t, d, 1, StatusDeadLetter, 0)[0], end(t, d, 1, StatusCanceled, 0)[0], newJobs(t, d, 1, StatusQueued)[0].Name
	for _, name := range []string{dead, canceled} {
		for _, insert := range []string{"`tabComment` VALUES (CONCAT('c', ?), 'Background Job', ?)", "`tabView Log` VALUES (CONCAT('v', ?), 'Background Job', ?)",
			"`tabDocShare` VALUES (CONCAT('s', ?), 'Background Job', ?)"} {
			mustExec(t, d, "INSERT INTO "+insert, name, name)
		}
	}
	mustExec(t, d, "INSERT INTO `tabComment` VALUES ('other', 'Job Type', ?)", dead)
	gone, err := d.DeleteEnded(t.Context(), []string{dead, canceled, waits, "JOB-0000-00000", "no\x00name"}, []Status{StatusDeadLetter})
	if err != nil || len(gone) != 1 || gone[0] != dead {
		t.Fatalf("deleted %v, %v", gone, err)
	}
	for query, want := range map[string][]string{
		"SELECT name FROM `tabBackground Job`":                       {canceled, waits},
		"SELECT DISTINCT background_job FROM `tabJob Execution Log`": {canceled, waits},
		"SELECT name FROM `tabComment`":                              {"c" + canceled, "other"},
		"SELECT name FROM `tabView Log`":                             {"v" + canceled},
		"SELECT share_name FROM `tabDocShare` WHERE name LIKE 's%'":  {dead, canceled}, // without an index it would be read from end to end
	} {
		slices.Sort(want)
		if diff := cmp.Diff(want, left(t, d, query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestUnmoved(t *testing.T) {
	_, d := installed(t, testMajor)
	old := end(t, d, 3, StatusFailed, 31)
	old = append(old, end(t, d, 1, StatusTimedOut, 32)...)
	end(t, d, 1, StatusFailed, 29)
	end(t, d, 1, StatusDeadLetter, 31)
	mustExec(t, d, "UPDATE `tabBackground Job` SET next_retry_at=NOW()-INTERVAL 31 DAY WHERE name=?", old[1])
	mustExec(t, d, "UPDATE `tabBackground Job` SET next_retry_at=NOW()+INTERVAL 2 DAY WHERE name=?", old[2])
	want := []string{old[3], old[0], old[1]}
	var got []string
	for behind := (Place{}); ; {
		page, err := d.Unmoved(t.Context(), d.Now().Add(-30*24*time.Hour), behind, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, behind = append(got, names(page)...), page[len(page)-1].Place()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
