package commands

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/documents"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// reach says how documents get to a site.
type reach struct {
	rest             bool
	url, key, secret string
}

func (r *reach) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&r.rest, "rest", false, "over the site's REST API, where this host has no Python environment of the bench")
	f.StringVar(&r.url, "url", "", "the site, for --rest (default: the site's host_name, else its name and webserver_port)")
	f.StringVar(&r.key, "api-key", "", "API key of Administrator, for --rest (default: $BRIDGE_API_KEY)")
	f.StringVar(&r.secret, "api-secret", "", "its secret; the environment variable keeps it out of the process list (default: $BRIDGE_API_SECRET)")
}

// open opens a site; without write it is only looked at.
func (r reach) open(ctx context.Context, b *frappe.Bench, site string, write bool) (documents.Site, error) {
	if !r.rest {
		s, err := documents.OnBench(ctx, b, site, write)
		if errors.Is(err, documents.ErrNoBench) {
			err = fmt.Errorf("%w; with --rest the site's web server does it", err)
		}
		return s, err
	}
	key, secret := watch.APIKey(r.key, r.secret)
	if key == "" || secret == "" {
		return nil, exitcode.Usagef("--rest needs an API key of Administrator: set $BRIDGE_API_KEY and $BRIDGE_API_SECRET (User > Settings > API Access in the desk)")
	}
	return documents.OverREST(ctx, cmp.Or(r.url, watch.SiteURL(b, site)), key, secret)
}

// installation is what one installation is asked to do.
type installation struct {
	reach
	all, dryRun bool
	documents   documents.Options
	rows        rows.InstallOptions
}

// installed is what an installation, or a removal, came to on one site.
type installed struct {
	Site  string           `json:"site"`
	Steps []documents.Step `json:"steps"` // what was done with documents, or left; with --dry-run what would be
	rows.InstallReport
	Missing []string `json:"missing,omitempty"` // with --dry-run: tables and indexes that would be added
	Error   string   `json:"error,omitempty"`

	dryRun bool
}

func installCommand(a *cli.App) *cobra.Command {
	var o installation
	c := &cobra.Command{
		Use:   "install",
		Short: "Bring the desk what it needs for Background Jobs",
		Long: `Bring a site the documents that its desk needs for Background Jobs: DocTypes with
their tables, scripts of forms and lists, a workspace, reports. Frappe itself
imports them, through the bench's Python (env/bin/python, as the owner of sites/,
whom root becomes) or with --rest through the site's web server. Then missing
indexes are added.

DocTypes are made only where the site lacks them. Those of an app, such as the
Dartwing app, are never replaced: they get Custom Fields, Property Setters and
Client Scripts, which bridge uninstall takes off again. A DocType of the same name
that somebody else made is refused, with what differs.

It may be run again at any time: it brings what is new in this version and leaves
what people changed or deleted, and says so; --overwrite replaces that too. What
was installed stands in the document "Background Jobs Installation".

With --samples the site gets the Job Types echo_job, sample_job and
long_running_job, which every bridge has handlers for.

A job of a Job Type belongs to an organization: a document of the DocType
Organization, which is brought where no app has one, or of another that the site
has (--tenant-doctype Company). With --organization a site without such an app gets
one; an existing one of that name stays as it is.

A database without Frappe gets the tables alone.`,
		Example: `  bridge install --site site1.localhost --samples --organization ORG-1
  bridge install --site site1.localhost --dry-run
  bridge install --all-sites`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.all && a.Site != "" {
				return exitcode.Usagef("--site and --all-sites exclude each other")
			}
			if o.all && o.url != "" {
				return exitcode.Usagef("--url and --all-sites exclude each other")
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return a.OnBench(func(b *frappe.Bench, _ bridge.Config) error {
				return onSites(a, b, o.all, func(site string) (installed, error) { return o.install(ctx, a, b, site) })
			})
		},
	}
	c.Flags().BoolVar(&o.all, "all-sites", false, "every site of the bench")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&o.documents.Overwrite, "overwrite", false, "also replace what people changed, and bring back what they deleted")
	c.Flags().StringVar(&o.documents.Tenant, "tenant-doctype", "", "DocType that jobs belong to (default: as it is, at first "+rows.DefaultTenant+")")
	c.Flags().BoolVar(&o.rows.Samples, "samples", false, "also the sample Job Types")
	c.Flags().StringVar(&o.rows.Organization, "organization", "", "also an active organization of this name")
	o.addFlags(c.Flags())
	return c
}

