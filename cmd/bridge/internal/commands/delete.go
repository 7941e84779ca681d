package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

func deleteCommand(a *cli.App) *cobra.Command {
	var choice jobChoice
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "delete [NAME...]",
		Short: "Delete dead letters",
		Long: `Delete dead letters, with their logs and what RQ and Frappe keep about them.

Without names, flags choose among all dead letters of the site: --yes says that
they shall go, --dry-run lists them. A job on which another one depends that may
still run stays. Other jobs are deleted by bridge cleanup, after their time.`,
		Example: `  bridge delete JOB-2026-00042
  bridge delete --type export_invoices --changed-until -720h --dry-run
  bridge delete --organization ORG-2026-00001 --error "no such invoice" --yes`,
	}
	choice.addFlags(c.Flags())
	c.Flags().IntVar(&choice.Limit, "limit", 0, "at most so many, the oldest (default: all)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only list what is chosen")
	c.Flags().BoolVar(&yes, "yes", false, "delete all that the flags choose")
	if err := c.Flags().MarkHidden("status"); err != nil {
		panic(err) // there is one
	}
	c.RunE = func(c *cobra.Command, names []string) error {
		byFlags := choice.anything()
		switch _, err := choice.filter(time.Now()); {
		case err != nil:
			return err
		case len(names) > 0 && (byFlags || dryRun):
			return exitcode.Usagef("names and flags that choose jobs exclude each other")
		case len(names) == 0 && !yes && !dryRun:
			return exitcode.Usagef("name dead letters, or say --yes to delete all that the flags choose, after a look with --dry-run")
		}
		choice.states = []string{"dead-letter"}
		return a.WithClient(c.Context(), func(s cli.Session) (err error) {
			if len(names) == 0 {
				if names, err = chosen(c.Context(), s, choice); err != nil {
					return err
				}
				if len(names) == 0 {
					a.Say("no dead letter matches")
				}
			}
			return forEach(a, names, func(name string) (string, error) {
				if dryRun {
					return "is chosen", nil
				}
				return deleteOne(c.Context(), s, name)
			})
		})
	}
	return c
}

// deleteOne deletes a dead letter, or says why it stays.
func deleteOne(ctx context.Context, s cli.Session, name string) (string, error) {
	gone, err := s.Client.DeleteDeadLetters(ctx, s.Site, name)
	if err != nil || len(gone) > 0 {
		return "deleted", err
	}
	in, err := s.Client.Inspect(ctx, s.Site, name)
	switch {
	case err != nil:
		return "", err
	case in.Row == nil:
		return "", fmt.Errorf("site %s: %w: %s", s.Site, rows.ErrNoSuchJob, name)
	case in.Row.Status != rows.StatusDeadLetter:
		return "", exitcode.With(exitcode.Refused, fmt.Errorf("job %s is %s; only dead letters are deleted by hand", name, in.Row.Status))
	}
	return "", exitcode.With(exitcode.Refused, fmt.Errorf("job %s stays: somebody else has it locked, or a job that may still run depends on it", name))
}
