package main

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// The levels of a finding.
const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelError   = "error"
)

// finding is one line of the doctor's report.
type finding struct {
	Level string `json:"level"`
	Check string `json:"check"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

// checkTimeout bounds each conversation with a server, so that one that hangs
// doesn't keep the report.
const checkTimeout = 5 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, servers, tables and who works what",
		Long: `Check everything that the bridge needs: configuration, Redis, the RQ version
spoken, who works which queue, queues and registries, clocks, each site's
database and tables, and the realtime server. Nothing is changed.

Each line is ok, warning or error, with what to do about it. The exit code is 1 if
there is an error. --site checks that site only.`,
		Example: `  bridge doctor
  bridge doctor --site site1.localhost --json | jq '.[] | select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &doctor{site: a.site}
			if b, err := a.openBench(); err != nil {
				d.fail("bench", err, "")
			} else {
				defer b.Close()
				d.examine(c.Context(), b)
			}
			return a.printFindings(d.findings)
		},
	}
}

func (a *app) printFindings(findings []finding) error {
	failed := false
	for _, f := range findings {
		failed = failed || f.Level == levelError
		if a.json || a.quiet && f.Level == levelOK {
			continue
		}
		fmt.Fprintf(a.out, "%-8s %-22s %s\n", f.Level, oneLine(f.Check), oneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(a.out, "%31s → %s\n", "", oneLine(f.Fix))
		}
	}
	if a.json {
		if err := a.printJSON(findings); err != nil {
			return err
		}
	}
	if failed {
		return &exitError{code: exitFailure}
	}
	return nil
}

// doctor collects findings.
type doctor struct {
	site     string // only this one
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{levelOK, check, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, fix, format string, args ...any) {
	d.findings = append(d.findings, finding{levelWarning, check, fmt.Sprintf(format, args...), fix})
}

func (d *doctor) bad(check, fix, format string, args ...any) {
	d.findings = append(d.findings, finding{levelError, check, fmt.Sprintf(format, args...), fix})
}

func (d *doctor) fail(check string, err error, fix string) { d.bad(check, fix, "%v", err) }

// examine runs all checks in the order in which problems explain each other.
func (d *doctor) examine(ctx context.Context, b *frappe.Bench) {
	cfg := d.configuration(b)
	if rdb := d.redis(ctx, "redis_queue", b.RedisQueue); rdb != nil {
		d.queueServer(ctx, rdb)
		d.rq(ctx, b, cfg, rdb)
		_ = rdb.Close() // nothing was written
	}
	if rdb := d.redis(ctx, "redis_cache", b.RedisCache); rdb != nil {
		_ = rdb.Close()
	}
	d.realtime(ctx, b)
	d.sites(ctx, b)
}

func (d *doctor) configuration(b *frappe.Bench) bridge.Config {
	d.ok("bench", "%s, id %s", b.Dir, b.ID)
	if b.Major == 0 {
		d.warn("frappe", `set "frappe_version" under "bridge" in common_site_config.json`, "version unknown: apps/frappe is not there")
	} else {
		d.ok("frappe", "version %d", b.Major)
	}
	for _, w := range b.Warnings() {
		d.warn("configuration", "", "%s", w)
	}
	cfg, err := bridge.LoadConfig(b)
	if err == nil {
		_, err = bridge.New(cfg)
	}
	if err != nil {
		d.fail("configuration", err, `correct the key "bridge" in `+b.SitesDir+"/common_site_config.json")
	} else {
		d.ok("configuration", `the key "bridge" is in order`)
	}
	return cfg
}

// redis reaches one of the bench's Redis servers; nil if it can't be.
func (d *doctor) redis(ctx context.Context, name string, options func() (*redis.UniversalOptions, error)) redis.UniversalClient {
	o, err := options()
	if err != nil {
		d.fail(name, err, "correct common_site_config.json")
		return nil
	}
	rdb := redis.NewUniversalClient(o)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		fix := fmt.Sprintf("start it (bench start), or correct %s in common_site_config.json", name)
		if isDenied(err) {
			fix = "correct user and password; the bridge's ACL user needs the commands, keys rq:* and channels of RQ"
		}
		d.fail(name, fmt.Errorf("%v: %w", o.Addrs, err), fix)
		_ = rdb.Close()
		return nil
	}
	version := info["Server"]["redis_version"]
	if !atLeast(version, 6, 2) {
		d.bad(name, "upgrade it: the bridge waits with BLMOVE, which came with 6.2", "%v, Redis %s", o.Addrs, version)
		return rdb
	}
	d.ok(name, "%v, Redis %s", o.Addrs, version)
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
