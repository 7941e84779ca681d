package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/demo"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"golang.org/x/sync/errgroup"
)

const (
	demoSite     = "demo.localhost"
	demoBenchID  = "demo-bench"
	demoDatabase = "demo"
	demoPassword = "demo"
	// bridgeProgramVariable makes a test binary behave as this program.
	bridgeProgramVariable = "BRIDGE_PROGRAM"
	// childStop is how long a child may take to stop in order.
	childStop = 10 * time.Second
)

// demoPerson is a member of one organization.
type demoPerson struct {
	User         string `json:"user"`
	Organization string `json:"organization"`
	key          string
}

var demoPeople = []demoPerson{
	{User: "jane@acme.example", Organization: "ORG-ACME", key: "jane"},
	{User: "omar@globex.example", Organization: "ORG-GLOBEX", key: "omar"},
}

// demoReport is a Job Type whose handler is a program.
var demoReport = frappe.JobType{
	TypeName: "monthly_report", DisplayName: "Monthly Report", Description: "Made by a program that the bridge runs.", Enabled: true,
	HandlerMethod: "demo.reports.monthly", DefaultTimeout: 60, DefaultPriority: frappe.PriorityNormal, MaxRetries: 2, RateLimitWindow: 60,
}

// stage is everything that the demo starts.
type stage struct {
	dir, scripts, python, separator string

	redis    *servers.Redis
	mariadb  *servers.MariaDB
	fakeSite *servers.FakeSite
	realtime *servers.Realtime
	bench    *frappe.Bench
	cfg      bridge.Config
	client   *bridge.Client
	// worker and pythonWorker are the two that share the work.
	worker, pythonWorker *child

	undo []func() error // in the order of the building
}

