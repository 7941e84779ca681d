package main

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/spf13/cobra"
)

func (a *app) submitCommand() *cobra.Command {
	var (
		r      bridge.SubmitRequest
		params string
		watch  bool
		to     connection
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
			return a.withClient(c.Context(), func(s session) error {
				r.Site = s.site
				return a.submit(c.Context(), s, r, watch, to)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Organization, "organization", "", "organization (default: bridge.default_organization)")
	f.StringVar(&r.Priority, "priority", "", "Low, Normal, High or Critical (default: the Job Type's)")
	f.StringVar(&r.User, "user", "Administrator", "user who submits and owns the job")
	f.StringVar(&params, "params", "", "parameters as one JSON object")
	f.BoolVar(&watch, "watch", false, "show its progress until it has ended")
	to.addFlags(f)
	return c
}

func (a *app) submit(ctx context.Context, s session, r bridge.SubmitRequest, watch bool, to connection) error {
	if watch {
		// Who can't watch finds out before anything is submitted.
		if _, err := to.config(s.bench, s.site); err != nil {
			return err
		}
	}
	row, err := s.client.Submit(ctx, r)
	switch {
	case err != nil:
		return err
	case watch:
		return a.watch(ctx, s.bench, s.site, to, subject{job: row.Name})
	case a.json:
		return a.printJSON(rowView(row, true))
	}
	fmt.Fprintln(a.out, row.Name)
	return nil
}
