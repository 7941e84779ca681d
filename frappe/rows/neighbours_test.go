package rows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// strange are columns as an app's own DocType may have them: narrower, of other types, with rules of their own.
const strange = "ALTER TABLE `tabBackground Job` MODIFY organization varchar(30) CHARACTER SET utf8mb3, MODIFY depends_on varchar(40) NOT NULL DEFAULT '', " +
	"MODIFY timeout_seconds smallint unsigned, MODIFY max_retries varchar(3), MODIFY priority enum('Low','Normal','High','It''s'), " +
	"MODIFY retry_count tinyint, ADD CONSTRAINT refuse CHECK (canceled_by <> 'nobody')"

const secret = "s3cret"

// badJobs are what may be wrong with a new job, by the column that is to be named.
func badJobs(t *rapid.T) (column string, spoil func(*NewJob)) {
	text := rapid.SampledFrom([]string{
		strings.Repeat("é", 141) + secret, secret + "\xff\xfe", strings.Repeat(secret, 15_000),
	}).Draw(t, "text")
	number := rapid.SampledFrom([]int{1e13, -1e13, 1 << 40, -1 << 40, 100_000_000_000}).Draw(t, "number")
	all := map[string]func(*NewJob){
		"job_type":         func(n *NewJob) { n.JobType = text },
		"organization":     func(n *NewJob) { n.Organization = text },
		"owner_user":       func(n *NewJob) { n.OwnerUser = text },
		"priority":         func(n *NewJob) { n.Priority = text },
		"depends_on":       func(n *NewJob) { n.DependsOn = []string{text} },
		"timeout_seconds":  func(n *NewJob) { n.TimeoutSeconds = number },
		"max_retries":      func(n *NewJob) { n.MaxRetries = number },
		"created_at":       func(n *NewJob) { n.CreatedAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"input_parameters": func(n *NewJob) { n.InputParameters = json.RawMessage(`{"password": "` + secret) },
	}
	column = rapid.SampledFrom(sortedKeys(all)).Draw(t, "column")
	return column, all[column]
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// TestWhatIsWrongWithAJobIsKnownBefore it shares a transaction with others, in tables of both kinds.
func TestWhatIsWrongWithAJobIsKnownBefore(t *testing.T) {
	for name, alter := range map[string]string{"ours": "", "strange": strange} {
		t.Run(name, func(t *testing.T) {
			_, d := installed(t, testMajor)
			if alter != "" {
				mustExec(t, d, alter)
				d.tables.tables.Forget()
			}
			rapid.Check(t, func(rt *rapid.T) {
				column, spoil := badJobs(rt)
				bad := withDependency(0)
				spoil(&bad)
				err := d.CheckJob(t.Context(), bad)
				if !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), column) || strings.Contains(err.Error(), secret) {
					rt.Fatalf("a bad %s: %v, want an error that names it and shows no value", column, err)
				}
			})
			if err := d.CheckJob(t.Context(), withDependency(0)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatPassesTheCheckIsTaken, and what doesn't the server refuses as well: values around every limit.
func TestWhatPassesTheCheckIsTaken(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, strange)
	d.tables.tables.Forget()
	text := rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"x", "é", "日", "😀", "\x00", "'", "\\", "\ufffd", "\xff"}).Draw(t, "unit")
		return "a" + strings.Repeat(unit, rapid.SampledFrom([]int{0, 1, 28, 29, 30, 38, 39, 40, 138, 139, 140, 200}).Draw(t, "n"))
	})
	number := rapid.SampledFrom([]int{-129, -1, 0, 1, 127, 128, 255, 999, 1000, 65535, 65536, 1 << 31, 1e13})
	rapid.Check(t, func(rt *rapid.T) {
		n := newJob(StatusQueued)
		switch rapid.IntRange(0, 6).Draw(rt, "field") {
		case 0:
			n.JobType = text.Draw(rt, "job_type")
		case 1:
			n.Organization = text.Draw(rt, "organization")
		case 2:
			n.OwnerUser = text.Draw(rt, "owner_user")
		case 3:
			n.DependsOn = []string{text.Draw(rt, "depends_on") + "x"}
		case 4:
			n.TimeoutSeconds = number.Draw(rt, "timeout_seconds")
		case 5:
			n.MaxRetries = number.Draw(rt, "max_retries")
		case 6:
			n.Priority = rapid.SampledFrom([]string{"Low", "HIGH", "It's", "Its", "", "Low','Normal"}).Draw(rt, "priority")
		}
		if n.DependsOn == nil {
			n.DependsOn = []string{"x"} // NULL is no value for it
		}
		check := d.CheckJob(t.Context(), n)
		// As if nothing had been checked.
		_, err := d.exec(t.Context(), "insert", "INSERT INTO `tabBackground Job` (name,job_type,organization,owner_user,depends_on,timeout_seconds,max_retries,priority) VALUES (UUID(),?,?,?,?,?,?,?)",
			n.JobType, n.Organization, n.OwnerUser, n.DependsOn[0], n.TimeoutSeconds, n.MaxRetries, n.row(&tableInfo{}, "", time.Now()).Priority)
		if (check == nil) != (err == nil) || err != nil && !errors.Is(err, ErrValue) {
			rt.Fatalf("the check says %v, the server %v of %+v", check, err, n)
		}
	})
}

