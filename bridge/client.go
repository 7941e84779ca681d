package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Client submits, cancels, retries and inspects jobs of a bench. It needs no
// running engine; any number of them may be used beside each other.
type Client struct {
	cfg Config
	*connections
}

// NewClient connects to the bench's servers. It fails if Redis is away: a
// submission that nobody can deliver is refused, not half-written.
func NewClient(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Bench == nil {
		return nil, errors.New("bridge: Config.Bench is required: open one with frappe.OpenBench")
	}
	cfg = cfg.withDefaults()
	c, err := connectNow(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, connections: c}, nil
}

// Close sends what events are left and closes the connections.
func (c *Client) Close() error {
	err := c.publisher.Close()
	c.connections.Close()
	return err
}

// RQ gives RQ's view of the bench's Redis.
func (c *Client) RQ() *rqcompat.Client { return c.rq }

// SubmitRequest describes a Background Job to be submitted.
type SubmitRequest struct {
	// Site is the site's directory name. Required.
	Site string
	// JobType is the Job Type's name. Required; it must be enabled.
	JobType string
	// Organization is the tenant. Default: Config.DefaultOrganization.
	Organization string
	// User is who submits and owns the job. Default: Administrator.
	User string
	// Priority is Low, Normal, High or Critical. Default: the Job Type's.
	Priority string
	// Parameters is anything that encodes to a JSON object. Default: {}.
	Parameters any
}

// Submit creates the row of a job and enqueues its delivery. If the delivery
// can't be enqueued the row is taken back; should even that fail, an engine
// delivers the row within a minute.
func (c *Client) Submit(ctx context.Context, r SubmitRequest) (*frappe.BackgroundJob, error) {
	w, err := c.sites.of(ctx, r.Site)
	if err != nil {
		return nil, err
	}
	job, err := c.newJob(ctx, w, r)
	if err != nil {
		return nil, err
	}
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("job queue service is down, nothing was submitted: %w", err)
	}
	rows, err := w.db.CreateJobs(ctx, []frappe.NewJob{job})
	if err != nil {
		return nil, err
	}
	row := rows[0]
	if err := c.enqueueRow(ctx, c.cfg, r.Site, row); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, w.db.DeleteJobs(undo, []string{row.Name}))
	}
	created := frappe.Transition{Name: row.Name, From: frappe.StatusPending, To: frappe.StatusQueued}
	c.tellMove(ctx, r.Site, row, created, row.ModifiedRaw)
	return row, nil
}

// newJob checks a request and fills in its Job Type's defaults.
func (c *Client) newJob(ctx context.Context, w *siteRowsWriter, r SubmitRequest) (frappe.NewJob, error) {
	types, err := w.db.JobTypes(ctx)
	if err != nil {
		return frappe.NewJob{}, err
	}
	t := types[r.JobType]
	switch {
	case t == nil:
		return frappe.NewJob{}, fmt.Errorf("site %s: %w: %q", r.Site, ErrNoSuchJobType, r.JobType)
	case !t.Enabled:
		return frappe.NewJob{}, fmt.Errorf("site %s: %w: %q", r.Site, ErrJobTypeDisabled, r.JobType)
	}
	if r.Organization == "" {
		r.Organization = c.cfg.DefaultOrganization
	}
	if r.Organization == "" {
		return frappe.NewJob{}, fmt.Errorf("%w: no organization given, and bridge.default_organization is not set", ErrBadRequest)
	}
	org, err := w.db.Organization(ctx, r.Organization)
	if err != nil {
		return frappe.NewJob{}, err
	}
	if org.Status == frappe.OrganizationDissolved {
		return frappe.NewJob{}, fmt.Errorf("site %s: %w: %q", r.Site, ErrOrganizationDissolved, r.Organization)
	}
	if r.Priority == "" {
		r.Priority = t.DefaultPriority
	}
	if r.Priority != "" && priorities[priorityOf(r.Priority)] != r.Priority {
		return frappe.NewJob{}, fmt.Errorf("%w: priority %q is none of Low, Normal, High, Critical", ErrBadRequest, r.Priority)
	}
	params, err := objectOf(r.Parameters)
	if err != nil {
		return frappe.NewJob{}, err
	}
	return frappe.NewJob{
		JobType: r.JobType, Organization: r.Organization, OwnerUser: orElse(r.User, "Administrator"), Priority: r.Priority,
		MaxRetries: t.MaxRetries, TimeoutSeconds: t.DefaultTimeout, InputParameters: params, Status: frappe.StatusQueued,
	}, nil
}

