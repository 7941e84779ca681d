package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

func batchesCommand(a *cli.App) *cobra.Command {
	var organization string
	var limit int
	c := &cobra.Command{
		Use:   "batches",
		Short: "List batches of jobs, newest first",
		Example: `  bridge batches
  bridge batches --organization ORG-2026-00001 --json | jq '.[] | select(.status == "Running")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				found, err := s.Client.Batches(c.Context(), s.Site, organization, limit)
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(append([]*rows.Batch{}, found...))
				}
				var cells [][]string
				for _, b := range found {
					cells = append(cells, []string{b.Name, b.Organization, b.Status, percent(b), strconv.Itoa(b.Done), strconv.Itoa(b.Failed), strconv.Itoa(b.Total), output.Squeezed(b.Title)})
				}
				return output.Table(a.Out, []string{"NAME", "ORGANIZATION", "STATUS", "PROGRESS", "COMPLETED", "FAILED", "JOBS", "TITLE"}, cells)
			})
		},
	}
	c.Flags().StringVar(&organization, "organization", "", "only those of this organization")
	c.Flags().IntVar(&limit, "limit", 20, "at most so many")
	return c
}

func percent(b *rows.Batch) string { return strconv.Itoa(int(b.Progress)) + "%" }

func batchCommand(a *cli.App) *cobra.Command {
	var watch, closeIt, cancel bool
	var actor string
	c := &cobra.Command{
		Use:   "batch NAME",
		Short: "Show a batch of jobs, close it or cancel it",
		Long: `Show a batch of jobs: how many of them have completed, failed and are left, and the
job that was submitted when all had ended.

--close has it take no more jobs, so that it ends when those that it has have
ended; --cancel cancels those that haven't, which a running bridge does within
seconds; --watch waits for its end and says how far it is.

Exit codes, beside those of all commands: 4 if it had ended before it was to be
closed or canceled, 5 with --watch if it ends otherwise than Completed.`,
		Example: `  bridge batch BATCH-2026-00007
  bridge batch BATCH-2026-00007 --close --watch
  bridge batch BATCH-2026-00007 --cancel --user jane@example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				for _, do := range []struct {
					wanted bool
					change func(ctx context.Context, site, name, actor string) (bool, error)
				}{{closeIt, s.Client.CloseBatch}, {cancel, s.Client.CancelBatch}} {
					if !do.wanted {
						continue
					}
					if changed, err := do.change(c.Context(), s.Site, args[0], actor); err != nil {
						return err
					} else if !changed {
						return exitcode.With(exitcode.Refused, fmt.Errorf("batch %s takes no more jobs already", args[0]))
					}
				}
				b, err := s.Client.Batch(c.Context(), s.Site, args[0])
				if err == nil && watch {
					b, err = watchBatch(c.Context(), a, s, b)
				}
				if err != nil {
					return err
				}
				if err := printBatch(a, b); err != nil {
					return err
				}
				if watch && b.Status != rows.BatchCompleted {
					return exitcode.Silent(exitcode.Warnings)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "wait for its end")
	c.Flags().BoolVar(&closeIt, "close", false, "take no more jobs")
	c.Flags().BoolVar(&cancel, "cancel", false, "cancel its jobs")
	c.Flags().StringVar(&actor, "user", "Administrator", "who closes or cancels it, for the history")
	return c
}

// watchBatch waits for the end of a batch.
func watchBatch(ctx context.Context, a *cli.App, s cli.Session, b *rows.Batch) (*rows.Batch, error) {
	for said := -1; b.Open(); {
		if ended := b.Done + b.Failed; ended != said && !a.Quiet {
			said = ended
			fmt.Fprintf(a.Err, "%s: %d of %d have ended, %d of them failed\n", percent(b), ended, b.Total, b.Failed)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		var err error
		if b, err = s.Client.Batch(ctx, s.Site, b.Name); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func printBatch(a *cli.App, b *rows.Batch) error {
	if a.JSON {
		return a.PrintJSON(b)
	}
	closed := "takes more jobs"
	if b.Closed {
		closed = "takes no more jobs"
	}
	return output.Fields(a.Out, "batch", b.Name, "title", output.OneLine(b.Title), "organization", b.Organization, "submitted by", b.OwnerUser,
		"status", b.Status+", "+closed, "progress", percent(b),
		"jobs", fmt.Sprintf("%d: %d completed, %d failed, %d left", b.Total, b.Done, b.Failed, b.Left()),
		"created", output.Clock(b.CreatedAt), "ended", output.Clock(b.CompletedAt),
		"when all have ended", b.CallbackJobType, "submitted", b.CallbackJob, "not submitted", output.OneLine(b.ErrorMessage))
}
