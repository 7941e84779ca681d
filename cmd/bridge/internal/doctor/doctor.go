// Package doctor looks at everything that a bridge needs and says what is wrong and what to do. It changes nothing unasked.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/redis/go-redis/v9"
)

// checkTimeout bounds each conversation with a server, so that one that hangs doesn't keep the report.
const checkTimeout = 5 * time.Second

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is one line of the report.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

type report struct {
	findings []Finding
	told     map[string]bool // database servers
	// sitesInAll is how many sites are looked at.
	sitesInAll int
}

func (r *report) add(level Level, check, fix, format string, args ...any) {
	r.findings = append(r.findings, Finding{level, check, fmt.Sprintf(format, args...), fix})
}

func (r *report) ok(check, format string, args ...any) { r.add(OK, check, "", format, args...) }

func (r *report) warn(check, fix, format string, args ...any) {
	r.add(Warning, check, fix, format, args...)
}

func (r *report) fail(check string, err error, fix string) { r.add(Error, check, fix, "%v", err) }

// Options say what Examine looks at, and whether it may change something.
type Options struct {
	Site string // only this one; "" is all
	// Fix puts right what nothing else would.
	Fix bool
}

// Examine runs all checks, in the order in which problems explain each other.
func Examine(ctx context.Context, b *frappe.Bench, o Options) []Finding {
	r := &report{told: map[string]bool{}}
	cfg := r.configuration(b)
	if rdb := r.redis(ctx, "redis_queue", b.RedisQueue); rdb != nil {
		r.queueServer(ctx, rdb)
		r.rights(ctx, b, rdb)
		r.rq(ctx, b, cfg, rdb, o.Fix)
		_ = rdb.Close() // nothing is under way
	}
	if rdb := r.redis(ctx, "redis_cache", b.RedisCache); rdb != nil {
		_ = rdb.Close()
	}
	r.realtime(ctx, b)
	r.sites(ctx, b, cfg, o.Site)
	return r.findings
}

func (r *report) configuration(b *frappe.Bench) bridge.Config {
	r.ok("bench", "%s, id %s", b.Dir, b.ID)
	if b.Major == 0 {
		r.warn("frappe", `set "frappe_version" under "bridge" in common_site_config.json`, "version unknown: apps/frappe is not there")
	} else {
		r.ok("frappe", "version %d", b.Major)
	}
	for _, w := range b.Warnings() {
		r.warn("configuration", "", "%s", w)
	}
	cfg, err := benchconfig.Load(b)
	if err == nil {
		_, err = bridge.New(cfg)
	}
	if err != nil {
		r.fail("configuration", err, `correct the key "bridge" in `+b.SitesDir+"/common_site_config.json")
	} else {
		r.ok("configuration", `the key "bridge" is in order`)
	}
	return cfg
}

// redis reaches one of the bench's Redis servers; nil if it can't be.
func (r *report) redis(ctx context.Context, name string, server func() (*frappe.Redis, error)) redis.UniversalClient {
	o, err := server()
	if err != nil {
		r.fail(name, err, "correct common_site_config.json")
		return nil
	}
	rdb := o.Open()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		fix := fmt.Sprintf("start it (bench start), or correct %s in common_site_config.json", name)
		if exitcode.IsDenied(err) {
			fix = "correct user and password; the bridge's ACL user needs the commands, keys rq:* and channels of RQ"
		}
		r.fail(name, fmt.Errorf("%s: %w", o.Where, err), fix)
		_ = rdb.Close()
		return nil
	}
	version := info["Server"]["redis_version"]
	if !atLeast(version, 6, 2) {
		r.add(Error, name, "upgrade it: the bridge waits with BLMOVE, which came with 6.2", "%s, Redis %s", o.Where, version)
	} else {
		r.ok(name, "%s, Redis %s", o.Where, version)
	}
	return rdb
}

// atLeast compares the first two numbers of a version.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return true // a server of another make; what it lacks shows in use
	}
	return a > major || a == major && b >= minor
}
