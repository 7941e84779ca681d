package rows

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// siteOn is a site on a server of the test's own.
func siteOn(t testing.TB, m *servers.MariaDB, password string) *frappe.Site {
	t.Helper()
	if err := m.CreateDatabase(t.Context(), "own", "own", "secret"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1", Sites: []servers.BenchSite{
		{Name: "s", DBName: "own", DBPassword: password, DBHost: m.Host, DBPort: m.Port}}})
	if err != nil {
		t.Fatal(err)
	}
	return openSite(t, dir, "s")
}

func TestWrongPassword(t *testing.T) {
	s := siteOn(t, servertest.PrivateMariaDB(t), "not-the-password")
	_, err := Open(t.Context(), s)
	if !errors.Is(err, ErrAccessDenied) || !strings.Contains(err.Error(), "db_password in sites/s/site_config.json") {
		t.Errorf("got %v, want ErrAccessDenied and what to check", err)
	}
	if strings.Contains(err.Error(), "not-the-password") {
		t.Errorf("the password is in the error: %v", err)
	}
}

func TestUnknownDatabase(t *testing.T) {
	m := servertest.MariaDB(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{"party": {"frappe_version": 16}}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), fmt.Sprintf(`{"db_name": "absent", "db_user": "root", "db_port": %d}`, m.Port))
	if _, err := Open(t.Context(), openSite(t, dir, "s")); !errors.Is(err, ErrNoDatabase) || !strings.Contains(err.Error(), "check db_name") {
		t.Errorf("got %v, want ErrNoDatabase", err)
	}
}

func TestServerAwayAtStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), `{"db_name": "n", "db_port": 1}`)
	_, err := Open(t.Context(), openSite(t, dir, "s"))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want ErrUnavailable with the address", err)
	}
}

