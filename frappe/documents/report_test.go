package documents

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReportFigures runs the reports on a few jobs whose figures anybody can work out.
func TestReportFigures(t *testing.T) {
	db := newSiteDB(t)
	job := func(name, jobType, org, status, moved string, seconds, retries int) {
		t.Helper()
		mustExec(t, db, "INSERT INTO `tabBackground Job` (name, creation, modified, owner, job_type, organization, owner_user, status, retry_count, started_at, completed_at)"+
			" VALUES (?, ?, ?, 'jane@example.com', ?, ?, 'jane@example.com', ?, ?, CAST(? AS DATETIME(6)) - INTERVAL ? SECOND, ?)",
			name, "2026-06-01 08:00:00", moved, jobType, org, status, retries, moved, seconds, moved)
	}
	for i := 1; i <= 20; i++ {
		job(fmt.Sprint("JOB-", i), "export", "ORG-1", "Completed", "2026-06-30 10:30:00", i, 0)
	}
	job("JOB-21", "export", "ORG-1", "Dead Letter", "2026-06-30 10:59:59.999999", 100, 5)
	job("JOB-22", "export", "ORG-2", "Timed Out", "2026-06-30 12:00:00", 300, 2)
	job("JOB-23", "export", "ORG-2", "Canceled", "2026-06-30 12:00:00", 1, 0)
	job("JOB-24", "import", "ORG-2", "Completed", "2026-06-29 23:00:00", 0, 1)
	job("JOB-25", "import", "ORG-2", "Completed", "2026-06-28 23:59:59.999999", 1, 0) // before
	job("JOB-26", "import", "ORG-2", "Completed", "2026-07-01 00:00:00", 1, 0)        // after
	job("JOB-27", "import", "ORG-2", "Queued", "2026-06-30 12:00:02", 0, 1)
	job("JOB-28", "import", "ORG-2", "Pending", "2026-06-30 12:00:01", 0, 0)

	type row = map[string]string
	want := map[string][]row{
		"Background Jobs by Type": {
			{"job_type": "export", "jobs": "23", "completed": "20", "failed": "2", "canceled": "1", "failure_rate": "9.1", "average": "10.5", "p95": "19.0", "longest": "20.0"},
			{"job_type": "import", "jobs": "1", "completed": "1", "failed": "0", "canceled": "0", "failure_rate": "0.0", "average": "0.0", "p95": "0.0", "longest": "0.0"},
		},
		"Background Jobs by Organization": {
			{"organization": "ORG-1", "jobs": "21", "completed": "20", "failed": "1", "canceled": "0", "failure_rate": "4.8", "average": "10.5", "p95": "19.0", "longest": "20.0"},
			{"organization": "ORG-2", "jobs": "3", "completed": "1", "failed": "1", "canceled": "1", "failure_rate": "50.0", "average": "0.0", "p95": "0.0", "longest": "0.0"},
		},
		"Background Jobs by Hour": {
			{"hour": "2026-06-29 23:00", "completed": "1", "failed": "0", "canceled": "0", "failure_rate": "0.0"},
			{"hour": "2026-06-30 10:00", "completed": "20", "failed": "1", "canceled": "0", "failure_rate": "4.8"},
			{"hour": "2026-06-30 12:00", "completed": "0", "failed": "1", "canceled": "1", "failure_rate": "100.0"},
		},
		"Background Jobs Waiting Longest": {
			{"name": "JOB-28", "job_type": "import", "organization": "ORG-2", "status": "Pending", "priority": "Normal", "waiting_since": "2026-06-30 12:00:01.000000", "owner_user": "jane@example.com", "depends_on": "", "retry_count": "0"},
			{"name": "JOB-27", "job_type": "import", "organization": "ORG-2", "status": "Queued", "priority": "Normal", "waiting_since": "2026-06-30 12:00:02.000000", "owner_user": "jane@example.com", "depends_on": "", "retry_count": "1"},
		},
		"Background Job Retries": {
			{"job_type": "export", "jobs": "2", "retries": "7", "most_retries": "5", "completed": "0", "dead_letters": "1", "still_trying": "1", "completed_rate": "0.0"},
			{"job_type": "import", "jobs": "2", "retries": "2", "most_retries": "1", "completed": "1", "dead_letters": "0", "still_trying": "1", "completed_rate": "100.0"},
		},
	}
	for _, report := range ofKind(t, "report") {
		t.Run(report.Name, func(t *testing.T) {
			got := selectAll(t, db, query(report, "2026-06-29", "2026-06-30"))
			if report.Name == "Background Jobs by Hour" {
				if len(got) != 48 {
					t.Errorf("%d hours of two days", len(got))
				}
				busy := got[:0]
				for _, hour := range got {
					if hour["failure_rate"] != "" {
						busy = append(busy, hour)
					}
				}
				got = busy
			}
			if diff := cmp.Diff(want[report.Name], got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReportColumns: Frappe takes a Query Report's columns by their order, whatever their names in the SQL. Where there are
// no jobs the hours are there nevertheless, since Frappe can't draw a line of one.
func TestReportColumns(t *testing.T) {
	db := newSiteDB(t)
	hours := slices.IndexFunc(ofKind(t, "report"), func(d Document) bool { return d.Name == "Background Jobs by Hour" })
	if n := len(selectAll(t, db, query(ofKind(t, "report")[hours], "2026-06-29", "2026-06-30"))); n != 48 {
		t.Errorf("%d hours of two days without a job", n)
	}
	for _, report := range ofKind(t, "report") {
		var listed []string
		for _, column := range report.Fields["columns"].([]any) {
			listed = append(listed, column.(map[string]any)["fieldname"].(string))
		}
		found, err := db.QueryContext(t.Context(), query(report, "2026-06-29", "2026-06-30"))
		if err != nil {
			t.Fatalf("%s: %v", report.Name, err)
		}
		columns, err := found.Columns()
		found.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(listed, columns); diff != "" {
			t.Errorf("%s:\n%s", report.Name, diff)
		}
	}
}

// TestNoFigureOfOthers: a Query Report asks the database past all permissions, and so does a chart of one; Frappe counts for
// a card of documents what its reader may read.
func TestNoFigureOfOthers(t *testing.T) {
	for _, report := range ofKind(t, "report") {
		roles := report.Fields["roles"].([]any)
		if report.Fields["report_type"] != "Query Report" || len(roles) != 1 || roles[0].(map[string]any)["role"] != "System Manager" {
			t.Errorf("%s: a Query Report is for System Managers, who see everything; its roles are %v", report.Name, roles)
		}
	}
	for _, card := range ofKind(t, "number_card") {
		if card.Fields["type"] != "Document Type" {
			t.Errorf("the card %s is of the type %v", card.Name, card.Fields["type"])
		}
	}
	for _, chart := range ofKind(t, "dashboard_chart") {
		// Charts of documents fetch a group for each instant, and some releases of Frappe keep one reader's for all.
		named := slices.ContainsFunc(ofKind(t, "report"), func(d Document) bool { return d.Name == chart.Fields["report_name"] })
		if chart.Fields["chart_type"] != "Report" || !named {
			t.Errorf("the chart %s is of the type %v, of the report %v", chart.Name, chart.Fields["chart_type"], chart.Fields["report_name"])
		}
	}
}
