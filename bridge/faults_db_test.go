package bridge

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const otherSite = "site2.localhost"

// twoSites is a bed with a second site, whose database is on a server of its own.
type twoSites struct {
	*bed
	other *servers.MariaDB
	db2   *rows.DB
	sql2  *sqlx.DB
}

func newTwoSites(t *testing.T, bridge map[string]any) *twoSites {
	t.Helper()
	m := servertest.PrivateMariaDB(t)
	if err := m.CreateDatabase(t.Context(), "other", "other", "secret"); err != nil {
		t.Fatal(err)
	}
	s := &twoSites{other: m}
	s.bed = newBedOn(t, servertest.Redis(t), bridge, servers.BenchConfig{Sites: []servers.BenchSite{
		{Name: testSite}, {Name: otherSite, DBHost: m.Host, DBPort: m.Port, DBName: "other", DBPassword: "secret"},
	}})
	s.db2 = s.install(otherSite)
	s.sql2 = sqlx.MustOpen("mysql", m.UserDSN("other", "other", "secret"))
	t.Cleanup(func() { _ = s.sql2.Close() })
	s.exec2("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES ('ORG-A', NOW(6), NOW(6), 'Administrator', 'Administrator', 'ORG-A', 'Active')")
	s.exec2("UPDATE `tabJob Type` SET deduplication_window = 0")
	s.exec2("UPDATE `tabJob Type` SET name = 'holds', type_name = 'holds', handler_method = 'go.holds' WHERE name = 'long_running_job'")
	s.countTypes()
	return s
}

func (s *twoSites) exec2(query string) {
	s.t.Helper()
	if _, err := s.sql2.ExecContext(s.t.Context(), query); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// submit2 submits a job of the second site.
func (s *twoSites) submit2(jobType string) string {
	s.t.Helper()
	row, err := s.client().Submit(s.t.Context(), SubmitRequest{Site: otherSite, JobType: jobType, Organization: "ORG-A", Parameters: map[string]any{"duration": 0}})
	if err != nil {
		s.t.Fatal(err)
	}
	return row.Name
}

func (s *twoSites) waitRow2(name string, want rows.Status) {
	s.t.Helper()
	last := ""
	s.eventually(name+" becomes "+string(want), func() bool {
		row, err := s.db2.BackgroundJob(s.t.Context(), name)
		if err != nil {
			last = err.Error()
			return false
		}
		last = string(row.Status)
		return row.Status == want
	}, func() string { return last })
}

// wantOthersGoOn checks that a plain job and a job of the first site run soon.
func (s *twoSites) wantOthersGoOn(within time.Duration) {
	s.t.Helper()
	begin := time.Now()
	plain := s.plain("go.fine")
	row := s.submit("sample_job", map[string]any{"duration": 0})
	s.waitJob(plain, rqcompat.StatusFinished)
	s.waitRow(row, rows.StatusCompleted)
	if d := time.Since(begin); d > within {
		s.t.Errorf("other jobs took %s, want less than %s", d, within)
	}
}

func TestMariaDBAwayAtStart(t *testing.T) {
	t.Parallel()
	s := newTwoSites(t, nil)
	var names []string
	for range 300 { // many, so that looking at each of them in vain would show
		names = append(names, s.submit2("sample_job"))
	}
	s.other.Kill()
	s.restartBench()
	s.start(registerFine)
	for range 3 {
		s.wantOthersGoOn(5 * time.Second)
		time.Sleep(300 * time.Millisecond)
	}
	if err := s.other.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s.waitRow2(name, rows.StatusCompleted)
	}
}

func TestMariaDBAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newTwoSites(t, map[string]any{"lease": 1})
	c := newCounter()
	s.cfg.pace = fastPace
	s.start(c.register)
	running := s.submit2("holds")
	plain := s.plain("go.holds")
	c.waitHeld(s.bed, 2)
	s.other.Kill()
	close(c.open)
	s.waitJob(plain, rqcompat.StatusFinished)
	for range 3 {
		s.wantOthersGoOn(5 * time.Second)
		time.Sleep(300 * time.Millisecond)
	}
	// The job has ended and holds its lease until the row is settled.
	id := s.bench.JobID(otherSite, running)
	if job, err := s.client().RQ().Fetch(t.Context(), id); err != nil || job.Status != rqcompat.StatusStarted {
		t.Errorf("while MariaDB is away: %+v, %v", job, err)
	}
	if err := s.other.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitRow2(running, rows.StatusCompleted)
	s.waitJob(id, rqcompat.StatusFinished)
	c.wantOnce(t, id, plain)
}

