package submit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Request is a job that is to be made, as its submitter spells it. Package bridge publishes and documents the same fields.
type Request struct {
	Site, JobType, Organization, User, Priority string
	Parameters                                  any
	Key                                         string
	DependsOn                                   []string
	Batch                                       string
	RunAfter                                    time.Time
}

// Result is what became of a request: its row, or why there is none.
type Result struct {
	Row *rows.BackgroundJob
	// Created is false for the row that an earlier request of the same key has made.
	Created bool
	Err     error
}

// Caller is who asks, and for which organization.
func (s *Submitter) Caller(r Request) access.Caller {
	return access.Caller{User: cmp.Or(r.User, access.Administrator), Organization: cmp.Or(r.Organization, s.DefaultOrganization)}
}

// Identity is the caller of a request, as the database spells him and his organization, by what is known of its site.
func (s *Submitter) Identity(r Request, known sites.Known) (id access.Identity, err error) {
	caller := s.Caller(r)
	id = known.By[caller]
	switch {
	case caller.Organization == "":
		err = fmt.Errorf("%w: no organization given, and bridge.default_organization is not set", sites.ErrBadRequest)
	case id.Organization == "":
		err = fmt.Errorf("site %s: %w: %.140q", r.Site, rows.ErrNoSuchOrganization, caller.Organization)
	case id.User == "":
		err = fmt.Errorf("%w: site %s has no user %.140q", sites.ErrBadRequest, r.Site, caller.User)
	}
	return id, err
}

// newJob makes the job of a request, by what is known of its site.
func (s *Submitter) newJob(r Request, known sites.Known) (n rows.NewJob, err error) {
	t := known.Types[r.JobType]
	if t == nil {
		return n, fmt.Errorf("site %s: %w: %q", r.Site, policy.ErrNoSuchJobType, r.JobType)
	}
	id, err := s.Identity(r, known)
	if err != nil {
		return n, err
	}
	n = rows.NewJob{
		JobType: r.JobType, Organization: id.Organization, OwnerUser: id.User, Priority: cmp.Or(r.Priority, t.DefaultPriority),
		MaxRetries: t.MaxRetries, TimeoutSeconds: t.DefaultTimeout, DependsOn: r.DependsOn, Batch: r.Batch, Status: rows.StatusQueued,
		RunAfter: r.RunAfter.Truncate(time.Microsecond), // as its row will have it
	}
	if err := job.CheckPriority(n.Priority); err != nil {
		return n, fmt.Errorf("%w: %w", sites.ErrBadRequest, err)
	}
	if n.InputParameters, err = objectOf(r.Parameters); err != nil {
		return n, err
	}
	if r.Key != "" {
		n.JobHash, n.Within = keyHash(n.JobType, n.Organization, r.Key), rows.Ever
		return n, nil
	}
	if t.DeduplicationWindow > 0 {
		n.Within = time.Duration(t.DeduplicationWindow) * time.Second
		wait.Large(len(n.InputParameters), func() { n.JobHash, err = policy.DuplicateHash(n.JobType, n.Organization, n.InputParameters) })
	}
	if err != nil {
		err = fmt.Errorf("%w: the parameters: %w", sites.ErrBadRequest, err)
	}
	return n, err
}

// keyHash is the job_hash of a job that is submitted under a key. Only with a Job Type "key" could the hash of duplicates be
// of the same text; hashes are compared together with the Job Type and the organization.
func keyHash(jobType, organization, key string) string {
	return frappe.Digest("key:" + jobType + ":" + organization + ":" + key)[:16]
}

// objectOf encodes parameters, which must be a JSON object.
func objectOf(v any) (json.RawMessage, error) {
	b, err := job.JSON(v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: encode the parameters: %w", sites.ErrBadRequest, err)
	case string(b) == "null": // also of a nil map or pointer
		return json.RawMessage("{}"), nil
	case b[0] != '{':
		return nil, fmt.Errorf("%w: the parameters are not a JSON object but a %T's JSON", sites.ErrBadRequest, v)
	}
	return b, nil
}

// row is the job as the policy is asked about it.
func row(n *rows.NewJob) *rows.BackgroundJob {
	return &rows.BackgroundJob{
		JobType: n.JobType, Organization: n.Organization, OwnerUser: n.OwnerUser, Owner: n.OwnerUser, Status: rows.StatusPending,
		Priority: cmp.Or(n.Priority, rows.PriorityNormal), RunAfter: n.RunAfter, MaxRetries: n.MaxRetries,
		TimeoutSeconds: n.TimeoutSeconds, InputParameters: n.InputParameters, JobHash: n.JobHash,
	}
}
