package rows

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// within is a job that isn't to be there twice.
func within(hash string, d time.Duration) NewJob {
	n := withHash(hash)
	n.Within = d
	return n
}

// TestCreateUnlessThere: a job is there already while it hasn't ended, or whatever became of it, of its own organization and
// Job Type.
func TestCreateUnlessThere(t *testing.T) {
	_, d := installed(t, testMajor)
	ended := newJobsWith(t, d, "ended", "live", "old", "other")
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Dead Letter' WHERE name=?", ended[0].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET creation=creation - INTERVAL 10 MINUTE WHERE name=?", ended[2].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET organization='ORG-X' WHERE name=?", ended[3].Name)
	for _, tc := range []struct {
		name string
		job  NewJob
		want string // the row that is there
	}{
		{"ended, which doesn't matter", within("ended", Ever), ended[0].Name},
		{"ended, and that counts", within("ended", 5*time.Minute), ""},
		{"not ended", within("live", 5*time.Minute), ended[1].Name},
		{"too long ago", within("old", 5*time.Minute), ""},
		{"long ago, which doesn't matter", within("other", Ever), ""},
		{"of another organization", within("other", 5*time.Minute), ended[3].Name + " not"},
	} {
		if strings.HasSuffix(tc.want, " not") {
			tc.job.JobType = "sample_job" // the last case made one of echo_job
			tc.want = ""
		}
		created, err := d.CreateUnlessThere(t.Context(), []NewJob{tc.job})
		if err != nil {
			t.Fatal(err)
		}
		if c := created[0]; c.There != (tc.want != "") || c.There && c.Row.Name != tc.want {
			t.Errorf("%s: row %s, there already %v, want %q", tc.name, c.Row.Name, c.There, tc.want)
		}
	}
	if _, err := d.CreateUnlessThere(t.Context(), []NewJob{within("", Ever)}); err == nil || !strings.Contains(err.Error(), "job_hash is empty") {
		t.Errorf("a job that can't be found again: %v", err)
	}
}

// newJobsWith makes Queued rows of some hashes.
func newJobsWith(t *testing.T, d *DB, hashes ...string) []*BackgroundJob {
	t.Helper()
	var js []NewJob
	for _, h := range hashes {
		js = append(js, withHash(h))
	}
	jobs, err := d.CreateJobs(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// TestOneOfManyCreates: submitters on two machines, each with the same jobs in batches of another size, and each job twice
// in one batch.
func TestOneOfManyCreates(t *testing.T) {
	site, d := installed(t, testMajor)
	other := siteDB(t, site)
	const jobs = 60
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		made = map[string]int{}    // by hash
		rows = map[string]string{} // its row
	)
	for submitter := range 8 {
		db := []*DB{d, other}[submitter%2]
		all.Go(func() {
			var js []NewJob
			for i := range jobs {
				n := within(fmt.Sprintf("hash-%d", (i*7+submitter*13)%jobs), []time.Duration{Ever, time.Hour}[i%2])
				js = append(js, n, n)
			}
			for some := range slices.Chunk(js, 3+2*submitter) {
				created, err := db.CreateUnlessThere(t.Context(), some)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, c := range created {
					hash := some[i].JobHash
					if !c.There {
						made[hash]++
					}
					if rows[hash] == "" {
						rows[hash] = c.Row.Name
					}
					if rows[hash] != c.Row.Name {
						t.Errorf("%s is %s and %s", hash, rows[hash], c.Row.Name)
					}
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	var count int
	if err := d.x.Get(&count, "SELECT COUNT(*) FROM `tabBackground Job`"); err != nil || count != jobs || len(made) != jobs {
		t.Errorf("%d rows, %d hashes were made, %v; want %d", count, len(made), err, jobs)
	}
	for hash, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", hash, n)
		}
	}
}

// TestAHashThatIsOftenThere costs no more than another: of a job that is submitted every minute thousands have ended.
func TestAHashThatIsOftenThere(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,job_type,organization,status,job_hash)"+
		" SELECT CONCAT('JOB-2020-',seq),NOW(6) - INTERVAL seq SECOND,NOW(6),'echo_job','ORG-2026-00001','Completed',IF(seq%2,'often',CONCAT('h',seq)) FROM seq_1_to_20000")
	mustExec(t, d, "ANALYZE TABLE `tabBackground Job`")
	for _, n := range []NewJob{within("often", time.Hour), within("none", time.Hour)} {
		question, args := n.question(d.Now(), "")
		var before, after int
		read := "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME='ROWS_READ'"
		conn, err := d.x.Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var name string
		err1, err2, err3 := conn.GetContext(t.Context(), &before, read), conn.GetContext(t.Context(), &name, question, args...), conn.GetContext(t.Context(), &after, read)
		_ = conn.Close()
		if err1 != nil || err2 != nil && !errors.Is(err2, sql.ErrNoRows) || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		if after-before > 1000 {
			t.Errorf("%s reads %d rows", question, after-before)
		}
	}
}

// TestGuards: who makes jobs before and after the turn of the year meets at a counter, also when their clocks differ.
func TestGuards(t *testing.T) {
	zone := time.FixedZone("", 5*3600)
	at := func(hour, minute int) []string { return guards(time.Date(2027, 1, 1, hour, minute, 0, 0, zone)) }
	for _, tc := range []struct {
		got, want []string
	}{
		{at(0, -1), []string{"JOB-2026-"}},
		{at(0, 1), []string{"JOB-2026-", "JOB-2027-"}},
		{at(0, 59), []string{"JOB-2026-", "JOB-2027-"}},
		{at(1, 1), []string{"JOB-2027-"}},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("guards %q, want %q", tc.got, tc.want)
		}
	}
}
