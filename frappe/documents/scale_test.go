package documents

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// newSiteDB is a database with the tables of a site, on a server of its own.
func newSiteDB(t *testing.T) *sql.DB {
	t.Helper()
	m := servertest.PrivateMariaDB(t, "--innodb-buffer-pool-size=512M")
	if err := m.CreateDatabase(t.Context(), "site", "site", "secret"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1", Sites: []servers.BenchSite{
		{Name: "s", DBName: "site", DBPassword: "secret", DBHost: m.Host, DBPort: m.Port}}})
	if err != nil {
		t.Fatal(err)
	}
	bench, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site, err := bench.Site("s")
	if err != nil {
		t.Fatal(err)
	}
	d, err := rows.Open(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := rows.Install(t.Context(), d, rows.InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", m.DSN("site"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // what a session has read is asked of that session
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ofKind are the shipped documents of a kind.
func ofKind(t *testing.T, kind string) []Document {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(d Document) bool { return d.Kind != kind })
}

// query is a report's SQL for two days.
func query(report Document, from, to string) string {
	return strings.NewReplacer("%(from_date)s", "'"+from+"'", "%(to_date)s", "'"+to+"'").Replace(report.Fields["query"].(string))
}

// condition is what Frappe makes of a card's filters.
func condition(t *testing.T, filters string) string {
	t.Helper()
	var list [][]any
	if err := json.Unmarshal([]byte(filters), &list); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, f := range list {
		switch value := f[3].(type) {
		case []any:
			var texts []string
			for _, v := range value {
				texts = append(texts, fmt.Sprintf("'%v'", v))
			}
			parts = append(parts, fmt.Sprintf("`tabBackground Job`.`%v` in (%s)", f[1], strings.Join(texts, ", ")))
		default:
			part := fmt.Sprintf("`tabBackground Job`.`%v` %v '%v'", f[1], f[2], value)
			if f[2] == "Timespan" {
				part = fmt.Sprintf("`tabBackground Job`.`%v` between '2026-06-30 00:00:00.000000' AND '2026-06-30 23:59:59.999999'", f[1])
			}
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " and ")
}

// deskQueries are what the desk of Frappe 15 asks, as the general log of a real site has them. readable is the condition
// that Frappe adds for who asks, "" for nobody's.
func deskQueries(t *testing.T, readable string) map[string]string {
	t.Helper()
	where := func(conditions ...string) string {
		conditions = slices.DeleteFunc(append(conditions, readable), func(c string) bool { return c == "" })
		if len(conditions) == 0 {
			return ""
		}
		return " where " + strings.Join(conditions, " and ")
	}
	queries := map[string]string{}
	const columns = "`name`, `owner`, `creation`, `modified`, `modified_by`, `_user_tags`, `_comments`, `_assign`, `_liked_by`, `docstatus`, `idx`, `job_type`, `organization`, `status`, `progress`"
	filters := map[string]string{"all": "", "dead letters": "`status` = 'Dead Letter'", "running": "`status` = 'Running'", "failed": "`status` = 'Failed'"}
	if readable == "" {
		filters["of a type"], filters["of a type without jobs"] = "`job_type` = 'type_19'", "`job_type` = 'none'"
		filters["of an organization"], filters["of an organization without jobs"] = "`organization` = 'ORG-40'", "`organization` = 'none'"
		filters["mine"] = "`owner` = 'jane@example.com'"
	}
	for name, filter := range filters {
		queries["list, "+name] = "select " + columns + " from `tabBackground Job`" + where(filter) + " order by `tabBackground Job`.`modified` desc limit 20 offset 0"
		queries["count, "+name] = "select count(*) from (select `tabBackground Job`.name from `tabBackground Job`" + where(filter) + " limit 1001 offset 0) p"
	}
	for _, card := range ofKind(t, "number_card") {
		queries["card "+card.Name] = "select count(*) as result from `tabBackground Job`" + where(condition(t, card.Fields["filters_json"].(string)))
	}
	for _, status := range []string{"Pending", "Queued"} {
		queries["oldest "+status] = "select `name`, `modified` from `tabBackground Job`" + where("`status` = '"+status+"'") + " order by modified asc limit 1 offset 0"
	}
	queries["running now"] = "select `name`, `job_type`, `organization`, `progress`, `progress_message`, `started_at` from `tabBackground Job`" + where("`status` = 'Running'") +
		" order by started_at asc limit 10 offset 0"
	queries["shortcut My Jobs"] = "select count(`tabBackground Job`.name) as total_count from `tabBackground Job`" + where("`owner` = 'jane@example.com'")
	const quick = "select `name`, `job_type`, `status`, `docstatus`, `modified` from `tabBackground Job`"
	queries["quick list of dead letters"] = quick + where("`status` = 'Dead Letter'") + " order by modified desc limit 4 offset 0"
	queries["quick list of long running"] = quick + where("`status` = 'Running'", "coalesce(`started_at`, '0001-01-01 00:00:00.000000') < '2026-06-30 23:50:00'") +
		" order by modified desc limit 4 offset 0"
	return queries
}

// TestNothingReadsAllJobs: with many jobs no report, card or list reads more than the part that it is about.
func TestNothingReadsAllJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many rows")
	}
	n, timed := servertest.ManyJobs(t)
	db := newSiteDB(t)
	began := time.Now()
	servertest.MakeJobs(t, db, n)
	t.Logf("%d jobs made in %.1fs", n, time.Since(began).Seconds())
	queries := map[string]string{
		"list of the log":        "select `name`, `modified`, `background_job`, `from_status`, `to_status`, `timestamp` from `tabJob Execution Log` order by `tabJob Execution Log`.`modified` desc limit 20 offset 0",
		"list of a job's log":    "select `name`, `modified`, `background_job`, `from_status`, `to_status`, `timestamp` from `tabJob Execution Log` where `background_job` = 'JOB-77' order by `tabJob Execution Log`.`modified` desc limit 20 offset 0",
		"list of one's own log":  "select `name`, `modified`, `background_job`, `from_status`, `to_status`, `timestamp` from `tabJob Execution Log` where (((`tabJob Execution Log`.`owner` = 'nobody@example.com'))) order by `tabJob Execution Log`.`modified` desc limit 20 offset 0",
		"connections of a job":   "select distinct `name` from `tabJob Execution Log` where `background_job` = 'JOB-77' order by `modified` desc limit 100",
		"figures on a Job Type":  "select count(*) from `tabBackground Job` where `job_type` = 'type_3' and `status` = 'Completed' and `modified` > '2026-06-30 00:00:00'",
		"dead letters of a type": "select `name` from `tabBackground Job` where `job_type` = 'type_3' and `status` = 'Dead Letter' order by `modified` desc limit 20",
	}
	for _, report := range ofKind(t, "report") {
		queries["report "+report.Name] = query(report, "2026-06-29", "2026-06-30") // the filters' defaults
	}
	for who, readable := range map[string]string{
		"everybody's":     "",
		"one user's":      "(((`tabBackground Job`.`owner` = 'jane@example.com')))",
		"an idle user's":  "(((`tabBackground Job`.`owner` = 'nobody@example.com')))",
		"a busy user's":   "(((`tabBackground Job`.`owner` = 'user3@example.com')))",
		"an organization": "((((coalesce(`tabBackground Job`.`organization`, '')='' or `tabBackground Job`.`organization` in ('ORG-2')))))",
	} {
		for name, query := range deskQueries(t, readable) {
			queries[who+": "+name] = query
		}
	}
	// Frappe's condition for organizations is one that no index serves: counting goes on until a thousand are found.
	delete(queries, "an organization: count, all")
	limit := n/5 + 15000 // of two days of thirty, and of the reports' temporary tables
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		scans := scansOf(t, db, queries[name])
		read, took := cost(t, db, queries[name])
		t.Logf("%-60s %8d rows %8.1f ms", name, read, float64(took.Microseconds())/1000)
		if len(scans) > 0 || read > limit {
			t.Errorf("%s reads %d of %d rows, and all of %v:\n%s", name, read, n, scans, queries[name])
		}
		if timed && strings.Contains(name, "list") && took > 100*time.Millisecond {
			t.Errorf("%s takes %v:\n%s", name, took, queries[name])
		}
	}
}

// scansOf names the tables that a query reads from end to end.
func scansOf(t *testing.T, db *sql.DB, query string) (tables []string) {
	t.Helper()
	for _, step := range selectAll(t, db, "EXPLAIN "+query) {
		if strings.HasPrefix(step["table"], "tab") && step["type"] == "ALL" {
			tables = append(tables, step["table"])
		}
	}
	return tables
}

// cost is how many rows of tables, indexes and temporary tables a query reads, and how long it takes at best.
func cost(t *testing.T, db *sql.DB, query string) (read int, took time.Duration) {
	t.Helper()
	took = time.Hour
	for range 3 {
		mustExec(t, db, "FLUSH STATUS")
		began := time.Now()
		selectAll(t, db, query)
		took = min(took, time.Since(began))
		read = 0
		for _, v := range selectAll(t, db, "SHOW SESSION STATUS LIKE 'Handler_read%'") {
			n, _ := strconv.Atoi(v["Value"])
			read += n
		}
	}
	return read, took
}

// selectAll is what a query answers, each row by its columns.
func selectAll(t *testing.T, db *sql.DB, query string) (all []map[string]string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := found.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, column := range columns {
			row[column] = values[i].String
		}
		all = append(all, row)
	}
	if err := found.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}
