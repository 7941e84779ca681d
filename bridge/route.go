package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Step 2: decode. What a queued job asks for, and whether that is ours. It
// happens once per job, when its id is first seen on a queue; nothing is
// changed and nothing of the job is ever executed here.

// work is a job on a queue that this bridge will run, or must fail.
type work struct {
	queue    string
	own      bool // the queue is ours alone
	id       string
	job      *rqcompat.Job
	method   string
	site     string
	user     string
	handler  *handler
	jobType  *frappe.JobType // nil: a job without a row
	rowName  string          // the Background Job the call names, if any
	row      *frappe.BackgroundJob
	kwargs   *pickle.Dict
	args     []any
	priority int
	// organization is the tenant: the row's, else the argument of that name.
	organization string
	// broken says why the job can't run; on an own queue it is failed with that.
	broken error

	dropped bool // owned by turns
}

func (w *work) key() jobKey    { return jobKey{w.queue, w.id} }
func (w *work) tenant() tenant { return tenant{w.site, w.organization} }

// params gives the handler's parameters as JSON: the row's, else the keyword
// arguments. Positional arguments of a plain RQ job come under "args".
func (w *work) params() json.RawMessage {
	if w.row != nil && w.kwargs == nil {
		return w.row.InputParameters
	}
	plain, _ := pickle.Plain(w.kwargs)
	m, ok := plain.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	if len(w.args) > 0 {
		m["args"], _ = pickle.Plain(&pickle.List{Items: w.args})
	}
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

// verdict is what routing says of a queued job.
type verdict int

const (
	// ours: run it, or fail it if it is broken.
	ours verdict = iota
	// foreign: leave it to Python.
	foreign
	// undecided: what it needs isn't there yet; look again.
	undecided
)

// watched is a queue that is worked.
type watched struct {
	name string // RQ's name, with the bench's prefix
	kind string // the queue type
	own  bool
}

// router decides where the jobs of one queue go. It is used by one goroutine.
type router struct {
	e     *Engine
	queue watched
}

// found is a job as it was read from its queue.
type found struct {
	job   *rqcompat.Job
	fault error // why its hash could not be read in full
	// seen is when its id was first seen: a row may be committed a moment after
	// the job that names it.
	seen time.Time
}

// routed is what became of a found job.
type routed struct {
	found
	work    *work
	verdict verdict
	// again is when to look again at an undecided job, from now.
	again time.Duration
}

const (
	// soon is when a row may have appeared, or a database be back.
	soon = 250 * time.Millisecond
	// later is for what a person has to change: maintenance, a suspended
	// organization.
	later = 3 * time.Second
)

// route decides about a batch of found jobs. The rows they name are read in one
// query per site.
func (r *router) route(ctx context.Context, fs []found) []routed {
	out := make([]routed, len(fs))
	faults := make([]error, len(fs))
	names := map[string][]string{}
	for i, f := range fs {
		w := &work{queue: r.queue.name, own: r.queue.own, id: f.job.ID, job: f.job, priority: r.basePriority()}
		out[i] = routed{found: f, work: w}
		if faults[i] = f.fault; faults[i] == nil {
			faults[i] = r.decode(w)
		}
		// Ten thousand waiting jobs need not hold what is decoded already.
		f.job.Data, f.job.Meta = nil, nil
		if w.site == "" || faults[i] != nil {
			continue
		}
		rows := names[w.site]
		if w.rowName != "" {
			rows = append(rows, w.rowName)
		}
		names[w.site] = rows // also without rows: its Job Types are needed
	}
	rows := r.e.sites.rows(ctx, names)
	for i := range out {
		o := &out[i]
		if err := faults[i]; err != nil {
			o.verdict, faults[i] = foreign, Permanent(err)
		} else {
			o.again = soon
			o.verdict, faults[i] = r.decide(o.work, rows[o.work.site], o.seen)
		}
		if o.verdict == ours && faults[i] == nil && r.e.held(ctx, o.work) {
			o.verdict, o.again = undecided, later
		}
		if faults[i] != nil && r.queue.own {
			o.work.broken, o.verdict = faults[i], ours
		}
	}
	return out
}

// decode reads the call and the envelope of frappe.enqueue around it, if any.
func (r *router) decode(w *work) error {
	call, err := w.job.Call()
	if err != nil {
		return fmt.Errorf("decode the call: %w", err)
	}
	w.method, w.kwargs, w.args = call.Func, call.Kwargs, call.Args
	envelope, err := frappe.ParseCall(call.Func, call.Kwargs)
	if errors.Is(err, frappe.ErrNotFrappe) {
		return refuseCallback(w.job)
	}
	if err != nil {
		return err
	}
	w.site, w.user = envelope.Site, envelope.User
	w.method, _ = envelope.Target()
	if w.kwargs, _ = envelope.Kwargs.(*pickle.Dict); w.kwargs == nil {
		w.kwargs = &pickle.Dict{}
	}
	if err := refuseCallback(w.job); err != nil {
		return err
	}
	if isExecutor(w.method) {
		if w.rowName = executorArgument(w.kwargs); w.rowName == "" {
			return errors.New("the executor was called without background_job_id")
		}
	}
	return nil
}

// decide says whether a decoded job is ours. An error says why it can't run here.
func (r *router) decide(w *work, rows siteRows, seen time.Time) (verdict, error) {
	if w.site == "" {
		return r.plain(w)
	}
	if _, err := r.e.sites.site(w.site); err != nil {
		return foreign, Permanent(err)
	}
	if rows.err != nil && !errors.Is(rows.err, frappe.ErrTableMissing) {
		return undecided, nil // the log has it
	}
	if w.rowName != "" {
		return r.byRow(w, rows, seen)
	}
	return r.byMethod(w, rows.types)
}

// plain routes a job that another program than Frappe enqueued.
func (r *router) plain(w *work) (verdict, error) {
	if w.handler = r.e.handlers[w.method]; w.handler != nil {
		return ours, nil
	}
	return foreign, &NoHandlerError{Method: w.method, Queue: r.queue.kind}
}

// held reports whether a job must wait for a person: its site is under
// maintenance, when tables may be altered, or its organization is suspended.
func (e *Engine) held(ctx context.Context, w *work) bool {
	if w.site == "" {
		return false
	}
	if site, err := e.sites.site(w.site); err == nil && site.MaintenanceMode() {
		return true
	}
	if w.jobType == nil {
		return false
	}
	var org *frappe.Organization
	err := e.sites.glance(ctx, w.site, func(ctx context.Context, rows *siteRowsWriter) (err error) {
		org, err = rows.db.Organization(ctx, w.organization)
		return err
	})
	// What else is wrong is for admission to say.
	return err == nil && org.Status == frappe.OrganizationInactive
}

// byMethod routes a job of frappe.enqueue that names a method.
func (r *router) byMethod(w *work, types map[string]*frappe.JobType) (verdict, error) {
	w.jobType, w.handler = r.match(types, w.method)
	if w.handler == nil {
		return foreign, &NoHandlerError{Method: w.method, Queue: r.queue.kind}
	}
	if argument, ok := w.kwargs.Get("organization"); ok {
		w.organization, _ = argument.(string)
	}
	if w.jobType != nil {
		if w.organization == "" {
			w.organization = r.e.cfg.DefaultOrganization
		}
		w.priority = priorityOf(w.jobType.DefaultPriority)
	}
	return ours, nil
}

// byRow routes a job that names a Background Job.
func (r *router) byRow(w *work, rows siteRows, seen time.Time) (verdict, error) {
	row := rows.byName[w.rowName]
	grace := time.Duration(r.e.cfg.RowGrace)
	switch {
	case rows.err != nil: // a table is missing
		return foreign, Permanent(rows.err)
	case row == nil && time.Since(seen) < grace:
		return undecided, nil
	case row == nil:
		return foreign, Permanent(fmt.Errorf("site %s has no Background Job %q, %s after its job was seen: was the transaction that made it rolled back?",
			w.site, w.rowName, grace))
	}
	w.row, w.kwargs = row, nil
	w.organization, w.user = row.Organization, row.OwnerUser
	w.priority = priorityOf(row.Priority)
	if w.jobType = rows.types[row.JobType]; w.jobType == nil {
		// Its handler may still be here; that the Job Type is gone is for
		// admission to say, in the row.
		w.jobType = &frappe.JobType{TypeName: row.JobType}
	}
	w.method = row.JobType
	if w.handler = r.e.handlerOf(w.jobType); w.handler == nil {
		return foreign, &NoHandlerError{Method: row.JobType, Queue: r.queue.kind}
	}
	return ours, nil
}

// match finds what runs method: a handler of that name, and the Job Type that
// method belongs to by its handler_method or its name.
func (r *router) match(types map[string]*frappe.JobType, method string) (*frappe.JobType, *handler) {
	jobType := types[method]
	if jobType == nil {
		for _, t := range types {
			if t.HandlerMethod == method && (jobType == nil || goesBefore(t, jobType)) {
				jobType = t
			}
		}
	}
	if jobType != nil {
		if h := r.e.handlerOf(jobType); h != nil {
			return jobType, h
		}
	}
	return nil, r.e.handlers[method]
}

// goesBefore chooses between Job Types of the same handler_method: the first
// that is enabled.
func goesBefore(a, b *frappe.JobType) bool {
	if a.Enabled != b.Enabled {
		return a.Enabled
	}
	return a.TypeName < b.TypeName
}

// handlerOf finds the handler of a Job Type, by its name or its handler_method.
func (e *Engine) handlerOf(t *frappe.JobType) *handler {
	if h := e.handlers[t.TypeName]; h != nil {
		return h
	}
	if t.HandlerMethod == "" {
		return nil
	}
	return e.handlers[t.HandlerMethod]
}

// basePriority is that of jobs whose priority nobody declared: what producers
// mean by the queue they choose.
func (r *router) basePriority() int {
	switch r.queue.kind {
	case "short":
		return priorityOf("High")
	case "long":
		return priorityOf("Low")
	}
	return priorityOf("Normal")
}

// isExecutor recognizes the function that runs a Background Job by its name,
// wherever the surrounding app keeps it.
func isExecutor(method string) bool {
	return method == frappe.Executor || strings.HasSuffix(method, ".background_jobs.executor.execute_job")
}

func executorArgument(kwargs *pickle.Dict) string {
	for _, key := range []string{"background_job_id", "job_id"} {
		if v, ok := kwargs.Get(key); ok {
			if name, ok := v.(string); ok && name != "" {
				return name
			}
		}
	}
	return ""
}

// refuseCallback refuses a job with a Python callback that must run after it;
// Frappe's own house-keeping one is done by the bridge itself.
func refuseCallback(job *rqcompat.Job) error {
	for _, cb := range []rqcompat.Callback{job.SuccessCallback, job.FailureCallback, job.StoppedCallback} {
		if cb.Name != "" && !frappe.IsFrappeCallback(cb.Name) {
			return fmt.Errorf("the job names the Python callback %q, which the bridge can't run: drop its callbacks, or enqueue it on a queue of Python's", cb.Name)
		}
	}
	return nil
}