// TestABadMoveIsAlone: moves of one call, some of which the row, the server or the package refuses.
func TestABadMoveIsAlone(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, strange)
	d.tables.tables.Forget()
	texts := map[string]string{ // of a column that is cut to what it takes
		"long": strings.Repeat("日", 300), "not UTF-8": "a\xff\xfe", "four bytes": "😀", "NUL": "a\x00b", "megabytes": strings.Repeat("x", 2<<20),
	}
	bad := map[string]struct {
		column string
		spoil  func(*Transition)
	}{
		"a number beyond its column": {"timeout_seconds", func(m *Transition) { m.Set = append(m.Set, Job.TimeoutSeconds.To(1<<20)) }},
		"below it":                   {"retry_count", func(m *Transition) { m.Set = append(m.Set, Job.RetryCount.To(-1000)) }},
		"a date beyond all": {"next_retry_at", func(m *Transition) {
			m.Set = append(m.Set, Job.NextRetryAt.To(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)))
		}},
		"NULL":                       {"depends_on", func(m *Transition) { m.Set = append(m.Set, Job.DependsOn.To("")) }},
		"an unknown choice":          {"priority", func(m *Transition) { m.Set = append(m.Set, Job.Priority.To(secret)) }},
		"an actor that is no User":   {"modified_by", func(m *Transition) { m.Actor = strings.Repeat(secret, 100) }},
		"what only the server knows": {"refuse", func(m *Transition) { m.Set = append(m.Set, Job.CanceledBy.To("nobody")) }},
		"no column":                  {"without a column", func(m *Transition) { m.Set = append(m.Set, Value{}) }},
		"no state":                   {"states", func(m *Transition) { m.To = "" }},
	}
	rapid.Check(t, func(rt *rapid.T) {
		jobs := newJobsOf(t, d, rapid.IntRange(1, 20).Draw(rt, "n"))
		ts := make([]Transition, len(jobs))
		kinds := make([]string, len(jobs))
		for i, j := range jobs {
			text := texts[rapid.SampledFrom(append([]string{"", "", ""}, sortedKeys(texts)...)).Draw(rt, "text")]
			ts[i] = Transition{Name: j.Name, From: StatusQueued, To: StatusFailed, Message: text, Set: []Value{Job.ErrorMessage.To(text), Job.ProgressMessage.To(text)}}
			if rapid.IntRange(0, 4).Draw(rt, "bad") == 0 {
				kinds[i] = rapid.SampledFrom(sortedKeys(bad)).Draw(rt, "kind")
				bad[kinds[i]].spoil(&ts[i])
			}
		}
		results, err := d.Transition(t.Context(), ts)
		if err != nil {
			rt.Fatal(err)
		}
		for i, r := range results {
			switch kind := bad[kinds[i]]; {
			case kind.column == "" && (r.Err != nil || !r.Applied || row(t, d, ts[i].Name).Status != StatusFailed):
				rt.Fatalf("a healthy move of %d: %+v", len(ts), r)
			case kind.column != "" && (r.Err == nil || r.Applied || !strings.Contains(r.Err.Error(), kind.column) || strings.Contains(r.Err.Error(), secret)):
				rt.Fatalf("a move with %s: %+v, want an error that says %q and shows no value", kinds[i], r, kind.column)
			case kind.column != "" && row(t, d, ts[i].Name).Status != StatusQueued:
				rt.Fatalf("a move with %s is made", kinds[i])
			}
		}
	})
}

