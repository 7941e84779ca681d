package commands

import (
	"cmp"
	"context"
	"errors"
	"maps"
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
	"github.com/spf13/cobra"
)

// failedChoice says which failed jobs are meant, and what becomes of them.
type failedChoice struct {
	queues  []string // types; none is all
	method  string
	since   time.Time
	limit   int // 0 is all
	requeue bool
	delete  bool
	dryRun  bool
}

func failedCommand(a *cli.App) *cobra.Command {
	var f failedChoice
	var since string
	c := &cobra.Command{
		Use:   "failed",
		Short: "List what RQ has as failed, newest first; queue it again or delete it",
		Long: `List the jobs in RQ's failed registries, newest first: those of Go and of Python,
also those that have no Background Job. Of jobs that have one the row has the word:
bridge retry queues them again, and --requeue leaves them out.

--requeue and --delete act on all that match, not only on those that fit the list;
--dry-run says on which.`,
		Example: `  bridge failed
  bridge failed --queue go --since -1h --limit 100
  bridge failed --method myapp.tasks.export --requeue --dry-run
  bridge failed --method myapp.tasks.export --requeue`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			acts := f.requeue || f.delete
			switch {
			case f.requeue && f.delete:
				return exitcode.Usagef("--requeue and --delete exclude each other")
			case f.dryRun && !acts:
				return exitcode.Usagef("--dry-run goes with --requeue or --delete")
			case f.limit < 0:
				return exitcode.Usagef("--limit is %d, want 0 (all) or more", f.limit)
			}
			if f.since, err = moment(since, time.Now()); err != nil {
				return err
			}
			if acts && !c.Flags().Changed("limit") {
				f.limit = 0
			}
			return a.WithRQ(c.Context(), func(b *frappe.Bench, _ bridge.Config, rq *rqcompat.Client) error {
				for _, kind := range f.queues {
					if err := checkQueue(b, kind); err != nil {
						return err
					}
				}
				return f.run(c.Context(), a, b, rq)
			})
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&f.queues, "queue", nil, "only this queue type; may be repeated")
	flags.StringVar(&f.method, "method", "", "only calls of this method")
	flags.StringVar(&since, "since", "", "failed from then on: -24h, or a date and time")
	flags.IntVar(&f.limit, "limit", 20, "how many; 0 is all, the default with --requeue and --delete")
	flags.BoolVar(&f.requeue, "requeue", false, "put them to the end of their queues")
	flags.BoolVar(&f.delete, "delete", false, "remove them from Redis")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what --requeue or --delete would act on")
	return c
}

// failedJob is one line of the list.
type failedJob struct {
	ID     string    `json:"id"`
	Queue  string    `json:"queue"`
	Method string    `json:"method"`
	At     time.Time `json:"at,omitzero"`
	Worker string    `json:"worker_name,omitempty"`
	Error  string    `json:"error"`
	Row    string    `json:"row,omitempty"` // the Background Job that its call names
	// Done is what became of it: requeued, deleted, or why not.
	Done string `json:"done,omitempty"`
}

func (f failedChoice) run(ctx context.Context, a *cli.App, b *frappe.Bench, rq *rqcompat.Client) error {
	jobs, err := f.find(ctx, b, rq)
	if err != nil {
		return err
	}
	acts := f.requeue || f.delete
	said := newProgress(a, len(jobs))
	var failed error
	for i := range jobs {
		if acts {
			failed = cmp.Or(failed, f.act(ctx, rq, &jobs[i]))
			said.step(i + 1)
		} else if jobs[i].Error, err = lastError(ctx, rq, jobs[i].ID); err != nil {
			return err
		}
	}
	if a.JSON {
		return errors.Join(a.PrintJSON(slices.Concat([]failedJob{}, jobs)), failed)
	}
	if acts {
		f.say(a, jobs)
		return failed
	}
	cells := make([][]string, len(jobs))
	for i, j := range jobs {
		cells[i] = []string{j.ID, j.Queue, output.Clip(j.Method, 60), output.Clock(j.At.Local()), output.Clip(j.Worker, 30), output.Clip(j.Error, 100)}
	}
	return output.Table(a.Out, []string{"ID", "QUEUE", "METHOD", "FAILED", "WORKER", "ERROR"}, cells)
}

