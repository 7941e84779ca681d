package rows

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// InstallOptions says what Install adds beside the tables.
type InstallOptions struct {
	Samples bool // the Job Types echo_job, sample_job and long_running_job
	// Organization is the name of an active Organization, "" for none: jobs need one, and a plain site has no way to make it.
	Organization string
}

// InstallReport says what Install did. Names are table names, indexes are "table.index".
type InstallReport struct {
	Created      []string `json:"created"`
	Kept         []string `json:"kept"`
	IndexesAdded []string `json:"indexes_added"`
	JobTypes     []string `json:"job_types"` // inserted
	// Organizations are those that were inserted.
	Organizations []string `json:"organizations,omitempty"`
}

// The two tables of Frappe that no DocType describes (frappe/database/mariadb/framework_mariadb.sql).
const (
	createSeries = "CREATE TABLE `tabSeries` (`name` varchar(100) NOT NULL, `current` int(10) NOT NULL DEFAULT 0, PRIMARY KEY (`name`))" +
		" ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
	createSingles = "CREATE TABLE `tabSingles` (`doctype` varchar(255) DEFAULT NULL, `field` varchar(255) DEFAULT NULL, `value` longtext," +
		" KEY `singles_doctype_field_index` (`doctype`,`field`)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
)

// Install creates the tables a site lacks and adds missing indexes to the ones it has. Existing tables are otherwise
// left as they are, so it may be run again at any time. On a database without Frappe it also creates the few core
// tables that are read here and in package access.
func Install(ctx context.Context, db *DB, opts InstallOptions) (report InstallReport, err error) {
	wanted, err := wantedTables(ctx, db)
	if err != nil {
		return report, err
	}
	db.tables.tables.Forget()
	defer db.tables.tables.Forget()
	for _, w := range wanted {
		if err := db.installTable(ctx, w, &report); err != nil {
			return report, err
		}
	}
	if err := db.prepareSeries(ctx); err != nil {
		return report, err
	}
	if opts.Samples {
		if report.JobTypes, err = db.InsertJobTypes(ctx, sampleJobTypes); err != nil {
			return report, err
		}
	}
	if opts.Organization != "" {
		if err := db.insertOrganization(ctx, opts.Organization, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// Frappe reports whether the database is that of a Frappe site, and not only of tables that Install made.
func (d *DB) Frappe(ctx context.Context) (bool, error) { return d.tables.has(ctx, "tabDocType") }

// wantedTable is a table and the statement that makes it.
type wantedTable struct{ name, create string }

// wantedTables depends on what is there: a database with a DocType table is a Frappe site, whose core tables are
// Frappe's business. Person and Org Member are only made where there is no Frappe: on a site that has no such app their
// empty tables would hide the User Permissions that say who belongs where.
func wantedTables(ctx context.Context, db *DB) ([]wantedTable, error) {
	own, err := db.ownDocTypes(ctx)
	if err != nil {
		return nil, err
	}
	var wanted []wantedTable
	for _, d := range own {
		wanted = append(wanted, wantedTable{d.table(), d.createTable(db.major, neededIndexes[d.table()])})
	}
	frappe, err := db.Frappe(ctx)
	if err != nil || frappe {
		return wanted, err
	}
	core, err := loadDocTypes("doctype/core")
	if err != nil {
		return nil, err
	}
	for _, d := range core {
		wanted = append(wanted, wantedTable{d.table(), d.createTable(db.major, nil)})
	}
	return append(wanted, wantedTable{"tabSeries", createSeries}, wantedTable{"tabSingles", createSingles}), nil
}

// ownDocTypes are those of the tables that are kept here. Where jobs belong to another DocType there is no Organization.
func (d *DB) ownDocTypes(ctx context.Context) ([]docType, error) {
	tenant, err := d.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	own, err := loadDocTypes("doctype")
	return slices.DeleteFunc(own, func(t docType) bool { return t.Name == DefaultTenant && tenant != DefaultTenant }), err
}

func (d *DB) installTable(ctx context.Context, w wantedTable, report *InstallReport) error {
	exists, err := d.tables.has(ctx, w.name)
	if err != nil {
		return err
	}
	if !exists {
		// Two installs at once: the second one's 1050 is answered by IF NOT EXISTS.
		create := strings.Replace(w.create, "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1)
		if err := d.define(ctx, create); err != nil {
			return d.explain(ctx, "create `"+w.name+"`", err)
		}
		report.Created = append(report.Created, w.name)
		return nil
	}
	report.Kept = append(report.Kept, w.name)
	missing, err := d.missingIndexes(ctx, w.name)
	if err != nil {
		return err
	}
	for _, i := range missing {
		if err := d.define(ctx, "ALTER TABLE `"+w.name+"` ADD "+strings.Replace(i.definition(), "INDEX", "INDEX IF NOT EXISTS", 1)); err != nil {
			return d.explain(ctx, "add index "+i.name()+" to `"+w.name+"`", err)
		}
		report.IndexesAdded = append(report.IndexesAdded, w.name+"."+i.name())
	}
	return nil
}

// define changes a table, however long that takes.
func (d *DB) define(ctx context.Context, statement string) error {
	leave, err := d.bound.enter(ctx, &d.database)
	if err != nil {
		return err
	}
	defer leave()
	_, err = d.x.ExecContext(ctx, statement)
	return err
}

// missingIndexes are the needed indexes that no existing one serves and whose columns exist.
func (d *DB) missingIndexes(ctx context.Context, table string) ([]index, error) {
	if len(neededIndexes[table]) == 0 {
		return nil, nil
	}
	t, err := d.tables.get(ctx, table)
	if err != nil {
		return nil, err
	}
	have, err := d.indexes(ctx, table)
	if err != nil {
		return nil, err
	}
	var missing []index
	for _, need := range neededIndexes[table] {
		possible := !slices.ContainsFunc(need, func(c string) bool { return !t.has(c) })
		if possible && !slices.ContainsFunc(have, func(i index) bool { return i.covers(need) }) {
			missing = append(missing, need)
		}
	}
	return missing, nil
}

// indexes are the existing ones, each with its columns in order. Prefix indexes don't count.
func (d *DB) indexes(ctx context.Context, table string) ([]index, error) {
	rows, err := selectAll[string](ctx, &d.conn, "look at the indexes of `"+table+"`", `SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ',') FROM information_schema.statistics
		WHERE table_schema=DATABASE() AND table_name=? GROUP BY index_name HAVING SUM(sub_part IS NOT NULL)=0`, table)
	if err != nil {
		return nil, err
	}
	var list []index
	for _, columns := range rows {
		list = append(list, strings.Split(columns, ","))
	}
	return list, nil
}

// TableProblem is something CheckTables found missing.
type TableProblem struct {
	Table   string
	Column  string // "" when it isn't about a column
	Index   string // "" when it isn't about an index
	Problem string
	Install bool   // an installation makes it good
	Fix     string // what else to do; "" where Install is enough
	Fatal   bool   // Background Jobs can't be kept without it
}

// optionalTables are of later versions; everything else goes on without them.
var optionalTables = map[string]string{
	tableDependency:  "a job can depend on one other only",
	tableBatch:       "no batches of jobs",
	tableJobSchedule: "no job is submitted by a schedule",
	tablePause:       "organizations, job types and a site's share of a queue can't be paused",
	tableBreaker:     "no circuit breaker opens",
	tableWithheld:    "results of jobs that end while their organization is suspended are shown at once",
}

// optionalColumns may be missing in the Dartwing app's own DocTypes; everything goes on without them.
var optionalColumns = map[string]string{
	tableLog + ".organization":          "log rows don't name the organization",
	tableJobType + ".rate_limit":        "no rate limits per job type",
	tableJobType + ".rate_limit_window": "rate limits use 60 s",

	tableJob + ".run_after":                        "no job can be told to wait for a time",
	tableJob + ".batch":                            "no batches of jobs",
	tableJob + ".waiting_for":                      "the form doesn't show why a job waits",
	tableJob + ".log_tail":                         "the form doesn't show a job's last log lines",
	tableJobType + ".sample_parameters":            "the form of a new job begins with empty parameters",
	tableJobType + ".documentation":                "no link to what a job type's parameters mean",
	tableJobType + ".notify_on_completion":         "nobody is notified of a completed job",
	tableJobType + ".dead_letter_role":             "of a dead letter only the submitter is notified",
	tableJobType + ".max_running":                  "no cap on the running jobs of a job type",
	tableJobType + ".max_running_per_organization": "no cap on the running jobs of a job type in an organization",
	tableJobType + ".limit_key":                    "limits toward outside services have no keys",
	tableJobType + ".limit_running":                "no limit on the running jobs of a key",
	tableJobType + ".limit_rate":                   "no limit on the starts of a key",
	tableJobType + ".limit_rate_window":            "limits of starts use 60 s",
	tableJobType + ".handled_by":                   "the form doesn't show who handles a job type",
	tableJobType + ".handled_at":                   "the form doesn't show who handles a job type",
}

// CheckTables compares a site's tables with what this package needs; nothing is changed.
func CheckTables(ctx context.Context, db *DB) ([]TableProblem, error) {
	db.tables.tables.Forget()
	own, err := db.ownDocTypes(ctx)
	if err != nil {
		return nil, err
	}
	var problems []TableProblem
	for _, d := range own {
		found, err := db.checkTable(ctx, d)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	undescribed, err := db.undescribed(ctx, own)
	if err != nil {
		return nil, err
	}
	problems = append(problems, undescribed...)
	source, err := db.MemberSource(ctx)
	if err != nil {
		return nil, err
	}
	if source == "" {
		problems = append(problems, TableProblem{Table: tableOrgMember, Problem: "neither Org Member with Person nor User Permission exists: nobody belongs to an organization",
			Fix: "install the Dartwing app, or run: bench --site " + db.site + " migrate"})
	}
	return problems, nil
}

func (d *DB) checkTable(ctx context.Context, def docType) ([]TableProblem, error) {
	t, err := d.tables.get(ctx, def.table())
	if errors.Is(err, ErrTableMissing) {
		p := TableProblem{Table: def.table(), Problem: "the table is missing", Install: true, Fatal: true}
		if effect, optional := optionalTables[def.table()]; optional {
			p.Problem, p.Fatal = "the table is missing: "+effect, false
		}
		return []TableProblem{p}, nil
	}
	if err != nil {
		return nil, err
	}
	// Frappe makes columns of fields, which an installation brings.
	frappe, err := d.Frappe(ctx)
	if err != nil {
		return nil, err
	}
	var problems []TableProblem
	for _, f := range def.Fields {
		if f.column("") == "" || t.has(f.Name) {
			continue
		}
		p := TableProblem{Table: def.table(), Column: f.Name, Problem: "the column is missing", Fix: "run: bench --site " + d.site + " migrate", Fatal: true}
		if effect, optional := optionalColumns[def.table()+"."+f.Name]; optional {
			p.Problem, p.Fatal = "the column is missing: "+effect, false
			p.Fix = "add the field " + f.Name + " to the DocType " + def.Name
		}
		if frappe {
			p.Install, p.Fix = true, ""
		}
		problems = append(problems, p)
	}
	missing, err := d.missingIndexes(ctx, def.table())
	for _, i := range missing {
		problems = append(problems, TableProblem{Table: def.table(), Index: i.name(), Problem: "an index is missing: lookups read the whole table", Install: true})
	}
	return problems, err
}

// prepareSeries makes this year's counter ahead of time: Frappe's two statements deadlock when two make one key.
func (d *DB) prepareSeries(ctx context.Context) error {
	exists, err := d.tables.has(ctx, "tabSeries")
	if err != nil || !exists {
		return err
	}
	_, err = d.exec(ctx, "prepare the naming series", "INSERT IGNORE INTO `tabSeries` (`name`,`current`) VALUES (?,0)", jobSeries(d.Now()))
	return err
}
