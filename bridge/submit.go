package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// SubmitRequest describes a Background Job to be submitted.
type SubmitRequest struct {
	// Site is the site's directory name. Required, but for a submission from a handler: its job's.
	Site string
	// JobType is the Job Type's name. Required; it must be enabled.
	JobType string
	// Organization is the tenant, in any spelling that the site's database takes for it. Default: Config.DefaultOrganization.
	Organization string
	// User is who submits and owns the job, one of the site's; that he belongs to the organization is the caller's to see to.
	// Default: Administrator.
	User string
	// Priority is Low, Normal, High or Critical. Default: the Job Type's.
	Priority string
	// Parameters is anything that encodes to a JSON object. Default: {}.
	Parameters any
	// Key makes the submission repeatable: of submissions with the same key, Job Type and organization only the first
	// makes a job, and the others get that one, whatever became of it. Default: every submission makes a job.
	Key string
}

// Submit creates the row of a job and enqueues its delivery. If the delivery can't be enqueued the row is taken back;
// should even that fail, an engine delivers the row within a minute. The errors are ErrBadRequest, ErrNoSuchJobType,
// ErrJobTypeDisabled, ErrOrganizationDissolved, ErrNotPermitted, rows.ErrNoSuchOrganization, frappe.ErrNoSuchSite, and servers' own.
func (c *Client) Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error) {
	db, err := c.sites.DB(ctx, r.Site)
	if err != nil {
		return nil, err
	}
	j, err := c.newJob(ctx, db, r)
	if err != nil {
		return nil, err
	}
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return nil, noQueue(ctx, err)
	}
	if r.Key == "" {
		return c.create(ctx, db, r.Site, j)
	}
	// Of two that find nothing at the same time both would create.
	unlock, err := c.lock(ctx, "rq:bridge:submit:"+r.Site+":"+j.JobHash)
	if err != nil {
		return nil, err
	}
	defer unlock()
	row, err := noneIsNil(db.FindByHash(ctx, j.JobHash))
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return c.create(ctx, db, r.Site, j)
	case row.Status == rows.StatusQueued:
		// Whoever created it may have died before its delivery.
		return row, c.deliveries.Deliver(ctx, r.Site, row)
	}
	return row, nil
}

// create makes a row and delivers it, or takes it back.
func (c *Client) create(ctx context.Context, db *rows.DB, site string, j rows.NewJob) (*rows.BackgroundJob, error) {
	created, err := db.CreateJobs(ctx, []rows.NewJob{j})
	if err != nil {
		return nil, err
	}
	row := created[0]
	if err := c.deliveries.Deliver(ctx, site, row); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, db.DeleteJobs(undo, []string{row.Name}))
	}
	c.sites.Tell(site, row, rows.StatusPending)
	return row, nil
}

// lockTime is how long a lock lasts whose holder died; its holder needs some milliseconds.
const lockTime = 10 * time.Second

// unlockScript deletes KEYS[1] if it still is ARGV[1].
var unlockScript = redis.NewScript("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")

// lock takes a lock of the bench's Redis, waiting for it as long as ctx lasts.
func (c *Client) lock(ctx context.Context, key string) (unlock func(), err error) {
	token := uuid.NewString()
	for {
		won, err := c.rdb.SetNX(ctx, key, token, lockTime).Result()
		switch {
		case won:
			return func() {
				// An error leaves the lock to its time.
				_ = unlockScript.Run(context.WithoutCancel(ctx), c.rdb, []string{key}, token).Err()
			}, nil
		case err != nil:
			return nil, noQueue(ctx, err)
		}
		wait.Sleep(ctx, 5*time.Millisecond)
	}
}

// noQueue says why nothing was submitted: Redis is away, or the caller didn't wait any longer.
func noQueue(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("nothing was submitted: %w", context.Cause(ctx))
	}
	return fmt.Errorf("job queue service is down, nothing was submitted: %w", err)
}

