package rows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dependents are all Pending rows that depend on one of the named, as pages of two.
func dependents(t testing.TB, d *DB, parents ...string) (all []string) {
	t.Helper()
	for e := d.Dependents(parents, 2); ; {
		page, err := e.Next(t.Context())
		if err != nil || len(page) > 2 {
			t.Fatalf("%q, %v", page, err)
		}
		if len(page) == 0 {
			slices.Sort(all)
			return all
		}
		all = append(all, page...)
	}
}

func dependsOn(names ...string) NewJob {
	n := newJob(StatusQueued)
	n.DependsOn = names
	return n
}

func namesOfRows(jobs []*BackgroundJob) (names []string) {
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	return names
}

// TestNewJobsThatDependOnOthers are Pending as long as one of these hasn't completed, and are found by each of them.
func TestNewJobsThatDependOnOthers(t *testing.T) {
	_, d := installed(t, testMajor)
	parents, at := running(t, d, 3)
	fail(t, d, parents[0], at, StatusCompleted, time.Time{})
	fail(t, d, parents[1], at, StatusFailed, d.Now().Add(time.Hour))
	done, failed, runs := parents[0].Name, parents[1].Name, parents[2].Name
	jobs, err := d.CreateJobs(t.Context(), []NewJob{
		newJob(StatusQueued), dependsOn(done), dependsOn(strings.ToLower(failed)), dependsOn(done, runs, failed, runs), dependsOn(failed, done),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, j := range jobs {
		r := row(t, d, j.Name)
		if diff := cmp.Diff(j, r); diff != "" {
			t.Errorf("job %d isn't as it was said to be (-said +is):\n%s", i, diff)
		}
		got = append(got, fmt.Sprint(r.Status, " ", r.DependsOn, " ", len(history(t, d, j.Name))))
	}
	want := []string{"Queued  2", "Queued " + done + " 2", "Pending " + failed + " 1", "Pending " + done + " 1", "Pending " + failed + " 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status, first parent and log rows (-want +got):\n%s", diff)
	}
	read, err := d.Parents(t.Context(), jobs)
	if err != nil || len(read) != 4 {
		t.Fatalf("%v, %v", read, err)
	}
	var of []string
	for _, p := range read[jobs[3].Name] {
		of = append(of, p.Name+" "+string(p.Status)+" "+p.Organization)
	}
	if diff := cmp.Diff([]string{done + " Completed " + parents[0].Organization, runs + " Running " + parents[0].Organization, failed + " Failed " + parents[0].Organization}, of); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	third, fourth, fifth := jobs[2].Name, jobs[3].Name, jobs[4].Name
	for parent, want := range map[string][]string{
		failed: {third, fourth, fifth, fifth}, runs: {fourth}, done: {fourth, fourth, fifth}, third: nil, failed + " " + runs: {third, fourth, fourth, fifth, fifth},
	} {
		if diff := cmp.Diff(want, dependents(t, d, strings.Fields(parent)...)); diff != "" {
			t.Errorf("dependents of %s (-want +got):\n%s", parent, diff)
		}
	}
	if err := d.TakeBack(t.Context(), jobs[3:]); err != nil {
		t.Fatal(err)
	}
	if left, err := d.Strings(t.Context(), "count", "SELECT parent FROM `tabBackground Job Dependency`"); err != nil || len(left) > 0 {
		t.Errorf("of deleted jobs are left %q, %v", left, err)
	}
}

// TestDependenciesThatCantBe leave nothing, and harm no other submission.
func TestDependenciesThatCantBe(t *testing.T) {
	_, d := installed(t, testMajor)
	parents, at := running(t, d, 3)
	fail(t, d, parents[0], at, StatusDeadLetter, time.Time{})
	fail(t, d, parents[1], at, StatusCanceled, time.Time{})
	mustExec(t, d, "UPDATE `tabBackground Job` SET organization='ORG-2' WHERE name=?", parents[2].Name)
	for name, why := range map[string]string{
		"JOB-none":      "it depends on JOB-none, which doesn't exist",
		"\xff":          "name is not valid UTF-8",
		parents[0].Name: "it depends on " + parents[0].Name + ", which is Dead Letter",
		parents[1].Name: "it depends on " + parents[1].Name + ", which is Canceled",
		parents[2].Name: "it depends on " + parents[2].Name + ", which doesn't exist",
		"":              "depends_on has an empty name",
	} {
		_, err := d.CreateJobs(t.Context(), []NewJob{newJob(StatusQueued), dependsOn(name)})
		if !errors.Is(err, ErrDependency) && !errors.Is(err, ErrValue) || OfServer(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("a job that depends on %q: %v, want an error that says %q", name, err, why)
		}
	}
	mustExec(t, d, "DROP TABLE `tabBackground Job Dependency`")
	d.tables.tables.Forget()
	if _, err := d.CreateJobs(t.Context(), []NewJob{dependsOn(newJobs(t, d, 2, StatusQueued)[0].Name, "JOB-1")}); !errors.Is(err, ErrTableMissing) {
		t.Errorf("two parents where the table is missing: %v", err)
	}
	one, err := d.CreateJobs(t.Context(), []NewJob{dependsOn(newJobs(t, d, 1, StatusQueued)[0].Name)})
	if err != nil || one[0].Status != StatusPending {
		t.Fatalf("one parent there: %v, %v", one, err)
	}
	if got := dependents(t, d, one[0].DependsOn); !slices.Equal(got, []string{one[0].Name}) {
		t.Errorf("it is found as %q", got)
	}
	if read, err := d.Parents(t.Context(), one); err != nil || len(read[one[0].Name]) != 1 {
		t.Errorf("%v, %v", read, err)
	}
}

// TestAParentThatEndsWhileAChildIsMade is either found completed by it, or finds it.
func TestAParentThatEndsWhileAChildIsMade(t *testing.T) {
	_, d := installed(t, testMajor)
	const n = 200
	parents, at := running(t, d, n)
	var queued, waits int
	for _, p := range parents {
		var both sync.WaitGroup
		var child *BackgroundJob
		both.Go(func() {
			jobs, err := d.CreateJobs(context.Background(), []NewJob{dependsOn(p.Name)})
			if err != nil {
				t.Error(err)
				return
			}
			child = jobs[0]
		})
		var found []string
		both.Go(func() {
			r, err := d.Transition(context.Background(), []Transition{{Name: p.Name, From: StatusRunning, To: StatusCompleted, Fence: fence(d, at)}})
			if err != nil || !r[0].Applied {
				t.Errorf("%+v, %v", r, err)
			}
			found = dependents(t, d, p.Name)
		})
		both.Wait()
		switch {
		case child == nil:
			return
		case child.Status == StatusQueued:
			queued++
		case slices.Equal(found, []string{child.Name}):
			waits++
		default:
			t.Fatalf("the child is %s and its parent's end finds %q", child.Status, found)
		}
	}
	t.Logf("%d were made Queued, %d Pending", queued, waits)
	if queued == 0 || waits == 0 {
		t.Error("there was no race")
	}
}

// TestEndedParents are those that ended lately and that somebody still waits for.
func TestEndedParents(t *testing.T) {
	_, d := installed(t, testMajor)
	since := time.Now().Add(-time.Second)
	parents, at := running(t, d, 5)
	if _, err := d.CreateJobs(t.Context(), []NewJob{
		dependsOn(parents[0].Name), dependsOn(parents[1].Name), dependsOn(parents[4].Name, parents[2].Name),
	}); err != nil {
		t.Fatal(err)
	}
	for i, status := range []Status{StatusCompleted, StatusDeadLetter, StatusCanceled, StatusCompleted} {
		fail(t, d, parents[i], at, status, time.Time{})
	}
	got, err := d.EndedParents(t.Context(), since, time.Time{}, Place{}, 10)
	if diff := cmp.Diff(namesOfRows(parents[:3]), placeNames(got)); err != nil || diff != "" {
		t.Errorf("ended parents (-want +got), %v:\n%s", err, diff)
	}
	if got, err = d.EndedParents(t.Context(), since, time.Time{}, got[0], 1); err != nil || !slices.Equal(placeNames(got), namesOfRows(parents[1:2])) {
		t.Errorf("behind the first: %v, %v", got, err)
	}
	if got, err = d.EndedParents(t.Context(), time.Now().Add(time.Minute), time.Time{}, Place{}, 10); err != nil || len(got) > 0 {
		t.Errorf("later: %v, %v", got, err)
	}
}

// TestCycle says the way, of any length up to where it is followed.
func TestCycle(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 6, StatusPending)
	name := namesOfRows(jobs)
	for i, on := range []int{0: 1, 1: 2, 2: 3, 3: 1, 4: 4, 5: 0} {
		mustExec(t, d, "UPDATE `tabBackground Job` SET depends_on=? WHERE name=?", name[on], name[i])
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET depends_on=NULL WHERE name=?", name[3])
	mustExec(t, d, "INSERT INTO `tabBackground Job Dependency` (name,parent,parenttype,parentfield,idx,background_job) VALUES ('a',?,'Background Job','dependencies',1,?)", name[3], name[1])
	for i, want := range [][]string{nil, {name[1], name[2], name[3]}, {name[2], name[3], name[1]}, {name[3], name[1], name[2]}, {name[4]}, nil} {
		got, err := d.Cycle(t.Context(), row(t, d, name[i]))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("from %s (-want +got), %v:\n%s", name[i], err, diff)
		}
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Completed' WHERE name=?", name[2])
	if got, err := d.Cycle(t.Context(), row(t, d, name[1])); err != nil || got != nil {
		t.Errorf("over a job that has ended: %q, %v", got, err)
	}
}

// TestEndedParentsAmongManyThatWait: what waits for nothing, or for others, isn't read.
func TestEndedParentsAmongManyThatWait(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,status) SELECT CONCAT('JOB-',seq),NOW(6),TIMESTAMP'2026-01-01 00:00:00.5'+INTERVAL seq MINUTE,IF(seq>3000,'Completed','Pending') FROM seq_1_to_6000")
	mustExec(t, d, "INSERT INTO `tabBackground Job Dependency` (name,parent,parenttype,background_job) SELECT UUID(),CONCAT('JOB-',seq),'Background Job',CONCAT('X-',seq) FROM seq_1_to_3000")
	mustExec(t, d, "ANALYZE TABLE `tabBackground Job`, `tabBackground Job Dependency`")
	c, err := d.x.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	of := Place{}.args(StatusCompleted)
	args := append([]any{of[0], "2026-01-05 02:20:00", "9999-12-31 23:59:59"}, append(of[1:], 1000)...)
	read := func() (n int) {
		t.Helper()
		if err := c.GetContext(t.Context(), &n, "SELECT CAST(SUM(variable_value) AS INT) FROM information_schema.session_status WHERE variable_name LIKE 'Handler\\_read%'"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, query := range []string{endedParents, endedParentsOfSeveral} {
		var found []Place
		before := read()
		if err := c.SelectContext(t.Context(), &found, query, args...); err != nil || len(found) > 0 {
			t.Fatalf("%v, %v: none waits for what has ended", found, err)
		}
		if n := read() - before; n > 1000 {
			t.Errorf("for 100 that ended it reads %d rows: %s", n, query)
		}
	}
}
