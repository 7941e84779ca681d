package integration

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// legalSteps is what may follow what in the log of a job, as people were promised it.
var legalSteps = map[string][]string{
	"": {"Pending"}, "Pending": {"Queued", "Canceled"}, "Queued": {"Running", "Canceled", "Dead Letter"},
	"Running": {"Completed", "Failed", "Dead Letter", "Timed Out", "Canceled"},
	"Failed":  {"Queued", "Dead Letter"}, "Timed Out": {"Queued", "Dead Letter"}, "Dead Letter": {"Queued"},
}

// TestAnythingMayHappen (make anything) lets several processes do anything to jobs for BRIDGE_TEST_CHAOS seconds: two bridges, of
// which one is killed again and again, and three that submit jobs and batches, that wait for others and for a time, insert,
// cancel, retry, suspend organizations, disable Job Types, pause them, organizations and the queue. Meanwhile each job that waits says why; each step of each log is legal and begins where the one
// before ended; there is one log row for each change of a status, as the database itself has counted them; and when
// everything has been mended, every job ends. The seed is in the log.
func TestAnythingMayHappen(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BRIDGE_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("BRIDGE_TEST_SEED=%d", seed)
	n, err := strconv.Atoi(os.Getenv("BRIDGE_TEST_CHAOS"))
	if err != nil {
		t.Skip("it takes minutes: make anything runs it")
	}
	lasts := time.Duration(n) * time.Second
	f := newFleet(t, "1.15.1", map[string]any{"lease": 1, "concurrency": 4})
	p := &property{fleet: f, client: f.client(), rand: rand.New(rand.NewPCG(seed, 0))}
	p.furnish()

	p.child("works", 0)
	for i := range 3 {
		p.child("disturbs", seed+uint64(i))
	}
	for begun := time.Now(); time.Since(begun) < lasts; {
		victim := p.child("works", 0)
		for range 2 + p.rand.IntN(4) {
			time.Sleep(500 * time.Millisecond)
			p.explainSome()
		}
		_ = victim.Process.Kill()
		_ = victim.Wait()
	}
	for _, d := range p.disturbers {
		d.stop()
	}
	p.mend()
	p.waitForAll()
	p.checkLogs()
}

// property is a bench on which anything happens.
type property struct {
	*fleet
	client     *bridge.Client
	rand       *rand.Rand
	rows       *rows.DB
	db         *sql.DB
	dsn        string
	disturbers []*disturberChild
	explained  int
}

type disturberChild struct {
	*exec.Cmd
	stdin interface{ Close() error }
}

// stop tells it that it is enough.
func (d *disturberChild) stop() {
	_ = d.stdin.Close()
	_ = d.Wait()
}

// furnish makes the site, and a table in which the database itself notes each change of a status.
func (p *property) furnish() {
	p.t.Helper()
	p.rows = p.install()
	addJobType(p.t, p.fleet, p.rows)
	s, err := p.bench.Site(site)
	if err != nil {
		p.t.Fatal(err)
	}
	p.dsn = servertest.MariaDB(p.t).DSN(s.DBName())
	if p.db, err = sql.Open("mysql", p.dsn); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.db.Close() })
	p.exec("INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status) VALUES ('ORG-B', NOW(6), NOW(6), 'Administrator', 'Administrator', 'B', 'Active'), ('ORG-C', NOW(6), NOW(6), 'Administrator', 'Administrator', 'C', 'Active')")
	hasty := rows.JobType{TypeName: "hasty", Enabled: true, HandlerMethod: "go.hasty", DefaultTimeout: 1, MaxRetries: 2, MaxRunningPerOrganization: 2}
	if _, err := p.rows.InsertJobTypes(p.t.Context(), []rows.JobType{hasty}); err != nil {
		p.t.Fatal(err)
	}
	p.exec("UPDATE `tabJob Type` SET default_timeout=1, deduplication_window=0")
	p.exec("CREATE TABLE changes (id BIGINT AUTO_INCREMENT PRIMARY KEY, job VARCHAR(140), was VARCHAR(20), became VARCHAR(20))")
	p.exec("CREATE TRIGGER created AFTER INSERT ON `tabBackground Job` FOR EACH ROW INSERT INTO changes (job, was, became) VALUES (NEW.name, '', NEW.status)")
	p.exec("CREATE TRIGGER changed AFTER UPDATE ON `tabBackground Job` FOR EACH ROW IF OLD.status<>NEW.status THEN INSERT INTO changes (job, was, became) VALUES (NEW.name, OLD.status, NEW.status); END IF")
}

func (p *property) exec(query string) {
	p.t.Helper()
	if _, err := p.db.ExecContext(p.t.Context(), query); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

// child starts a process that works or disturbs.
func (p *property) child(does string, seed uint64) *exec.Cmd {
	p.t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+p.dir, childDoes+"="+does, childSeed+"="+fmt.Sprint(seed), childDSN+"="+p.dsn)
	child.Stdout, child.Stderr = p.t.Output(), p.t.Output()
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if does == "disturbs" {
		p.disturbers = append(p.disturbers, &disturberChild{child, stdin})
	}
	p.t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	return child
}

