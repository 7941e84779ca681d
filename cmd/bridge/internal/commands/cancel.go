package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/spf13/cobra"
)

func cancelCommand(a *cli.App) *cobra.Command {
	return moveCommand(a, "cancels", (*bridge.Client).Cancel, stopInRQ, &cobra.Command{
		Use:   "cancel NAME...",
		Short: "Cancel jobs that wait or run",
		Long: `Cancel jobs that wait or run. NAME is a Background Job's name, or the RQ id of a
job that has no row: a waiting one is canceled in RQ, a running one is stopped.`,
		Example: `  bridge cancel JOB-2026-00042
  bridge cancel --user jane@example.com JOB-2026-00042 JOB-2026-00043`,
	})
}

func retryCommand(a *cli.App) *cobra.Command {
	return moveCommand(a, "retries", (*bridge.Client).Retry, requeueInRQ, &cobra.Command{
		Use:   "retry NAME...",
		Short: "Queue jobs again that failed",
		Long: `Queue jobs again that failed, timed out or are in the dead letters; a new series
of retries starts. NAME is a Background Job's name, or the RQ id of a job that
has no row.`,
		Example: `  bridge retry JOB-2026-00042
  bridge jobs --status "dead letter" --json | jq -r '.jobs[].name' | xargs bridge retry`,
	})
}

// moveCommand completes a command that moves jobs: move one that has a row, inRQ one without, and says to which status.
func moveCommand(
	a *cli.App, moves string,
	move func(c *bridge.Client, ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error),
	inRQ func(ctx context.Context, rq *rqcompat.Client, id string) (string, error),
	c *cobra.Command,
) *cobra.Command {
	actor := c.Flags().String("user", "Administrator", "who "+moves+", for the history")
	c.Args = cobra.MinimumNArgs(1)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		return forEach(ctx, a, args, func(s cli.Session, name string) (string, error) {
			row, err := move(s.Client, ctx, s.Site, name, *actor)
			if err == nil {
				return string(row.Status), nil
			}
			if !errors.Is(err, rows.ErrNoSuchJob) && !errors.Is(err, rows.ErrTableMissing) {
				return "", err
			}
			// All that may be known of it is in RQ; if that isn't so, the rows have the word.
			status, rqErr := inRQ(ctx, s.Client.RQ(), name)
			if !errors.Is(rqErr, rqcompat.ErrNoSuchJob) {
				err = rqErr
			}
			return status, err
		})
	}
	return c
}

// forEach does one thing to every named job, whatever goes wrong with others; the first error decides the exit code.
func forEach(ctx context.Context, a *cli.App, names []string, do func(s cli.Session, name string) (string, error)) error {
	return a.WithClient(ctx, func(s cli.Session) error {
		type outcome struct {
			Name   string `json:"name"`
			Status string `json:"status,omitempty"`
			Error  string `json:"error,omitempty"`
		}
		var outcomes []outcome
		var first error
		for _, name := range names {
			status, err := do(s, name)
			if err != nil {
				first = cmp.Or(first, err)
				fmt.Fprintf(a.Err, "bridge: %v\n", err)
				outcomes = append(outcomes, outcome{Name: name, Error: err.Error()})
				continue
			}
			a.Say("%s %s", name, status)
			outcomes = append(outcomes, outcome{Name: name, Status: status})
		}
		if a.JSON {
			if err := a.PrintJSON(outcomes); err != nil {
				return err
			}
		}
		if first != nil {
			return exitcode.Silent(exitcode.Of(first))
		}
		return nil
	})
}

func stopInRQ(ctx context.Context, rq *rqcompat.Client, id string) (string, error) {
	job, err := rq.Fetch(ctx, id)
	switch {
	case job == nil:
		return "", err
	case job.Status == rqcompat.StatusStarted:
		worker, err := rq.SendStop(ctx, id)
		return "told " + worker + " to stop it", err
	}
	return string(rqcompat.StatusCanceled), rq.Cancel(ctx, id, false)
}

func requeueInRQ(ctx context.Context, rq *rqcompat.Client, id string) (string, error) {
	return string(rqcompat.StatusQueued), rq.Requeue(ctx, id, false)
}
