package commands

import (
	"context"
	"errors"
	"fmt"
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

const (
	// guardGrace is how long a thing has to stay as it is to be reported. From pop to start a worker needs a fork and two
	// answers of Redis, milliseconds; a machine that is short of memory or CPU makes seconds of them.
	guardGrace = 10 * time.Second
	// repairGrace is RQ's own: its maintenance fails what has been in the intermediate list for so long. What is brought back
	// while its worker is only slow runs twice.
	repairGrace = 60 * time.Second
)

// guard is one run of the command.
type guard struct {
	a      *cli.App
	rq     *rqcompat.Client
	o      rqcompat.LeftOptions
	repair []string // RQ's names of queues
	watch  bool
	every  time.Duration
	kind   func(queue string) string
	said   map[string]bool // what the last look of --watch found
}

func guardCommand(a *cli.App) *cobra.Command {
	var g guard
	var repair []string
	c := &cobra.Command{
		Use:   "guard",
		Short: "Find what Python workers that died left behind; bring it back",
		Long: `Look through RQ's keys of this bench for what Python workers leave behind when they
are killed, run out of memory or lose Redis:

  lost          queued, and in no list: popped by a worker that died before it
                started the job. RQ never finds it
  unregistered  started, scheduled or failed, and in no such registry: a requeue
                that was broken off, an entry that another RQ version dropped
  stuck         in the intermediate list, and nobody starts it
  abandoned     started, and its worker has stopped renewing its entry, which takes
                up to 90 s; of workers that don't fork, until the job's timeout
  stale         an entry of a job that has ended or is gone; RQ's maintenance makes
                a failed job of it, even if it had finished
  worker        a worker on the list of a queue that has no record or no heartbeat

BLOCKS is yes for a job whose id blocks frappe.enqueue with deduplicate for ever.

Whatever looks odd is looked at again after --grace, and named only if it is as it
was; where nothing does, the command ends at once. It writes nothing without
--repair, and then for the queues named only: jobs go to the end of their queue, as
RQ's requeue puts them, and run from their beginning. Functions of jobs that had
been started run TWICE: ask who wrote them. A job that loses its third worker is
failed, so that it doesn't go on; entries and workers are removed. For stuck,
abandoned, stale and worker it takes the lock of RQ's maintenance, and says
"later" of what RQ took it for within the last minute.

What bridges hold is theirs to bring back: see bridge doctor. A job of a
synchronous queue (is_async=False by RQ's own API) that runs for longer than
--grace looks lost.

The exit code is 0 if there is nothing, or all was brought back, and 5 if there is.`,
		Example: `  bridge guard
  bridge guard -q || mail -s "jobs were lost" ops@example.com
  bridge guard --json | jq '.found[] | select(.blocks_deduplicate)'
  bridge guard --repair short --repair default
  bridge guard --watch --repair short`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(repair) > 0 && !c.Flags().Changed("grace") {
				g.o.Grace = repairGrace
			}
			switch {
			case g.o.Grace < time.Second:
				return exitcode.Usagef("--grace is %s, want 1s or more: a job that is just being started looks lost", g.o.Grace)
			case g.every < time.Second:
				return exitcode.Usagef("--every is %s, want 1s or more", g.every)
			case c.Flags().Changed("every") && !g.watch:
				return exitcode.Usagef("--every goes with --watch")
			}
			return a.WithRQ(c.Context(), func(b *frappe.Bench, _ bridge.Config, rq *rqcompat.Client) error {
				for _, kind := range repair {
					if err := checkQueue(b, kind); err != nil {
						return err
					}
					g.repair = append(g.repair, b.QueueName(kind))
				}
				g.a, g.rq, g.kind = a, rq, b.QueueTypeOf
				return g.run(c.Context(), b)
			})
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&repair, "repair", nil, "bring back what is of this queue type; may be repeated")
	flags.DurationVar(&g.o.Grace, "grace", guardGrace, "how long a thing has to stay as it is; 1m0s with --repair")
	flags.BoolVar(&g.watch, "watch", false, "go on looking, and print what is new")
	flags.DurationVar(&g.every, "every", time.Minute, "how long to rest between the looks of --watch")
	return c
}

// guarded is one thing that was found.
type guarded struct {
	rqcompat.Left
	// Done is what became of it with --repair, or why nothing did.
	Done string `json:"done,omitempty"`
	open bool   // it is still there
}

// run looks once, or again and again until the program is told to end.
func (g *guard) run(ctx context.Context, b *frappe.Bench) error {
	for {
		found, err := g.look(ctx, b)
		switch {
		case g.watch && ctx.Err() != nil:
			return nil // how one leaves it
		case g.watch && err != nil:
			g.a.Log.Error("the look failed; there will be another", "error", err)
		case err != nil:
			return err
		case !g.watch && slices.ContainsFunc(found, func(f guarded) bool { return f.open }):
			return exitcode.Silent(exitcode.Warnings)
		case !g.watch:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(g.every):
		}
	}
}

// look finds, brings back and prints.
func (g *guard) look(ctx context.Context, b *frappe.Bench) ([]guarded, error) {
	kinds, err := view.QueueKinds(ctx, b, g.rq)
	if err != nil {
		return nil, err
	}
	said := newProgress(g.a, 0)
	o := g.o
	for _, kind := range kinds {
		o.Queues = append(o.Queues, b.QueueName(kind))
	}
	o.Mine = ofItsSites(b)
	o.Ours = func(worker string) bool { return strings.HasPrefix(worker, bridge.WorkerPrefix) }
	o.Looked = said.step
	o.Waiting = func(things int) {
		if !g.a.Quiet && !g.watch {
			fmt.Fprintf(g.a.Err, "%s may have been left behind or be on the move; looking again in %s\n", output.Plural(things, "thing"), o.Grace)
		}
	}
	report, err := g.rq.LeftBehind(ctx, o)
	if err != nil {
		return nil, err
	}
	found, err := g.bringBack(ctx, report.Found)
	return found, errors.Join(err, g.print(found, report))
}

// ofItsSites tells whether a job id may be of a site of the bench, or of none: by the site's file, since the list of sites
// leaves out those behind a symlink.
func ofItsSites(b *frappe.Bench) func(id string) bool {
	const most = 10_000 // names that are remembered: who may enqueue chooses them
	foreign := map[string]bool{}
	return func(id string) bool {
		site, _, ok := b.SplitJobID(id)
		if !ok {
			return true
		}
		is, known := foreign[site]
		if !known {
			_, err := b.Site(site)
			if is = errors.Is(err, frappe.ErrNoSuchSite); len(foreign) < most {
				foreign[site] = is
			}
		}
		return !is
	}
}

// guardResults says what became of things.
var guardResults = map[rqcompat.LeftResult]string{
	rqcompat.LeftChanged: "it has changed meanwhile", rqcompat.LeftRemoved: "removed", rqcompat.LeftRequeued: "queued again",
	rqcompat.LeftFailed: "failed: it lost its worker too often", rqcompat.LeftListed: "in the failed registry again",
	rqcompat.LeftLocked: "later: RQ's maintenance locked the queue less than a minute ago",
}

// bringBack puts right what is of the queues that may be repaired.
func (g *guard) bringBack(ctx context.Context, left []rqcompat.Left) (found []guarded, err error) {
	var mine []rqcompat.Left
	for _, l := range left {
		found = append(found, guarded{Left: l, open: true})
		if slices.Contains(g.repair, l.Queue) {
			mine = append(mine, l)
		}
	}
	if len(mine) == 0 {
		return found, nil
	}
	answers, err := g.rq.BringBack(ctx, mine)
	if err != nil {
		return found, err
	}
	for i := range found {
		if !slices.Contains(g.repair, found[i].Queue) {
			continue
		}
		a := answers[0]
		answers = answers[1:]
		if found[i].Done, found[i].open = guardResults[a.Result], a.Result == rqcompat.LeftLocked; a.Err != nil {
			found[i].Done, found[i].open = a.Err.Error(), true
		}
	}
	return found, nil
}

// print prints a look; of several, what the last one didn't have.
func (g *guard) print(found []guarded, report rqcompat.LeftReport) error {
	last := g.said
	g.said = map[string]bool{}
	fresh := []guarded{}
	for _, f := range found {
		key := strings.Join([]string{string(f.Kind), f.Queue, f.ID, f.Done}, "\n")
		g.said[key] = true
		if !last[key] {
			fresh = append(fresh, f)
		}
	}
	switch {
	case g.watch && len(fresh) == 0:
		return nil
	case g.a.JSON:
		return g.a.PrintJSON(map[string]any{"at": time.Now(), "jobs": report.Jobs, "found": fresh, "more": report.More})
	case len(fresh) == 0:
		g.a.Say("nothing was left behind: %s looked at", output.Plural(report.Jobs, "job"))
		return nil
	}
	blocking := 0
	cells := make([][]string, len(fresh))
	for i, f := range fresh {
		blocks := "-"
		if f.BlocksDeduplicate {
			blocks = "yes"
			blocking++
		}
		cells[i] = []string{string(f.Kind), g.kind(f.Queue), f.ID, string(f.Status), output.Clip(f.Worker, 36), output.Clock(f.Since.Local()), blocks, f.Done}
	}
	if err := output.Table(g.a.Out, []string{"KIND", "QUEUE", "ID", "STATUS", "WORKER", "SINCE", "BLOCKS", "DONE"}, cells); err != nil {
		return err
	}
	if report.More {
		g.a.Say("there is more, which the next look finds")
	}
	if blocking > 0 && len(g.repair) == 0 {
		g.a.Say("%s can't be enqueued again with deduplicate; bridge guard --repair QUEUE brings them back, and runs again what had been started", output.Plural(blocking, "job"))
	}
	return nil
}
