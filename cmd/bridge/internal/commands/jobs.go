package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// statuses are those of a Background Job.
var statuses = []string{"Pending", "Queued", "Running", "Completed", "Failed", "Dead Letter", "Canceled", "Timed Out"}

// jobChoice chooses Background Jobs by flags.
type jobChoice struct {
	rows.ListFilter
	states                     []string
	since, until               string
	changedSince, changedUntil string
}

func (c *jobChoice) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&c.states, "status", nil, "only this status; may be repeated")
	f.StringVar(&c.JobType, "type", "", "only this Job Type")
	f.StringVar(&c.Organization, "organization", "", "only this organization")
	f.StringVar(&c.Error, "error", "", "only with this in the error message")
	f.StringVar(&c.since, "since", "", "created from then on: -24h, or a date and time of the site")
	f.StringVar(&c.until, "until", "", "created before then")
	f.StringVar(&c.changedSince, "changed-since", "", "changed from then on; of a job that has ended, its end")
	f.StringVar(&c.changedUntil, "changed-until", "", "changed before then")
}

// anything reports whether flags choose at all.
func (c *jobChoice) anything() bool {
	return c.JobType+c.Organization+c.Error+c.since+c.until+c.changedSince+c.changedUntil != ""
}

// filter reads what the flags say, times as those of now's zone.
func (c *jobChoice) filter(now time.Time) (rows.ListFilter, error) {
	var badStatus error
	var bad []error
	c.Statuses, badStatus = parseStatuses(c.states)
	for text, into := range map[*string]*time.Time{&c.since: &c.From, &c.until: &c.To, &c.changedSince: &c.ChangedFrom, &c.changedUntil: &c.ChangedTo} {
		at, err := moment(*text, now)
		*into, bad = at, append(bad, err)
	}
	return c.ListFilter, cmp.Or(append(bad, badStatus)...)
}

