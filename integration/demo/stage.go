package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"golang.org/x/sync/errgroup"
)

const (
	siteName   = "demo.localhost"
	benchID    = "demo-bench"
	dbName     = "demo"
	dbPassword = "demo"
	// childStop is how long a child may take to stop in order.
	childStop = 10 * time.Second
)

// person is a member of one organization.
type person struct {
	User         string `json:"user"`
	Organization string `json:"organization"`
	key          string
}

var people = []person{
	{User: "jane@acme.example", Organization: "ORG-ACME", key: "jane"},
	{User: "omar@globex.example", Organization: "ORG-GLOBEX", key: "omar"},
}

// reportType is a Job Type whose handler is a program.
var reportType = rows.JobType{
	TypeName: "monthly_report", DisplayName: "Monthly Report", Description: "Made by a program that the bridge runs.", Enabled: true,
	HandlerMethod: "demo.reports.monthly", DefaultTimeout: 60, DefaultPriority: rows.PriorityNormal, MaxRetries: 2, RateLimitWindow: 60,
}

// pythonSide is what a bench's own processes would do, on real RQ, without a bench; the directory frappe has the part
// of Frappe that they need.
//
//go:embed python
var pythonSide embed.FS

// stage is everything that the demo starts.
type stage struct {
	dir, scripts, python, separator string

	redis    *servers.Redis
	mariadb  *servers.MariaDB
	fakeSite *servers.FakeSite
	realtime *servers.Realtime
	bench    *frappe.Bench
	pool     *rows.Pool
	cfg      bridge.Config
	client   *bridge.Client
	// worker and pythonWorker are the two that share the work.
	worker, pythonWorker *servers.Child

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
func buildStage(ctx context.Context, d *demo) (s *stage, err error) {
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
	if err := os.CopyFS(s.dir, pythonSide); err != nil {
		return s, err
	}
	for _, build := range []func() error{
		func() error { return s.startServers(ctx, d.rq) },
		func() error { return s.writeBench(d.rq) },
		func() error { return s.fillSite(ctx) },
		func() error { return s.openBench(ctx, d.log) },
		func() error { return s.startWorkers(d.program) },
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
	if s.fakeSite, err = servers.StartFakeSite(map[string][]servers.SiteUser{siteName: siteUsers()}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.fakeSite.Stop)
	if s.realtime, err = servers.StartRealtime(ctx, servers.RealtimeConfig{RedisURL: s.redis.URL(), SitesURL: s.fakeSite.URL, Major: frappeMajor(rq)}); err != nil {
		return err
	}
	s.undo = append(s.undo, s.realtime.Stop)
	return s.mariadb.CreateDatabase(ctx, dbName, dbName, dbPassword)
}

// frappeMajor is the Frappe version that goes with an RQ version.
func frappeMajor(rq string) int {
	if strings.HasPrefix(rq, "1.") {
		return 15
	}
	return 16
}

func siteUsers() []servers.SiteUser {
	users := []servers.SiteUser{{Name: "admin@demo.example", Token: "admin:secret", Read: []string{"*"}}}
	for _, p := range people {
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
		ID: benchID, Major: frappeMajor(rq), RQVersion: rq, RedisQueue: s.redis.URL(),
		Common: map[string]any{"socketio_port": port, "default_site": siteName},
		Bridge: map[string]any{
			"queues": []string{"go"}, "shared_queues": []string{"short", "default"},
			// Frappe's own pause before a first retry is a minute.
			"retry":    map[string]any{"base": 2},
			"handlers": map[string]any{reportType.TypeName: report, "demo.thumbnails": report},
		},
		Sites: []servers.BenchSite{{Name: siteName, DBHost: s.mariadb.Host, DBPort: s.mariadb.Port, DBName: dbName, DBPassword: dbPassword}},
	})
}

func (s *stage) openBench(ctx context.Context, log *slog.Logger) error {
	b, err := benchconfig.Open(s.dir, log)
	if err != nil {
		return err
	}
	s.bench, s.pool = b, rows.NewPool(b)
	s.undo = append(s.undo, s.pool.Close)
	if s.cfg, err = benchconfig.Load(b); err != nil {
		return err
	}
	s.cfg.Log = log
	if s.client, err = bridge.NewClient(ctx, s.cfg); err != nil {
		return err
	}
	s.undo = append(s.undo, s.client.Close)
	s.separator = b.JobID("", "")
	return nil
}

// startWorkers starts a bridge worker and a Python worker as processes of their own.
func (s *stage) startWorkers(program string) (err error) {
	s.worker, err = servers.StartChild("bridge worker", s.dir, nil, nil, program, "worker", "--bench", s.dir, "--stop-timeout", "3s", "--log-format", "text")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.worker.Stop(childStop) })
	s.pythonWorker, err = servers.StartChild("Python worker", s.scripts, s.pythonEnv(), nil, s.python, "worker.py")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.pythonWorker.Stop(childStop) })
	return nil
}

// pythonEnv tells the Python scripts where they are.
func (s *stage) pythonEnv() []string {
	people, err := json.Marshal(people)
	database, err2 := json.Marshal(map[string]any{"host": s.mariadb.Host, "port": s.mariadb.Port, "user": dbName, "password": dbPassword, "database": dbName, "charset": "utf8mb4"})
	if err != nil || err2 != nil {
		panic(errors.Join(err, err2)) // texts and numbers always encode
	}
	return []string{
		"PYTHONPATH=" + s.scripts, "PYTHONDONTWRITEBYTECODE=1", "DEMO_BENCH_ID=" + benchID, "DEMO_SITE=" + siteName,
		"DEMO_SEPARATOR=" + s.separator, "DEMO_REDIS=" + s.redis.URL(), "DEMO_DATABASE=" + string(database), "DEMO_PEOPLE=" + string(people),
	}
}