func uninstallCommand(a *cli.App) *cobra.Command {
	var o installation
	var data bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take off what bridge install brought",
		Long: `Take off a site what bridge install brought: scripts, Property Setters, reports,
the workspace. The DocTypes stay with all their rows, which bench trim-database
would drop without them, and so do the roles that people have; a later bridge
install goes on with them.

With --with-data the DocTypes that bridge install made go too, with their tables
and every row: it asks twice. An app's own DocTypes stay in any case. Over REST the
tables stay, empty of meaning, until bench trim-database drops them.`,
		Example: `  bridge uninstall --site site1.localhost --dry-run
  bridge uninstall --site site1.localhost`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return a.OnBench(func(b *frappe.Bench, _ bridge.Config) error {
				return onSites(a, b, false, func(site string) (installed, error) { return o.uninstall(ctx, a, b, site, data) })
			})
		},
	}
	c.Flags().BoolVar(&data, "with-data", false, "also the DocTypes, with their tables and all jobs; asks twice")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be done")
	o.addFlags(c.Flags())
	return c
}

// onSites does something on one site or on all, and says what it came to.
func onSites(a *cli.App, b *frappe.Bench, all bool, do func(site string) (installed, error)) error {
	names, err := b.Sites()
	if !all {
		names = make([]string, 1)
		names[0], err = a.SiteName(b)
	}
	if err != nil {
		return err
	}
	results := []installed{}
	var errs []error
	for _, name := range names {
		r, err := do(name)
		r.Site, r.Steps = name, slices.Concat([]documents.Step{}, r.Steps)
		if err != nil {
			r.Error = err.Error()
			errs = append(errs, err)
		}
		results = append(results, r)
		a.Say("%s: %s", name, r.text())
	}
	if a.JSON {
		if err := a.PrintJSON(results); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func (o installation) install(ctx context.Context, a *cli.App, b *frappe.Bench, name string) (r installed, err error) {
	site, err := b.Site(name)
	if err != nil {
		return r, err
	}
	db, err := rows.Open(ctx, site)
	if err != nil {
		return r, err
	}
	defer db.Close()
	isFrappe, err := db.Frappe(ctx)
	if err != nil {
		return r, err
	}
	if isFrappe {
		if err := o.bring(ctx, a, b, name, &r, func(site documents.Site) (*documents.Plan, error) {
			plan, err := documents.Prepare(ctx, site, o.documents)
			if err == nil && o.rows.Organization != "" && plan.Tenant != rows.DefaultTenant {
				err = exitcode.Usagef("--organization makes an %s, but the site's jobs belong to a %s", rows.DefaultTenant, plan.Tenant)
			}
			return plan, err
		}); err != nil {
			return r, err
		}
	} else if o.documents.Tenant != "" {
		return r, exitcode.Usagef("the database of %s is that of no Frappe site: it has no DocType %s", name, o.documents.Tenant)
	}
	if o.dryRun {
		r.dryRun = true
		problems, err := rows.CheckTables(ctx, db)
		for _, p := range problems {
			if p.Install && (p.Index != "" || !isFrappe) { // Frappe makes the tables of DocTypes
				r.Missing = append(r.Missing, strings.TrimSuffix(p.Table+"."+p.Index, "."))
			}
		}
		return r, err
	}
	r.InstallReport, err = rows.Install(ctx, db, o.rows)
	return r, err
}

// bring does what is planned with documents, or only says it.
func (o installation) bring(ctx context.Context, a *cli.App, b *frappe.Bench, name string, r *installed, prepare func(documents.Site) (*documents.Plan, error)) (err error) {
	site, err := o.open(ctx, b, name, !o.dryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	plan, err := prepare(site)
	if err != nil {
		return fmt.Errorf("site %s: %w", name, err)
	}
	r.Steps = plan.Steps
	for _, s := range plan.Steps {
		if o.dryRun || s.Action == documents.Leave {
			a.Say("%s: %s", name, s)
		}
	}
	if o.dryRun {
		return nil
	}
	far := newProgress(a, len(plan.Changes()))
	err = plan.Apply(ctx, func(done int, s documents.Step) {
		a.Log.Debug("document", "site", name, "step", s.String())
		far.step(done)
	})
	if err != nil {
		err = fmt.Errorf("site %s: %w; what was done so far stays, run this again when that is mended", name, err)
	}
	return err
}

func (o installation) uninstall(ctx context.Context, a *cli.App, b *frappe.Bench, name string, data bool) (r installed, err error) {
	err = o.bring(ctx, a, b, name, &r, func(site documents.Site) (*documents.Plan, error) {
		plan, err := documents.PrepareRemoval(ctx, site, data)
		if err != nil || !data || o.dryRun {
			return plan, err
		}
		return plan, askTwice(ctx, a, name, plan)
	})
	r.dryRun = o.dryRun
	return r, err
}

// askTwice lets a person say that all jobs of a site are to be deleted.
func askTwice(ctx context.Context, a *cli.App, site string, plan *documents.Plan) error {
	counts, err := plan.Rows(ctx)
	if err != nil {
		return err
	}
	total := 0
	var parts []string
	for _, doctype := range slices.Sorted(maps.Keys(counts)) {
		total += counts[doctype]
		parts = append(parts, fmt.Sprintf("%d %s", counts[doctype], doctype))
	}
	in := bufio.NewReader(a.In)
	for _, q := range []struct{ question, answer string }{
		{fmt.Sprintf("This deletes from %s, for good: %s.\nWrite the site's name to go on: ", site, cmp.Or(strings.Join(parts, ", "), "no rows")), site},
		{fmt.Sprintf("There is no way back. Write \"delete %d rows\": ", total), fmt.Sprintf("delete %d rows", total)},
	} {
		fmt.Fprint(a.Err, q.question)
		line, _ := in.ReadString('\n') // the end of the input is a no
		if strings.TrimSpace(line) != q.answer {
			return fmt.Errorf("nothing was deleted: the answer is not %q", q.answer)
		}
	}
	return nil
}

// text says what was done on a site.
func (r installed) text() string {
	var parts []string
	if r.dryRun {
		parts = append(parts, "nothing was changed")
	}
	counts := map[documents.Action]int{}
	for _, s := range r.Steps {
		counts[s.Action]++
	}
	for _, p := range []struct {
		action documents.Action
		done   string
	}{
		{documents.Create, "created"}, {documents.Upgrade, "upgraded"}, {documents.Extend, "extended"}, {documents.Adopt, "took over"},
		{documents.Remove, "removed"}, {documents.Forget, "forgot"}, {documents.Leave, "left"},
	} {
		if n := counts[p.action]; n > 0 && !r.dryRun {
			parts = append(parts, p.done+" "+output.Plural(n, "document"))
		}
	}
	for _, p := range []struct {
		what  string
		names []string
	}{
		{"created", r.Created}, {"added index", r.IndexesAdded}, {"added Job Type", r.JobTypes}, {"added organization", r.Organizations},
		{"would add", r.Missing},
	} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	if r.Error != "" {
		parts = append(parts, "stopped by an error")
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, "; ")
}
