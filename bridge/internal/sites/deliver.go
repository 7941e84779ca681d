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
	for limit := time.Now().Add(settling); ; wait.Sleep(ctx, 20*time.Millisecond) {
		_, err := c.RQ.Enqueue(ctx, request)
		dup, isDuplicate := errors.AsType[*rqcompat.DuplicateJobError](err)
		switch {
		case err == nil:
			return nil
		case !isDuplicate:
			return fmt.Errorf("enqueue the delivery of %s: %w", row.Name, err)
		case dup.Status != rqcompat.StatusStarted || time.Now().After(limit) || ctx.Err() != nil:
			return nil
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
