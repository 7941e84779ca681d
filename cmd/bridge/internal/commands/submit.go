package commands

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/spf13/cobra"
)

func submitCommand(a *cli.App) *cobra.Command {
	var (
		r      bridge.SubmitRequest
		params string
		live   bool
		to     watch.Connection
	)
	c := &cobra.Command{
		Use:   "submit JOB_TYPE [key=value ...]",
		Short: "Submit a Background Job of a Job Type",
		Long: `Submit a Background Job: a row in the site's database, with progress, retries,
a history and dead letters, and its delivery through RQ.

A value that is JSON is taken as JSON (count=3, on=true, ids=[1,2]), anything
else as text. With --watch the exit code tells how the job ended.`,
		Example: `  bridge submit sample_job --organization ORG-2026-00001 duration=10
  bridge submit echo_job --user jane@example.com --priority High --params '{"text": "hello"}'
  bridge submit sample_job --watch --api-key K --api-secret S duration=20`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			arguments, err := jobArguments(params, args[1:])
			if err != nil {
				return err
			}
			r.JobType, r.Parameters = args[0], arguments
			return a.WithClient(c.Context(), func(s cli.Session) error {
				r.Site = s.Site
				return submit(c.Context(), a, s, r, live, to)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Organization, "organization", "", "organization (default: bridge.default_organization)")
	f.StringVar(&r.Priority, "priority", "", "Low, Normal, High or Critical (default: the Job Type's)")
	f.StringVar(&r.User, "user", "Administrator", "user who submits and owns the job")
	f.StringVar(&params, "params", "", "parameters as one JSON object")
	f.BoolVar(&live, "watch", false, "show its progress until it has ended")
	to.AddFlags(f)
	return c
}

func submit(ctx context.Context, a *cli.App, s cli.Session, r bridge.SubmitRequest, live bool, to watch.Connection) error {
	if live {
		// Who can't watch finds out before anything is submitted.
		if _, err := to.Config(s.Bench, s.Site); err != nil {
			return err
		}
	}
	row, err := s.Client.Submit(ctx, r)
	switch {
	case err != nil:
		return err
	case live:
		return follow(ctx, a, s.Bench, s.Site, to, watch.Subject{Job: row.Name})
	case a.JSON:
		return a.PrintJSON(view.RowOf(row, true))
	}
	fmt.Fprintln(a.Out, row.Name)
	return nil
}