func TestServerAwayInTheMiddle(t *testing.T) {
	m := servertest.PrivateMariaDB(t)
	s := siteOn(t, m, "secret")
	d := siteDB(t, s)
	if _, err := Install(t.Context(), d, InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	j := newJobs(t, d, 1, StatusQueued)[0]
	m.Kill()
	if _, err := d.BackgroundJob(t.Context(), j.Name); !errors.Is(err, ErrUnavailable) {
		t.Errorf("read: %v, want ErrUnavailable", err)
	}
	if _, err := d.Transition(t.Context(), []Transition{start(j.Name, d.Now())}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("transition: %v, want ErrUnavailable", err)
	}
	if _, err := d.CreateJobs(t.Context(), []NewJob{newJob(StatusQueued)}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("create: %v, want ErrUnavailable", err)
	}
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	results, err := d.Transition(t.Context(), []Transition{start(j.Name, d.Now())})
	if err != nil || !results[0].Applied {
		t.Errorf("after the restart: %+v, %v", results, err)
	}
}

// tableNamed finds a table's name in an error, ours or the server's.
var tableNamed = regexp.MustCompile(`tab(Background Job|Job Type|Job Execution Log|Organization)\b`)

func TestTableMissing(t *testing.T) {
	d := siteDB(t, newSite(t, testMajor))
	_, errRead := d.BackgroundJob(t.Context(), "JOB-1")
	_, errMove := d.Transition(t.Context(), []Transition{start("JOB-1", d.Now())})
	_, errCreate := d.CreateJobs(t.Context(), []NewJob{newJob(StatusQueued)})
	_, errTypes := d.JobTypes(t.Context())
	_, errLog := d.History(t.Context(), "JOB-1")
	_, errOrganization := d.Organization(t.Context(), "ORG-1")
	for what, err := range map[string]error{"read": errRead, "move": errMove, "create": errCreate, "types": errTypes, "log": errLog, "organization": errOrganization} {
		if !errors.Is(err, ErrTableMissing) || !strings.Contains(err.Error(), "site site1.localhost: ") || !tableNamed.MatchString(err.Error()) {
			t.Errorf("%s: %v, want ErrTableMissing, the site and the table", what, err)
		}
	}
	if source, err := d.MemberSource(t.Context()); err != nil || source != "" {
		t.Errorf("a bare database has members in %q, %v", source, err)
	}
}

// A table that vanishes while it is in use is said as well, and is found again when it is back.
func TestTableVanishes(t *testing.T) {
	_, d := installed(t, testMajor)
	j := newJobs(t, d, 1, StatusQueued)[0]
	mustExec(t, d, "RENAME TABLE `tabBackground Job` TO away")
	if _, err := d.Transition(t.Context(), []Transition{start(j.Name, d.Now())}); !errors.Is(err, ErrTableMissing) {
		t.Errorf("transition: %v", err)
	}
	mustExec(t, d, "RENAME TABLE away TO `tabBackground Job`")
	if r, err := d.Transition(t.Context(), []Transition{start(j.Name, d.Now())}); err != nil || !r[0].Applied {
		t.Errorf("after it came back: %+v, %v", r, err)
	}
}

func TestCallersContextEndsWaiting(t *testing.T) {
	_, d := installed(t, testMajor)
	j := newJobs(t, d, 1, StatusQueued)[0]
	release := lockRow(t, d, j.Name)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := d.Transition(ctx, []Transition{start(j.Name, d.Now())})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 2*time.Second {
		t.Errorf("got %v after %v, want the context's error at once", err, time.Since(begun))
	}
}

// lockRow holds a row as a desk save does.
func lockRow(t testing.TB, d *DB, name string) (release func()) {
	t.Helper()
	tx, err := d.x.DB.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("SET idle_transaction_timeout=0"); err != nil { // the desk's has none
		t.Fatal(err)
	}
	if _, err := tx.Exec("SELECT name FROM `tabBackground Job` WHERE name=? FOR UPDATE", name); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}

// Whoever waits for a lock doesn't wait as long as Frappe does, and none is taken on gaps.
func TestSession(t *testing.T) {
	_, d := installed(t, testMajor)
	var session string
	if err := d.x.Get(&session, "SELECT CONCAT_WS(' ', @@tx_isolation, @@innodb_lock_wait_timeout)"); err != nil || session != "READ-COMMITTED 5" {
		t.Errorf("isolation and lock wait of a connection: %q, %v, want READ-COMMITTED and 5 s", session, err)
	}
}

// TestATransactionThatIsLeft: what a process that was stopped in the middle of a transaction has locked is free soon.
func TestATransactionThatIsLeft(t *testing.T) {
	t.Parallel()
	_, d := installed(t, testMajor)
	job := newJobs(t, d, 1, StatusQueued)[0]
	tx, err := d.x.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // the server has ended it
	if _, err := tx.Exec("SELECT name FROM `tabBackground Job` WHERE name=? FOR UPDATE", job.Name); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(time.Second) {
		results, err := d.Transition(t.Context(), []Transition{start(job.Name, d.Now())})
		if err == nil && results[0].Applied {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("after 30 s the row is still locked: %+v, %v", results, err)
		}
	}
}

// A server whose binary log is written by statement refuses READ COMMITTED writes.
func TestStatementBinlog(t *testing.T) {
	m := servertest.PrivateMariaDB(t, "--log-bin", "--server-id=1", "--binlog-format=STATEMENT")
	s := siteOn(t, m, "secret")
	d := siteDB(t, s)
	if _, err := Install(t.Context(), d, InstallOptions{Samples: true}); err != nil {
		t.Fatal(err)
	}
	var isolation string
	if err := d.x.Get(&isolation, "SELECT CONCAT(@@log_bin, @@binlog_format, @@tx_isolation)"); err != nil || isolation != "ONSTATEMENTREPEATABLE-READ" {
		t.Errorf("%q, %v", isolation, err)
	}
	jobs := newJobs(t, d, 3, StatusQueued)
	at := d.Now()
	results, err := d.Transition(t.Context(), []Transition{start(jobs[0].Name, at), start(jobs[1].Name, at), start(jobs[2].Name, at)})
	if err != nil || !results[0].Applied || !results[2].Applied {
		t.Errorf("%+v, %v", results, err)
	}
	if ok, err := d.SetProgress(t.Context(), []Progress{{Name: jobs[0].Name, Fence: fence(d, at), Percent: 1, Message: "x"}}); err != nil || !ok[0] {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestServerVersion(t *testing.T) {
	d := &conn{database: database{site: "s"}, where: "h:1"}
	for version, good := range map[string]bool{"10.6.16-MariaDB": true, "5.5.5-10.11.6-MariaDB-0+deb12u1": true, "11.8.2-MariaDB-log": true, "12.0.1-MariaDB": true,
		"10.5.23-MariaDB": false, "8.0.36": false, "": false} {
		if err := d.checkVersion(version); (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
	}
}
