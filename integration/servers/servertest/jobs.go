package servertest

import (
	"cmp"
	"database/sql"
	"os"
	"strconv"
	"testing"
)

// ManyJobs is how many jobs the tests of what grows with their number make; `make million` asks for a million. With that many
// times count too: they are measured often, or have limits.
func ManyJobs(t testing.TB) (n int, timed bool) {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("BRIDGE_TEST_JOBS"), "25000"))
	if err != nil {
		t.Fatalf("BRIDGE_TEST_JOBS: %v", err)
	}
	return n, n >= 1000000
}

// MakeJobs makes n jobs of the last 30 days: of 20 types, 50 organizations, and 40 users beside Jane, who has few. Most are
// done; the last ones run and wait. Each has a row in its log. It needs a site's tables of jobs.
func MakeJobs(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec("INSERT INTO `tabBackground Job` (name, creation, modified, modified_by, owner, job_type, organization, owner_user, status, progress, retry_count,"+
		" input_parameters, job_hash, created_at, started_at, completed_at, error_message)"+
		" SELECT CONCAT('JOB-', n), made, CASE WHEN status IN ('Pending','Queued') THEN made WHEN status='Running' THEN began ELSE ended END, 'Administrator', who, type, org, who, status, 50,"+
		"  IF(n%10=0, n DIV 10 % 5, 0), '{\"n\": 1}', HEX(n), made, IF(status IN ('Pending','Queued'), NULL, began), IF(status IN ('Completed','Dead Letter'), ended, NULL), IF(status='Completed', NULL, 'refused')"+
		" FROM (SELECT n, status, made, made + INTERVAL n%30 SECOND AS began, made + INTERVAL n%30 + 1 + n%97 SECOND AS ended,"+
		"   CONCAT('type_', FLOOR(POW(n%1000/1000,2)*20)) AS type, CONCAT('ORG-', FLOOR(POW(n%977/977,3)*50)) AS org, IF(n%2000=7, 'jane@example.com', CONCAT('user', n%40, '@example.com')) AS who"+
		"  FROM (SELECT seq AS n, TIMESTAMP'2026-06-30 23:59:00' - INTERVAL (? - seq) * (30*86400/?) SECOND AS made,"+
		"    CASE WHEN seq > ?-200 THEN 'Running' WHEN seq > ?-2000 THEN ELT(1+seq%3, 'Queued', 'Queued', 'Pending') WHEN seq%50=0 THEN 'Dead Letter' WHEN seq%101=0 THEN 'Canceled'"+
		"     WHEN seq%499=0 THEN ELT(1+seq%2, 'Failed', 'Timed Out') ELSE 'Completed' END AS status"+
		"   FROM seq_1_to_10000000 WHERE seq<=?) AS numbers) AS jobs", n, n, n, n, n)
	exec("INSERT INTO `tabJob Execution Log` (name, creation, modified, owner, background_job, organization, from_status, to_status, timestamp, message)" +
		" SELECT HEX(MD5(name)), modified, modified, owner, name, organization, 'Running', status, modified, 'Job completed successfully' FROM `tabBackground Job`")
	exec("ANALYZE TABLE `tabBackground Job`, `tabJob Execution Log`")
}
