package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/desk"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Client submits, cancels, retries and inspects jobs of a bench, without an engine. Safe for concurrent use.
type Client struct {
	cfg Config
	*connections
	// close ends what a client of its own has running; an engine's client has nothing.
	close func() error
}

// NewClient connects to the bench's servers. It fails if Redis is away: a submission that nobody can deliver is refused,
// not half-written. A program that also runs an Engine submits through that.
func NewClient(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Bench == nil {
		return nil, errNoBench
	}
	cfg = cfg.WithDefaults()
	c, err := connectNow(ctx, cfg)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	var publishing sync.WaitGroup
	publishing.Go(func() { c.desk.Run(run) })
	publishing.Go(func() { c.submitter.Run(run) })
	return &Client{cfg: cfg, connections: c, close: sync.OnceValue(func() error {
		stop()
		if !wait.For(&publishing, lastSteps) {
			cfg.Log.Error("closing: publishing doesn't end; last events are lost", "after", lastSteps)
		}
		return c.Close()
	})}, nil
}

// Close sends what events are left and closes the connections. Closing twice does no harm.
func (c *Client) Close() error { return c.close() }

// RQ gives RQ's view of the bench's Redis.
func (c *Client) RQ() *rqcompat.Client { return c.rq }

// Cancel cancels a job that waits or runs; a running handler hears of it at once. actor is the user who wants it, ""
// for the system. A job that has ended is a *TransitionError, an unknown name rows.ErrNoSuchJob.
func (c *Client) Cancel(ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *rows.BackgroundJob) (moves.Move, func(context.Context) error, error) {
		was := row.Status
		return moves.Cancel(site, row, actor, moves.CanceledBy(actor), time.Now()), func(ctx context.Context) error {
			return c.deliveries.Stop(ctx, site, row, was)
		}, nil
	})
}

// Retry queues a job again that failed, timed out or is in the dead letters, for a new series of retries. actor and
// errors are as in Cancel; a job in any other state is a *TransitionError.
func (c *Client) Retry(ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *rows.BackgroundJob) (moves.Move, func(context.Context) error, error) {
		return moves.Requeue(site, row, actor), c.redeliver(site, row), nil
	})
}

// moveByHand moves a row from whatever status it has. A race with an engine is run again from the new status.
func (c *Client) moveByHand(ctx context.Context, site, name string, next func(*rows.BackgroundJob) (moves.Move, func(context.Context) error, error)) (*rows.BackgroundJob, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	for {
		row, err := db.BackgroundJob(ctx, name)
		if err != nil {
			return nil, err
		}
		move, then, err := next(row)
		if err == nil && row.Status == rows.StatusPending {
			move, err = fromTheBeginning(ctx, db, move, next)
		}
		if err != nil {
			return nil, err
		}
		result, err := c.sites.Apply(ctx, move, then)
		if result.Applied {
			return row, err
		}
		if err != nil {
			return nil, err
		}
	}
}

// fromTheBeginning is the move of a row that was inserted a moment ago, if it is one: it has no log yet, which begins with its
// creation.
func fromTheBeginning(ctx context.Context, db *rows.DB, m moves.Move, next func(*rows.BackgroundJob) (moves.Move, func(context.Context) error, error)) (moves.Move, error) {
	last, err := db.LastLogged(ctx, []string{m.Name})
	if _, logged := last[m.Name]; err != nil || logged {
		return m, err
	}
	m = moves.ByHand(m.Row, "", func(row *rows.BackgroundJob) (anew moves.Move) {
		anew, _, err = next(row)
		return anew
	})
	return m, err
}

// Inspection is everything that is known of one job. Its times are all in one zone.
type Inspection struct {
	// Zone is the site's time zone.
	Zone *time.Location
	// Row and History are the site's view; Row is nil for a job without one.
	Row     *rows.BackgroundJob
	History []rows.LogEntry
	// Job and Results are RQ's view; Job is nil when its hash is gone.
	Job     *rqcompat.Job
	Results []rqcompat.Result
	// Withheld says that the results aren't shown, since the organization is suspended: they are left out, here and in the row.
	Withheld bool
}

// Inspect collects what the row, its log and RQ know of a job. name is a Background Job's or an RQ job id, with or
// without the site's prefix. A name that neither knows is rows.ErrNoSuchJob.
func (c *Client) Inspect(ctx context.Context, site, name string) (Inspection, error) {
	var in Inspection
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return in, err
	}
	in.Zone = db.Location()
	if in.Row, err = noneIsNil(db.BackgroundJob(ctx, name)); err == nil && in.Row == nil {
		err = c.inspectJob(ctx, db, name, &in)
	}
	if err == nil && in.Row != nil {
		err = c.inspectRow(ctx, db, &in)
	}
	if err != nil {
		return in, err
	}
	if in.Row == nil && in.Job == nil {
		return in, fmt.Errorf("site %s: %q is neither a Background Job nor an RQ job: %w", site, name, rows.ErrNoSuchJob)
	}
	if in.Row != nil {
		if in.Withheld, err = db.IsWithheld(ctx, in.Row.Name); err != nil {
			return in, err
		}
	}
	if in.Withheld {
		in.Results = nil
	}
	in.inZone()
	return in, nil
}

