package sites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// ErrBadRequest says that an argument is missing or not of its kind. Package bridge publishes it.
var ErrBadRequest = errors.New("bad request")

// Courier puts jobs on the bench's queues: the deliveries of rows, and what frappe.enqueue would write.
type Courier struct {
	Bench *frappe.Bench
	RQ    *rqcompat.Client
	// OwnQueues are the queue types that belong to the bridge; the first takes all rows.
	OwnQueues []string
	// Arrival gives the id of the RQ job that a row was made for, "" for one that was submitted; Sites.Arrival does it.
	Arrival func(ctx context.Context, site, name string) (string, error)
	// Names reads which row the call of an RQ job names; ok is false if it names none or can't be read.
	Names func(j *rqcompat.Job) (RowCall, bool)
}

// Deliver puts the delivery of a Queued row into Redis: the executor's envelope under an id of the row's own. It may be
// repeated: a delivery on its way is left alone, and a row is run once however often it is delivered.
func (c Courier) Deliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	err := errTaken
	for _, id := range ownIDs(site, row) {
		if !errors.Is(err, errTaken) {
			break
		}
		var request rqcompat.Request
		if request, err = c.delivery(site, row, id); err != nil {
			return err
		}
		err = settled(ctx, func() (rqcompat.Status, error) { return c.deliver(ctx, site, row, request) })
	}
	if err != nil {
		return fmt.Errorf("enqueue the delivery of %s: %w", row.Name, err)
	}
	return nil
}

// errTaken says that a job of somebody else bears an id that a row's delivery would have.
var errTaken = errors.New("another job has that id")

// deliver enqueues a delivery that isn't on its way. Anybody may give a job the name of a row, also of one that is still
// to come: it is left alone, and must not keep the row.
func (c Courier) deliver(ctx context.Context, site string, row *rows.BackgroundJob, request rqcompat.Request) (rqcompat.Status, error) {
	_, err := c.RQ.Enqueue(ctx, request)
	dup, there := errors.AsType[*rqcompat.DuplicateJobError](err)
	if !there {
		return rqcompat.StatusQueued, err
	}
	fetched, err := c.RQ.FetchMany(ctx, []string{dup.ID})
	if err == nil && fetched[0].Job != nil && !c.brings(fetched[0].Job, site, row) {
		err = errTaken
	}
	return dup.Status, err
}

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
	ids := c.IDs(site, row)
	if ArrivalsOf(row) != "" {
		id, err := c.Arrival(ctx, site, row.Name)
		if err != nil {
			return nil, fmt.Errorf("find the delivery of %s: %w", row.Name, err)
		}
		ids = slices.Insert(ids, 0, id)
	}
	fetched, err := c.RQ.FetchMany(ctx, ids)
	for _, f := range fetched {
		if f.Job != nil && c.brings(f.Job, site, row) {
			found = append(found, f.Job)
		}
	}
	return found, err
}

