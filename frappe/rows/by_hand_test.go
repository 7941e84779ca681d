package rows

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func placeNames(places []Place) (names []string) {
	for _, p := range places {
		names = append(names, p.Name)
	}
	return names
}

// save is what Frappe writes when somebody saves a document whose DocType has no code.
func save(t testing.TB, d *DB, name, set string, args ...any) {
	t.Helper()
	mustExec(t, d, "UPDATE `tabBackground Job` SET modified=?, modified_by='jane@example.com', "+set+" WHERE name=?",
		append(append([]any{formatTime(d.Now(), d.Location())}, args...), name)...)
}

// TestChangedByHand: what the engine moved is never among it, whatever its status, and what somebody saved is.
func TestChangedByHand(t *testing.T) {
	_, d := installed(t, testMajor)
	since := time.Now().Add(-time.Second)
	jobs, at := running(t, d, 4)
	newJobs(t, d, 2, StatusQueued)
	later := newJob(StatusPending)
	later.RunAfter = d.Now().Add(time.Hour)
	pending, err := d.CreateJobs(t.Context(), []NewJob{newJob(StatusPending), later})
	if err != nil {
		t.Fatal(err)
	}
	fail(t, d, jobs[0], at, StatusDeadLetter, time.Time{})
	fail(t, d, jobs[1], at, StatusFailed, time.Time{})
	changed := func(since time.Time, behind Place, limit int) []Place {
		t.Helper()
		got, err := d.ChangedByHand(t.Context(), since, time.Time{}, behind, limit)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := changed(since, Place{}, 10); len(got) > 0 {
		t.Errorf("of rows that only the engine moved %v are changed by hand", got)
	}
	save(t, d, jobs[2].Name, "status='Canceled'")
	save(t, d, jobs[0].Name, "status='Queued'")
	save(t, d, jobs[3].Name, "status='Queued', priority='High'")
	got := changed(since, Place{}, 10)
	if diff := cmp.Diff([]string{jobs[2].Name, jobs[0].Name, jobs[3].Name}, placeNames(got)); diff != "" {
		t.Errorf("changed by hand (-want +got):\n%s", diff)
	}
	// Who waited for the row while the engine moved it has an older time stamp than the log.
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Canceled' WHERE name=?", jobs[1].Name)
	if late := changed(since, Place{}, 10); !slices.Contains(placeNames(late), jobs[1].Name) {
		t.Errorf("changed by hand are %v, want %s among them, which was changed in the moment of its move", placeNames(late), jobs[1].Name)
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Failed' WHERE name=?", jobs[1].Name)
	if diff := cmp.Diff(got[1:2], changed(since, got[0], 1)); diff != "" {
		t.Errorf("behind the first (-want +got):\n%s", diff)
	}
	if got := changed(time.Now().Add(time.Minute), Place{}, 10); len(got) > 0 {
		t.Errorf("%v are changed since a moment that is still to come", got)
	}
	if got, err := d.ChangedByHand(t.Context(), since.Add(-time.Hour), since, Place{}, 10); err != nil || len(got) > 0 {
		t.Errorf("%v, %v are changed before the first of them was", got, err)
	}
	save(t, d, pending[0].Name, "priority='High'")
	if got := changed(since, got[2], 10); len(got) != 1 || got[0].Name != pending[0].Name {
		t.Errorf("%v are changed by hand, want a Pending row that was saved", got)
	}
	save(t, d, pending[1].Name, "priority='High'")
	waiting, err := d.Pending(t.Context(), Place{}, 10)
	if diff := cmp.Diff([]string{pending[0].Name, pending[1].Name}, names(waiting)); err != nil || diff != "" {
		t.Errorf("Pending (-want +got), error %v:\n%s", err, diff)
	}
	if !waiting[0].RunAfter.IsZero() || !waiting[1].RunAfter.Equal(pending[1].RunAfter) {
		t.Errorf("they run after %s and %s, want at once and after %s", waiting[0].RunAfter, waiting[1].RunAfter, pending[1].RunAfter)
	}
	if waiting, err = d.Pending(t.Context(), waiting[0].Place(), 1); err != nil || len(waiting) != 1 || waiting[0].Name != pending[1].Name {
		t.Errorf("Pending behind the first: %v, %v", waiting, err)
	}
}

// TestLastLogged is the state that the engine left a row in, however somebody changed the row.
func TestLastLogged(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs, at := running(t, d, 2)
	fail(t, d, jobs[0], at, StatusDeadLetter, time.Time{})
	save(t, d, jobs[0].Name, "status='Completed'")
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,owner,modified_by,job_type,organization,owner_user,status) "+
		"VALUES ('JOB-1',NOW(6),NOW(6),'jane@example.com','jane@example.com','export','ORG-1','jane@example.com','Pending')")
	last, err := d.LastLogged(t.Context(), []string{jobs[0].Name, jobs[1].Name, "JOB-1", "JOB-none"})
	if err != nil || len(last) != 2 || last[jobs[0].Name].ToStatus != StatusDeadLetter || last[jobs[1].Name].ToStatus != StatusRunning {
		t.Errorf("last logged %+v, %v; want a Dead Letter and a Running one", last, err)
	}
	if j := row(t, d, jobs[0].Name); j.ModifiedBy != "jane@example.com" {
		t.Errorf("modified by %q, want whoever saved it", j.ModifiedBy)
	}
}

