package rows

import (
	"strings"
	"testing"
	"time"
)

func TestConnections(t *testing.T) {
	_, d := installed(t, testMajor)
	c, err := d.Connections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Open < 1 || c.User < 1 || c.User > c.Open || c.Most < c.Open || c.UserMost != 0 {
		t.Errorf("connections %+v, want some, fewer of the user than in all, and no limit for the user", c)
	}
}

func TestOverdue(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 3)
	now := d.Now().Truncate(time.Second)
	if n, first, err := d.Overdue(t.Context(), now); n != 0 || !first.IsZero() || err != nil {
		t.Errorf("without a retry: %d since %s, %v", n, first, err)
	}
	for i, due := range []time.Time{now.Add(-time.Hour), now.Add(-time.Minute), now.Add(time.Minute)} {
		fail(t, d, jobs[i], at, []Status{StatusFailed, StatusTimedOut, StatusFailed}[i], due)
	}
	n, first, err := d.Overdue(t.Context(), now)
	if n != 2 || !first.Equal(now.Add(-time.Hour)) || err != nil {
		t.Errorf("%d are overdue since %s, %v, want 2 since %s", n, first, err, now.Add(-time.Hour))
	}
}

// TestTablesWithoutDocTypes: Frappe would drop them.
func TestTablesWithoutDocTypes(t *testing.T) {
	_, d := installed(t, testMajor)
	lost := func() (tables []string) {
		problems, err := CheckTables(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.Contains(p.Problem, "trim-database") {
				tables = append(tables, p.Table)
			}
		}
		return tables
	}
	if got := lost(); got != nil {
		t.Errorf("without Frappe %v are reported", got)
	}
	mustExec(t, d, "CREATE TABLE `tabDocType` (`name` varchar(140) PRIMARY KEY)")
	mustExec(t, d, "INSERT INTO `tabDocType` VALUES ('Background Job'), ('Job Type')")
	if got, want := strings.Join(lost(), ", "), "tabBackground Job Batch, tabBackground Job Dependency, tabBackground Job Pause, tabJob Circuit Breaker, tabJob Execution Log, tabJob Schedule, tabOrganization, tabWithheld Job Result"; got != want {
		t.Errorf("tables that Frappe would drop: %s, want %s", got, want)
	}
}