// say sums up; what isn't as usual stands on a line of its own.
func (f failedChoice) say(a *cli.App, jobs []failedJob) {
	done := map[string]int{}
	for _, j := range jobs {
		if usual := j.Done == "requeued" || j.Done == "deleted"; f.dryRun || !usual {
			a.Say("%s %s", j.ID, j.Done)
		} else {
			done[j.Done]++
		}
	}
	if len(jobs) == 0 {
		a.Say("no failed job matches")
		return
	}
	for _, what := range slices.Sorted(maps.Keys(done)) {
		a.Say("%s %s", output.Plural(done[what], "job"), what)
	}
}

// act queues a job again or deletes it.
func (f failedChoice) act(ctx context.Context, rq *rqcompat.Client, j *failedJob) (err error) {
	switch {
	case f.requeue && j.Row != "":
		j.Done = "left to bridge retry, which knows its row " + j.Row
		return nil
	case f.dryRun && f.requeue:
		j.Done = "would be requeued"
		return nil
	case f.dryRun:
		j.Done = "would be deleted"
		return nil
	case f.requeue:
		j.Done, err = "requeued", rq.Requeue(ctx, j.ID, false)
	default:
		j.Done, err = "deleted", rq.Delete(ctx, j.ID)
	}
	if err != nil {
		j.Done = err.Error()
	}
	return err
}

// find reads the failed jobs that match, newest first.
func (f failedChoice) find(ctx context.Context, b *frappe.Bench, rq *rqcompat.Client) (found []failedJob, err error) {
	kinds := f.queues
	if len(kinds) == 0 {
		if kinds, err = view.QueueKinds(ctx, b, rq); err != nil {
			return nil, err
		}
	}
	for _, kind := range kinds {
		seen := map[string]bool{}
		err := rq.EachMember(ctx, rqcompat.Failed, b.QueueName(kind), func(members []rqcompat.Member) error {
			var ids []string
			for _, m := range members {
				if !seen[m.ID] {
					seen[m.ID] = true
					ids = append(ids, m.ID)
				}
			}
			jobs, err := rq.FetchMany(ctx, ids)
			if err != nil {
				return err
			}
			for i, j := range jobs {
				if one := failedOf(ids[i], kind, j.Job); f.matches(one) {
					found = append(found, one)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b failedJob) int { return b.At.Compare(a.At) })
	if f.limit > 0 {
		found = found[:min(len(found), f.limit)]
	}
	return found, nil
}

func (f failedChoice) matches(j failedJob) bool {
	return (f.method == "" || j.Method == f.method) && !j.At.Before(f.since)
}

// failedOf describes a failed job; j is nil if its hash is gone.
func failedOf(id, kind string, j *rqcompat.Job) failedJob {
	one := failedJob{ID: id, Queue: kind}
	if j == nil {
		return one
	}
	one.At, one.Worker = j.EndedAt, j.WorkerName
	call, err := j.Call()
	if err != nil {
		return one
	}
	one.Method = call.Func
	if envelope, err := frappe.ParseCall(call.Func, call.Kwargs); err == nil {
		one.Method = envelope.Target()
		one.Row, _ = envelope.BackgroundJobID()
	}
	return one
}

// lastError is the last line of the newest error of a job.
func lastError(ctx context.Context, rq *rqcompat.Client, id string) (string, error) {
	results, err := rq.Results(ctx, id)
	if err != nil && rqcompat.Judge(err) != rqcompat.Final {
		return "", err
	}
	if len(results) == 0 {
		return "", nil
	}
	text := strings.TrimRight(results[0].ExcString, "\n ")
	return text[strings.LastIndexByte(text, '\n')+1:], nil
}
