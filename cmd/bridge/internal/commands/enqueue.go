package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/spf13/cobra"
)

// waitPoll is how often a job that is waited for is looked at.
const waitPoll = 100 * time.Millisecond

func enqueueCommand(a *cli.App) *cobra.Command {
	var (
		r           bridge.EnqueueRequest
		kwargs, at  string
		wait        bool
		waitTimeout time.Duration
	)
	c := &cobra.Command{
		Use:   "enqueue METHOD [key=value ...]",
		Short: "Enqueue a call, as frappe.enqueue does",
		Long: `Enqueue a call of METHOD, as frappe.enqueue does: whoever works the queue runs
it, Python or Go. METHOD is a dotted Python path or the name of a Go handler.

A value that is JSON is taken as JSON (count=3, on=true, ids=[1,2]), anything
else as text.

With --wait the exit code tells how the job ended. If it doesn't start within two
seconds, who works the queue is said, or that nobody does.`,
		Example: `  bridge enqueue frappe.utils.global_search.sync_global_search
  bridge enqueue myapp.tasks.export --queue long --user jane@example.com invoice=INV-1 copies=2
  bridge enqueue go.thumbnail --queue go --kwargs '{"file": "a.png", "sizes": [64, 256]}' --wait
  bridge enqueue myapp.tasks.remind --at 10m --id remind-jane`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			arguments, err := jobArguments(kwargs, args[1:])
			if err != nil {
				return err
			}
			r.Method, r.Kwargs = args[0], arguments
			if r.At, err = moment(at, time.Now()); err != nil {
				return err
			}
			return a.WithClient(c.Context(), func(s cli.Session) error {
				r.Site = s.Site
				if err := checkQueue(s.Bench, r.Queue); err != nil {
					return err
				}
				return enqueue(c.Context(), a, s, r, wait, waitTimeout)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Queue, "queue", "default", "queue type")
	f.StringVar(&kwargs, "kwargs", "", "keyword arguments as one JSON object")
	f.StringVar(&r.User, "user", "Administrator", "user to run as")
	f.StringVar(&r.ID, "id", "", "job id without the site's prefix (default: a UUID)")
	f.StringVar(&at, "at", "", "when to start: 10m, or a date and time (default: now)")
	f.BoolVar(&r.AtFront, "front", false, "put it before the jobs that wait")
	f.Int64Var(&r.Timeout, "timeout", 0, "seconds it may run (default: the queue's)")
	f.BoolVar(&wait, "wait", false, "wait for its end and print the result")
	f.DurationVar(&waitTimeout, "wait-timeout", 0, "how long to wait (default: for ever)")
	return c
}

// checkQueue refuses a queue type that the bench lacks, and names those it has.
func checkQueue(b *frappe.Bench, queue string) error {
	var known []string
	for _, q := range b.QueueTypes() {
		known = append(known, q.Name)
	}
	if slices.Contains(known, queue) {
		return nil
	}
	return exitcode.Usagef("queue %q is not one of the bench's: %s", queue, strings.Join(known, ", "))
}

func enqueue(ctx context.Context, a *cli.App, s cli.Session, r bridge.EnqueueRequest, wait bool, limit time.Duration) error {
	job, err := s.Client.Enqueue(ctx, r)
	if err != nil {
		return err
	}
	if !wait {
		if a.JSON {
			return a.PrintJSON(view.RQOf(job, nil))
		}
		fmt.Fprintln(a.Out, job.ID)
		return nil
	}
	a.Log.Info("enqueued; waiting", "job_id", job.ID, "queue", job.Origin)
	if limit <= 0 {
		limit = math.MaxInt64
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended, results, err := awaitJob(ctx, s.Client.RQ(), job.ID, func(job *rqcompat.Job) { sayWhoWorks(ctx, a, s, job) })
	if err != nil {
		return err
	}
	return printEnd(a, ended, results)
}

// waitPatience is how long a job may be waited for without a word.
const waitPatience = 2 * time.Second

// awaitJob waits for the end of a job. One that hasn't started within waitPatience is shown to impatient, once.
func awaitJob(ctx context.Context, rq *rqcompat.Client, id string, impatient func(*rqcompat.Job)) (*rqcompat.Job, []rqcompat.Result, error) {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	patience := time.NewTimer(waitPatience)
	defer patience.Stop()
	for {
		// The end of the waiting doesn't cut a look in two.
		job, err := rq.Fetch(context.WithoutCancel(ctx), id)
		if err != nil && job == nil {
			return nil, nil, err
		}
		if job.Status.Ended() {
			results, err := rq.Results(ctx, id)
			return job, results, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("job %s is still %s: %w", id, job.Status, ctx.Err())
		case <-patience.C:
			if job.StartedAt.IsZero() {
				impatient(job)
			}
		case <-tick.C:
		}
	}
}

// sayWhoWorks says who may take a job that waits, or that nobody does, and what else keeps it.
func sayWhoWorks(ctx context.Context, a *cli.App, s cli.Session, job *rqcompat.Job) {
	workers, err := view.Workers(ctx, s.Client.RQ())
	if err != nil || a.Quiet {
		return // it is waited for all the same
	}
	count := map[string]int{}
	for _, w := range workers {
		if slices.Contains(w.Queues, job.Origin) {
			count[w.Kind]++
		}
	}
	kind := s.Bench.QueueTypeOf(job.Origin)
	if count[view.Bridge]+count[view.Python] > 0 {
		fmt.Fprintf(a.Err, "bridge: still waiting; queue %s is worked by %d bridges and %d Python workers\n", kind, count[view.Bridge], count[view.Python])
	}
	standing, err := s.Client.Standing(ctx, s.Site, bridge.Inspection{Job: job})
	if err != nil {
		return
	}
	for _, reason := range standing.Waits {
		fmt.Fprintf(a.Err, "bridge: %s: %s\n", reason.Rule, output.OneLine(reason.Why))
	}
}

func printEnd(a *cli.App, job *rqcompat.Job, results []rqcompat.Result) error {
	failed := job.Status != rqcompat.StatusFinished
	switch {
	case a.JSON:
		if err := a.PrintJSON(view.RQOf(job, results)); err != nil {
			return err
		}
	case failed:
		fmt.Fprintf(a.Err, "bridge: job %s is %s\n", job.ID, job.Status)
		if len(results) > 0 && results[0].ExcString != "" {
			fmt.Fprintln(a.Err, output.Lines(results[0].ExcString))
		}
	case len(results) > 0:
		value, err := results[0].Value()
		if err != nil {
			return err
		}
		plain, _ := pickle.Plain(value)
		return a.PrintJSON(plain)
	}
	if failed {
		return exitcode.Silent(exitcode.Failure)
	}
	return nil
}

// jobArguments are the arguments for a job, from one JSON object and from key=value words; the words win. A value that
// is JSON is taken as such (count=3, list=[1,2]), anything else as text; text that looks like JSON is quoted (code='"42"').
func jobArguments(object string, words []string) (map[string]any, error) {
	arguments := map[string]any{}
	if object != "" {
		v, err := exactJSON([]byte(object))
		if err != nil {
			return nil, exitcode.Usagef("the arguments are no JSON: %v; want an object such as '{\"count\": 3}'", err)
		}
		var ok bool
		if arguments, ok = v.(map[string]any); !ok {
			return nil, exitcode.Usagef("the arguments are JSON but no object; want one such as '{\"count\": 3}'")
		}
	}
	for _, word := range words {
		key, text, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, exitcode.Usagef("argument %q is not key=value", output.Clip(word, 40))
		}
		v, err := exactJSON([]byte(text))
		if err != nil {
			v = text
		}
		arguments[key] = v
	}
	return arguments, nil
}

// exactJSON decodes one JSON value and keeps numbers as they are written.
func exactJSON(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the value")
	}
	return v, nil
}

// moment reads a point in time: "10m" from now, "-24h" before it, a date, or a date and time, in now's zone or with one.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "+")); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, exitcode.Usagef("%q is no time: write 10m, -24h, 2026-01-31, \"2026-01-31 15:04\" or 2026-01-31T15:04:05Z", text)
}
