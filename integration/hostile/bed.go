package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/redis/go-redis/v9"
)

const (
	site     = "hostile.localhost"
	database = "hostile"
	// The attacked tenant and its user, the attacking one and its first user.
	victim, victimUser     = "ORG-VICTIM", "alice@victim.example"
	attacker, attackerUser = "ORG-ATTACKER", "mallory@attacker.example"
	// attackers is how many users the attacking organization has.
	attackers = 500
	ownKind   = "go"
	shared    = "default"
)

// bed is a set of private servers with a bench of one site with two tenants, and the services that its jobs call.
type bed struct {
	o       *options
	version string
	dir     string
	python  string
	redis   *servers.Redis
	mariadb *servers.MariaDB
	services
	bench *frappe.Bench
	db    *rows.DB
	rdb   *redis.Client
	rq    *rqcompat.Client
	undo  []func() error
	// rounds counts what was tried, so that no two rounds have the same ids.
	rounds int
}

// newBed starts the servers; concurrency is that of the bridges that will work there. Call close.
func newBed(ctx context.Context, o *options, version string, concurrency int) (b *bed, err error) {
	b = &bed{o: o, version: version}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare the servers: %w", err), b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "bridge-hostile-"); err != nil {
		return b, err
	}
	b.onClose(func() error { return os.RemoveAll(b.dir) })
	if b.redis, err = servers.StartRedis(ctx); err != nil {
		return b, err
	}
	b.onClose(b.redis.Stop)
	if b.mariadb, err = servers.StartMariaDB(ctx); err != nil {
		return b, err
	}
	b.onClose(b.mariadb.Stop)
	if b.python, err = servers.PythonVenv(ctx, version); err != nil {
		return b, err
	}
	if err := b.services.start(); err != nil {
		return b, err
	}
	b.onClose(b.services.stop)
	if err := b.writeBench(ctx, concurrency); err != nil {
		return b, err
	}
	if err := b.fillSite(ctx); err != nil {
		return b, err
	}
	b.rdb = redis.NewClient(&redis.Options{Addr: b.redis.Addr, MaxRetries: -1})
	b.onClose(b.rdb.Close)
	dialect, err := rqcompat.ParseDialect(version)
	b.rq = rqcompat.NewClient(b.rdb, dialect)
	return b, err
}

func (b *bed) onClose(f func() error) { b.undo = append(b.undo, f) }

func (b *bed) close() error {
	var errs []error
	for _, f := range slices.Backward(b.undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (b *bed) writeBench(ctx context.Context, concurrency int) error {
	if err := b.mariadb.CreateDatabase(ctx, database, database, "secret"); err != nil {
		return err
	}
	major := 15
	if strings.HasPrefix(b.version, "2.") {
		major = 16
	}
	handlers := map[string]any{}
	for _, service := range serviceNames {
		handlers["hostile."+service] = map[string]any{"http": map[string]any{"url": b.url(service)}}
	}
	err := servers.NewBench(b.dir, servers.BenchConfig{
		ID: "bench", Major: major, RQVersion: b.version, RedisQueue: b.redis.URL(),
		Bridge: map[string]any{
			"queues": []string{ownKind}, "shared_queues": []string{shared}, "concurrency": concurrency, "handlers": handlers, "stop_timeout": 1, "cancel_grace": 1,
		},
		Sites: []servers.BenchSite{{Name: site, DBName: database, DBPassword: "secret", DBHost: b.mariadb.Host, DBPort: b.mariadb.Port}},
	})
	if err != nil {
		return err
	}
	b.bench, err = benchconfig.Open(b.dir, nil)
	return err
}

// fillSite installs the tables, a Job Type for each service, and the two tenants with their members.
func (b *bed) fillSite(ctx context.Context) error {
	s, err := b.bench.Site(site)
	if err != nil {
		return err
	}
	if b.db, err = rows.Open(ctx, s); err != nil {
		return err
	}
	b.onClose(b.db.Close)
	if _, err := rows.Install(ctx, b.db, rows.InstallOptions{Samples: true}); err != nil {
		return err
	}
	var types []rows.JobType
	for _, service := range serviceNames {
		priority := rows.PriorityNormal
		if service == critical {
			priority = "Critical"
		}
		types = append(types, rows.JobType{TypeName: service, DisplayName: service, Enabled: true, HandlerMethod: "hostile." + service, DefaultTimeout: 300, DefaultPriority: priority, MaxRetries: 1})
	}
	if _, err := b.db.InsertJobTypes(ctx, types); err != nil {
		return err
	}
	return b.addPeople(ctx)
}

// addPeople writes what the bridge only reads. The attackers all belong to one organization.
func (b *bed) addPeople(ctx context.Context) error {
	statements := []string{"USE `" + database + "`"}
	insert := func(doctype, name string, values map[string]string) {
		columns, texts := "name, creation, modified, owner, modified_by", fmt.Sprintf("'%s', NOW(6), NOW(6), 'Administrator', 'Administrator'", name)
		for column, value := range values {
			columns, texts = columns+", "+column, texts+", '"+value+"'"
		}
		statements = append(statements, "INSERT INTO `tab"+doctype+"` ("+columns+") VALUES ("+texts+")")
	}
	member := func(user, organization string) {
		insert("User", user, map[string]string{"email": user})
		insert("Person", "person-"+user, map[string]string{"frappe_user": user, "primary_email": user})
		insert("Org Member", "member-"+user, map[string]string{"person": "person-" + user, "organization": organization, "status": "Active"})
	}
	for _, organization := range []string{victim, attacker} {
		insert("Organization", organization, map[string]string{"org_name": organization, "org_type": "Company", "status": "Active"})
	}
	member(victimUser, victim)
	member(attackerUser, attacker)
	statements = append(statements, "SET autocommit=0")
	for i := range attackers {
		member(manyUsers(i), attacker)
	}
	return b.mariadb.Exec(ctx, append(statements, "COMMIT")...)
}

// manyUsers names one of the users of the attacking organization.
func manyUsers(i int) string { return fmt.Sprintf("user-%03d@attacker.example", i%attackers) }

// queue is the RQ queue of a kind.
func (b *bed) queue(kind string) string { return b.bench.QueueName(kind) }

// call is what frappe.enqueue writes for a method of this bed's site.
func call(user, method string, kwargs map[string]any) rqcompat.Call {
	inner := &pickle.Dict{}
	for key, v := range kwargs {
		inner.Set(key, v)
	}
	c := frappe.Call{Site: site, User: user, Method: method, IsAsync: true, Kwargs: inner}
	outer := &pickle.Dict{}
	for key, v := range c.Arguments() {
		outer.Set(key, v)
	}
	return rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: outer}
}

// request enqueues a call as frappe.enqueue does; id "" takes a new one.
func (b *bed) request(kind, id string, c rqcompat.Call) rqcompat.Request {
	ttl, timeout := int64(600), int64(300)
	r := rqcompat.Request{Queue: b.queue(kind), Call: c, ResultTTL: &ttl, Timeout: &timeout}
	if id != "" {
		r.ID = b.bench.JobID(site, id)
	}
	return r
}

// until waits for ok, at most for the given time.
func until(ctx context.Context, most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); !ok(); {
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}
