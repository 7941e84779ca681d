package commands

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

func watchCommand(a *cli.App) *cobra.Command {
	var to watch.Connection
	var what watch.Subject
	c := &cobra.Command{
		Use:   "watch [NAME | all]",
		Short: "Show live progress of a job, an organization or everything",
		Long: `Show live progress bars of one job, of an organization's jobs, or of all, as a
client of the site's Socket.IO server: what a desk user would be told. Where
stdout is no terminal it prints a line per change, with --json an object per line.

The credentials are those of a user of the site, an API key or a session's sid:
the realtime server wants to know as whom one listens. They don't limit what is
shown. Rows are read from the site's database with the rights of the bench, as
bridge jobs does: who may run this in the bench may read them all.

Watching a job ends with it: exit code 0 if it completed, else 1.`,
		Example: `  export BRIDGE_API_KEY=... BRIDGE_API_SECRET=...
  bridge watch JOB-2026-00042
  bridge watch --organization ORG-2026-00001
  bridge watch all --url https://erp.example.com --sid 6b1c...`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && args[0] == "all":
				what.All = true
			case len(args) == 1:
				what.Job = args[0]
			}
			if (what.Job != "" || what.All) == (what.Organization != "") {
				return exitcode.Usagef("name one of a job, all, and --organization")
			}
			return a.OnSite(func(b *frappe.Bench, _ bridge.Config, site string) error {
				return follow(c.Context(), a, b, site, to, what)
			})
		},
	}
	c.Flags().StringVar(&what.Organization, "organization", "", "all jobs of this organization")
	to.AddFlags(c.Flags())
	return c
}

// follow shows progress until the watched job has ended or a signal comes.
func follow(ctx context.Context, a *cli.App, b *frappe.Bench, site string, to watch.Connection, what watch.Subject) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	socket, err := to.Config(b, site)
	if err != nil {
		return err
	}
	pool := rows.NewPool(b)
	defer pool.Close()
	open := func(ctx context.Context) (watch.Rows, error) { return pool.DB(ctx, site) }
	shown := watch.NewDisplay(a.Out, a.JSON)
	last, err := watch.Follower{Socket: socket, What: what, Rows: open, View: shown, Log: a.Log}.Run(ctx)
	shown.Close()
	switch {
	case errors.Is(err, context.Canceled) && what.Job == "":
		return nil // how one leaves a view that has no end
	case err != nil:
		return err
	case last.Status != string(rows.StatusCompleted):
		return exitcode.Silent(exitcode.Failure)
	}
	return nil
}
