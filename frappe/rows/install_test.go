package rows

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shape is what SHOW CREATE TABLE says, without the table's name.
func shape(t testing.TB, d *DB, table string) string {
	t.Helper()
	var name, text string
	if err := d.x.QueryRowx("SHOW CREATE TABLE `"+table+"`").Scan(&name, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestInstallOnABareDatabase(t *testing.T) {
	for _, tc := range []struct {
		major   int
		has     []string
		hasNot  []string
		checkIs string
	}{
		{15, []string{"KEY `modified` (`modified`)"}, []string{"KEY `creation`"}, "int(1)"},
		{16, []string{"KEY `creation` (`creation`)", "KEY `modified` (`modified`)"}, nil, "tinyint(4)"},
	} {
		t.Run(fmt.Sprint("frappe", tc.major), func(t *testing.T) {
			d := siteDB(t, newSite(t, tc.major))
			report, err := Install(t.Context(), d, InstallOptions{Samples: true})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"tabBackground Job", "tabBackground Job Batch", "tabBackground Job Dependency", "tabBackground Job Pause", "tabDefaultValue", "tabHas Role", "tabJob Circuit Breaker", "tabJob Execution Log", "tabJob Schedule", "tabJob Type", "tabOrg Member", "tabOrganization",
				"tabPerson", "tabSeries", "tabSingles", "tabUser", "tabUser Permission", "tabWithheld Job Result"}
			slices.Sort(report.Created)
			if diff := cmp.Diff(want, report.Created); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"echo_job", "sample_job", "long_running_job"}, report.JobTypes); diff != "" {
				t.Error(diff)
			}
			job := shape(t, d, tableJob)
			for _, part := range append(tc.has, "`name` varchar(140) NOT NULL", "`creation` datetime(6) DEFAULT NULL", "`status` varchar(140) DEFAULT 'Pending'",
				"`progress` decimal(21,9) NOT NULL DEFAULT 0.000000000", "`max_retries` int(11) NOT NULL DEFAULT 5", "`error_message` text DEFAULT NULL",
				"CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`input_parameters`))", "`_liked_by` text",
				"KEY `job_hash_creation_index` (`job_hash`,`creation`)", "KEY `status_next_retry_at_organization_index` (`status`,`next_retry_at`,`organization`)",
				"KEY `status_modified_index` (`status`,`modified`)", "KEY `organization_status_modified_index` (`organization`,`status`,`modified`)",
				"KEY `depends_on_status_index` (`depends_on`,`status`)", "KEY `owner_status_modified_index` (`owner`,`status`,`modified`)",
				"KEY `job_type_status_modified_index` (`job_type`,`status`,`modified`)", "PRIMARY KEY (`name`)", "ENGINE=InnoDB", "COLLATE=utf8mb4_unicode_ci ROW_FORMAT=DYNAMIC") {
				if !strings.Contains(job, part) {
					t.Errorf("tabBackground Job lacks %q:\n%s", part, job)
				}
			}
			for _, part := range tc.hasNot {
				if strings.Contains(job, part) {
					t.Errorf("tabBackground Job has %q", part)
				}
			}
			types := shape(t, d, tableJobType)
			for _, part := range []string{"`is_enabled` " + tc.checkIs + " NOT NULL DEFAULT 1", "UNIQUE KEY `type_name` (`type_name`)", "`docstatus` " + tc.checkIs} {
				if !strings.Contains(types, part) {
					t.Errorf("tabJob Type lacks %q:\n%s", part, types)
				}
			}
			if log := shape(t, d, tableLog); !strings.Contains(log, "KEY `background_job_timestamp_index` (`background_job`,`timestamp`)") {
				t.Error(log)
			}
			if problems, err := CheckTables(t.Context(), d); err != nil || len(problems) != 0 {
				t.Errorf("CheckTables after Install: %+v, %v", problems, err)
			}
		})
	}
}

