package commands

import (
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

func cleanupCommand(a *cli.App) *cobra.Command {
	var days, deadDays int
	var dryRun bool
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete jobs that ended long ago",
		Long: `Delete jobs that ended long ago, with their logs and what Frappe keeps about them,
a hundred at a time: what the worker does once an hour. Jobs that failed and that
nobody has retried since become dead letters first.

For how many days jobs are kept says bridge.retention in the configuration, 30 if
it says nothing. Attached files are not deleted, nor a job on which another one
depends that may still run.`,
		Example: `  bridge cleanup --dry-run
  bridge cleanup --days 7 --dead-letter-days 90`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if days < 0 || deadDays < 0 {
				return exitcode.Usagef("--days is %d and --dead-letter-days %d, want 0 (never) or more", days, deadDays)
			}
			return a.WithClient(c.Context(), func(s cli.Session) error {
				cfg, err := benchconfig.Load(s.Bench)
				if err != nil {
					return exitcode.With(exitcode.Config, err)
				}
				keep := cfg.Retention
				for flag, into := range map[string]*int{"days": &keep.Days, "dead-letter-days": &keep.DeadLetterDays} {
					if f := c.Flags().Lookup(flag); f.Changed {
						if *into, _ = c.Flags().GetInt(flag); *into == 0 {
							*into = -1
						}
					}
				}
				return cleanup(c, a, s, keep, dryRun)
			})
		},
	}
	flags := c.Flags()
	flags.IntVar(&days, "days", 30, "keep jobs for so many days after their end; 0 is for ever")
	flags.IntVar(&deadDays, "dead-letter-days", 30, "keep dead letters for so many days; 0 is for ever (default: as --days)")
	flags.BoolVar(&dryRun, "dry-run", false, "only say how many there are")
	return c
}

func cleanup(c *cobra.Command, a *cli.App, s cli.Session, keep bridge.Retention, dryRun bool) error {
	would, err := s.Client.CountCleanup(c.Context(), s.Site, keep)
	if err != nil {
		return err
	}
	done, deleted, made := would, "would be deleted", "would become dead letters"
	if !dryRun {
		deleted, made = "deleted", "became dead letters"
		said := newProgress(a, would.Sum())
		if done, err = s.Client.Cleanup(c.Context(), s.Site, keep, func(so bridge.Cleaned) { said.step(so.Sum()) }); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"site": s.Site, "at": time.Now(), "dry_run": dryRun, "deleted": done.Deleted, "batches": done.Batches, "given_up": done.GivenUp})
	}
	for _, status := range []rows.Status{rows.StatusCompleted, rows.StatusCanceled, rows.StatusDeadLetter} {
		if n := done.Deleted[status]; n > 0 {
			a.Say("%s %s %s", output.Plural(n, "job"), deleted, "("+string(status)+")")
		}
	}
	if done.Batches > 0 {
		a.Say("%s %s", output.Plural(done.Batches, "batch"), deleted)
	}
	if done.GivenUp > 0 {
		a.Say("%s that nobody retries %s", output.Plural(done.GivenUp, "job"), made)
	}
	if done.Sum() == 0 {
		a.Say("nothing is older than that")
	}
	return nil
}