// explainSome asks of a few jobs why they don't run. What moved on while it was asked about is none of those that are stuck.
func (p *property) explainSome() {
	p.t.Helper()
	ctx := p.t.Context()
	list, _, err := p.rows.ListJobs(ctx, rows.ListFilter{Limit: 20, Statuses: []rows.Status{rows.StatusPending, rows.StatusQueued, rows.StatusFailed, rows.StatusTimedOut}})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, row := range list {
		in, err := p.client.Inspect(ctx, site, row.Name)
		if err != nil {
			p.t.Fatal(err)
		}
		s, err := p.client.Standing(ctx, site, in)
		if err != nil {
			p.t.Fatal(err)
		}
		p.explained++
		now, err := p.rows.BackgroundJob(ctx, row.Name)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(s.Waits) == 0 && now.ModifiedRaw == in.Row.ModifiedRaw && !now.Status.Terminal() && now.Status != rows.StatusRunning {
			p.t.Errorf("%s is %s, and nothing says why it doesn't run (RQ: %s)", row.Name, now.Status, statusOf(in.Job))
		}
	}
}

// mend takes away what keeps jobs.
func (p *property) mend() {
	p.exec("UPDATE tabOrganization SET status='Active'")
	p.exec("UPDATE `tabJob Type` SET is_enabled=1")
	p.exec("DELETE FROM `tabBackground Job Pause`")
	if err := p.client.RQ().Unpause(p.t.Context(), p.own()); err != nil {
		p.t.Fatal(err)
	}
}

// waitForAll waits until every job and every batch has ended, as long as some do.
func (p *property) waitForAll() {
	p.t.Helper()
	left := func() (list []string) {
		found, err := p.db.Query("SELECT CONCAT(name, ' ', status, ': ', COALESCE(waiting_for,'')) FROM `tabBackground Job` WHERE status NOT IN ('Completed','Dead Letter','Canceled') " +
			"UNION SELECT CONCAT(name, ' ', status) FROM `tabBackground Job Batch` WHERE status='Running' AND closed=1 ORDER BY 1")
		if err != nil {
			p.t.Fatal(err)
		}
		defer found.Close()
		for found.Next() {
			var line string
			if err := found.Scan(&line); err != nil {
				p.t.Fatal(err)
			}
			list = append(list, line)
		}
		return list
	}
	least, since := len(left()), time.Now()
	for still := left(); len(still) > 0; still = left() {
		if len(still) < least {
			least, since = len(still), time.Now()
		}
		if time.Since(since) > time.Minute {
			p.t.Errorf("everything was mended, and none of these has ended for a minute:\n%s", strings.Join(still, "\n"))
			p.explainSome()
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

type move struct{ was, became string }

// checkLogs compares the log of each job with the state machine, and with the changes that the database noted. What somebody
// wrote into a row is logged when a bridge has seen it.
func (p *property) checkLogs() {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		logs := p.steps("SELECT background_job, COALESCE(from_status,''), to_status FROM `tabJob Execution Log` ORDER BY background_job, timestamp, name")
		changes := p.steps("SELECT job, was, became FROM changes ORDER BY job, id")
		var wrong []string
		n, ended := 0, map[string]int{}
		for job, changed := range changes {
			log := logs[job]
			if fault := compare(log, changed); fault != "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s\n\tlog %v\n\tchanges %v", job, fault, log, changed))
			}
			ended[changed[len(changed)-1].became]++
			n += len(log)
		}
		if len(wrong) > 0 && time.Now().Before(deadline) {
			continue
		}
		p.t.Logf("%d jobs with %d steps ended %v; %d were asked why they wait", len(changes), n, ended, p.explained)
		for _, text := range wrong {
			p.t.Error(text)
		}
		if len(logs) < 50 || ended["Completed"] == 0 || ended["Canceled"] == 0 || ended["Dead Letter"] == 0 || p.explained == 0 {
			p.t.Error("too little has happened to show anything")
		}
		return
	}
}

// compare says what is wrong with the log of a job: its steps are legal, each begins where the one before ended, and each
// change is one row of the log, or two where it went by way of another state.
func compare(log, changes []move) string {
	is := ""
	log = slices.DeleteFunc(slices.Clone(log), func(s move) bool { return s.was == s.became }) // told, and no change
	for _, s := range log {
		if s.was != is || !slices.Contains(legalSteps[is], s.became) {
			return fmt.Sprintf("the log goes from %q to %q after %q", s.was, s.became, is)
		}
		is = s.became
	}
	for _, c := range changes {
		taken := 1
		if len(log) > 0 && log[0].became != c.became {
			taken = 2
		}
		if len(log) < taken || log[taken-1].became != c.became || log[0].was != c.was {
			return fmt.Sprintf("it went from %q to %q, and the log says %v", c.was, c.became, log)
		}
		log = log[taken:]
	}
	if len(log) > 0 {
		return fmt.Sprintf("the log tells of steps that were none: %v", log)
	}
	return ""
}

// steps reads steps by job.
func (p *property) steps(query string) map[string][]move {
	p.t.Helper()
	found, err := p.db.QueryContext(context.Background(), query)
	if err != nil {
		p.t.Fatal(err)
	}
	defer found.Close()
	all := map[string][]move{}
	for found.Next() {
		var job string
		var s move
		if err := found.Scan(&job, &s.was, &s.became); err != nil {
			p.t.Fatal(err)
		}
		all[job] = append(all[job], s)
	}
	return all
}
