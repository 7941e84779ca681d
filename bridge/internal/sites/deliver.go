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
	// Deliveries gives the ids of the RQ jobs that may bring a row; Sites.Deliveries does it.
	Deliveries func(ctx context.Context, site, name string) ([]string, error)
}

// Deliver puts the delivery of a Queued row into Redis: the executor's envelope under the row's canonical id. It may be
// repeated: a delivery on its way is left alone, and a row is run once however often it is delivered.
func (c Courier) Deliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	call := frappe.Call{
		Site: site, User: row.OwnerUser, Method: frappe.Executor, JobName: row.JobType, IsAsync: true,
		Kwargs: map[string]any{"background_job_id": row.Name, "job_type": row.JobType},
	}
	request, err := c.Request(c.queueOf(row.Priority), row.Name, int64(row.TimeoutSeconds), call)
	if err != nil {
		return err
	}
	request.Deduplicate = true
	err = settled(ctx, func() (rqcompat.Status, error) {
		_, err := c.RQ.Enqueue(ctx, request)
		if dup, ok := errors.AsType[*rqcompat.DuplicateJobError](err); ok {
			return dup.Status, nil
		}
		return rqcompat.StatusQueued, err
	})
	if err != nil {
		return fmt.Errorf("enqueue the delivery of %s: %w", row.Name, err)
	}
	return nil
}

// Redeliver is Deliver for a row that was delivered before: it queues the RQ job that brought it, whose id its producer
// may be asking about. Only when that is gone the row gets a delivery of its own.
func (c Courier) Redeliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	ids, err := c.Deliveries(ctx, site, row.Name)
	if err != nil {
		return fmt.Errorf("find the delivery of %s: %w", row.Name, err)
	}
	for _, id := range ids {
		var gone bool
		err := settled(ctx, func() (status rqcompat.Status, err error) {
			status, gone, err = c.again(ctx, id)
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
func (c Courier) again(ctx context.Context, id string) (status rqcompat.Status, gone bool, err error) {
	err = c.RQ.Retry(ctx, id)
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
func QueueNames(types []frappe.QueueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

// A job of a Job Type that comes without a row gets one when it starts. Two things tie that row to its delivery: its
// job_hash, by which a redelivery finds it again, and the first message of its log.

// ArrivalHash is the job_hash of a row made for the RQ job of that id.
func ArrivalHash(id string) string { return frappe.Digest("rq:" + id)[:16] }

const arrivalMessage = "Job created for RQ job "

// ArrivalMessage is the first log message of such a row.
func ArrivalMessage(id string) string { return arrivalMessage + id }

// ArrivalOf gives the id of the RQ job that a row was made for, "" if it was submitted.
func ArrivalOf(history []rows.LogEntry) string {
	for _, h := range history {
		if id, ok := strings.CutPrefix(h.Message, arrivalMessage); ok {
			return id
		}
	}
	return ""
}
