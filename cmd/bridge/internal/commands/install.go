package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func installCommand(a *cli.App) *cobra.Command {
	var all bool
	var options rows.InstallOptions
	c := &cobra.Command{
		Use:   "install",
		Short: "Create the tables that a site lacks",
		Long: `Create the tables that a site lacks, and add missing indexes to those it has.
Existing tables are otherwise left as they are; it may be run again at any time.

With --samples the site gets the Job Types echo_job, sample_job and
long_running_job, which every bridge has handlers for.

A job of a Job Type belongs to an organization. With --organization a site that has
no app with organizations gets one; an existing one of that name stays as it is.`,
		Example: `  bridge install --site site1.localhost --samples --organization ORG-1
  bridge install --all-sites`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if all && a.Site != "" {
				return exitcode.Usagef("--site and --all-sites exclude each other")
			}
			return a.OnBench(func(b *frappe.Bench, _ bridge.Config) error { return install(c.Context(), a, b, all, options) })
		},
	}
	c.Flags().BoolVar(&all, "all-sites", false, "every site of the bench")
	c.Flags().BoolVar(&options.Samples, "samples", false, "also the sample Job Types")
	c.Flags().StringVar(&options.Organization, "organization", "", "also an active organization of this name")
	return c
}

func install(ctx context.Context, a *cli.App, b *frappe.Bench, all bool, options rows.InstallOptions) error {
	names, err := b.Sites()
	if !all {
		names = make([]string, 1)
		names[0], err = a.SiteName(b)
	}
	if err != nil {
		return err
	}
	type result struct {
		Site string `json:"site"`
		rows.InstallReport
		Error string `json:"error,omitempty"`
	}
	var results []result
	var errs []error
	for _, name := range names {
		r, err := installSite(ctx, b, name, options)
		one := result{Site: name, InstallReport: r}
		if err != nil {
			one.Error = err.Error()
			errs = append(errs, err)
		}
		results = append(results, one)
		a.Say("%s: %s", name, installText(r, err))
	}
	if a.JSON {
		if err := a.PrintJSON(results); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func installSite(ctx context.Context, b *frappe.Bench, name string, options rows.InstallOptions) (rows.InstallReport, error) {
	site, err := b.Site(name)
	if err != nil {
		return rows.InstallReport{}, err
	}
	db, err := rows.Open(ctx, site)
	if err != nil {
		return rows.InstallReport{}, err
	}
	defer db.Close()
	report, err := rows.Install(ctx, db, options)
	if err == nil && len(report.Created) > 0 {
		err = forgetTables(ctx, b, site, report.Created)
	}
	return report, err
}

// forgetTables makes Frappe's processes look again which tables there are.
func forgetTables(ctx context.Context, b *frappe.Bench, site *frappe.Site, tables []string) error {
	options, err := b.RedisCache()
	if err != nil {
		return err
	}
	cache := redis.NewUniversalClient(options)
	defer cache.Close()
	doctypes := make([]string, len(tables))
	for i, table := range tables {
		doctypes[i] = strings.TrimPrefix(table, "tab")
	}
	if err := rows.InvalidateDocType(ctx, cache, site.DBName(), doctypes...); err != nil {
		return fmt.Errorf("%w: the tables are there, but Frappe may not know them yet; run: bench --site %s clear-cache", err, site.Name)
	}
	return nil
}

func installText(r rows.InstallReport, err error) string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"created", r.Created}, {"added index", r.IndexesAdded}, {"added Job Type", r.JobTypes}, {"added organization", r.Organizations}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	if err != nil {
		parts = append(parts, "stopped by an error")
	}
	if len(parts) == 0 {
		return fmt.Sprintf("nothing to do, all %s are there", output.Plural(len(r.Kept), "table"))
	}
	return strings.Join(parts, "; ")
}