// objectOf encodes parameters, which must be a JSON object.
func objectOf(v any) (json.RawMessage, error) {
	if v == nil {
		return json.RawMessage("{}"), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: encode the parameters: %w", ErrBadRequest, err)
	}
	if string(b) == "null" { // a nil map or pointer
		return json.RawMessage("{}"), nil
	}
	if b[0] != '{' {
		return nil, fmt.Errorf("%w: the parameters are no JSON object: %.40s", ErrBadRequest, b)
	}
	return b, nil
}

// EnqueueRequest describes a call of frappe.enqueue.
type EnqueueRequest struct {
	// Site and Method are required; Method is a dotted Python path or the name of
	// a Go handler.
	Site, Method string
	// User is the session user. Default: Administrator.
	User string
	// Queue is the queue type. Default: "default".
	Queue string
	// ID is the job's id without the site's prefix. Default: a UUID.
	ID string
	// Kwargs are the keyword arguments: JSON-like values.
	Kwargs map[string]any
	// Timeout is in seconds. Default: the queue's.
	Timeout int64
	// At is when to start; zero means now.
	At time.Time
	// AtFront puts the job before those that wait.
	AtFront bool
}

// Enqueue does what frappe.enqueue does: whoever works the queue runs the job.
func (c *Client) Enqueue(ctx context.Context, r EnqueueRequest) (*rqcompat.Job, error) {
	if r.Site == "" || r.Method == "" {
		return nil, fmt.Errorf("%w: enqueue needs a site and a method", ErrBadRequest)
	}
	kwargs := map[string]any{}
	for k, v := range r.Kwargs {
		kwargs[k] = v
	}
	call := frappe.Call{Site: r.Site, User: orElse(r.User, "Administrator"), Method: r.Method, IsAsync: true, Kwargs: kwargs}
	request, err := c.request(c.cfg, orElse(r.Queue, "default"), orElse(r.ID, uuid.NewString()), r.Timeout, call)
	if err != nil {
		return nil, err
	}
	request.At, request.AtFront = r.At, r.AtFront
	return c.rq.Enqueue(ctx, request)
}

// Cancel cancels a job that waits or runs. The row is moved first; a running
// handler hears of it at once. Cancelling what has ended is a *TransitionError.
func (c *Client) Cancel(ctx context.Context, site, name, actor string) (*frappe.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *frappe.BackgroundJob) frappe.Transition {
		return frappe.Transition{
			To: frappe.StatusCanceled, Message: "Job canceled by " + orElse(actor, "the system"), Actor: actor,
			Set: map[string]any{"canceled_at": time.Now(), "canceled_by": actor, "next_retry_at": nil},
		}
	}, func(row *frappe.BackgroundJob, was frappe.Status) error {
		id := c.cfg.Bench.JobID(site, row.Name)
		if was == frappe.StatusRunning {
			// If the command gets lost, the engine sees the row within two seconds.
			_, err := c.rq.SendCommand(ctx, everyBridge, rqcompat.Command{Name: commandCancel, JobID: id})
			return err
		}
		err := c.rq.Cancel(ctx, id, false)
		if errors.Is(err, rqcompat.ErrNoSuchJob) || errors.Is(err, rqcompat.ErrCanceled) {
			return nil // delivered under another id; whoever claims it finds the row canceled
		}
		return err
	})
}

// Retry queues a job again that failed, timed out or is in the dead letters.
// It starts a new series of retries.
func (c *Client) Retry(ctx context.Context, site, name, actor string) (*frappe.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *frappe.BackgroundJob) frappe.Transition {
		return frappe.Transition{
			To: frappe.StatusQueued, Message: "Job retried by " + orElse(actor, "the system"), Actor: actor,
			Set: map[string]any{"retry_count": 0, "next_retry_at": nil, "completed_at": nil, "error_message": nil, "error_type": "", "progress": 0, "progress_message": ""},
		}
	}, func(row *frappe.BackgroundJob, _ frappe.Status) error {
		return c.enqueueRow(ctx, c.cfg, site, row)
	})
}

