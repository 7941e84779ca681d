package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

const (
	site         = "bench.localhost"
	organization = "ORG-BENCH"
	owner        = "owner@example.com"
)

// bed is a set of private servers with a bench of one installed site.
type bed struct {
	dir     string
	redis   *servers.Redis
	mariadb *servers.MariaDB
	rdb     *redis.Client
	bench   *frappe.Bench
	pool    *rows.Pool
	rq      *rqcompat.Client
	version string
	python  string
	closers []func() error
}

func newBed(ctx context.Context, rqVersion string) (_ *bed, err error) {
	b := &bed{version: rqVersion}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "dartwing-bench-"); err != nil {
		return nil, err
	}
	b.onClose(func() error { return os.RemoveAll(b.dir) })
	if b.redis, err = servers.StartRedis(ctx); err != nil {
		return nil, err
	}
	b.onClose(b.redis.Stop)
	if b.mariadb, err = servers.StartMariaDB(ctx); err != nil {
		return nil, err
	}
	b.onClose(b.mariadb.Stop)
	if b.python, err = servers.PythonVenv(ctx, rqVersion); err != nil {
		return nil, err
	}
	if err := b.install(ctx); err != nil {
		return nil, err
	}
	b.rdb = redis.NewClient(&redis.Options{Addr: b.redis.Addr, MaxRetries: -1, PoolSize: 20})
	b.onClose(b.rdb.Close)
	dialect, err := rqcompat.ParseDialect(rqVersion)
	b.rq = rqcompat.NewClient(b.rdb, dialect)
	return b, err
}

// install writes the bench, creates the site's tables and its one tenant.
func (b *bed) install(ctx context.Context) error {
	if err := b.mariadb.CreateDatabase(ctx, "bench_site", "bench_site", "secret"); err != nil {
		return err
	}
	err := servers.NewBench(b.dir, servers.BenchConfig{
		ID: "bench", Major: 16, RQVersion: b.version, RedisQueue: b.redis.URL(),
		Sites: []servers.BenchSite{{Name: site, DBName: "bench_site", DBPassword: "secret", DBHost: b.mariadb.Host, DBPort: b.mariadb.Port}},
	})
	if err != nil {
		return err
	}
	if b.bench, err = benchconfig.Open(b.dir, nil); err != nil {
		return err
	}
	b.pool = rows.NewPool(b.bench)
	b.onClose(b.pool.Close)
	db, err := b.db(ctx)
	if err != nil {
		return err
	}
	if _, err := rows.Install(ctx, db, rows.InstallOptions{}); err != nil {
		return err
	}
	if _, err := db.InsertJobTypes(ctx, []rows.JobType{{TypeName: jobType, DisplayName: jobType, Enabled: true, HandlerMethod: "bench." + jobType, DefaultTimeout: 300, DefaultPriority: "Normal", MaxRetries: 5}}); err != nil {
		return err
	}
	return b.mariadb.Exec(ctx, "USE bench_site", fmt.Sprintf("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES ('%s', NOW(6), NOW(6), 'Administrator', 'Administrator', '%[1]s', 'Active')", organization))
}

// jobType is the Job Type of the jobs with rows.
const jobType = "noop_job"

func (b *bed) onClose(f func() error) { b.closers = append(b.closers, f) }

func (b *bed) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		if err := b.closers[i](); err != nil {
			fmt.Fprintln(os.Stderr, "bench: clean up:", err)
		}
	}
}

// queue is the RQ queue that the bridge has for itself.
func (b *bed) queue() string { return b.bench.QueueName("go") }

// engine runs a bridge until the returned function stops it.
func (b *bed) engine(cfg bridge.Config, register func(*bridge.Engine)) (stop func() error, err error) {
	cfg.Bench = b.bench
	e, err := bridge.New(cfg)
	if err != nil {
		return nil, err
	}
	register(e)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}, nil
}

// enqueuePlain puts n jobs of a function on a queue, as RQ's Queue.enqueue does.
func (b *bed) enqueuePlain(ctx context.Context, queue, function string, n int) error {
	ttl := int64(500)
	requests := make([]rqcompat.Request, 0, 500)
	for i := range n {
		requests = append(requests, rqcompat.Request{Queue: queue, Call: rqcompat.Call{Func: function}, ResultTTL: &ttl})
		if len(requests) == cap(requests) || i == n-1 {
			if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
				return err
			}
			requests = requests[:0]
		}
	}
	return nil
}

// drained waits until a queue and its started registry are empty.
func (b *bed) drained(ctx context.Context, queue string) error {
	for {
		waiting, err := b.rdb.LLen(ctx, rqcompat.QueueKey(queue)).Result()
		if err != nil {
			return err
		}
		started, err := b.rdb.ZCard(ctx, rqcompat.WipKey(queue)).Result()
		if err != nil {
			return err
		}
		if waiting == 0 && started == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// script runs the Python side with the given arguments until it ends.
func (b *bed) script(ctx context.Context, arguments ...string) ([]byte, error) {
	dir, err := sourceDir()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.python, append([]string{filepath.Join(dir, "peer.py")}, arguments...)...)
	cmd.Env = append(os.Environ(), "REDIS_URL="+b.redis.URL(), "PYTHONPATH="+dir,
		fmt.Sprintf("MYSQL_PORT=%d", b.mariadb.Port), "MYSQL_HOST="+b.mariadb.Host)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("peer.py %v: %w\n%s", arguments, err, exit.Stderr)
	}
	return out, err
}

// sourceDir is where this program's files are; it is run with go run there.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "peer.py")); err != nil {
		return "", fmt.Errorf("run it in integration/bench, or with make bench: %w", err)
	}
	return dir, nil
}

func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
