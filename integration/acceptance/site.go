package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// bridgeDocTypes are those that the bridge keeps its rows in.
var bridgeDocTypes = []string{"Background Job", "Background Job Pause", "Job Circuit Breaker", "Job Execution Log", "Job Type", "Organization", "Withheld Job Result"}

// installCases look at what is installed.
func installCases() []Case {
	return []Case{{
		Name: "install: queues", Means: "Python and the bridge mean the same queues of Redis",
		Fix: "set bench_id in common_site_config.json, and restart everything", Run: sameQueues,
	}, {
		Name: "install: tables", Means: "the site has the tables that Background Jobs are kept in",
		Fix: "bridge install --site SITE", Run: hasTables,
	}, {
		Name: "install: again", Means: "bridge install may be run again at any time",
		Fix: "run it by hand and read what it says", Needs: []need{tables}, Run: installsAgain,
	}, {
		Name: "install: DocTypes", Means: "the tables are documents: pages in the desk, REST, and safe from trim-database",
		Fix: "bridge install --site SITE", Needs: []need{tables, documents}, Run: hasDocTypes,
	}, {
		Name: "install: trim-database", Means: "bench trim-database leaves the tables alone",
		Fix: "don't run bench trim-database on this site; then bridge install --site SITE", Needs: []need{tables, documents}, Run: survivesTrim,
	}, {
		Name: "install: doctor", Means: "bridge doctor finds no error",
		Fix: "do what it says: bridge doctor --site SITE", Needs: []need{tables, ownWorker}, Run: doctorFindsNothing,
	}}
}

func sameQueues(ctx context.Context, b *bed) error {
	var theirs string
	err := b.python.do(ctx, `
from frappe.utils.background_jobs import generate_qname
answer = generate_qname("default")
`, nil, &theirs)
	if err != nil {
		return err
	}
	return want("the queue default in Python", theirs, b.frappe.QueueName("default"))
}

func hasTables(_ context.Context, b *bed) error {
	if why := b.missing[tables]; why != "" {
		return fmt.Errorf("%s", why)
	}
	return nil
}

// installsAgain: the first may have something to do, the second has not.
func installsAgain(ctx context.Context, b *bed) error {
	if _, err := b.bridge(ctx, nil, "install"); err != nil {
		return err
	}
	out, err := b.bridge(ctx, nil, "install", "--json")
	if err != nil {
		return err
	}
	var sites []struct {
		Steps        []struct{ Action, DocType, Name, Why string }
		Created      []string
		IndexesAdded []string `json:"indexes_added"`
	}
	if err := json.Unmarshal([]byte(out), &sites); err != nil || len(sites) != 1 {
		return fmt.Errorf("bridge install --json printed %q: %w", out, err)
	}
	for _, s := range sites[0].Steps {
		if s.Action != "leave" {
			return fmt.Errorf("a second installation did %s %s %s", s.Action, s.DocType, s.Name)
		}
	}
	if again := slices.Concat(sites[0].Created, sites[0].IndexesAdded); len(again) > 0 {
		return fmt.Errorf("a second installation added %s", strings.Join(again, ", "))
	}
	return nil
}

func hasDocTypes(ctx context.Context, b *bed) error {
	var lacking []string
	err := b.python.do(ctx, `answer = [name for name in args["names"] if not frappe.db.exists("DocType", name)]`, values{"names": bridgeDocTypes}, &lacking)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("tables without a DocType: %s", strings.Join(lacking, ", "))
	}
	return err
}

func survivesTrim(ctx context.Context, b *bed) error {
	out, err := b.bench(ctx, "trim-database", "--dry-run", "--no-backup")
	if err != nil {
		return err
	}
	var doomed []string
	for _, name := range bridgeDocTypes {
		if strings.Contains(out, "* tab"+name+"\n") {
			doomed = append(doomed, "tab"+name)
		}
	}
	if len(doomed) > 0 {
		return fmt.Errorf("it would drop %s", strings.Join(doomed, ", "))
	}
	return nil
}

// bench runs one of bench's commands on the site.
func (b *bed) bench(ctx context.Context, args ...string) (string, error) {
	python := filepath.Join(b.frappe.Dir, "env", "bin", "python")
	cmd := exec.CommandContext(ctx, python, append([]string{"-m", "frappe.utils.bench_helper", "frappe", "--site", b.site}, args...)...)
	cmd.Dir, cmd.SysProcAttr, cmd.WaitDelay = b.frappe.SitesDir, ownGroup(), time.Second
	cmd.Env = append(os.Environ(), "FRAPPE_BENCH_ROOT="+b.frappe.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("bench %s: %w: %s", strings.Join(args, " "), err, out[max(0, len(out)-600):])
	}
	return string(out), err
}