// newJob checks a request and fills in its Job Type's defaults.
func (c *Client) newJob(ctx context.Context, db *rows.DB, r SubmitRequest) (rows.NewJob, error) {
	types, err := db.JobTypes(ctx)
	t := types[r.JobType]
	r.Organization = cmp.Or(r.Organization, c.cfg.DefaultOrganization)
	switch {
	case err != nil:
		return rows.NewJob{}, err
	case t == nil:
		return rows.NewJob{}, fmt.Errorf("site %s: %w: %q", r.Site, ErrNoSuchJobType, r.JobType)
	case r.Organization == "":
		return rows.NewJob{}, fmt.Errorf("%w: no organization given, and bridge.default_organization is not set", ErrBadRequest)
	}
	if err := spell(ctx, db, &r); err != nil {
		return rows.NewJob{}, err
	}
	question := policy.Question{Moment: policy.AtSubmission, Site: r.Site, JobType: r.JobType, Organization: r.Organization, User: r.User}
	if answer := c.policy.Ask(ctx, question); answer.Verdict == policy.Refuse {
		return rows.NewJob{}, answer.Err
	}
	r.Priority = cmp.Or(r.Priority, t.DefaultPriority)
	if _, known := job.PriorityOf(r.Priority); !known && r.Priority != "" {
		return rows.NewJob{}, fmt.Errorf("%w: priority %q is not one of Low, Normal, High, Critical", ErrBadRequest, r.Priority)
	}
	params, err := objectOf(r.Parameters)
	if err != nil {
		return rows.NewJob{}, err
	}
	j := rows.NewJob{
		JobType: r.JobType, Organization: r.Organization, OwnerUser: r.User, Priority: r.Priority,
		MaxRetries: t.MaxRetries, TimeoutSeconds: t.DefaultTimeout, InputParameters: params, Status: rows.StatusQueued,
	}
	if r.Key != "" {
		j.JobHash = frappe.Digest("key:" + r.JobType + ":" + r.Organization + ":" + r.Key)[:16]
	}
	return j, nil
}

// spell makes the names of a request those of the site's database.
func spell(ctx context.Context, db *rows.DB, r *SubmitRequest) error {
	organization, err := db.Organization(ctx, r.Organization)
	if err != nil {
		return err
	}
	r.Organization = organization.Name
	if r.User == "" || r.User == administrator {
		r.User = administrator
		return nil
	}
	users, err := db.Spelled(ctx, "User", []string{r.User})
	if err == nil && users[r.User] == "" {
		err = fmt.Errorf("%w: site %s has no user %.140q", ErrBadRequest, r.Site, r.User)
	}
	r.User = users[r.User]
	return err
}

// administrator is the user who exists on each site.
const administrator = "Administrator"

// objectOf encodes parameters, which must be a JSON object.
func objectOf(v any) (json.RawMessage, error) {
	b, err := job.JSON(v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: encode the parameters: %w", ErrBadRequest, err)
	case string(b) == "null": // also of a nil map or pointer
		return json.RawMessage("{}"), nil
	case b[0] != '{':
		return nil, fmt.Errorf("%w: the parameters are not a JSON object but a %T's JSON", ErrBadRequest, v)
	}
	return b, nil
}

// EnqueueRequest describes a call of frappe.enqueue.
type EnqueueRequest struct {
	// Site and Method are required; Method is a dotted Python path or the name of a Go handler.
	Site, Method string
	// User is the session user. Default: Administrator.
	User string
	// Queue is the queue type. Default: "default".
	Queue string
	// ID is the job's id without the site's prefix; one on its way already is refused. Default: a UUID.
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

// Enqueue does what frappe.enqueue does: whoever works the queue runs the job. The errors are ErrBadRequest,
// frappe.ErrNoSuchSite, rqcompat.ErrDuplicateJob and those of a Redis that is away.
func (c *Client) Enqueue(ctx context.Context, r EnqueueRequest) (*rqcompat.Job, error) {
	if r.Site == "" || r.Method == "" {
		return nil, fmt.Errorf("%w: enqueue needs a site and a method", ErrBadRequest)
	}
	kwargs := map[string]any{} // an object for Python also where there are none
	maps.Copy(kwargs, r.Kwargs)
	call := frappe.Call{Site: r.Site, User: cmp.Or(r.User, administrator), Method: r.Method, IsAsync: true, Kwargs: kwargs}
	request, err := c.deliveries.Request(cmp.Or(r.Queue, "default"), cmp.Or(r.ID, uuid.NewString()), r.Timeout, call)
	if err != nil {
		return nil, err
	}
	request.At, request.AtFront, request.Deduplicate = r.At, r.AtFront, r.ID != ""
	return c.rq.Enqueue(ctx, request)
}
