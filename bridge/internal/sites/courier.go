package sites

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// ErrBadRequest says that an argument is missing or not of its kind. Package bridge publishes it.
var ErrBadRequest = errors.New("bad request")

// CourierParams are what a Courier needs.
type CourierParams struct {
	Bench *frappe.Bench
	RQ    *rqcompat.Client
	// OwnQueues are the queue types that belong to the bridge; the first takes all rows.
	OwnQueues []string
	// Arrivals gives the ids of the RQ jobs that rows were made for, by name; Sites.Arrivals does it.
	Arrivals func(ctx context.Context, site string, names []string) (map[string]string, error)
	// Names reads which row the call of an RQ job names; ok is false if it names none or can't be read.
	Names func(j *rqcompat.Job) (RowCall, bool)
}

// Courier puts jobs on the bench's queues: the deliveries of rows, and what frappe.enqueue would write. What is asked of Redis
// for many rows at the same moment, by whomever, shares round trips.
type Courier struct {
	CourierParams
	fetches  *batch.Batcher[string, *rqcompat.FetchResult]
	enqueues *batch.Batcher[rqcompat.Request, error]
	retries  *batch.Batcher[string, error]
}

// courierBatch is how many jobs share a round trip at most: others that come meanwhile wait for that.
const courierBatch = 200

// NewCourier prepares a courier.
func NewCourier(p CourierParams) Courier {
	ofServer := func(err error) bool { return rqcompat.Judge(err) != rqcompat.Final }
	return Courier{
		CourierParams: p,
		fetches: &batch.Batcher[string, *rqcompat.FetchResult]{
			Limit: courierBatch, Shared: ofServer, Call: func(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error) {
				return p.RQ.FetchSmall(ctx, ids, wait.LargeItem)
			},
		},
		enqueues: &batch.Batcher[rqcompat.Request, error]{
			Limit: courierBatch, Shared: ofServer, Call: func(ctx context.Context, rs []rqcompat.Request) ([]error, error) {
				errs := make([]error, len(rs))
				_, err := p.RQ.EnqueueMany(ctx, rs)
				if refused, some := errors.AsType[*rqcompat.RefusedError](err); some {
					for i, why := range refused.Of {
						errs[i] = why
					}
					err = nil
				}
				return errs, err
			},
		},
		retries: &batch.Batcher[string, error]{Limit: courierBatch, Shared: ofServer, Call: p.RQ.RetryMany},
	}
}

// ownIDsEach is how many ids a row's own deliveries may have.
const ownIDsEach = 2

// ownIDs are the ids, without the site's prefix, that the deliveries of a row have: its name and, where that is taken,
// one that nobody can know before the row is there.
func ownIDs(site string, row *rows.BackgroundJob) []string {
	made := row.Creation.UTC().Format(time.RFC3339Nano)
	return []string{row.Name, row.Name + "-" + frappe.Digest(site + " " + row.Name + " " + made)[:16]}
}

// IDs are the RQ ids of the deliveries that a row may have of its own.
func (c Courier) IDs(site string, row *rows.BackgroundJob) []string {
	ids := ownIDs(site, row)
	for i := range ids {
		ids[i] = c.Bench.JobID(site, ids[i])
	}
	return ids
}

// Deliveries reads the RQ jobs that bring a row: the one that it was made for, and those of its own.
func (c Courier) Deliveries(ctx context.Context, site string, row *rows.BackgroundJob) (found []*rqcompat.Job, err error) {
	many, errs := c.DeliveriesOfAll(ctx, site, []*rows.BackgroundJob{row})
	return many[0], errs[0]
}

// DeliveriesOfAll is Deliveries of many rows, in their order, with an error for each.
func (c Courier) DeliveriesOfAll(ctx context.Context, site string, all []*rows.BackgroundJob) (found [][]*rqcompat.Job, errs []error) {
	found, errs = make([][]*rqcompat.Job, len(all)), make([]error, len(all))
	arrivals, noArrivals := c.arrivals(ctx, site, all)
	var ids []string
	var of []int
	for i, row := range all {
		own := c.IDs(site, row)
		if ArrivalsOf(row) != "" {
			if errs[i] = wrapped(noArrivals, "find the delivery of %s", row.Name); errs[i] != nil {
				continue
			}
			own = slices.Insert(own, 0, arrivals[row.Name])
		}
		for _, id := range own {
			ids, of = append(ids, id), append(of, i)
		}
	}
	for n, f := range c.fetch(ctx, ids) {
		i := of[n]
		switch {
		case f.Err != nil:
			errs[i] = f.Err
		case f.Result.Job != nil && c.brings(f.Result.Job, site, all[i]):
			found[i] = append(found[i], f.Result.Job)
		}
	}
	return found, errs
}

// arrivals has the ids of the RQ jobs that those of the rows were made for that weren't submitted.
func (c Courier) arrivals(ctx context.Context, site string, all []*rows.BackgroundJob) (map[string]string, error) {
	var names []string
	for _, row := range all {
		if ArrivalsOf(row) != "" {
			names = append(names, row.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	return c.Arrivals(ctx, site, names)
}

// fetch reads jobs that anybody may have enqueued, together with what others ask for at the same time; large ones alone.
func (c Courier) fetch(ctx context.Context, ids []string) []batch.Answer[*rqcompat.FetchResult] {
	answers := c.fetches.DoAll(ctx, ids)
	for i, a := range answers {
		if a.Err != nil || !errors.Is(a.Result.Err, rqcompat.ErrLarge) {
			continue
		}
		alone, err := c.RQ.FetchMany(ctx, ids[i:i+1])
		if answers[i].Err = err; err == nil {
			answers[i].Result = alone[0]
		}
	}
	return answers
}

// DeliveriesOf reads the RQ job that brings each of the rows, in their order; nil where none is found in passing: it may bear
// another id, as those of the app do, or be large.
func (c Courier) DeliveriesOf(ctx context.Context, site string, all []*rows.BackgroundJob) ([]*rqcompat.Job, error) {
	found := make([]*rqcompat.Job, len(all))
	arrivals, err := c.arrivals(ctx, site, all)
	if err != nil {
		return nil, err
	}
	var ids []string
	var of []int
	for i, row := range all {
		if id := arrivals[row.Name]; id != "" {
			ids, of = append(ids, id), append(of, i)
		}
		ids, of = append(ids, c.Bench.JobID(site, row.Name)), append(of, i)
	}
	fetched, err := c.RQ.FetchSmall(ctx, ids, wait.LargeItem)
	for n, f := range fetched {
		if i := of[n]; found[i] == nil && f.Job != nil && c.brings(f.Job, site, all[i]) {
			found[i] = f.Job
		}
	}
	return found, err
}

// brings reports whether a job brings a row: it is the enqueueing that the row was made for, or what Deliver writes. That
// it bears such an id says nothing, since whoever enqueues chooses the id.
func (c Courier) brings(j *rqcompat.Job, site string, row *rows.BackgroundJob) bool {
	if ArrivalOf(j).Hash() == row.JobHash {
		return true
	}
	call, ok := c.Names(j)
	return ok && call == RowCall{Site: site, Name: row.Name, User: row.OwnerUser}
}