func TestInstallAgainChangesNothing(t *testing.T) {
	_, d := installed(t, testMajor)
	newJobs(t, d, 3, StatusQueued)
	mustExec(t, d, "UPDATE `tabJob Type` SET is_enabled=0 WHERE name='echo_job'")
	before := shape(t, d, tableJob)
	report, err := Install(t.Context(), d, InstallOptions{Samples: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Created)+len(report.IndexesAdded)+len(report.JobTypes) != 0 || len(report.Kept) != 18 {
		t.Errorf("%+v", report)
	}
	if diff := cmp.Diff(before, shape(t, d, tableJob)); diff != "" {
		t.Error(diff)
	}
	if next := newJobs(t, d, 1, StatusQueued)[0].Name; !strings.HasSuffix(next, "-00004") {
		t.Errorf("the series was reset: %s", next)
	}
	types, err := d.JobTypes(t.Context())
	if err != nil || types["echo_job"].Enabled || !types["sample_job"].Enabled {
		t.Errorf("job types: %+v, %v", types, err)
	}
}

func TestInstallTwiceAtOnce(t *testing.T) {
	d := siteDB(t, newSite(t, testMajor))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Install(t.Context(), d, InstallOptions{Samples: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	newJobs(t, d, 1, StatusQueued)
}

// dartwingTables are what a site with the Dartwing app has: other columns, some indexes, rows.
var dartwingTables = []string{
	"CREATE TABLE `tabDocType` (`name` varchar(140) PRIMARY KEY)",
	"CREATE TABLE `tabSeries` (`name` varchar(100) PRIMARY KEY, `current` int NOT NULL DEFAULT 0)",
	"CREATE TABLE `tabBackground Job` (`name` varchar(140) PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), `owner` varchar(140)," +
		"`docstatus` int(1) NOT NULL DEFAULT 0, `idx` int(8) NOT NULL DEFAULT 0, `naming_series` varchar(140) DEFAULT 'JOB-.YYYY.-', `job_type` varchar(140), `organization` varchar(140)," +
		"`owner_user` varchar(140), `status` varchar(140) DEFAULT 'Pending', `priority` varchar(140) DEFAULT 'Normal', `depends_on` varchar(140), `progress` decimal(21,9) NOT NULL DEFAULT 0," +
		"`progress_message` varchar(60), `output_reference` varchar(140), `error_message` text, `error_type` varchar(140), `retry_count` int NOT NULL DEFAULT 0, `max_retries` int NOT NULL DEFAULT 5," +
		"`next_retry_at` datetime(6), `input_parameters` json, `job_hash` varchar(140), `timeout_seconds` int NOT NULL DEFAULT 300, `created_at` datetime(6), `started_at` datetime(6)," +
		"`completed_at` datetime(6), `canceled_at` datetime(6), `canceled_by` varchar(140), `custom_field` varchar(140) DEFAULT 'theirs'," +
		"INDEX job_hash(job_hash), INDEX theirs(status, modified, name), INDEX organization_status_index(organization, status), INDEX `modified`(`modified`)) COLLATE=utf8mb4_unicode_ci",
	"CREATE TABLE `tabJob Execution Log` (`name` varchar(140) PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), `owner` varchar(140)," +
		"`background_job` varchar(140), `from_status` varchar(140), `to_status` varchar(140), `timestamp` datetime(6), `actor` varchar(140), `message` text, `retry_attempt` int NOT NULL DEFAULT 0) COLLATE=utf8mb4_unicode_ci",
	"CREATE TABLE `tabJob Type` (`name` varchar(140) PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), `owner` varchar(140), `type_name` varchar(140) UNIQUE," +
		"`display_name` varchar(140), `description` text, `is_enabled` int(1) NOT NULL DEFAULT 1, `handler_method` varchar(140), `requires_permission` varchar(140), `default_timeout` int NOT NULL DEFAULT 300," +
		"`default_priority` varchar(140) DEFAULT 'Normal', `max_retries` int NOT NULL DEFAULT 5, `deduplication_window` int NOT NULL DEFAULT 300) COLLATE=utf8mb4_unicode_ci",
	"INSERT INTO `tabDocType` VALUES ('Background Job'), ('Job Execution Log'), ('Job Type')",
	"INSERT INTO `tabBackground Job` (name,status,custom_field) VALUES ('JOB-2025-00001','Queued','x')",
	"INSERT INTO `tabJob Type` (name,type_name,handler_method) VALUES ('theirs','theirs','a.b')",
}

func TestInstallLeavesAnExistingSite(t *testing.T) {
	d := siteDB(t, newSite(t, testMajor))
	for _, q := range dartwingTables {
		mustExec(t, d, q)
	}
	columns := func() (all []string) {
		if err := d.x.Select(&all, "SELECT CONCAT_WS(' ',table_name,column_name,column_type,column_default,is_nullable) FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name NOT IN ('tabOrganization','tabJob Schedule','tabBackground Job Batch','tabBackground Job Dependency','tabBackground Job Pause','tabJob Circuit Breaker','tabWithheld Job Result') ORDER BY 1"); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := columns()
	report, err := Install(t.Context(), d, InstallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := InstallReport{
		Created: []string{"tabBackground Job Batch", "tabBackground Job Dependency", "tabBackground Job Pause", "tabJob Circuit Breaker", "tabJob Schedule", "tabOrganization", "tabWithheld Job Result"}, Kept: []string{"tabBackground Job", "tabJob Execution Log", "tabJob Type"},
		IndexesAdded: []string{"tabBackground Job.job_hash_creation_index", "tabBackground Job.status_next_retry_at_organization_index", "tabBackground Job.organization_status_modified_index",
			"tabBackground Job.depends_on_status_index", "tabBackground Job.owner_status_modified_index",
			"tabBackground Job.job_type_status_modified_index", "tabJob Execution Log.background_job_timestamp_index",
			"tabJob Execution Log.owner_modified_index"},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, columns()); diff != "" {
		t.Errorf("columns changed:\n%s", diff)
	}
	var kept string
	if err := d.x.Get(&kept, "SELECT custom_field FROM `tabBackground Job` WHERE name='JOB-2025-00001'"); err != nil || kept != "x" {
		t.Errorf("their row: %q, %v", kept, err)
	}
	problems, err := CheckTables(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range problems {
		found = append(found, p.Table+"."+p.Column+fmt.Sprint(p.Fatal))
	}
	lacking := []string{
		"tabBackground Job.batchfalse", "tabBackground Job.run_afterfalse", "tabBackground Job.waiting_forfalse", "tabBackground Job.log_tailfalse", "tabJob Execution Log.organizationfalse",
		"tabJob Type.handled_byfalse", "tabJob Type.handled_atfalse", "tabJob Type.sample_parametersfalse", "tabJob Type.documentationfalse",
		"tabJob Type.notify_on_completionfalse", "tabJob Type.dead_letter_rolefalse", "tabJob Type.rate_limitfalse", "tabJob Type.rate_limit_windowfalse",
		"tabJob Type.max_runningfalse", "tabJob Type.max_running_per_organizationfalse", "tabJob Type.limit_keyfalse", "tabJob Type.limit_runningfalse",
		"tabJob Type.limit_ratefalse", "tabJob Type.limit_rate_windowfalse",
		"tabBackground Job Batch.false", "tabBackground Job Dependency.false", "tabBackground Job Pause.false", "tabJob Circuit Breaker.false", "tabJob Schedule.false", "tabOrganization.false", "tabWithheld Job Result.false", "tabOrg Member.false",
	}
	if diff := cmp.Diff(lacking, found); diff != "" {
		t.Error(diff)
	}
	// And it works there, with their narrower column.
	at := d.Now()
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	begun := start(name, at)
	begun.Set = append(begun.Set, Job.WaitingFor.To(""), Job.LogTail.To("a line"))
	if r := transit(t, d, begun); !r.Applied {
		t.Errorf("a move that writes fields which the DocType lacks: %+v", r)
	}
	if ok, err := d.SetProgress(t.Context(), []Progress{{Name: name, Fence: fence(d, at), Percent: 10, Message: strings.Repeat("x", 100), LogTail: "a line"}}); err != nil || !ok[0] {
		t.Errorf("%v, %v", ok, err)
	}
	if got := row(t, d, name).ProgressMessage; got != strings.Repeat("x", 59)+"…" {
		t.Errorf("progress_message = %q", got)
	}
	types, err := d.JobTypes(t.Context())
	if err != nil || types["theirs"].RateLimitWindow != 60 || types["theirs"].HandlerMethod != "a.b" {
		t.Errorf("%+v, %v", types["theirs"], err)
	}
}

func TestCheckTablesFindsProblems(t *testing.T) {
	d := siteDB(t, newSite(t, testMajor))
	problems, err := CheckTables(t.Context(), d)
	if err != nil || len(problems) != 11 || !problems[0].Fatal || problems[1].Fatal || !problems[0].Install || problems[0].Fix != "" || problems[10].Install ||
		!strings.Contains(problems[10].Fix, "bench --site site1.localhost migrate") {
		t.Errorf("bare database: %+v, %v", problems, err)
	}
	if _, err := Install(t.Context(), d, InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, d, "ALTER TABLE `tabBackground Job` DROP COLUMN canceled_by, DROP INDEX depends_on_status_index")
	problems, err = CheckTables(t.Context(), d)
	if err != nil || len(problems) != 2 || problems[0].Column != "canceled_by" || !problems[0].Fatal || problems[1].Index != "depends_on_status_index" || problems[1].Fatal ||
		problems[0].Install || !problems[1].Install {
		t.Errorf("%+v, %v", problems, err)
	}
	mustExec(t, d, "CREATE TABLE tabDocType (name varchar(140) PRIMARY KEY)")
	problems, err = CheckTables(t.Context(), d)
	if err != nil || problems[0].Column != "canceled_by" || !problems[0].Install || problems[0].Fix != "" {
		t.Errorf("where Frappe makes the columns: %+v, %v", problems, err)
	}
}

// The statement is Frappe's; what it makes of each field type is checked against the manual's table.
func TestColumnTypes(t *testing.T) {
	for _, tc := range []struct {
		field docField
		want  string
	}{
		{docField{Type: "Data"}, "varchar(140)"},
		{docField{Type: "Data", Length: 20, Unique: 1}, "varchar(20) UNIQUE"},
		{docField{Type: "Select", Default: "it's"}, "varchar(140) DEFAULT 'it''s'"},
		{docField{Type: "Check", Default: "1"}, "int(1) NOT NULL DEFAULT 1"},
		{docField{Type: "Int"}, "int(11) NOT NULL DEFAULT 0"},
		{docField{Type: "Percent", Default: "0"}, "decimal(21,9) NOT NULL DEFAULT 0"},
		{docField{Type: "JSON"}, "json"},
		{docField{Type: "Section Break"}, ""},
		{docField{Type: "Column Break"}, ""},
	} {
		if got := tc.field.column("int(1)"); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.field, got, tc.want)
		}
	}
}
