package rows

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func fail(t testing.TB, d *DB, j *BackgroundJob, at time.Time, to Status, retry time.Time) {
	t.Helper()
	r := transit(t, d, Transition{Name: j.Name, From: StatusRunning, To: to, Fence: fence(d, at), Set: []Value{Job.NextRetryAt.To(retry)}})
	if !r.Applied {
		t.Fatalf("%+v", r)
	}
}

func TestDue(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 6)
	now := d.Now()
	fail(t, d, jobs[0], at, StatusFailed, now.Add(-time.Second))
	fail(t, d, jobs[1], at, StatusTimedOut, now.Add(-time.Minute))
	fail(t, d, jobs[2], at, StatusFailed, now.Add(time.Hour))
	fail(t, d, jobs[3], at, StatusDeadLetter, now.Add(-time.Hour))
	fail(t, d, jobs[4], at, StatusFailed, time.Time{})
	fail(t, d, jobs[5], at, StatusFailed, now.Add(-2*time.Second))
	due := func(limit int) []string {
		t.Helper()
		got, err := d.Due(t.Context(), now, []string{jobs[0].JobType, "Other"}, limit)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	all := []string{jobs[1].Name, jobs[5].Name, jobs[0].Name}
	if diff := cmp.Diff(all, due(10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(all[:2], due(2)); diff != "" {
		t.Error(diff)
	}
	if got, err := d.Due(t.Context(), now, []string{"Other"}, 10); err != nil || len(got) != 0 {
		t.Errorf("of another Job Type: %v, %v", got, err)
	}
	release := lockRow(t, d, jobs[1].Name)
	if diff := cmp.Diff(all, due(10)); diff != "" {
		t.Errorf("with one locked: %s", diff)
	}
	release()
	// Nothing stayed locked: a plain transaction gets all of them at once.
	for _, n := range all {
		if r := transit(t, d, Transition{Name: n, From: row(t, d, n).Status, To: StatusQueued}); !r.Applied {
			t.Errorf("%+v", r)
		}
	}
}

func TestStale(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 4, StatusQueued)
	pending := newJobs(t, d, 1, "")[0]
	transit(t, d, start(jobs[0].Name, d.Now()))
	transit(t, d, Transition{Name: jobs[1].Name, From: StatusQueued, To: StatusCanceled})
	transit(t, d, start(jobs[2].Name, d.Now()))
	mustExec(t, d, "UPDATE `tabBackground Job` SET modified = modified - INTERVAL 1 MINUTE WHERE name<>?", jobs[2].Name)
	stale := func(behind Place, limit int) []*BackgroundJob {
		t.Helper()
		got, err := d.Stale(t.Context(), behind, 30*time.Second, limit)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := stale(Place{}, 10)
	if diff := cmp.Diff([]string{jobs[3].Name, pending.Name, jobs[0].Name}, names(got)); diff != "" {
		t.Error(diff)
	}
	if rest := stale(got[0].Place(), 10); !slices.Equal(names(rest), names(got)[1:]) {
		t.Errorf("behind the first: %v, want the others", names(rest))
	}
	if got := stale(Place{}, 1); !slices.Equal(names(got), []string{jobs[3].Name}) {
		t.Errorf("with room for one: %v; want the oldest of all states, %s", names(got), jobs[3].Name)
	}
	// Rows of one transaction share their time.
	mustExec(t, d, "UPDATE `tabBackground Job` SET modified = ?", got[0].ModifiedRaw)
	var seen []string
	for at := (Place{}); ; {
		page := stale(at, 2)
		if len(page) == 0 {
			break
		}
		seen, at = append(seen, names(page)...), page[len(page)-1].Place()
	}
	if want := []string{jobs[0].Name, jobs[2].Name, jobs[3].Name, pending.Name}; !slices.Equal(seen, want) {
		t.Errorf("page by page of rows of one time: %v, want %v", seen, want)
	}
}

// A row is found whatever the site's clock did since it was modified, at worst too early: whoever finds it looks whether
// it has a delivery.
func TestStaleWhenTheClockChanges(t *testing.T) {
	_, d := installed(t, testMajor)
	for name, tc := range map[string]struct {
		jump  time.Duration // what the site's clock did
		since time.Duration // that long ago
		age   time.Duration // since the row was modified
		want  bool
	}{
		"an hour repeats":                     {-time.Hour, 10 * time.Second, time.Minute, true},
		"an hour has repeated":                {-time.Hour, 50 * time.Minute, 51 * time.Minute, true},
		"an hour is skipped":                  {time.Hour, 10 * time.Second, time.Minute, true},
		"an hour is skipped, the row young":   {time.Hour, 10 * time.Second, 20 * time.Second, false},
		"an hour was skipped, the row young":  {time.Hour, 10 * time.Minute, 20 * time.Second, false},
		"another zone, far behind":            {-13 * time.Hour, time.Minute, 2 * time.Minute, true},
		"another zone, far ahead":             {13 * time.Hour, time.Minute, 2 * time.Minute, true},
		"another zone behind, the row young":  {-13 * time.Hour, time.Minute, 20 * time.Second, false},
		"another zone ahead, the row young":   {13 * time.Hour, time.Minute, 20 * time.Second, false},
		"an hour has repeated, the row young": {-time.Hour, 10 * time.Minute, 20 * time.Second, false},
	} {
		now := time.Now()
		zone := servertest.Zone(t, now.Add(-tc.since), 2*time.Hour, 2*time.Hour+tc.jump)
		d.loc.Store(zone)
		j := newJobs(t, d, 1, StatusQueued)[0]
		mustExec(t, d, "UPDATE `tabBackground Job` SET modified=? WHERE name=?", formatTime(now.Add(-tc.age), zone), j.Name)
		got, err := d.Stale(t.Context(), Place{}, 30*time.Second, 1000)
		if err != nil || slices.Contains(names(got), j.Name) != tc.want {
			t.Errorf("%s: the row is found: %v, %v, want %v", name, !tc.want, err, tc.want)
		}
		mustExec(t, d, "DELETE FROM `tabBackground Job`")
	}
}

func TestFindByHash(t *testing.T) {
	_, d := installed(t, testMajor)
	n := newJob(StatusQueued)
	n.JobHash = "abc"
	jobs, err := d.CreateJobs(t.Context(), []NewJob{n, n})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.FindByHash(t.Context(), "abc"); err != nil || got.Name != jobs[1].Name {
		t.Errorf("got %v, %v, want the newest, %s", got, err, jobs[1].Name)
	}
}

func TestListJobs(t *testing.T) {
	_, d := installed(t, testMajor)
	var js []NewJob
	for i := range 30 {
		n := newJob([]Status{StatusPending, StatusQueued}[i%2])
		n.Organization = []string{"A", "B", "C"}[i%3]
		n.OwnerUser = []string{"x@example.com", "y@example.com"}[i%2]
		n.JobType = []string{"t1", "t2"}[i/15]
		js = append(js, n)
	}
	jobs, err := d.CreateJobs(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name         string
		f            ListFilter
		total, shown int
	}{
		{"all", ListFilter{}, 30, 20},
		{"second page", ListFilter{Offset: 20}, 30, 10},
		{"past the end", ListFilter{Offset: 30}, 30, 0},
		{"organization", ListFilter{Organization: "A"}, 10, 10},
		{"any of two", ListFilter{Organizations: []string{"A", "B"}, Limit: 5}, 20, 5},
		{"of nobody's", ListFilter{Organizations: []string{}}, 0, 0},
		{"owner", ListFilter{Owner: "y@example.com"}, 15, 15},
		{"type and status", ListFilter{JobType: "t2", Statuses: []Status{StatusQueued, StatusFailed}}, 8, 8},
		{"from", ListFilter{From: jobs[20].Creation}, 10, 10},
		{"to", ListFilter{To: jobs[20].Creation}, 20, 20},
		{"quotes are harmless", ListFilter{Organization: "' OR 1=1 -- \\"}, 0, 0},
	} {
		got, total, err := d.ListJobs(t.Context(), tc.f)
		if err != nil || total != tc.total || len(got) != tc.shown {
			t.Errorf("%s: %d of %d, %v, want %d of %d", tc.name, len(got), total, err, tc.shown, tc.total)
		}
		if !slices.IsSortedFunc(got, func(a, b *BackgroundJob) int { return b.Creation.Compare(a.Creation) }) {
			t.Errorf("%s: not newest first", tc.name)
		}
	}
	if _, _, err := d.ListJobs(t.Context(), ListFilter{Limit: -1}); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("negative limit: %v", err)
	}
}

// The list is in order, and a time bound leaves out nothing, also where local time repeats an hour.
func TestListJobsWhereAnHourRepeats(t *testing.T) {
	_, d := installed(t, testMajor)
	change := time.Now().Add(24 * time.Hour).Truncate(time.Hour)
	zone := servertest.Zone(t, change, 2*time.Hour, time.Hour)
	d.loc.Store(zone)
	jobs := newJobs(t, d, 4, StatusQueued)
	var at []time.Time
	for i, off := range []time.Duration{-50 * time.Minute, -10 * time.Minute, 10 * time.Minute, 70 * time.Minute} {
		at = append(at, change.Add(off))
		mustExec(t, d, "UPDATE `tabBackground Job` SET creation=? WHERE name=?", formatTime(at[i], zone), jobs[i].Name)
	}
	newest := []string{jobs[3].Name, jobs[2].Name, jobs[1].Name, jobs[0].Name}
	for what, tc := range map[string]struct {
		f     ListFilter
		least []string // must be among them, in this order
		not   []string
	}{
		"all":                  {ListFilter{}, newest, nil},
		"since before it":      {ListFilter{From: change.Add(-20 * time.Minute)}, newest[:3], nil},
		"since behind it":      {ListFilter{From: change.Add(65 * time.Minute)}, newest[:1], newest[1:]},
		"until the second one": {ListFilter{To: change.Add(20 * time.Minute)}, newest[1:], newest[:1]},
		"until before it":      {ListFilter{To: change.Add(-55 * time.Minute)}, nil, newest[1:3]},
	} {
		list, _, err := d.ListJobs(t.Context(), tc.f)
		got := names(list)
		if err != nil || slices.ContainsFunc(tc.not, func(n string) bool { return slices.Contains(got, n) }) {
			t.Errorf("%s: %v, %v, want none of %v", what, got, err, tc.not)
		}
		got = slices.DeleteFunc(got, func(n string) bool { return !slices.Contains(tc.least, n) })
		if !slices.Equal(got, tc.least) {
			t.Errorf("%s: of %v it has %v, want all, newest first", what, tc.least, got)
		}
	}
	// The number counts, not the text.
	mustExec(t, d, "UPDATE `tabBackground Job` SET name=CONCAT(LEFT(name,9),'100000') WHERE name=?", jobs[0].Name)
	if list, _, err := d.ListJobs(t.Context(), ListFilter{Limit: 1}); err != nil || !strings.HasSuffix(list[0].Name, "-100000") {
		t.Errorf("the newest is %v, %v, want number 100000", names(list), err)
	}
}

func TestStatuses(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 2, "")
	got, err := d.Statuses(t.Context(), []string{jobs[0].Name, "absent", jobs[1].Name})
	if diff := cmp.Diff(map[string]Status{jobs[0].Name: StatusPending, jobs[1].Name: StatusPending}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// fill puts values in the place of a query's marks.
func fill(query string, values ...string) string {
	for _, v := range values {
		query = strings.Replace(query, "?", v, 1)
	}
	return query
}

// The queries that sweeps make every few seconds must not read the whole table.
func TestQueriesUseTheirIndexes(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,status,organization,job_hash,depends_on,next_retry_at) SELECT CONCAT('JOB-',seq), NOW(6), NOW(6) - INTERVAL 4000-seq MINUTE, IF(seq<3900,'Completed',ELT(1+seq%8,'Pending','Queued','Running','Completed','Failed','Dead Letter','Canceled','Timed Out')), CONCAT('O',seq%9), seq, CONCAT('P',seq), NOW(6) FROM seq_1_to_4000")
	mustExec(t, d, "ANALYZE TABLE `tabBackground Job`")
	for query, index := range map[string]string{
		"SELECT * FROM `tabBackground Job` WHERE `status`='Failed' AND `next_retry_at`<=NOW() ORDER BY `next_retry_at` LIMIT 10":                                                                    "status_next_retry_at_organization_index",
		"SELECT * FROM `tabBackground Job` WHERE `status`='Queued' AND " + fill(staleRows, "NOW()-INTERVAL 1 MINUTE", "NOW()", "'1000-01-01'", "'1000-01-01'", "''", "10"):                          "status_modified_index",
		"SELECT * FROM `tabBackground Job` WHERE `status`='Queued' AND " + fill(staleRows, "NOW()-INTERVAL 1 MINUTE", "NOW()", "NOW()-INTERVAL 50 MINUTE", "NOW()-INTERVAL 50 MINUTE", "'x'", "10"): "status_modified_index",
		"SELECT * FROM `tabBackground Job` WHERE `job_hash`='12' ORDER BY `creation` DESC LIMIT 1":                                                                                                  "job_hash_creation_index",
		"SELECT * FROM `tabBackground Job` WHERE `depends_on` IN ('P1','P2') AND `status` IN ('Pending','Queued')":                                                                                  "depends_on_status_index",
		"SELECT * FROM `tabBackground Job` FORCE INDEX (PRIMARY) WHERE `name` IN ('JOB-1','JOB-2') FOR UPDATE":                                                                                      "PRIMARY",
		"SELECT 1 FROM `tabBackground Job` WHERE `status`='Queued' LIMIT 10":                                                                                                                        "status_modified_index",
		"SELECT 1 FROM `tabBackground Job` WHERE `status`='Queued' AND `organization`='O1' LIMIT 10":                                                                                                "organization_status_modified_index",
	} {
		var plan = map[string]any{}
		if err := d.x.QueryRowx("EXPLAIN " + query).MapScan(plan); err != nil {
			t.Fatal(err)
		}
		key, _ := plan["key"].([]byte)
		if string(key) != index {
			t.Errorf("%s uses %q, want %q", query, key, index)
		}
		if extra, _ := plan["Extra"].([]byte); strings.Contains(string(extra), "filesort") {
			t.Errorf("%s sorts: %s", query, extra)
		}
	}
}

func TestJobNamesAndErrorGroups(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 4, StatusQueued)
	for i, text := range []string{"", "no paper\ntrace 1", "no paper\ntrace 2", "on fire"} {
		if text != "" {
			mustExec(t, d, "UPDATE `tabBackground Job` SET status='Dead Letter', error_message=? WHERE name=?", text, jobs[i].Name)
		}
	}
	dead := ListFilter{Statuses: []Status{StatusDeadLetter}}
	got, err := d.JobNames(t.Context(), dead)
	if want := names(jobs[1:]); err != nil || !slices.Equal(got, want) {
		t.Errorf("names %v, %v, want all dead letters, oldest first: %v", got, err, want)
	}
	if got, err := d.JobNames(t.Context(), ListFilter{Error: "paper", Limit: 1}); err != nil || !slices.Equal(got, []string{jobs[1].Name}) {
		t.Errorf("the first that lacked paper: %v, %v", got, err)
	}
	groups, err := d.ErrorGroups(t.Context(), dead)
	want := []ErrorGroup{{jobs[1].JobType, "no paper", 2, jobs[2].Name}, {jobs[1].JobType, "on fire", 1, jobs[3].Name}}
	if diff := cmp.Diff(want, groups); err != nil || diff != "" {
		t.Errorf("groups, %v (-want +got):\n%s", err, diff)
	}
}