// withDependency is a job that the strange table takes.
func withDependency(i int) NewJob {
	n := newJob(StatusQueued)
	n.DependsOn = []string{fmt.Sprint("JOB-", i)}
	return n
}

func newJobsOf(t *testing.T, d *DB, n int) []*BackgroundJob {
	t.Helper()
	js := make([]NewJob, n)
	for i := range js {
		js[i] = withDependency(i)
		mustExec(t, d, "INSERT IGNORE INTO `tabBackground Job` (name,status,organization) VALUES (?,'Completed',?)", js[i].DependsOn[0], js[i].Organization)
	}
	jobs, err := d.CreateJobs(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// TestBadNamesAndReportsHarmNoOther: names and fences that no row can have, beside those of running rows.
func TestBadNamesAndReportsHarmNoOther(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 5, StatusQueued)
	at := d.Now()
	for _, j := range jobs {
		transit(t, d, start(j.Name, at))
	}
	badNames := []string{"", "\xff\xfe", "JOB-\x00", "😀", strings.Repeat("日", 141)}
	badFences := []string{"", "yesterday", "2026-13-45 99:00:00", "\xff", fence(d, at) + "x"}
	rapid.Check(t, func(rt *rapid.T) {
		var reports []Progress
		var names []string
		var good []bool
		for i, j := range jobs {
			reports = append(reports, Progress{Name: j.Name, Fence: fence(d, at), Percent: float64(10 * i), Message: "a\xff😀" + strings.Repeat("x", 300)})
			names, good = append(names, j.Name), append(good, true)
			if rapid.Bool().Draw(rt, "a bad name") {
				name := rapid.SampledFrom(badNames).Draw(rt, "name")
				reports, names, good = append(reports, Progress{Name: name, Fence: fence(d, at)}), append(names, name), append(good, false)
			}
			if rapid.Bool().Draw(rt, "a bad fence") {
				reports = append(reports, Progress{Name: fmt.Sprint("JOB-other-", i), Fence: rapid.SampledFrom(badFences).Draw(rt, "fence")})
				good = append(good, false)
			}
		}
		running, err := d.SetProgress(t.Context(), reports)
		if err != nil || !slices.Equal(running, good) {
			rt.Fatalf("%v running, %v, want %v", running, err, good)
		}
		found, err := d.BackgroundJobs(t.Context(), names)
		if err != nil || len(found) != len(jobs) {
			rt.Fatalf("%d of %d rows found beside bad names, %v", len(found), len(jobs), err)
		}
		if found[jobs[4].Name].Progress != 40 {
			rt.Fatalf("progress %v, want 40", found[jobs[4].Name].Progress)
		}
	})
	huge := strings.Repeat("x", 17<<20) // more than a packet
	if found, err := d.BackgroundJobs(t.Context(), []string{jobs[0].Name, huge}); err != nil || len(found) != 1 {
		t.Errorf("%d rows beside a name of 17 MiB, %v", len(found), err)
	}
	if running, err := d.SetProgress(t.Context(), []Progress{{Name: huge}, {Name: jobs[0].Name, Fence: fence(d, at)}}); err != nil || running[0] || !running[1] {
		t.Errorf("%v running beside a name of 17 MiB, %v", running, err)
	}
}

// TestErrorsOfEverySizeAreLogged in one call.
func TestErrorsOfEverySizeAreLogged(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "CREATE TABLE IF NOT EXISTS `tabError Log` (name varchar(140) PRIMARY KEY, creation datetime(6), modified datetime(6), owner varchar(140), modified_by varchar(140), method varchar(140), error longtext CHARACTER SET utf8mb3, reference_doctype varchar(140), reference_name varchar(140))")
	entries := slices.Repeat([]ErrorLog{
		{Title: "small", Error: "x"}, {Title: strings.Repeat("日", 500), Error: strings.Repeat("😀\x00\xff", 1<<18), User: strings.Repeat("u", 500), Name: "\xff"},
	}, 5)
	if err := d.LogErrors(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := d.x.Get(&n, "SELECT COUNT(*) FROM `tabError Log`"); err != nil || n != len(entries) {
		t.Errorf("%d of %d entries, %v", n, len(entries), err)
	}
}
