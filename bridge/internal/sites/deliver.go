package sites

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Deliver puts the delivery of a Queued row into Redis: the executor's envelope under an id of the row's own. It may be
// repeated: a delivery on its way is left alone, and a row is run once however often it is delivered.
func (c Courier) Deliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	return c.DeliverMany(ctx, site, []*rows.BackgroundJob{row})[0]
}

// errTaken says that a job of somebody else bears an id that a row's delivery would have.
var errTaken = errors.New("another job has that id")

// DeliverMany is Deliver of many rows, in their order: an error for each.
func (c Courier) DeliverMany(ctx context.Context, site string, queued []*rows.BackgroundJob) []error {
	errs, open := make([]error, len(queued)), make([]int, len(queued))
	for i := range queued {
		open[i] = i
	}
	for nth := 0; nth < ownIDsEach && len(open) > 0; nth++ {
		var taken []int
		settled(ctx, open, func(open []int) []int {
			also, started := c.deliver(ctx, site, queued, nth, open, errs)
			taken = append(taken, also...)
			return started
		})
		open = taken
	}
	for i, err := range errs {
		errs[i] = wrapped(err, "enqueue the delivery of %s", queued[i].Name)
	}
	return errs
}

// deliver enqueues those deliveries of rows that aren't on their way, under the nth of their ids. Anybody may give a job the name
// of a row, also of one that is still to come: it is left alone, and must not keep the row. It tells which ids are taken so, and
// which rows have a delivery that was started.
func (c Courier) deliver(ctx context.Context, site string, queued []*rows.BackgroundJob, nth int, open []int, errs []error) (taken, started []int) {
	var requests []rqcompat.Request
	var of []int
	for _, i := range open {
		var request rqcompat.Request
		if request, errs[i] = c.delivery(site, queued[i], ownIDs(site, queued[i])[nth]); errs[i] == nil {
			requests, of = append(requests, request), append(of, i)
		}
	}
	var there []string
	var by []int
	status := map[int]rqcompat.Status{}
	for n, a := range c.enqueues.DoAll(ctx, requests) {
		i := of[n]
		errs[i] = cmp.Or(a.Err, a.Result)
		if dup, is := errors.AsType[*rqcompat.DuplicateJobError](errs[i]); is {
			there, by, status[i] = append(there, dup.ID), append(by, i), dup.Status
		}
	}
	for n, f := range c.fetch(ctx, there) {
		i := by[n]
		switch errs[i] = f.Err; {
		case f.Err != nil:
		case f.Result.Job != nil && !c.brings(f.Result.Job, site, queued[i]):
			errs[i], taken = errTaken, append(taken, i)
		case status[i] == rqcompat.StatusStarted:
			started = append(started, i)
		}
	}
	return taken, started
}

// Redeliver is Deliver for a row that was delivered before: it queues the RQ job that brought it, whose id its producer
// may be asking about. Only when that is gone the row gets a delivery of its own.
func (c Courier) Redeliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	return c.RedeliverMany(ctx, site, []*rows.BackgroundJob{row})[0]
}

// Recover is Redeliver for a row of which it was seen for a while that nobody has its delivery: that may say that it waits or runs, and
// stand nowhere.
func (c Courier) Recover(ctx context.Context, site string, row *rows.BackgroundJob) error {
	if err := c.Redeliver(ctx, site, row); err != nil {
		return err
	}
	jobs, err := c.Deliveries(ctx, site, row)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(jobs, IsOnItsWay); i >= 0 {
		_, err = c.RQ.Unstrand(ctx, jobs[i].ID)
	}
	return err
}

// IsOnItsWay reports whether RQ has it that a delivery waits or runs.
func IsOnItsWay(j *rqcompat.Job) bool {
	return j.Status == rqcompat.StatusQueued || j.Status == rqcompat.StatusStarted
}

// RedeliverMany is Redeliver of many rows: an error for each.
func (c Courier) RedeliverMany(ctx context.Context, site string, queued []*rows.BackgroundJob) []error {
	found, errs := c.DeliveriesOfAll(ctx, site, queued)
	var open, bare []int
	for i := range queued {
		if errs[i] == nil {
			open = append(open, i)
		}
	}
	for nth := 0; len(open) > 0; nth++ {
		var has, gone []int
		for _, i := range open {
			if nth < len(found[i]) {
				has = append(has, i)
			} else {
				bare = append(bare, i)
			}
		}
		settled(ctx, has, func(open []int) []int {
			also, started := c.again(ctx, open, errs, func(i int) string { return found[i][nth].ID })
			gone = append(gone, also...)
			return started
		})
		open = gone
	}
	deliveries := make([]*rows.BackgroundJob, len(bare))
	for n, i := range bare {
		deliveries[n] = queued[i]
	}
	for i, err := range errs {
		errs[i] = wrapped(err, "queue the delivery of %s again", queued[i].Name)
	}
	for n, err := range c.DeliverMany(ctx, site, deliveries) {
		errs[bare[n]] = err
	}
	return errs
}

// again queues jobs again that aren't on their way. It tells which are gone, without a hash, or ended without being in a registry
// to take them from, and which are started.
func (c Courier) again(ctx context.Context, open []int, errs []error, id func(i int) string) (gone, started []int) {
	ids := make([]string, len(open))
	for n, i := range open {
		ids[n] = id(i)
	}
	for n, a := range c.retries.DoAll(ctx, ids) {
		i, err := open[n], cmp.Or(a.Err, a.Result)
		refused, is := errors.AsType[*rqcompat.NotRequeueableError](err)
		switch {
		case is && refused.Status == rqcompat.StatusStarted:
			started = append(started, i)
		case is && (refused.Status == rqcompat.StatusQueued || refused.Status == rqcompat.StatusDeferred):
		case is, errors.Is(err, rqcompat.ErrNoSuchJob):
			gone = append(gone, i)
		default:
			errs[i] = err
			continue
		}
		errs[i] = nil
	}
	return gone, started
}

// settled repeats deliveries that find their job started: that may be the attempt from which the row has moved on, as RQ
// will know in a moment. try makes one try of those that are open, and tells which of them found it so.
func settled(ctx context.Context, open []int, try func(open []int) (started []int)) {
	for limit := time.Now().Add(settling); len(open) > 0; wait.Sleep(ctx, 20*time.Millisecond) {
		if open = try(open); len(open) == 0 || time.Now().After(limit) || ctx.Err() != nil {
			return
		}
	}
}

// settling is how long an attempt may still be started in RQ after its row has moved on: it isn't the new delivery.
const settling = 2 * time.Second

// wrapped says what an error stood in the way of; nil stays nil.
func wrapped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