func doctorFindsNothing(ctx context.Context, b *bed) error {
	out, err := b.bridge(ctx, nil, "doctor", "--json")
	found := exitCode(err) == exitcode.Failure || exitCode(err) == exitcode.Warnings
	if err != nil && !found || out == "" {
		return err
	}
	var findings []struct{ Level, Check, Text, Fix string }
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		return fmt.Errorf("bridge doctor --json printed %q: %w", out, err)
	}
	var errs []string
	for _, f := range findings {
		if f.Level == "error" {
			errs = append(errs, f.Check+": "+f.Text+" ("+f.Fix+")")
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s", strings.Join(errs, "\n"))
	}
	return nil
}

// siteCases disturb others, and are tried only if asked for.
func siteCases() []Case {
	return []Case{{
		Name: "site: maintenance mode", Means: "jobs of a site in maintenance wait, and run when it is over",
		Fix:   "upgrade the bridge; until then stop it before maintenance",
		Needs: []need{ownWorker, ownQueue, documents, maintenance}, Run: waitsForMaintenance,
	}, {
		Name: "site: migrate", Means: "bench migrate runs while jobs run, and leaves the tables as they are",
		Fix:   "read what bench migrate says; then bridge install --site SITE",
		Needs: []need{ownWorker, tables, users, documents, migrate}, Run: survivesMigrate,
	}, {
		Name: "site: uninstall", Means: "bridge uninstall takes off what the desk has of the bridge, and no row; bridge install brings it back",
		Fix:   "bridge install --site SITE, and read what it says",
		Needs: []need{ownWorker, tables, users, documents, migrate}, Run: survivesUninstall,
	}}
}

// survivesUninstall: what people changed in what was brought goes as well, which is why it is asked for.
func survivesUninstall(ctx context.Context, b *bed) error {
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	row, err := b.submit(ctx, taskType, task{})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 30*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	counts := func() ([]string, error) {
		return db.Strings(ctx, "count rows", "SELECT CONCAT((SELECT COUNT(*) FROM `tabBackground Job`), ' jobs, ', (SELECT COUNT(*) FROM `tabJob Execution Log`)"+
			", ' log rows, ', (SELECT COUNT(*) FROM `tabJob Type`), ' Job Types')")
	}
	before, err := counts()
	if err != nil {
		return err
	}
	if _, err := b.bridge(ctx, nil, "uninstall"); err != nil {
		return err
	}
	trimmed := survivesTrim(ctx, b)
	if _, err := b.bridge(ctx, nil, "install"); err != nil || trimmed != nil {
		return cmp.Or(trimmed, err)
	}
	after, err := counts()
	if err == nil && !slices.Equal(before, after) {
		err = fmt.Errorf("there were %v and are %v", before, after)
	}
	return err
}

func waitsForMaintenance(ctx context.Context, b *bed) (err error) {
	set := func(ctx context.Context, mode string) error {
		return b.python.do(ctx, `
from frappe.installer import update_site_config
update_site_config("maintenance_mode", args["mode"])
`, values{"mode": mode}, nil)
	}
	if site, err := b.frappe.Site(b.site); err != nil || site.MaintenanceMode() {
		return cmp.Or(err, missing("the site is in maintenance mode"))
	}
	if err := set(ctx, "1"); err != nil {
		return err
	}
	on := true
	defer func() {
		if on {
			err = errors.Join(err, set(context.WithoutCancel(ctx), "None"))
		}
	}()
	// Configuration is looked at every few seconds.
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	rqID, err := way{b.own}.call(ctx, b, echoMethod, newID("maintenance"), nil, nil)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	job, err := b.rq().Fetch(ctx, rqID)
	if err != nil {
		return err
	}
	if job.Status != "queued" {
		return fmt.Errorf("the job is %s while the site is in maintenance, want queued", job.Status)
	}
	on = false
	if err := set(context.WithoutCancel(ctx), "None"); err != nil {
		return err
	}
	_, err = b.echoOf(ctx, rqID)
	return err
}

func survivesMigrate(ctx context.Context, b *bed) error {
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	const columns = "SELECT CONCAT(table_name,'.',column_name,' ',column_type) FROM information_schema.columns" +
		" WHERE table_schema=DATABASE() AND table_name IN ('tabBackground Job','tabJob Execution Log','tabJob Type') ORDER BY 1"
	before, err := db.Strings(ctx, "read the columns", columns)
	if err != nil {
		return err
	}
	row, err := b.submit(ctx, taskType, task{Seconds: 10})
	if err != nil {
		return err
	}
	if _, err := b.bench(ctx, "migrate"); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 30*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	after, err := db.Strings(ctx, "read the columns", columns)
	if err == nil && !slices.Equal(before, after) {
		err = fmt.Errorf("the columns were\n%s\nand are\n%s", strings.Join(before, ", "), strings.Join(after, ", "))
	}
	return err
}