// TestMariaDBThatHangs: a server that takes connections and answers nothing
// holds up its own site only. Leases of other jobs are renewed, their progress
// is written, and new ones start.
func TestMariaDBThatHangs(t *testing.T) {
	t.Parallel()
	s := newTwoSites(t, map[string]any{"lease": 1})
	s.cfg.pace = fastPace
	c := newCounter()
	ticks := make(chan struct{})
	s.start(func(e *Engine) {
		c.register(e)
		Register(e, "go.ticks", func(ctx context.Context, job *Job[any]) (any, error) {
			c.ran(job.ID)
			for i := 0; ; i++ {
				job.Progress(float64(i), "ticking")
				select {
				case <-ticks:
					return nil, nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	})
	s.exec("UPDATE `tabJob Type` SET name = 'ticks', type_name = 'ticks', handler_method = 'go.ticks' WHERE name = 'long_running_job'")
	running := s.submit2("holds")
	ticking := s.submit("ticks", nil)
	plain := s.plain("go.holds")
	c.waitHeld(s.bed, 2)
	s.waitRow(ticking, rows.StatusRunning)
	for range 20 {
		s.submit2("sample_job")
	}
	if err := s.other.Pause(); err != nil {
		t.Fatal(err)
	}
	resume := time.AfterFunc(20*time.Second, func() { _ = s.other.Resume() })
	defer resume.Stop()
	time.Sleep(6 * time.Second) // what was known of the site's Job Types is forgotten by then
	before := s.row(ticking).Progress
	for range 3 {
		s.wantOthersGoOn(6 * time.Second)
		time.Sleep(500 * time.Millisecond) // together longer than a second, which is how often progress is written
	}
	if score := s.rdb.ZScore(t.Context(), rqcompat.WipKey(s.bench.QueueName("go")), plain).Val(); score-registrySlack.Seconds() < float64(time.Now().Unix()) {
		t.Errorf("the lease of another job lapsed %g s ago", float64(time.Now().Unix())-score+registrySlack.Seconds())
	}
	if after := s.row(ticking).Progress; after <= before {
		t.Errorf("progress of the other site stands at %g", after)
	}
	close(ticks)
	close(c.open)
	s.waitRow(ticking, rows.StatusCompleted)
	s.waitJob(plain, rqcompat.StatusFinished)
	if err := s.other.Resume(); err != nil {
		t.Fatal(err)
	}
	s.waitRow2(running, rows.StatusCompleted)
	s.waitJob(s.bench.JobID(otherSite, running), rqcompat.StatusFinished)
	c.wantOnce(t, s.bench.JobID(otherSite, running), s.bench.JobID(testSite, ticking), plain)
}

// TestDatabaseThatRefusesItsPassword: the jobs of the site wait, the log names
// site and user, and once the password is right they run.
func TestDatabaseThatRefusesItsPassword(t *testing.T) {
	t.Parallel()
	s := newTwoSites(t, nil)
	log := s.capture()
	name := s.submit2("sample_job")
	method, err := s.client().Enqueue(t.Context(), EnqueueRequest{Site: otherSite, Method: "go.fine", Queue: "go"})
	if err != nil {
		t.Fatal(err)
	}
	s.setConfig(otherSite, "db_password", "wr0ng-secret")
	s.restartBench()
	s.start(registerFine)
	s.wantOthersGoOn(5 * time.Second)
	s.eventually("the log says so", func() bool {
		return strings.Contains(log.String(), "site2.localhost") && strings.Contains(log.String(), "Access denied for user 'other'")
	}, log.String)
	if strings.Contains(log.String(), "wr0ng-secret") {
		t.Error("the log holds the password")
	}
	if n := strings.Count(log.String(), "Access denied"); n > 5 {
		t.Errorf("the log says so %d times", n)
	}
	s.setConfig(otherSite, "db_password", "secret")
	s.waitRow2(name, rows.StatusCompleted)
	s.waitJob(method.ID, rqcompat.StatusFinished)
}

// setConfig changes a key of a site's configuration.
func (b *bed) setConfig(site, key string, value any) {
	b.t.Helper()
	b.configure(filepath.Join(site, "site_config.json"), map[string]any{key: value})
}

func TestMissingTables(t *testing.T) {
	t.Parallel()
	s := newTwoSites(t, nil)
	log := s.capture()
	noLog := s.submit2("sample_job")
	s.exec2("RENAME TABLE `tabJob Execution Log` TO `moved log`")
	s.restartBench()
	s.start(registerFine)
	s.wantOthersGoOn(5 * time.Second)
	s.eventually("the log names the table", func() bool {
		return strings.Contains(log.String(), "tabJob Execution Log") && strings.Contains(log.String(), "bridge install --site site2.localhost")
	}, log.String)
	s.exec2("RENAME TABLE `moved log` TO `tabJob Execution Log`")
	s.waitRow2(noLog, rows.StatusCompleted)

	s.exec2("RENAME TABLE `tabBackground Job` TO `moved jobs`")
	job, err := s.client().Enqueue(t.Context(), EnqueueRequest{Site: otherSite, Method: frappe.Executor, Queue: "go", Kwargs: map[string]any{"background_job_id": noLog}})
	if err != nil {
		t.Fatal(err)
	}
	s.waitJob(job.ID, rqcompat.StatusFailed)
	if exc := s.lastExc(job.ID); !strings.Contains(exc, "bridge install --site site2.localhost") {
		t.Errorf("exc %q", exc)
	}
	s.wantOthersGoOn(5 * time.Second)
	method, err := s.client().Enqueue(t.Context(), EnqueueRequest{Site: otherSite, Method: "go.fine", Queue: "go"})
	if err != nil {
		t.Fatal(err)
	}
	s.waitJob(method.ID, rqcompat.StatusFinished)
	s.exec2("RENAME TABLE `moved jobs` TO `tabBackground Job`")
	if err := s.client().RQ().Requeue(t.Context(), job.ID, false); err != nil {
		t.Fatal(err)
	}
	s.waitJob(job.ID, rqcompat.StatusFinished)
}