// moveByHand moves a row from whatever status it has, and then does after. A
// race with an engine is run again from the new status.
func (c *Client) moveByHand(ctx context.Context, site, name string, moveTo func(*frappe.BackgroundJob) frappe.Transition, after func(*frappe.BackgroundJob, frappe.Status) error) (*frappe.BackgroundJob, error) {
	w, err := c.sites.of(ctx, site)
	if err != nil {
		return nil, err
	}
	for {
		row, err := w.db.BackgroundJob(ctx, name)
		if err != nil {
			return nil, err
		}
		move := moveTo(row)
		move.Name, move.From = name, row.Status
		if row.Status == frappe.StatusRunning {
			move.StartedAt = row.StartedAt
		}
		if err := checkMove(move); err != nil {
			return nil, err
		}
		result, err := w.move(ctx, move)
		if err != nil {
			return nil, err
		}
		if !result.Applied {
			continue
		}
		row.Status = move.To
		err = after(row, move.From)
		c.tellMove(ctx, site, row, move, result.Modified)
		return row, err
	}
}

// tellMove publishes a change that no engine made. An event that is lost is no
// error of the change, which its caller would repeat.
func (c *Client) tellMove(ctx context.Context, site string, row *frappe.BackgroundJob, move frappe.Transition, modified string) {
	users := []string{row.OwnerUser}
	if w, err := c.sites.of(ctx, site); err == nil {
		users = audienceOf(ctx, w, row)
	}
	c.publisher.DocUpdate(site, doctype, row.Name, modified)
	c.publisher.ListUpdate(site, doctype, row.Name)
	if err := c.publisher.Publish(ctx, audienceEvents(site, row, users, EventStatusChanged, statusMessage(row, move, modified))...); err != nil {
		c.cfg.Log.Warn().Err(err).Str("site", site).Str("job", row.Name).Msg("realtime events not published")
	}
}

// Inspection is everything that is known of one job.
type Inspection struct {
	// Row and History are the site's view; Row is nil for a job without one.
	Row     *frappe.BackgroundJob `json:"row,omitempty"`
	History []frappe.LogEntry     `json:"history,omitempty"`
	// Job and Results are RQ's view; Job is nil when its hash is gone.
	Job     *rqcompat.Job     `json:"rq_job,omitempty"`
	Results []rqcompat.Result `json:"rq_results,omitempty"`
}

// Inspect collects what the row, its log and RQ know of a job. name is a
// Background Job's or an RQ job id, with or without the site's prefix.
func (c *Client) Inspect(ctx context.Context, site, name string) (Inspection, error) {
	var in Inspection
	w, err := c.sites.of(ctx, site)
	if err != nil {
		return in, err
	}
	in.Row, err = rowOf(w.db.BackgroundJob(ctx, name))
	if err != nil {
		return in, err
	}
	ids := []string{name, c.cfg.Bench.JobID(site, name)}
	if in.Row == nil {
		// The id of a delivery whose row was made on arrival.
		for _, id := range ids {
			if in.Row, err = rowOf(w.db.FindByHash(ctx, arrivalHash(id))); err != nil || in.Row != nil {
				break
			}
		}
		if err != nil {
			return in, err
		}
	}
	if in.Row != nil {
		if in.History, err = w.db.History(ctx, in.Row.Name); err != nil {
			return in, err
		}
		ids = append(ids, arrivalOf(in.History))
	}
	if in.Job, in.Results, err = c.findJob(ctx, ids); err != nil {
		return in, err
	}
	if in.Row == nil && in.Job == nil {
		return in, fmt.Errorf("site %s: %q is neither a Background Job nor an RQ job: %w", site, name, frappe.ErrNoSuchJob)
	}
	return in, nil
}

// rowOf turns "there is none" into a nil row.
func rowOf(row *frappe.BackgroundJob, err error) (*frappe.BackgroundJob, error) {
	if errors.Is(err, frappe.ErrNoSuchJob) || errors.Is(err, frappe.ErrTableMissing) {
		return nil, nil
	}
	return row, err
}

// arrivalMessage starts the log of a row that was made for a delivery; the rest
// is the delivery's id.
const arrivalMessage = "Job created for RQ job "

// arrivalOf gives the id of the delivery that a row was made for, if any.
func arrivalOf(history []frappe.LogEntry) string {
	for _, h := range history {
		if id, ok := strings.CutPrefix(h.Message, arrivalMessage); ok {
			return id
		}
	}
	return ""
}

// findJob reads the first of the RQ jobs that exists.
func (c *Client) findJob(ctx context.Context, ids []string) (*rqcompat.Job, []rqcompat.Result, error) {
	for _, id := range ids {
		if id == "" {
			continue
		}
		job, err := c.rq.Fetch(ctx, id)
		if job != nil {
			results, err := c.rq.Results(ctx, id)
			return job, results, err
		}
		if !errors.Is(err, rqcompat.ErrNoSuchJob) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
