package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/spf13/cobra"
)

// statuses are those of a Background Job, by their name in lower case.
var statuses = []frappe.Status{
	frappe.StatusPending, frappe.StatusQueued, frappe.StatusRunning, frappe.StatusCompleted,
	frappe.StatusFailed, frappe.StatusDeadLetter, frappe.StatusCanceled, frappe.StatusTimedOut,
}

func jobsCommand(a *cli.App) *cobra.Command {
	var (
		f            frappe.ListFilter
		states       []string
		since, until string
	)
	c := &cobra.Command{
		Use:   "jobs",
		Short: "List Background Jobs, newest first",
		Example: `  bridge jobs --status running --status queued
  bridge jobs --status "dead letter" --organization ORG-2026-00001 --since -24h
  bridge jobs --type sample_job --limit 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if f.Statuses, err = parseStatuses(states); err != nil {
				return err
			}
			if f.Limit < 1 || f.Offset < 0 {
				return exitcode.Usagef("--limit is %d and --offset %d, want at least 1 and 0", f.Limit, f.Offset)
			}
			now := time.Now()
			if f.From, err = moment(since, now); err != nil {
				return err
			}
			if f.To, err = moment(until, now); err != nil {
				return err
			}
			return a.OnBench(func(b *frappe.Bench, _ bridge.Config) error { return listJobs(c.Context(), a, b, f) })
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&states, "status", nil, "only this status; may be repeated")
	flags.StringVar(&f.JobType, "type", "", "only this Job Type")
	flags.StringVar(&f.Organization, "organization", "", "only this organization")
	flags.StringVar(&f.Owner, "user", "", "only jobs this user submitted")
	flags.StringVar(&since, "since", "", "created from then on: -24h, or a date and time")
	flags.StringVar(&until, "until", "", "created before then")
	flags.IntVar(&f.Limit, "limit", 20, "how many")
	flags.IntVar(&f.Offset, "offset", 0, "how many to skip")
	return c
}

func parseStatuses(names []string) (out []frappe.Status, err error) {
	for _, name := range names {
		known := false
		for _, s := range statuses {
			if strings.EqualFold(name, string(s)) || strings.EqualFold(name, strings.ReplaceAll(string(s), " ", "-")) {
				out, known = append(out, s), true
			}
		}
		if !known {
			return nil, exitcode.Usagef("--status %q is none of %s", name, statusNames())
		}
	}
	return out, nil
}

func statusNames() string {
	var names []string
	for _, s := range statuses {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func listJobs(ctx context.Context, a *cli.App, b *frappe.Bench, f frappe.ListFilter) error {
	name, err := a.SiteName(b)
	if err != nil {
		return err
	}
	site, err := b.Site(name)
	if err != nil {
		return err
	}
	db, err := site.DB(ctx)
	if err != nil {
		return err
	}
	rows, total, err := db.ListJobs(ctx, f)
	if err != nil {
		return err
	}
	if a.JSON {
		views := make([]*view.Row, len(rows))
		for i, r := range rows {
			views[i] = view.RowOf(r, false)
		}
		return a.PrintJSON(map[string]any{"jobs": views, "total": total, "limit": f.Limit, "offset": f.Offset})
	}
	cells := make([][]string, len(rows))
	for i, r := range rows {
		cells[i] = []string{r.Name, r.JobType, r.Organization, string(r.Status), progressText(r), output.Clock(r.CreatedAt), output.Clip(r.OwnerUser, 30)}
	}
	if err := output.Table(a.Out, []string{"NAME", "TYPE", "ORGANIZATION", "STATUS", "PROGRESS", "CREATED", "USER"}, cells); err != nil {
		return err
	}
	if total > len(rows) {
		a.Say("%d of %d; more with --offset %d", len(rows), total, f.Offset+len(rows))
	}
	return nil
}

// progressText is how far a job is and what keeps it.
func progressText(r *frappe.BackgroundJob) string {
	text := fmt.Sprintf("%.0f%%", r.Progress)
	switch {
	case r.NextRetryAt != nil:
		text += fmt.Sprintf(" retry %d/%d", r.RetryCount+1, r.MaxRetries)
	case r.Status == frappe.StatusRunning && r.ProgressMessage != "":
		text += " " + output.Clip(r.ProgressMessage, 40)
	}
	return text
}
