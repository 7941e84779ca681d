package commands

import (
	"context"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/spf13/cobra"
)

func jobCommand(a *cli.App) *cobra.Command {
	var params bool
	c := &cobra.Command{
		Use:   "job NAME",
		Short: "Show one job: its row, its history, and what RQ says",
		Long: `Show one job: its Background Job row, its history, and RQ's view (status, worker,
result, traceback). NAME is a Background Job's name or an RQ job id.

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
				if a.JSON {
					return a.PrintJSON(view.InspectionOf(in, params))
				}
				return view.PrintInspection(a.Out, in, params)
			})
		},
	}
	c.Flags().BoolVar(&params, "params", false, "also show what the job was called with")
	return c
}

// inspect looks a job up by its row's name or by an RQ id. The id of a row's own delivery is the row's name behind
// the site's.
func inspect(ctx context.Context, s cli.Session, name string) (bridge.Inspection, error) {
	if site, row, ok := s.Bench.SplitJobID(name); ok && site == s.Site {
		if in, err := s.Client.Inspect(ctx, site, row); err == nil && in.Row != nil && in.Row.Name == row {
			return in, nil
		}
	}
	return s.Client.Inspect(ctx, s.Site, name)
}
