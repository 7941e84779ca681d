package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/spf13/cobra"
)

func (a *app) jobCommand() *cobra.Command {
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
			return a.withClient(c.Context(), func(s session) error {
				in, err := inspect(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(inspectionView(in, params))
				}
				return a.printInspection(in, params)
			})
		},
	}
	c.Flags().BoolVar(&params, "params", false, "also show what the job was called with")
	return c
}

// inspect looks a job up by its row's name or by an RQ id. The id of a row's own
// delivery is the row's name behind the site's.
func inspect(ctx context.Context, s session, name string) (bridge.Inspection, error) {
	if site, row, ok := s.bench.SplitJobID(name); ok && site == s.site {
		if in, err := s.client.Inspect(ctx, site, row); err == nil && in.Row != nil && in.Row.Name == row {
			return in, nil
		}
	}
	return s.client.Inspect(ctx, s.site, name)
}

func inspectionView(in bridge.Inspection, params bool) map[string]any {
	rq := rqView(in.Job, in.Results)
	if rq != nil && params {
		rq.Arguments, _ = calledWith(in.Job)
	}
	view := map[string]any{"row": rowView(in.Row, params), "rq": rq}
	if in.Row != nil {
		view["history"] = historyView(in.History)
	}
	return view
}

// calledWith is what a job's payload says, as plain values.
func calledWith(job *rqcompat.Job) (any, error) {
	call, err := job.Call()
	if err != nil {
		return nil, err
	}
	args, _ := pickle.Plain(&pickle.List{Items: call.Args})
	kwargs, _ := pickle.Plain(call.Kwargs)
	return map[string]any{"function": call.Func, "args": args, "kwargs": kwargs}, nil
}

func (a *app) printInspection(in bridge.Inspection, params bool) error {
	if in.Row == nil {
		fmt.Fprintln(a.out, "No Background Job: all that is known of this job is in RQ.")
	} else if err := a.printRow(in, params); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if in.Job == nil {
		fmt.Fprintln(a.out, "RQ has no job for it (any more).")
		return nil
	}
	return a.printRQ(in, params)
}

func (a *app) printRow(in bridge.Inspection, params bool) error {
	r := in.Row
	fmt.Fprintf(a.out, "%s  %s\n", r.Name, r.Status)
	next := ""
	if r.NextRetryAt != nil {
		next = clock(*r.NextRetryAt)
	}
	pairs := []string{
		"type", r.JobType, "organization", r.Organization, "submitted by", r.OwnerUser, "priority", r.Priority,
		"progress", strings.TrimSpace(fmt.Sprintf("%.0f%% %s", r.Progress, r.ProgressMessage)), "output", r.OutputReference,
		"retries", fmt.Sprintf("%d of %d", r.RetryCount, r.MaxRetries), "next retry", next, "timeout", fmt.Sprintf("%d s", r.TimeoutSeconds),
		"created", clock(r.CreatedAt), "started", clock(r.StartedAt), "completed", clock(r.CompletedAt),
		"canceled", strings.TrimSpace(clock(r.CanceledAt) + " " + r.CanceledBy), "depends on", r.DependsOn, "error type", r.ErrorType,
	}
	if params {
		pairs = append(pairs, "parameters", string(r.InputParameters))
	}
	if err := fields(a.out, pairs...); err != nil {
		return err
	}
	if r.ErrorMessage != "" {
		fmt.Fprintf(a.out, "  error\n%s\n", indent(printable(r.ErrorMessage)))
	}
	fmt.Fprintln(a.out, "\nHistory")
	var cells [][]string
	for _, h := range in.History {
		cells = append(cells, []string{"  " + h.Timestamp.Format("15:04:05.000"), orDash(string(h.FromStatus)), string(h.ToStatus), orDash(h.Actor), h.Message})
	}
	return table(a.out, []string{"  TIME", "FROM", "TO", "ACTOR", "MESSAGE"}, cells)
}

func (a *app) printRQ(in bridge.Inspection, params bool) error {
	j := in.Job
	fmt.Fprintf(a.out, "RQ  %s  %s\n", oneLine(j.ID), j.Status)
	took := ""
	if !j.StartedAt.IsZero() && !j.EndedAt.IsZero() {
		took = j.EndedAt.Sub(j.StartedAt).Round(time.Millisecond).String()
	}
	if err := fields(a.out, "queue", j.Origin, "worker", j.WorkerName, "enqueued", localClock(j.EnqueuedAt), "started", localClock(j.StartedAt),
		"ended", localClock(j.EndedAt), "took", took); err != nil {
		return err
	}
	if params {
		arguments, err := calledWith(j)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, "  called with")
		if err := writeJSON(a.out, arguments); err != nil {
			return err
		}
	}
	for _, r := range in.Results {
		v := resultView(r)
		fmt.Fprintf(a.out, "  result %s %s\n", v.At.Local().Format("15:04:05.000"), v.Outcome)
		switch {
		case v.Error != "":
			fmt.Fprintln(a.out, indent(printable(v.Error)))
		case v.Traceback != "":
			fmt.Fprintln(a.out, indent(printable(v.Traceback)))
		case v.Value != nil:
			if err := writeJSON(a.out, v.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func localClock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return clock(t.Local())
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