// DeliveriesOf reads the RQ job that brings each of the rows, in their order; nil where none is found in passing: it may bear
// another id, as those of the app do, or be large.
func (c Courier) DeliveriesOf(ctx context.Context, site string, all []*rows.BackgroundJob) ([]*rqcompat.Job, error) {
	found := make([]*rqcompat.Job, len(all))
	var ids []string
	var of []int
	for i, row := range all {
		if ArrivalsOf(row) == "" {
			ids, of = append(ids, c.Bench.JobID(site, row.Name)), append(of, i)
			continue
		}
		jobs, err := c.Deliveries(ctx, site, row) // it was claimed before: there are few of these
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 {
			found[i] = jobs[0]
		}
	}
	fetched, err := c.RQ.FetchSmall(ctx, ids, wait.LargeItem)
	for n, f := range fetched {
		if i := of[n]; f.Job != nil && c.brings(f.Job, site, all[i]) {
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

// Redeliver is Deliver for a row that was delivered before: it queues the RQ job that brought it, whose id its producer
// may be asking about. Only when that is gone the row gets a delivery of its own.
func (c Courier) Redeliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	jobs, err := c.Deliveries(ctx, site, row)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		var gone bool
		err := settled(ctx, func() (status rqcompat.Status, err error) {
			status, gone, err = c.again(ctx, j)
			return status, err
		})
		if err != nil {
			return fmt.Errorf("queue the delivery of %s again: %w", row.Name, err)
		}
		if !gone {
			return nil
		}
	}
	return c.Deliver(ctx, site, row)
}

// again queues one job again that isn't on its way. One without a hash, or that has ended and left no registry to take it
// from, is gone.
func (c Courier) again(ctx context.Context, j *rqcompat.Job) (status rqcompat.Status, gone bool, err error) {
	err = c.RQ.Retry(ctx, j.ID)
	if refused, ok := errors.AsType[*rqcompat.NotRequeueableError](err); ok {
		gone = !slices.Contains([]rqcompat.Status{rqcompat.StatusQueued, rqcompat.StatusStarted, rqcompat.StatusDeferred}, refused.Status)
		return refused.Status, gone, nil
	}
	if errors.Is(err, rqcompat.ErrNoSuchJob) {
		return "", true, nil
	}
	return rqcompat.StatusQueued, false, err
}

// settled repeats a delivery that finds its job started: that may be the attempt from which the row has moved on, as RQ
// will know in a moment.
func settled(ctx context.Context, deliver func() (rqcompat.Status, error)) error {
	for limit := time.Now().Add(settling); ; wait.Sleep(ctx, 20*time.Millisecond) {
		status, err := deliver()
		if err != nil || status != rqcompat.StatusStarted || time.Now().After(limit) || ctx.Err() != nil {
			return err
		}
	}
}

// settling is how long an attempt may still be started in RQ after its row has moved on: it isn't the new delivery.
const settling = 2 * time.Second

// Request builds what frappe.enqueue would write for call on a queue type. A timeout of zero means the queue's.
func (c Courier) Request(kind, id string, timeout int64, call frappe.Call) (rqcompat.Request, error) {
	types := c.Bench.QueueTypes()
	i := slices.IndexFunc(types, func(q frappe.QueueType) bool { return q.Name == kind })
	if i < 0 {
		return rqcompat.Request{}, fmt.Errorf("%w: queue %q is not one of the bench's (%s)", ErrBadRequest, kind, QueueNames(types))
	}
	site, err := c.Bench.Site(call.Site)
	if err != nil {
		return rqcompat.Request{}, err
	}
	defaults := frappe.NewEnqueueDefaults(site.Config())
	timeout = defaults.Timeout(timeout, types[i].Timeout)
	kwargs := &pickle.Dict{}
	for _, key := range []string{"site", "user", "method", "event", "job_name", "is_async", "kwargs"} {
		kwargs.Set(key, call.Arguments()[key])
	}
	return rqcompat.Request{
		Queue: c.Bench.QueueName(kind), ID: c.Bench.JobID(call.Site, id),
		Call:    rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: kwargs},
		Timeout: &timeout, ResultTTL: &defaults.ResultTTL, FailureTTL: &defaults.FailureTTL,
		FailureCallback: rqcompat.Callback{Name: defaults.FailureCallback, Timeout: &defaults.FailureCallbackTimeout},
	}, nil
}

// queueOf gives the queue type for a priority: the bridge's own if there is one, else that of the Python engine.
func (c Courier) queueOf(priority string) string {
	if len(c.OwnQueues) > 0 {
		return c.OwnQueues[0]
	}
	switch priority {
	case rows.PriorityCritical, rows.PriorityHigh:
		return "short"
	case rows.PriorityLow:
		return "long"
	}
	return "default"
}

// QueueNames lists queue types for an error text.
func QueueNames(types []frappe.QueueType) string { return strings.Join(queueNames(types), ", ") }

func queueNames(types []frappe.QueueType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return names
}

// DeliverMany is Deliver for many rows in few round trips: an error for each.
func (c Courier) DeliverMany(ctx context.Context, site string, queued []*rows.BackgroundJob) []error {
	errs := make([]error, len(queued))
	if len(queued) <= 1 {
		for i, row := range queued {
			errs[i] = c.Deliver(ctx, site, row)
		}
		return errs
	}
	var requests []rqcompat.Request
	var of []int
	for i, row := range queued {
		request, err := c.delivery(site, row, row.Name)
		if errs[i] = err; err == nil {
			requests, of = append(requests, request), append(of, i)
		}
	}
	jobs, err := c.RQ.EnqueueMany(ctx, requests)
	var taken []string
	var by []int
	for n, i := range of {
		switch {
		case jobs == nil:
			errs[i] = fmt.Errorf("enqueue the delivery of %s: %w", queued[i].Name, err)
		case jobs[n] == nil:
			taken, by = append(taken, requests[n].ID), append(by, i)
		}
	}
	// By an earlier delivery, which is on its way, or by somebody's job.
	fetched, err := c.RQ.FetchMany(ctx, taken)
	for n, i := range by {
		if err == nil && fetched[n].Job != nil && fetched[n].Job.Status == rqcompat.StatusQueued && c.brings(fetched[n].Job, site, queued[i]) {
			continue
		}
		errs[i] = c.Deliver(ctx, site, queued[i])
	}
	return errs
}

// delivery is the request for a delivery of a row under an id.
func (c Courier) delivery(site string, row *rows.BackgroundJob, id string) (rqcompat.Request, error) {
	call := frappe.Call{
		Site: site, User: row.OwnerUser, Method: frappe.Executor, JobName: row.JobType, IsAsync: true,
		Kwargs: map[string]any{"background_job_id": row.Name, "job_type": row.JobType},
	}
	request, err := c.Request(c.queueOf(row.Priority), id, int64(row.TimeoutSeconds), call)
	request.Deduplicate = true
	return request, err
}