// inspectJob looks for the RQ job that name may be the id of, and for its row: the one that it was made for, the one that
// its call names, or, if there is no such job any more, the newest that was made for a job of that id.
func (c *Client) inspectJob(ctx context.Context, db *rows.DB, name string, in *Inspection) (err error) {
	ids := append([]string{name}, c.cfg.Bench.JobIDs(db.Site(), name)...)
	if in.Job, in.Results, err = c.findJob(ctx, ids); err != nil {
		return err
	}
	if in.Job == nil {
		for _, id := range ids {
			if in.Row, err = noneIsNil(db.NewestByHash(ctx, sites.ArrivalsHash(id))); err != nil || in.Row != nil {
				break
			}
		}
		return err
	}
	if call, ok := route.RowOf(in.Job); ok && call.Site == db.Site() {
		in.Row, err = noneIsNil(db.BackgroundJob(ctx, call.Name))
	} else {
		in.Row, err = noneIsNil(db.FindByHash(ctx, sites.ArrivalOf(in.Job).Hash()))
	}
	return err
}

// inspectRow reads the log of a row and, unless it is known, the RQ job that brings it.
func (c *Client) inspectRow(ctx context.Context, db *rows.DB, in *Inspection) (err error) {
	if in.History, err = db.History(ctx, in.Row.Name); err != nil || in.Job != nil {
		return err
	}
	jobs, err := c.deliveries.Deliveries(ctx, db.Site(), in.Row)
	if err != nil {
		return err
	}
	if len(jobs) > 0 {
		in.Job = jobs[0]
		in.Results, err = c.rq.Results(ctx, in.Job.ID)
		return err
	}
	// Who submits in Python may give the delivery any id.
	id, err := c.searchDelivery(ctx, db.Site(), in.Row.Name)
	if err == nil && id != "" {
		in.Job, in.Results, err = c.findJob(ctx, []string{id})
	}
	return err
}

// inZone brings RQ's times, which are in UTC, into the site's zone, in which those of the row are.
func (in *Inspection) inZone() {
	var times []*time.Time
	if j := in.Job; j != nil {
		times = append(times, &j.CreatedAt, &j.EnqueuedAt, &j.StartedAt, &j.EndedAt, &j.LastHeartbeat)
	}
	for i := range in.Results {
		times = append(times, &in.Results[i].CreatedAt)
	}
	for _, t := range times {
		*t = t.In(in.Zone)
	}
}

func noneIsNil(row *rows.BackgroundJob, err error) (*rows.BackgroundJob, error) {
	if errors.Is(err, rows.ErrNoSuchJob) || errors.Is(err, rows.ErrTableMissing) {
		return nil, nil
	}
	return row, err
}

// searchMost is how many jobs of one list are read in search of a delivery.
const searchMost = 2000

// searchDelivery looks through the bench's queues and registries for the job whose call names a row; "" if none does.
func (c *Client) searchDelivery(ctx context.Context, site, name string) (string, error) {
	for _, kind := range c.cfg.Bench.QueueTypes() {
		queue := c.cfg.Bench.QueueName(kind.Name)
		ids, err := c.rq.QueueIDs(ctx, queue, 0, searchMost-1)
		if err != nil {
			return "", err
		}
		for _, registry := range []rqcompat.Registry{rqcompat.Wip, rqcompat.Scheduled, rqcompat.Deferred, rqcompat.Failed, rqcompat.Finished, rqcompat.Canceled} {
			members, err := c.rq.Members(ctx, registry, queue, -searchMost, -1)
			if err != nil {
				return "", err
			}
			for _, m := range members {
				ids = append(ids, m.ID)
			}
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			of, _, ok := c.cfg.Bench.SplitJobID(id)
			return !ok || of != site
		})
		jobs, err := c.rq.FetchMany(ctx, ids)
		if err != nil {
			return "", err
		}
		for _, j := range jobs {
			if j.Job == nil {
				continue
			}
			if call, ok := route.RowOf(j.Job); ok && call.Site == site && call.Name == name {
				return j.Job.ID, nil
			}
		}
	}
	return "", nil
}

// findJob reads the first of the RQ jobs that exists.
func (c *Client) findJob(ctx context.Context, ids []string) (*rqcompat.Job, []rqcompat.Result, error) {
	for _, id := range ids {
		j, err := c.rq.Fetch(ctx, id)
		if j != nil {
			results, err := c.rq.Results(ctx, id)
			return j, results, err
		}
		if !errors.Is(err, rqcompat.ErrNoSuchJob) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// Names of the realtime events that tell about a Background Job. What was written about a job, the texts, is for its owner
// and for open forms; other members of its organization, who may not be allowed to read it, hear the rest. Who is told in
// both ways hears the whole last; updated_at is the same.
const (
	// EventProgress carries job_id, status, progress, updated_at and, a text, progress_message; at most one per job and second.
	EventProgress = desk.EventProgress
	// EventStatusChanged carries job_id, from_status, to_status, updated_at, and as texts output_reference or error_message
	// if set, as the row has them; of a longer error the first 500 characters.
	EventStatusChanged = desk.EventStatusChanged
	// EventDeadLetters carries organization, dead_letters, updated_at when an organization's dead letters reach the threshold.
	EventDeadLetters = desk.EventDeadLetters
)

// WorkerPrefix starts the name of every RQ worker record of a bridge; Python's workers are named by UUIDs.
const WorkerPrefix = workers.Prefix
