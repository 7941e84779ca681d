package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/spf13/cobra"
)

func queuesCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "queues",
		Short: "List the bench's queues: what waits, runs and failed, and who works them",
		Long: `List the bench's queues. ROLE is what a queue is to the bridge as it is configured:
own, shared with Python, or first (shared, with the bridge ahead of idle Python
workers); - is Python's alone. OLDEST is for how long its first job has waited.`,
		Example: `  bridge queues
  bridge queues --json | jq '.[] | select(.waiting > 0 and .bridges + .python == 0)'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithRQ(c.Context(), func(b *frappe.Bench, cfg bridge.Config, rq *rqcompat.Client) error {
				queues, err := view.Queues(c.Context(), b, cfg, rq)
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(queues)
				}
				return printQueues(a, queues, time.Now())
			})
		},
	}
}

func printQueues(a *cli.App, queues []view.Queue, now time.Time) error {
	var cells [][]string
	for _, q := range queues {
		role, oldest, hold := q.Role, "-", "-"
		if role == "" {
			role = "-"
		}
		if !q.Oldest.IsZero() {
			oldest = now.Sub(q.Oldest).Round(time.Second).String()
		}
		switch {
		case q.Suspended:
			hold = "suspended"
		case q.Paused:
			hold = "paused"
		}
		n := func(n int64) string { return strconv.FormatInt(n, 10) }
		cells = append(cells, []string{
			q.Queue, role, n(q.Waiting), oldest, n(q.Running), n(q.Failed), n(q.Scheduled), n(q.Deferred), strconv.Itoa(q.Bridges), strconv.Itoa(q.Python), hold,
		})
	}
	return output.Table(a.Out, []string{"QUEUE", "ROLE", "WAITING", "OLDEST", "RUNNING", "FAILED", "SCHEDULED", "DEFERRED", "BRIDGES", "PYTHON", "HELD"}, cells)
}

func workersCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "List who works: the bridge's processes and their jobs, and Python workers",
		Long: `List the bridge's processes, below each the jobs that it runs, and Python workers.
VERSION is the bridge's, of a Python worker RQ's. SINCE is when it started.`,
		Example: `  bridge workers
  bridge workers --json | jq '.[] | select(.process.abandoned)'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithRQ(c.Context(), func(b *frappe.Bench, _ bridge.Config, rq *rqcompat.Client) error {
				workers, err := view.Workers(c.Context(), rq)
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(slices.Concat([]view.Worker{}, workers))
				}
				return printWorkers(a, b, workers)
			})
		},
	}
}

func printWorkers(a *cli.App, b *frappe.Bench, workers []view.Worker) error {
	var cells [][]string
	for _, w := range workers {
		kinds := make([]string, len(w.Queues))
		for i, queue := range w.Queues {
			if kinds[i] = b.QueueTypeOf(queue); kinds[i] == "" {
				kinds[i] = queue // of another bench
			}
		}
		name, state := w.Name, w.State
		if w.Kind == view.Slot {
			name = "  " + name
		}
		if p := w.Process; p != nil {
			state = fmt.Sprintf("%d of %d run", p.Running, p.Slots)
			if p.MemoryMost > 0 {
				state += fmt.Sprintf(", %d of %d MiB", p.Memory>>20, p.MemoryMost>>20)
			}
			if p.Waiting > 0 {
				state += fmt.Sprintf(", %d wait", p.Waiting)
			}
			if len(p.Abandoned) > 0 {
				state += fmt.Sprintf(", %d abandoned", len(p.Abandoned))
			}
		}
		cells = append(cells, []string{name, w.Kind, w.Hostname, strconv.Itoa(w.PID), w.Version, strings.Join(kinds, ","), state, w.CurrentJob, output.Clock(w.Since.Local())})
	}
	return output.Table(a.Out, []string{"NAME", "KIND", "HOST", "PID", "VERSION", "QUEUES", "STATE", "CURRENT JOB", "SINCE"}, cells)
}

func pauseCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "pause [QUEUE...]",
		Short: "Stop taking jobs: of some queues, of an organization, of a Job Type, or all",
		Long: `Stop taking jobs until bridge resume. What runs goes on, what is enqueued waits.

With queue types, bridges take nothing from those queues; Python workers do. Every
bridge of the bench hears of it within a second, and those that start later too.

With --organization or --job-type, and with queue types and --site, only jobs of
that site wait; bridges hear of it within 3 s. It is a Background Job Pause, which
the desk can make and delete as well, and stands on the jobs with --reason.

Without any of these, RQ itself is suspended, as by rq suspend: no worker takes a
job, no Python worker either, on any bench that uses this Redis.`,
		Example: `  bridge pause go
  bridge pause --organization ORG-2026-00001 --reason "moves to another site"
  bridge pause --site site1.localhost --job-type export_invoices
  bridge pause`,
	}
	var of paused
	of.addFlags(c)
	by := c.Flags().String("user", "Administrator", "who pauses it, for what the jobs say")
	reason := c.Flags().String("reason", "", "why, for what the jobs say")
	c.RunE = func(c *cobra.Command, kinds []string) error {
		onSite, err := of.ofSite(a, kinds)
		switch {
		case err != nil:
			return err
		case len(onSite) > 0:
			return pauseOnSite(a, c, onSite, *by, *reason, false)
		case *reason != "":
			return exitcode.Usagef("--reason is kept with what is paused on a site: name --organization, --job-type, or --site and a queue")
		}
		return hold(c.Context(), a, kinds, "paused", (*rqcompat.Client).Pause, func(rq *rqcompat.Client, ctx context.Context) error { return rq.Suspend(ctx, 0) })
	}
	return c
}

func resumeCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume [QUEUE...]",
		Short: "Take jobs again: of some queues, of an organization, of a Job Type, or all",
		Long: `End what bridge pause began: with queue types the pause of those queues, with
--organization, --job-type, or --site and queue types what is paused on a site,
without any of these the suspension of RQ (also one by rq suspend). What was paused
by name stays paused until it is resumed by name.`,
		Example: `  bridge resume go
  bridge resume --organization ORG-2026-00001
  bridge resume`,
	}
	var of paused
	of.addFlags(c)
	c.RunE = func(c *cobra.Command, kinds []string) error {
		onSite, err := of.ofSite(a, kinds)
		switch {
		case err != nil:
			return err
		case len(onSite) > 0:
			return pauseOnSite(a, c, onSite, "", "", true)
		}
		return hold(c.Context(), a, kinds, "resumed", (*rqcompat.Client).Unpause, (*rqcompat.Client).Resume)
	}
	return c
}

// hold gives an order about some queues, or about all workers.
func hold(
	ctx context.Context, a *cli.App, kinds []string, done string,
	some func(rq *rqcompat.Client, ctx context.Context, queues ...string) error, all func(rq *rqcompat.Client, ctx context.Context) error,
) error {
	return a.WithRQ(ctx, func(b *frappe.Bench, _ bridge.Config, rq *rqcompat.Client) error {
		queues := make([]string, len(kinds))
		for i, kind := range kinds {
			if err := checkQueue(b, kind); err != nil {
				return err
			}
			queues[i] = b.QueueName(kind)
		}
		var err error
		if len(kinds) > 0 {
			err = some(rq, ctx, queues...)
		} else {
			err = all(rq, ctx)
		}
		if err != nil {
			return err
		}
		holds, err := rq.Holds(ctx)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.PrintJSON(map[string]any{"suspended": holds.Suspended, "paused": slices.Concat([]string{}, holds.Paused)})
		case len(kinds) > 0:
			a.Say("%s for bridges: %s", done, strings.Join(kinds, ", "))
		default:
			a.Say("%s: all workers of this Redis, Python's too", done)
			if len(holds.Paused) > 0 {
				a.Say("still paused for bridges: %s", strings.Join(holds.Paused, ", "))
			}
		}
		return nil
	})
}
