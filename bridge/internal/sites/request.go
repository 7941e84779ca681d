package sites

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

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

// Envelope is the job that would bring a row under an id; nothing is written.
func (c Courier) Envelope(site string, row *rows.BackgroundJob, id string) (*rqcompat.Job, error) {
	request, err := c.delivery(site, row, row.Name)
	if err != nil {
		return nil, err
	}
	request.ID = id
	return c.RQ.NewJob(request)
}
