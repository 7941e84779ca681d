package rows

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// hot are what is asked again and again of a site with many jobs; none may read more of the tables than its own part.
var hot = map[string]func(ctx context.Context, d *DB) error{
	"delete old jobs": func(ctx context.Context, d *DB) error {
		gone, _, err := d.DeleteOld(ctx, StatusCompleted, manyJobsEnd, Place{})
		return some(len(gone), err)
	},
	"delete jobs by name": func(ctx context.Context, d *DB) error {
		list, err := d.selectJobs(ctx, "find some", "WHERE `status`='Dead Letter' ORDER BY `modified` LIMIT 10")
		if err != nil {
			return err
		}
		gone, err := d.DeleteEnded(ctx, names(list), []Status{StatusDeadLetter})
		return some(len(gone), err)
	},
	"jobs that nobody retries": func(ctx context.Context, d *DB) error {
		_, err := d.Unmoved(ctx, manyJobsEnd, Place{}, 10)
		return err
	},
	"list dead letters": func(ctx context.Context, d *DB) error {
		list, _, err := d.ListChanged(ctx, ListFilter{Statuses: []Status{StatusDeadLetter}})
		return some(len(list), err)
	},
	"list dead letters of an organization": func(ctx context.Context, d *DB) error {
		_, _, err := d.ListChanged(ctx, ListFilter{Organization: "ORG-3", Statuses: []Status{StatusDeadLetter}})
		return err
	},
	"list dead letters of a type": func(ctx context.Context, d *DB) error {
		_, _, err := d.ListChanged(ctx, ListFilter{JobType: "type_3", Statuses: []Status{StatusDeadLetter}})
		return err
	},
	"list dead letters of a day": func(ctx context.Context, d *DB) error {
		_, _, err := d.ListChanged(ctx, ListFilter{ChangedFrom: manyJobsEnd.Add(-24 * time.Hour), Statuses: []Status{StatusDeadLetter}})
		return err
	},
	"due retries": func(ctx context.Context, d *DB) error {
		_, err := d.Due(ctx, d.Now(), []string{"type_1", "type_2"}, 100)
		return err
	},
	"stale jobs": func(ctx context.Context, d *DB) error {
		_, err := d.Stale(ctx, Place{}, time.Minute, 100)
		return err
	},
}

// manyJobsEnd is when the last of servertest.MakeJobs was made.
var manyJobsEnd = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func some(n int, err error) error {
	if n == 0 && err == nil {
		return fmt.Errorf("found none")
	}
	return err
}

// TestHotQueries: each reads by an index, and with a million jobs takes no more than twice what it takes with ten thousand.
func TestHotQueries(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many rows")
	}
	n, timed := servertest.ManyJobs(t)
	m := servertest.PrivateMariaDB(t, "--innodb-buffer-pool-size=2G", "--log-output=TABLE")
	few, many := manyJobs(t, m, "few", 10_000), manyJobs(t, m, "many", n)
	root, err := sqlx.Open("mysql", m.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, do := range hot {
		t.Run(name, func(t *testing.T) {
			for _, statement := range statementsOf(t, root, many, do) {
				for _, step := range explained(t, many.x, statement) {
					if strings.HasPrefix(step.Table, "tab") && !strings.HasPrefix(statement, "DELETE") {
						t.Logf("%-30.30s… %s of %s by %q, %d rows", statement, step.Type, step.Table, step.Key, step.Rows)
					}
					if strings.HasPrefix(step.Table, "tab") && (step.Type == "ALL" || step.Type == "index") && step.Rows > int64(n)/5 {
						t.Errorf("%s of %d rows of %s by %q:\n%s", step.Type, step.Rows, step.Table, step.Key, statement)
					}
				}
			}
			small, large := atBest(t, few, do), atBest(t, many, do)
			t.Logf("%.1f ms with 10,000 jobs, %.1f ms with %d", small.Seconds()*1000, large.Seconds()*1000, n)
			if timed && large > 2*small+10*time.Millisecond { // a busy machine is late by that; to read all takes a hundred times as long
				t.Errorf("%v with 10,000 jobs, %v with %d", small, large, n)
			}
		})
	}
}

// manyJobs is a site of that name with n jobs.
func manyJobs(t *testing.T, m *servers.MariaDB, name string, n int) *DB {
	t.Helper()
	if err := m.CreateDatabase(t.Context(), name, name, "secret"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1", Sites: []servers.BenchSite{
		{Name: name, DBName: name, DBPassword: "secret", DBHost: m.Host, DBPort: m.Port}}})
	if err != nil {
		t.Fatal(err)
	}
	bench, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site, err := bench.Site(name)
	if err != nil {
		t.Fatal(err)
	}
	d := siteDB(t, site)
	if _, err := Install(t.Context(), d, InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", m.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	servertest.MakeJobs(t, db, n)
	return d
}

// statementsOf are those that something sends.
func statementsOf(t *testing.T, root *sqlx.DB, d *DB, do func(context.Context, *DB) error) (sent []string) {
	t.Helper()
	for _, s := range []string{"TRUNCATE mysql.general_log", "SET GLOBAL general_log=1"} {
		if _, err := root.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	did := do(t.Context(), d)
	if _, err := root.Exec("SET GLOBAL general_log=0"); err != nil {
		t.Fatal(err)
	}
	if did != nil {
		t.Fatal(did)
	}
	if err := root.Select(&sent, "SELECT DISTINCT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query','Execute') AND argument REGEXP '^\\\\(?(SELECT|DELETE|UPDATE)' AND argument NOT LIKE '%general\\_log%'"); err != nil {
		t.Fatal(err)
	}
	if len(sent) == 0 {
		t.Fatal("it sent nothing")
	}
	return sent[:min(len(sent), 50)]
}

// step is what EXPLAIN says of a table.
type step struct {
	Table, Type, Key string
	Rows             int64
}

func explained(t *testing.T, db *sqlx.DB, statement string) (steps []step) {
	t.Helper()
	found, err := db.Queryx("EXPLAIN " + statement)
	if err != nil {
		t.Fatalf("EXPLAIN %s: %v", statement, err)
	}
	defer found.Close()
	for found.Next() {
		line := map[string]any{}
		if err := found.MapScan(line); err != nil {
			t.Fatal(err)
		}
		text := func(column string) string { b, _ := line[column].([]byte); return string(b) }
		s := step{Table: text("table"), Type: text("type"), Key: text("key")}
		_, _ = fmt.Sscan(text("rows"), &s.Rows)
		steps = append(steps, s)
	}
	return steps
}

func atBest(t *testing.T, d *DB, do func(context.Context, *DB) error) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		if err := do(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return slices.Min(took)
}