// TestTransitionByHand: the log goes on where it was, and whoever saves the row in between isn't written over.
func TestTransitionByHand(t *testing.T) {
	_, d := installed(t, testMajor)
	job := newJobs(t, d, 1, StatusQueued)[0]
	save(t, d, job.Name, "status='Canceled'")
	asOf := row(t, d, job.Name).ModifiedRaw
	byHand := Transition{Name: job.Name, From: StatusCanceled, To: StatusCanceled, ByHand: true, Was: StatusQueued, AsOf: asOf,
		Message: "Job canceled by jane@example.com", Actor: "jane@example.com", Set: []Value{Job.CanceledBy.To("jane@example.com")}}
	save(t, d, job.Name, "status='Canceled'")
	if r := transit(t, d, byHand); r.Applied {
		t.Errorf("a row that was saved since is written: %+v", r)
	}
	byHand.AsOf = row(t, d, job.Name).ModifiedRaw
	if r := transit(t, d, byHand); !r.Applied {
		t.Errorf("as it was read: %+v, want it written", r)
	}
	if r := transit(t, d, byHand); r.Applied {
		t.Errorf("a second bridge writes the same again: %+v", r)
	}
	lines := history(t, d, job.Name)
	if got := lines[len(lines)-1]; got != "Queued>Canceled jane@example.com 0 Job canceled by jane@example.com" {
		t.Errorf("the last line of the log is %q", got)
	}
	// A row that somebody inserted begins its log with its first move.
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,owner,modified_by,job_type,organization,owner_user,status) "+
		"VALUES ('JOB-1',NOW(6),NOW(6),'jane@example.com','jane@example.com','export','ORG-1','jane@example.com','Pending')")
	if r := transit(t, d, Transition{Name: "JOB-1", From: StatusPending, To: StatusQueued, ByHand: true, AsOf: row(t, d, "JOB-1").ModifiedRaw,
		Via: StatusPending, ViaMessage: "Job created", Message: "Job enqueued", Set: []Value{Job.JobHash.To(""), Job.OwnerUser.To("joe@example.com")}}); !r.Applied {
		t.Errorf("an inserted row: %+v, %v", r, r.Err)
	}
	if diff := cmp.Diff([]string{">Pending  0 Job created", "Pending>Queued  0 Job enqueued"}, history(t, d, "JOB-1")); diff != "" {
		t.Errorf("its log (-want +got):\n%s", diff)
	}
	if j := row(t, d, "JOB-1"); j.OwnerUser != "joe@example.com" || j.Status != StatusQueued {
		t.Errorf("its row %+v", j)
	}
}

// TestWithoutObject: parameters of any size, and none.
func TestWithoutObject(t *testing.T) {
	_, d := installed(t, testMajor)
	large := strings.Repeat("x", 100_000)
	var all, want []string
	for i, parameters := range []any{nil, "{}", ` {"a": 1}`, "null", `{"a": "` + large + `"}`, "[1]", `"text"`, "7", `["` + large + `"]`} {
		j := newJobs(t, d, 1, StatusPending)[0]
		mustExec(t, d, "UPDATE `tabBackground Job` SET input_parameters=? WHERE name=?", parameters, j.Name)
		if all = append(all, j.Name); i >= 5 {
			want = append(want, j.Name)
		}
	}
	got, err := d.WithoutObject(t.Context(), append(all, "JOB-none"))
	slices.Sort(got)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("without an object (-want +got), error %v:\n%s", err, diff)
	}
}

