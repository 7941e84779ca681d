package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/spf13/cobra"
)

func cancelCommand(a *cli.App) *cobra.Command {
	return moveCommand(a, "cancels", (*bridge.Client).Cancel, stopInRQ, &cobra.Command{
		Use:   "cancel [NAME...]",
		Short: "Cancel jobs that wait or run",
		Long: `Cancel jobs that wait or run. NAME is a Background Job's name, or the RQ id of a
job that has no row: a waiting one is canceled in RQ, a running one is stopped.

Without names, --status chooses Background Jobs, and other flags narrow the choice;
--dry-run lists it. That nothing matches is no failure.`,
		Example: `  bridge cancel JOB-2026-00042
  bridge cancel --user jane@example.com JOB-2026-00042 JOB-2026-00043
  bridge cancel --status queued --type export_invoices --since -1h --dry-run`,
	})
}

func retryCommand(a *cli.App) *cobra.Command {
	var object string
	var words []string
	retry := func(c *bridge.Client, ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error) {
		if object == "" && len(words) == 0 {
			return c.Retry(ctx, site, name, actor)
		}
		return c.RetryWith(ctx, site, name, actor, func(old json.RawMessage) (json.RawMessage, error) {
			return changed(old, object, words)
		})
	}
	inRQ := func(ctx context.Context, rq *rqcompat.Client, id string) (string, error) {
		if object != "" || len(words) > 0 {
			return "", fmt.Errorf("%w: no Background Job is called %s, and the arguments of an RQ job can't be changed", bridge.ErrBadRequest, id)
		}
		return requeueInRQ(ctx, rq, id)
	}
	c := moveCommand(a, "retries", retry, inRQ, &cobra.Command{
		Use:   "retry [NAME...]",
		Short: "Queue jobs again that failed",
		Long: `Queue jobs again that failed, timed out or are in the dead letters; a new series
of retries starts. NAME is a Background Job's name, or the RQ id of a job that
has no row.

Without names, --status chooses Background Jobs, all of them, and other flags
narrow the choice; --dry-run lists it. That nothing matches is no failure.

--parameters gives them other parameters, --set changes some of those they have.`,
		Example: `  bridge retry JOB-2026-00042
  bridge retry JOB-2026-00042 --set year=2026 --set 'pages=[1, 2]'
  bridge retry --status dead-letter --dry-run
  bridge retry --status dead-letter --type export_invoices --since -24h --error "no paper"`,
	})
	c.PreRunE = func(*cobra.Command, []string) error {
		_, err := changed(nil, object, words)
		return err
	}
	c.Flags().StringVar(&object, "parameters", "", "a JSON object to take the place of the job's parameters")
	c.Flags().StringArrayVar(&words, "set", nil, "key=value: change one of the job's parameters; may be repeated")
	return c
}

// changed are a job's parameters with others in their place, or with some of them changed.
func changed(old json.RawMessage, object string, words []string) (json.RawMessage, error) {
	if object == "" {
		object = string(old)
	}
	arguments, err := jobArguments(object, words)
	if err != nil {
		return nil, err
	}
	return json.Marshal(arguments)
}

// moveCommand completes a command that moves jobs: move one that has a row, inRQ one without, and says to which status.
func moveCommand(
	a *cli.App, moves string,
	move func(c *bridge.Client, ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error),
	inRQ func(ctx context.Context, rq *rqcompat.Client, id string) (string, error),
	c *cobra.Command,
) *cobra.Command {
	actor := c.Flags().String("user", "Administrator", "who "+moves+", for the history")
	var choice jobChoice
	choice.addFlags(c.Flags())
	c.Flags().IntVar(&choice.Limit, "limit", 0, "at most so many, the oldest (default: all)")
	dryRun := c.Flags().Bool("dry-run", false, "only list what is chosen")
	c.RunE = func(c *cobra.Command, names []string) error {
		ctx := c.Context()
		f, err := choice.filter(time.Now())
		switch {
		case err != nil:
			return err
		case len(names) == 0 && len(f.Statuses) == 0:
			return exitcode.Usagef("name jobs, or choose them with --status")
		case len(names) > 0 && (len(f.Statuses) > 0 || *dryRun || f.Limit != 0 || choice.anything()):
			return exitcode.Usagef("names and flags that choose jobs exclude each other")
		case f.Limit < 0:
			return exitcode.Usagef("--limit is %d, want 0 (all) or more", f.Limit)
		}
		return a.WithClient(ctx, func(s cli.Session) error {
			if len(names) == 0 {
				if names, err = chosen(ctx, s, choice); err != nil {
					return err
				}
				if len(names) == 0 {
					a.Say("no job matches")
				}
			}
			return forEach(a, names, func(name string) (string, error) {
				if *dryRun {
					return "is chosen", nil
				}
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
		})
	}
	return c
}

// chosen names the Background Jobs that flags choose, the oldest first.
func chosen(ctx context.Context, s cli.Session, choice jobChoice) ([]string, error) {
	pool := rows.NewPool(s.Bench)
	defer pool.Close()
	db, err := pool.DB(ctx, s.Site)
	if err != nil {
		return nil, err
	}
	f, err := choice.filter(db.Now())
	if err != nil {
		return nil, err
	}
	return db.JobNames(ctx, f)
}

// forEachAtOnce is how many jobs are dealt with side by side: their moves share transactions.
const forEachAtOnce = 50

// forEach does one thing to every named job, whatever goes wrong with others; the first error decides the exit code.
func forEach(a *cli.App, names []string, do func(name string) (string, error)) error {
	type outcome struct {
		Name   string `json:"name"`
		Status string `json:"status,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	outcomes := make([]outcome, 0, len(names))
	said := newProgress(a, len(names))
	var first error
	for batch := range slices.Chunk(names, forEachAtOnce) {
		statuses, errs := make([]string, len(batch)), make([]error, len(batch))
		var all sync.WaitGroup
		for i, name := range batch {
			all.Go(func() { statuses[i], errs[i] = do(name) })
		}
		all.Wait()
		for i, name := range batch {
			if err := errs[i]; err != nil {
				first = cmp.Or(first, err)
				fmt.Fprintf(a.Err, "bridge: %v\n", err)
				outcomes = append(outcomes, outcome{Name: name, Error: err.Error()})
				continue
			}
			a.Say("%s %s", name, statuses[i])
			outcomes = append(outcomes, outcome{Name: name, Status: statuses[i]})
		}
		said.step(len(outcomes))
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
