package bridge

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/attempt"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
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
	cfg = cfg.withDefaults()
	c, err := connectNow(ctx, cfg)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	var publishing sync.WaitGroup
	publishing.Go(func() { c.desk.Run(run) })
	return &Client{cfg: cfg, connections: c, close: sync.OnceValue(func() error {
		stop()
		publishing.Wait()
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
	id := c.cfg.Bench.JobID(site, name)
	return c.moveByHand(ctx, site, name, func(row *rows.BackgroundJob) (moves.Move, func(context.Context) error) {
		then := func(ctx context.Context) error { return c.takeOffQueue(ctx, id) }
		if row.Status == rows.StatusRunning {
			// If the command gets lost, the engine sees the row within two seconds.
			then = func(ctx context.Context) error {
				_, err := c.rq.SendCommand(ctx, attempt.EveryBridge, rqcompat.Command{Name: attempt.CommandCancel, JobID: id})
				return err
			}
		}
		return moves.Cancel(site, row, actor, moves.CanceledBy(actor), time.Now()), then
	})
}

func (c *Client) takeOffQueue(ctx context.Context, id string) error {
	err := c.rq.Cancel(ctx, id, false)
	if errors.Is(err, rqcompat.ErrNoSuchJob) || errors.Is(err, rqcompat.ErrCanceled) {
		return nil // delivered under another id; whoever claims it finds the row canceled
	}
	return err
}

// Retry queues a job again that failed, timed out or is in the dead letters, for a new series of retries. actor and
// errors are as in Cancel; a job in any other state is a *TransitionError.
func (c *Client) Retry(ctx context.Context, site, name, actor string) (*rows.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *rows.BackgroundJob) (moves.Move, func(context.Context) error) {
		return moves.Requeue(site, row, actor), func(ctx context.Context) error { return c.courier.Deliver(ctx, site, row) }
	})
}

// moveByHand moves a row from whatever status it has. A race with an engine is run again from the new status.
func (c *Client) moveByHand(ctx context.Context, site, name string, next func(*rows.BackgroundJob) (moves.Move, func(context.Context) error)) (*rows.BackgroundJob, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	for {
		row, err := db.BackgroundJob(ctx, name)
		if err != nil {
			return nil, err
		}
		move, then := next(row)
		result, err := c.sites.Apply(ctx, move, then)
		if result.Applied {
			return row, err
		}
		if err != nil {
			return nil, err
		}
	}
}