// TestWhoseDocType: an app's isn't custom; a bare database has none.
func TestWhoseDocType(t *testing.T) {
	_, d := installed(t, testMajor)
	for _, step := range []struct {
		statement string
		want      bool
	}{
		{"SELECT 1", false},
		{"CREATE TABLE `tabDocType` (name varchar(140), custom int(1))", false},
		{"INSERT INTO `tabDocType` VALUES ('Background Job', 1)", false},
		{"UPDATE `tabDocType` SET custom=0", true},
	} {
		mustExec(t, d, step.statement)
		d.ofApp.Forget()
		if got, err := d.IsOfApp(t.Context()); got != step.want || err != nil {
			t.Errorf("after %s: %v, %v, want %v", step.statement, got, err, step.want)
		}
	}
}

// TestLookingCostsLittle: a look at a table of any size reads what was modified lately, by the indexes.
func TestLookingCostsLittle(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,status) SELECT CONCAT('JOB-',seq),NOW(6),NOW(6)-INTERVAL seq MINUTE,IF(seq%10=0,'Queued','Completed') FROM seq_1_to_20000")
	mustExec(t, d, "INSERT INTO `tabJob Execution Log` (name,background_job,`timestamp`) SELECT CONCAT('L',seq),CONCAT('JOB-',seq),NOW(6)-INTERVAL seq MINUTE FROM seq_1_to_20000")
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,status,depends_on) SELECT CONCAT('CHILD-',seq),NOW(6),NOW(6)-INTERVAL 1 DAY,'Pending',CONCAT('JOB-',seq) FROM seq_1_to_20000")
	mustExec(t, d, "INSERT INTO `tabBackground Job Dependency` (name,parent,parenttype,background_job) SELECT UUID(),CONCAT('CHILD-',seq),'Background Job',CONCAT('JOB-',seq+1) FROM seq_1_to_20000")
	mustExec(t, d, "ANALYZE TABLE `tabBackground Job`, `tabJob Execution Log`, `tabBackground Job Dependency`")
	type step struct {
		Table string         `db:"table"`
		Key   sql.NullString `db:"key"`
		Rows  sql.NullInt64  `db:"rows"`
		Extra string         `db:"Extra"`
	}
	now := d.Now()
	behind := Place{}
	of := behind.args(StatusCompleted)
	changed := append([]any{of[0], formatTime(now.Add(-14*time.Second), d.Location()), formatTime(now, d.Location())}, append(of[1:], 1000)...)
	const status, dependents, log = "status_modified_index", "depends_on_status_index", "background_job_timestamp_index"
	for _, q := range []struct {
		query string
		args  []any
		keys  map[string]string // by table
	}{
		{changedByHand, changed, map[string]string{"j": status, "l": log}},
		{placesWhere + " AND " + behindPlace + placesOrder, append(behind.args(StatusPending), 100), map[string]string{"j": status}},
		{endedParents, changed, map[string]string{"j": status, "c": dependents}},
		{endedParentsOfSeveral, changed, map[string]string{"j": status, "c": dependents, "d": "background_job_parent_index"}},
		{fmt.Sprintf(dependentsOf[0], marks(3)), []any{"JOB-1", "JOB-2", "JOB-3", "", "", "", 1000}, map[string]string{tableJob: dependents}},
		{fmt.Sprintf(dependentsOf[1], marks(3)), []any{"JOB-1", "JOB-2", "JOB-3", "", "", "", 1000}, map[string]string{"d": "background_job_parent_index", "c": "PRIMARY"}},
	} {
		var steps []step
		if err := d.x.Unsafe().Select(&steps, "EXPLAIN "+q.query, q.args...); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			want := q.keys[s.Table]
			if s.Table == "c" && s.Key.String == "PRIMARY" {
				want = "PRIMARY" // of the child that the child table names
			}
			most := int64(100)
			if strings.HasPrefix(q.query, placesWhere) {
				most = 1 << 20 // the order of the index ends it
			}
			if s.Key.String != want || s.Rows.Int64 > most || strings.Contains(s.Extra, "filesort") && s.Table != "d" && s.Table != "j" {
				t.Errorf("%.60s …: of table %s some %d rows are read by %q (%s), want few by %s", q.query, s.Table, s.Rows.Int64, s.Key.String, s.Extra, want)
			}
		}
	}
}
