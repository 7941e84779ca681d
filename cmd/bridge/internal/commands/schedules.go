package commands

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

func schedulesCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "schedules",
		Short: "List a site's Job Schedules: what is submitted again and again, and when next",
		Long: `List a site's Job Schedules, the next first. They are made in the desk, and running
bridges submit their jobs; NEXT is in the site's time zone, - of one that is
disabled or whose schedule can't be read. ERROR is why its last job wasn't
submitted.`,
		Example: `  bridge schedules --site a.example.com
  bridge schedules --site a.example.com --json | jq '.[] | select(.error)'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				all, err := s.Client.Schedules(c.Context(), s.Site)
				if err != nil && !errors.Is(err, rows.ErrTableMissing) {
					return err
				}
				slices.SortStableFunc(all, func(x, y *rows.JobSchedule) int {
					return cmp.Or(boolOrder(x.NextRunAt.IsZero(), y.NextRunAt.IsZero()), x.NextRunAt.Compare(y.NextRunAt))
				})
				if a.JSON {
					return a.PrintJSON(slices.Concat([]*rows.JobSchedule{}, all))
				}
				var cells [][]string
				for _, s := range all {
					cells = append(cells, []string{s.Name, s.JobType, s.Organization, s.Schedule, local(s.NextRunAt), local(s.LastRunAt), cmp.Or(s.LastJob, "-"), cmp.Or(s.Error, "-")})
				}
				return output.Table(a.Out, []string{"NAME", "JOB TYPE", "ORGANIZATION", "SCHEDULE", "NEXT", "LAST", "LAST JOB", "ERROR"}, cells)
			})
		},
	}
}

// local is a time of the site's as a table shows it.
func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05 MST")
}

// boolOrder puts what isn't so before what is.
func boolOrder(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}
