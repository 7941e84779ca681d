package rows

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestHotQueries: each reads the site's jobs by an index, and with a million of them no more than twice what it reads with ten
// thousand, beside the rows that it names or counts. Times are logged, since a busy machine's say little.
func TestHotQueries(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many rows")
	}
	n, measured := servertest.ManyJobs(t)
	m := servertest.PrivateMariaDB(t, "--innodb-buffer-pool-size=2G", "--log-output=TABLE")
	compareHot(t, m, manyJobs(t, m, "few", 10_000), manyJobs(t, m, "many", n), measured)
}

func compareHot(t *testing.T, m *servers.MariaDB, few, many *manySite, measured bool) {
	root, err := sqlx.Open("mysql", m.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	turns := 3
	if measured {
		turns = 31
	}
	for _, name := range slices.Sorted(maps.Keys(hot)) {
		t.Run(name, func(t *testing.T) {
			do := func(s *manySite) int {
				t.Helper()
				answered, err := hot[name](t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				return answered
			}
			wantIndexes(t, many.x, statementsOf(t, root, func() { do(many) }))
			small, large := servertest.CostOf(t, root.DB, turns, func() int { return do(few) }), servertest.CostOf(t, root.DB, turns, func() int { return do(many) })
			t.Logf("with few and many jobs: %d and %d rows read beside %d and %d answered, %.1f and %.1f ms, %.1f times as long", small.Read, large.Read,
				small.Answered, large.Answered, small.Took.Seconds()*1000, large.Took.Seconds()*1000, large.Took.Seconds()/small.Took.Seconds())
			if small.Grows(large) {
				t.Errorf("reads %d rows with few jobs and %d with many, beside those that it answers", small.Read, large.Read)
			}
		})
	}
}

// wantIndexes checks that each of the statements reads tables by an index, and none from end to end, but for small ones.
func wantIndexes(t *testing.T, db *sqlx.DB, statements []string) {
	t.Helper()
	logged := map[string]bool{}
	for _, statement := range statements {
		for _, step := range explained(t, db, statement) {
			if step.Table == "" || step.Table[0] == '<' { // temporary ones
				continue
			}
			if how := fmt.Sprintf("%.6s: %s of %s by %q", statement, step.Type, step.Table, step.Key); !logged[how] {
				t.Logf("%s, %d rows", how, step.Rows)
				logged[how] = true
			}
			if step.Rows > 1000 && (step.Key == "" || step.Type == "index") {
				t.Errorf("%s of %d rows of %s by %q:\n%s", step.Type, step.Rows, step.Table, step.Key, statement)
			}
		}
	}
}

// manyJobs is a site of that name with n jobs.
func manyJobs(t *testing.T, m *servers.MariaDB, name string, n int) *manySite {
	t.Helper()
	if err := m.CreateDatabase(t.Context(), name, name, "secret"); err != nil {
		t.Fatal(err)
	}
	d := manyDB(t, m, name)
	if _, err := Install(t.Context(), d, InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", m.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	servertest.MakeJobs(t, db, n)
	for _, statement := range []string{ // each twentieth depends on the one before it, and is of a batch of ten
		"UPDATE `tabBackground Job` SET `depends_on`=CONCAT('JOB-',SUBSTRING(`name`,5)-1), `batch`=CONCAT('BATCH-',SUBSTRING(`name`,5) DIV 200) WHERE SUBSTRING(`name`,5)%20=0",
		"INSERT INTO `tabBackground Job Batch` (`name`,`creation`,`modified`,`organization`,`status`,`closed`,`completed_at`)" +
			" SELECT `batch`,MIN(`creation`),MAX(`modified`),'ORG-0',IF(MAX(`modified`)>'2026-06-30 23:58:00','Running','Completed'),1,IF(MAX(`modified`)>'2026-06-30 23:58:00',NULL,MAX(`modified`))" +
			" FROM `tabBackground Job` WHERE `batch` IS NOT NULL GROUP BY `batch`",
		"INSERT INTO `tabBackground Job Dependency` (`name`,`parent`,`parenttype`,`parentfield`,`background_job`)" +
			" SELECT MD5(`name`),`name`,'Background Job','dependencies',`depends_on` FROM `tabBackground Job` WHERE `depends_on` IS NOT NULL",
		"ANALYZE TABLE `tabBackground Job`, `tabBackground Job Dependency`, `tabBackground Job Batch`",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return knowing(t, d)
}

// knowing is a site and what its jobs are asked for by.
func knowing(t *testing.T, d *DB) *manySite {
	t.Helper()
	s := &manySite{DB: d}
	ended, _, err := d.ListChanged(t.Context(), ListFilter{Statuses: []Status{StatusCompleted}, Limit: 100})
	if err == nil {
		s.ended, s.lately = ended[99].Name, ended[99].Modified
		s.queued, err = d.Strings(t.Context(), "find some jobs", "SELECT `name` FROM `"+tableJob+"` WHERE `status`='Queued' AND `organization`='ORG-0'")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// manyDB is a site whose database is on a server.
func manyDB(t *testing.T, m *servers.MariaDB, name string) *DB {
	t.Helper()
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
	return siteDB(t, site)
}

// statementsOf are those that something sends.
func statementsOf(t *testing.T, root *sqlx.DB, do func()) (sent []string) {
	t.Helper()
	for _, s := range []string{"TRUNCATE mysql.general_log", "SET GLOBAL general_log=1"} {
		if _, err := root.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	do()
	if _, err := root.Exec("SET GLOBAL general_log=0"); err != nil {
		t.Fatal(err)
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