func jobsCommand(a *cli.App) *cobra.Command {
	var choice jobChoice
	var group string
	c := &cobra.Command{
		Use:   "jobs",
		Short: "List Background Jobs, newest first",
		Long: `List Background Jobs, newest first, each with the first line of its error. With
--status it lists first what changed last: of dead letters, those that died last.
With --group-by error it counts them instead, by Job Type and that line.`,
		Example: `  bridge jobs --status running --status queued
  bridge jobs --status dead-letter --organization ORG-2026-00001 --since -24h
  bridge jobs --status dead-letter --error "no paper" --changed-since -24h
  bridge jobs --status dead-letter --group-by error
  bridge jobs --type sample_job --limit 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if choice.Limit < 1 || choice.Offset < 0 {
				return exitcode.Usagef("--limit is %d and --offset %d, want at least 1 and 0", choice.Limit, choice.Offset)
			}
			if group != "" && group != "error" {
				return exitcode.Usagef("--group-by is %q, want error", group)
			}
			if _, err := choice.filter(time.Now()); err != nil {
				return err
			}
			return a.OnSite(func(b *frappe.Bench, _ bridge.Config, site string) error {
				pool := rows.NewPool(b)
				defer pool.Close()
				db, err := pool.DB(c.Context(), site)
				if err != nil {
					return err
				}
				f, _ := choice.filter(db.Now()) // what can be read in one zone can be in another
				if group != "" {
					return groupJobs(c.Context(), a, db, f)
				}
				return listJobs(c.Context(), a, db, f)
			})
		},
	}
	flags := c.Flags()
	choice.addFlags(flags)
	flags.StringVar(&choice.Owner, "user", "", "only jobs this user submitted")
	flags.StringVar(&group, "group-by", "", "error: count them by Job Type and error")
	flags.IntVar(&choice.Limit, "limit", 20, "how many")
	flags.IntVar(&choice.Offset, "offset", 0, "how many to skip")
	return c
}

func groupJobs(ctx context.Context, a *cli.App, db *rows.DB, f rows.ListFilter) error {
	groups, err := db.ErrorGroups(ctx, f)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(slices.Concat([]rows.ErrorGroup{}, groups))
	}
	cells := make([][]string, len(groups))
	for i, g := range groups {
		cells[i] = []string{strconv.Itoa(g.Jobs), g.JobType, g.Newest, output.Clip(g.Error, 120)}
	}
	return output.Table(a.Out, []string{"JOBS", "TYPE", "NEWEST", "ERROR"}, cells)
}

func parseStatuses(names []string) (out []rows.Status, err error) {
	for _, name := range names {
		spaced := strings.ReplaceAll(name, "-", " ")
		i := slices.IndexFunc(statuses, func(s string) bool { return strings.EqualFold(s, spaced) })
		if i < 0 {
			return nil, exitcode.Usagef("--status %q is none of %s", name, strings.Join(statuses, ", "))
		}
		out = append(out, rows.Status(statuses[i]))
	}
	return out, nil
}

func listJobs(ctx context.Context, a *cli.App, db *rows.DB, f rows.ListFilter) error {
	list := db.ListJobs
	if len(f.Statuses) > 0 {
		list = db.ListChanged
	}
	listed, total, err := list(ctx, f)
	if err != nil {
		return err
	}
	if a.JSON {
		views := make([]*rows.BackgroundJob, len(listed))
		for i, r := range listed {
			views[i] = view.RowOf(r, false)
		}
		return a.PrintJSON(map[string]any{"jobs": views, "total": total, "limit": f.Limit, "offset": f.Offset})
	}
	cells := make([][]string, len(listed))
	for i, r := range listed {
		cells[i] = []string{r.Name, r.JobType, r.Organization, string(r.Status), progressText(r), output.Clock(r.CreatedAt), output.Clip(r.OwnerUser, 30), cmp.Or(output.Clip(firstLine(r.ErrorMessage), 80), "-")}
	}
	if err := output.Table(a.Out, []string{"NAME", "TYPE", "ORGANIZATION", "STATUS", "PROGRESS", "CREATED", "USER", "ERROR"}, cells); err != nil {
		return err
	}
	if total > len(listed) {
		a.Say("%d of %d; more with --offset %d", len(listed), total, f.Offset+len(listed))
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// progressText is how far a job is and what keeps it.
func progressText(r *rows.BackgroundJob) string {
	text := fmt.Sprintf("%.0f%%", r.Progress)
	switch {
	case !r.NextRetryAt.IsZero():
		text += fmt.Sprintf(" retry %d/%d", r.RetryCount+1, r.MaxRetries)
	case r.Status == rows.StatusRunning && r.ProgressMessage != "":
		text += " " + output.Clip(r.ProgressMessage, 40)
	}
	return text
}

func jobCommand(a *cli.App) *cobra.Command {
	var params bool
	c := &cobra.Command{
		Use:   "job NAME",
		Short: "Show one job: its row, its history, what RQ says, and why it waits",
		Long: `Show one job: its Background Job row, its history, and RQ's view (status, worker,
result, traceback). NAME is a Background Job's name or an RQ job id.

Of one that waits it says why; of one that runs, in which process, for how long,
until when at most, and how long ago its row last heard of it. It also says if a
handler of it still runs although the job has ended.

What the job was called with may be confidential and is shown only with --params.`,
		Example: `  bridge job JOB-2026-00042
  bridge job 'site1.localhost||3f8e7a44-5a0e-4d4e-9d5c-0c1c8d6e2b11' --params
  bridge job JOB-2026-00042 --json | jq .history`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				in, err := inspect(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				standing, err := s.Client.Standing(c.Context(), s.Site, in)
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(view.InspectionOf(in, standing, params))
				}
				return view.PrintInspection(a.Out, in, standing, params)
			})
		},
	}
	c.Flags().BoolVar(&params, "params", false, "also show what the job was called with")
	return c
}

// inspect finds a job by its row's name or an RQ id; that of a row's own delivery is the row's name behind the site's.
func inspect(ctx context.Context, s cli.Session, name string) (bridge.Inspection, error) {
	if site, row, ok := s.Bench.SplitJobID(name); ok && site == s.Site {
		if in, err := s.Client.Inspect(ctx, site, row); err == nil && in.Row != nil && in.Row.Name == row {
			return in, nil
		}
	}
	return s.Client.Inspect(ctx, s.Site, name)
}