// stop ends everything, the last thing first, and removes its files.
func (s *stage) stop() error {
	var errs []error
	for _, f := range slices.Backward(s.undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// buildStage starts the servers and the workers. After an error nothing is left.
func (a *app) buildStage(ctx context.Context, rq string) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bridge-demo-"); err != nil {
		return s, err
	}
	s.undo = append(s.undo, func() error { return os.RemoveAll(s.dir) })
	s.scripts = filepath.Join(s.dir, "python")
	if err := os.CopyFS(s.scripts, demo.Source); err != nil {
		return s, err
	}
	for _, build := range []func() error{
		func() error { return s.startServers(ctx, rq) },
		func() error { return s.writeBench(rq) },
		func() error { return s.fillSite(ctx) },
		func() error { return s.openBench(ctx, a) },
		func() error { return s.startWorkers() },
	} {
		if err := build(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stage) startServers(ctx context.Context, rq string) error {
	var g errgroup.Group
	g.Go(func() (err error) { s.redis, err = servers.StartRedis(ctx); return err })
	g.Go(func() (err error) { s.mariadb, err = servers.StartMariaDB(ctx); return err })
	g.Go(func() (err error) { s.python, err = servers.PythonVenv(ctx, rq); return err })
	err := g.Wait()
	if s.redis != nil {
		s.undo = append(s.undo, s.redis.Stop)
	}
	if s.mariadb != nil {
		s.undo = append(s.undo, s.mariadb.Stop)
	}
	if err != nil {
		return err
	}
	if s.fakeSite, err = servers.StartFakeSite(map[string][]servers.SiteUser{demoSite: demoUsers()}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.fakeSite.Stop)
	if s.realtime, err = servers.StartRealtime(ctx, servers.RealtimeConfig{RedisURL: s.redis.URL(), SitesURL: s.fakeSite.URL, Major: demoMajor(rq)}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.realtime.Stop)
	return s.mariadb.CreateDatabase(ctx, demoDatabase, demoDatabase, demoPassword)
}

// demoMajor is the Frappe version that goes with an RQ version.
func demoMajor(rq string) int {
	if strings.HasPrefix(rq, "1.") {
		return 15
	}
	return 16
}

func demoUsers() []servers.SiteUser {
	users := []servers.SiteUser{{Name: "admin@demo.example", Token: "admin:secret", Read: []string{"*"}}}
	for _, p := range demoPeople {
		users = append(users, servers.SiteUser{Name: p.User, Token: p.key + ":secret", Read: []string{"Organization/" + p.Organization, "Background Job/*"}})
	}
	return users
}

func (s *stage) writeBench(rq string) error {
	realtime, err := url.Parse(s.realtime.URL)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(realtime.Port())
	if err != nil {
		return err
	}
	report := map[string]any{"exec": map[string]any{"command": []string{s.python, filepath.Join(s.scripts, "report.py")}}}
	return servers.NewBench(s.dir, servers.BenchConfig{
		ID: demoBenchID, Major: demoMajor(rq), RQVersion: rq, RedisQueue: s.redis.URL(),
		Common: map[string]any{"socketio_port": port, "default_site": demoSite},
		Bridge: map[string]any{
			"queues": []string{"go"}, "shared_queues": []string{"short", "default"},
			// Frappe's own pause before a first retry is a minute.
			"retry":    map[string]any{"base": 2},
			"handlers": map[string]any{demoReport.TypeName: report, "demo.thumbnails": report},
		},
		Sites: []servers.BenchSite{{Name: demoSite, DBHost: s.mariadb.Host, DBPort: s.mariadb.Port, DBName: demoDatabase, DBPassword: demoPassword}},
	})
}

func (s *stage) openBench(ctx context.Context, a *app) error {
	b, err := frappe.OpenBench(s.dir)
	if err != nil {
		return err
	}
	s.bench = b
	s.undo = append(s.undo, b.Close)
	if s.cfg, err = bridge.LoadConfig(b); err != nil {
		return err
	}
	s.cfg.Log = a.log
	if s.client, err = bridge.NewClient(ctx, s.cfg); err != nil {
		return err
	}
	s.undo = append(s.undo, s.client.Close)
	s.separator = b.JobID("", "")
	return nil
}

// fillSite installs the tables, and adds what a Dartwing site has: two
// organizations with a member each.
func (s *stage) fillSite(ctx context.Context) error {
	// A bench of its own: an open one would go on with the time zone that the
	// empty site had.
	b, err := frappe.OpenBench(s.dir)
	if err != nil {
		return err
	}
	defer b.Close()
	site, err := b.Site(demoSite)
	if err != nil {
		return err
	}
	if _, err := frappe.Install(ctx, site, frappe.InstallOptions{Samples: true}); err != nil {
		return err
	}
	rows, err := site.DB(ctx)
	if err != nil {
		return err
	}
	if _, err := rows.InsertJobTypes(ctx, []frappe.JobType{demoReport}); err != nil {
		return err
	}
	return s.addPeople(ctx)
}

// addPeople writes what a Dartwing site has and the bridge only reads.
func (s *stage) addPeople(ctx context.Context) error {
	db, err := sql.Open("mysql", s.mariadb.UserDSN(demoDatabase, demoDatabase, demoPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	// The producer writes times of the site, as a bench's processes do.
	if _, err := db.ExecContext(ctx, "INSERT INTO `tabSingles` (`doctype`, `field`, `value`) VALUES ('System Settings', 'time_zone', 'UTC')"); err != nil {
		return fmt.Errorf("set the site's time zone: %w", err)
	}
	for _, p := range demoPeople {
		for _, d := range []document{
			{"Organization", p.Organization, map[string]string{"org_name": p.Organization, "org_type": "Company", "status": "Active"}},
			{"User", p.User, map[string]string{"email": p.User}},
			{"Person", "person-" + p.key, map[string]string{"frappe_user": p.User, "primary_email": p.User}},
			{"Org Member", "member-" + p.key, map[string]string{"person": "person-" + p.key, "organization": p.Organization, "status": "Active"}},
		} {
			if err := d.insert(ctx, db); err != nil {
				return err
			}
		}
	}
	return nil
}

// document is a row of a DocType's table.
type document struct {
	doctype, name string
	values        map[string]string
}

func (d document) insert(ctx context.Context, db *sql.DB) error {
	columns, marks, args := "`name`, `creation`, `modified`, `owner`, `modified_by`", "?, NOW(6), NOW(6), 'Administrator', 'Administrator'", []any{d.name}
	for column, value := range d.values {
		columns, marks, args = columns+", `"+column+"`", marks+", ?", append(args, value)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO `tab"+d.doctype+"` ("+columns+") VALUES ("+marks+")", args...); err != nil {
		return fmt.Errorf("insert %s %s: %w", d.doctype, d.name, err)
	}
	return nil
}

// startWorkers starts a bridge worker and a Python worker as processes of
// their own.
func (s *stage) startWorkers() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	s.worker, err = startChild("bridge worker", s.dir, nil, nil, program, "worker", "--bench", s.dir, "--stop-timeout", "3s", "--log-format", "text")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.worker.stop(childStop) })
	s.pythonWorker, err = startChild("Python worker", s.scripts, s.pythonEnv(), nil, s.python, "worker.py")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.pythonWorker.stop(childStop) })
	return nil
}

// pythonEnv tells the Python scripts where they are.
func (s *stage) pythonEnv() []string {
	people, err := json.Marshal(demoPeople)
	database, err2 := json.Marshal(map[string]any{"host": s.mariadb.Host, "port": s.mariadb.Port, "user": demoDatabase, "password": demoPassword, "database": demoDatabase, "charset": "utf8mb4"})
	if err != nil || err2 != nil {
		panic(errors.Join(err, err2)) // texts and numbers always encode
	}
	return []string{
		"PYTHONPATH=" + s.scripts, "PYTHONDONTWRITEBYTECODE=1", "DEMO_BENCH_ID=" + demoBenchID, "DEMO_SITE=" + demoSite,
		"DEMO_SEPARATOR=" + s.separator, "DEMO_REDIS=" + s.redis.URL(), "DEMO_DATABASE=" + string(database), "DEMO_PEOPLE=" + string(people),
	}
}
