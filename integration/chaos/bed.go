package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	site         = "chaos.localhost"
	organization = "ORG-CHAOS"
	owner        = "Administrator"
	// The queue types: the bridge's own, one shared with Python, and one that is shared and on which bridges wait first.
	own, shared, first = "go", "default", "short"
	// jobType has rows; its jobs and those of plainMethod do the same, see workerMain.
	jobType, rowMethod, plainMethod = "chaos_job", "chaos.work", "chaos.plain"
)

// bed is a set of private servers with a bench of one site.
type bed struct {
	o        *options
	version  string // of RQ
	dir      string
	redis    *servers.Redis
	mariadb  *servers.MariaDB
	database string
	settings map[string]any
	common   map[string]any
	bench    *frappe.Bench
	pool     *rows.Pool
	db       *rows.DB
	rdb      *redis.Client
	rq       *rqcompat.Client
	client   *bridge.Client // submits and looks
	peer     *servers.Peer  // Python, which enqueues
	ledger   *ledger

	mu   sync.Mutex
	undo []func() error
}

// bedOptions are what a bed may have otherwise.
type bedOptions struct {
	settings map[string]any   // of the bridges, the key "bridge" of the bench's configuration
	redis    []servers.Option // of the server
	// redisServer and mariadb are servers of somebody else's, who stops them. Default: the bed's own.
	redisServer *servers.Redis
	mariadb     *servers.MariaDB
	common      map[string]any // further keys of the bench's configuration
}

// newBed starts what a bench needs, beside Python with that version of RQ. Call close.
func newBed(ctx context.Context, o *options, version string, opts bedOptions) (b *bed, err error) {
	b = &bed{o: o, version: version, redis: opts.redisServer, mariadb: opts.mariadb, common: opts.common}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare a bench: %w", err), b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "bridge-chaos-"); err != nil {
		return b, err
	}
	b.onClose(func() error { return os.RemoveAll(b.dir) })
	if b.redis == nil {
		if b.redis, err = servers.StartRedis(ctx, opts.redis...); err != nil {
			return b, err
		}
		b.onClose(b.redis.Stop)
	}
	if b.mariadb == nil {
		if b.mariadb, err = servers.StartMariaDB(ctx); err != nil {
			return b, err
		}
		b.onClose(b.mariadb.Stop)
	}
	if b.peer, err = servers.StartPeer(ctx, version, filepath.Join(o.testdata, "python"), b.redis.URL()); err != nil {
		return b, err
	}
	b.onClose(b.peer.Stop)
	b.settings = map[string]any{"shared_queues": []string{shared, first}, "first": []string{first}, "concurrency": 8}
	maps.Copy(b.settings, opts.settings)
	// Names of databases are a server's, which beds may share.
	b.database = "chaos_" + strings.NewReplacer(".", "_", "-", "_").Replace(filepath.Base(b.dir)[len("bridge-chaos-"):])
	if b.ledger, err = newLedger(filepath.Join(b.dir, "ledger")); err != nil {
		return b, err
	}
	b.ledger.settles = time.Duration(float64(b.ledger.settles) * o.slack)
	b.onClose(b.ledger.close)
	b.rdb = redis.NewClient(&redis.Options{Addr: b.redis.Addr, MaxRetries: -1, PoolSize: 20})
	b.onClose(b.rdb.Close)
	dialect, err := rqcompat.ParseDialect(version)
	if err != nil {
		return b, err
	}
	b.rq = rqcompat.NewClient(b.rdb, dialect)
	return b, b.furnish(ctx)
}

func (b *bed) onClose(f func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.undo = append(b.undo, f)
}

func (b *bed) close() error {
	var errs []error
	for _, f := range slices.Backward(b.undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// furnish writes the bench, and makes the site's tables, Job Type and organization.
func (b *bed) furnish(ctx context.Context) error {
	if err := b.mariadb.CreateDatabase(ctx, b.database, b.database, "secret"); err != nil {
		return err
	}
	if err := b.view(b.dir, b.redis.URL(), b.mariadb.Host, b.mariadb.Port); err != nil {
		return err
	}
	var err error
	if b.bench, err = benchconfig.Open(b.dir, nil); err != nil {
		return err
	}
	cfg, err := benchconfig.Load(b.bench)
	if err != nil {
		return err
	}
	b.pool = rows.NewPool(b.bench)
	b.onClose(b.pool.Close)
	if b.db, err = b.pool.DB(ctx, site); err != nil {
		return err
	}
	if _, err := rows.Install(ctx, b.db, rows.InstallOptions{Samples: true}); err != nil {
		return err
	}
	// MaxRetries: a death costs none, so that whoever spends one is seen by a row that failed.
	work := rows.JobType{TypeName: jobType, DisplayName: jobType, Enabled: true, HandlerMethod: rowMethod, DefaultTimeout: 300, MaxRetries: 3}
	if _, err := b.db.InsertJobTypes(ctx, []rows.JobType{work}); err != nil {
		return err
	}
	err = b.mariadb.Exec(ctx, "USE `"+b.database+"`", "UPDATE `tabJob Type` SET deduplication_window=0", fmt.Sprintf("INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status) "+
		"VALUES ('%s', NOW(6), NOW(6), 'Administrator', 'Administrator', '%[1]s', 'Active')", organization))
	if err != nil {
		return err
	}
	if b.client, err = bridge.NewClient(ctx, cfg); err != nil {
		return err
	}
	b.onClose(b.client.Close)
	return nil
}

// view writes the bench into a directory, as seen by who reaches its servers at those addresses: all views are one bench.
func (b *bed) view(dir, redisURL, dbHost string, dbPort int) error {
	major := 15
	if strings.HasPrefix(b.version, "2.") {
		major = 16
	}
	return servers.NewBench(dir, servers.BenchConfig{
		ID: "bench", Major: major, RQVersion: b.version, RedisQueue: redisURL, Bridge: b.settings, Common: b.common,
		Sites: []servers.BenchSite{{Name: site, DBName: b.database, DBPassword: "secret", DBHost: dbHost, DBPort: dbPort}},
	})
}

// queue is the RQ queue of a queue type.
func (b *bed) queue(kind string) string { return b.bench.QueueName(kind) }

// until waits for ok, at most for the given time.
func until(ctx context.Context, most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); !ok(); pause(ctx, 10*time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
