package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/spf13/cobra"
)

func cancelCommand(a *cli.App) *cobra.Command {
	var actor string
	c := &cobra.Command{
		Use:   "cancel NAME...",
		Short: "Cancel jobs that wait or run",
		Long: `Cancel jobs that wait or run. NAME is a Background Job's name, or the RQ id of a
job that has no row: a waiting one is canceled in RQ, a running one is stopped.`,
		Example: `  bridge cancel JOB-2026-00042
  bridge cancel --user jane@example.com JOB-2026-00042 JOB-2026-00043`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return forEach(c.Context(), a, args, func(s cli.Session, name string) (string, error) {
				row, err := s.Client.Cancel(c.Context(), s.Site, name, actor)
				if noRow(err) {
					return stopInRQ(c.Context(), s, name, err)
				}
				return statusOf(row), err
			})
		},
	}
	c.Flags().StringVar(&actor, "user", "Administrator", "who cancels, for the history")
	return c
}

func retryCommand(a *cli.App) *cobra.Command {
	var actor string
	c := &cobra.Command{
		Use:   "retry NAME...",
		Short: "Queue jobs again that failed",
		Long: `Queue jobs again that failed, timed out or are in the dead letters; a new series
of retries starts. NAME is a Background Job's name, or the RQ id of a job that
has no row.`,
		Example: `  bridge retry JOB-2026-00042
  bridge jobs --status "dead letter" --json | jq -r '.jobs[].name' | xargs bridge retry`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return forEach(c.Context(), a, args, func(s cli.Session, name string) (string, error) {
				row, err := s.Client.Retry(c.Context(), s.Site, name, actor)
				if noRow(err) {
					return requeueInRQ(c.Context(), s, name, err)
				}
				return statusOf(row), err
			})
		},
	}
	c.Flags().StringVar(&actor, "user", "Administrator", "who retries, for the history")
	return c
}

// noRow reports whether all that may be known of a job is in RQ.
func noRow(err error) bool {
	return errors.Is(err, rows.ErrNoSuchJob) || errors.Is(err, rows.ErrTableMissing)
}

// forEach does one thing to every named job. One that goes wrong doesn't keep the others from it; the first decides
// the exit code.
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
			o := outcome{Name: name, Status: status}
			if err != nil {
				o.Error, o.Status = err.Error(), ""
				if first == nil {
					first = err
				}
				fmt.Fprintf(a.Err, "bridge: %v\n", err)
			} else {
				a.Say("%s %s", name, status)
			}
			outcomes = append(outcomes, o)
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

func statusOf(row *rows.BackgroundJob) string {
	if row == nil {
		return ""
	}
	return string(row.Status)
}

// stopInRQ cancels a job that has no row. unknown is what the rows said.
func stopInRQ(ctx context.Context, s cli.Session, id string, unknown error) (string, error) {
	rq := s.Client.RQ()
	job, err := rq.Fetch(ctx, id)
	switch {
	case job == nil && errors.Is(err, rqcompat.ErrNoSuchJob):
		return "", unknown
	case job == nil:
		return "", err
	case job.Status == rqcompat.StatusStarted:
		worker, err := rq.SendStop(ctx, id)
		return "told " + worker + " to stop it", err
	}
	return string(rqcompat.StatusCanceled), rq.Cancel(ctx, id, false)
}

// requeueInRQ queues a job again that has no row.
func requeueInRQ(ctx context.Context, s cli.Session, id string, unknown error) (string, error) {
	err := s.Client.RQ().Requeue(ctx, id, false)
	if errors.Is(err, rqcompat.ErrNoSuchJob) {
		return "", unknown
	}
	return string(rqcompat.StatusQueued), err
}
