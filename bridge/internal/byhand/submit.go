package byhand

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// What a row has to which nobody gave a value: the DocType's defaults. The Job Type's count then.
const (
	usualPriority = rows.PriorityNormal
	usualTimeout  = 300
	usualRetries  = 5
)

// submissions are those of one site that are examined together.
type submissions struct {
	*Hands
	site    string
	types   map[string]*rows.JobType
	ofApp   bool
	handled []string
	known   map[access.Caller]access.Identity
	parents map[string][]rows.Parent
	// elsewhere has the Job Types without a handler here, and whether another process has one.
	elsewhere map[string]bool
	// runAfter has when those rows are to run whose time is still to come.
	runAfter map[string]time.Time
}

// examine finds out which submissions are to be refused, and what the others lack. Its error says that it can't be known.
func (h *Hands) examine(ctx context.Context, site string, found sites.Changes, handled []string, all []*plan) error {
	s := &submissions{Hands: h, site: site, types: found.Types, ofApp: found.OfApp, handled: handled, elsewhere: map[string]bool{}, runAfter: map[string]time.Time{}}
	if err := h.RQ.Ready(ctx); err != nil {
		return err
	}
	if err := s.each(ctx, all); err != nil {
		return err
	}
	// Before a row is seen that waits: nobody else tells when its time has come.
	if err := h.Rows.NoteRunAfter(ctx, site, s.runAfter); err != nil {
		return err
	}
	refused := slices.DeleteFunc(slices.Clone(all), func(p *plan) bool { return p.why == nil })
	if len(refused) > 0 {
		// What it names may have been made a moment before it: what is known of the site is some seconds old.
		if err := h.Rows.Forget(ctx, site); err != nil {
			return err
		}
		if err := s.each(ctx, refused); err != nil {
			return err
		}
	}
	return s.limit(ctx, all)
}

func (s *submissions) each(ctx context.Context, all []*plan) error {
	var callers []access.Caller
	for _, p := range all {
		callers = append(callers, s.owner(p.Row), inserter(p.Row))
	}
	identified := s.Rows.Identify(ctx, map[string][]access.Caller{s.site: callers})[s.site]
	if identified.Err != nil {
		return identified.Err
	}
	s.known = identified.By
	var err error
	if s.parents, err = s.Rows.ParentsOf(ctx, s.site, rowsOf(all)); err != nil {
		return err
	}
	for _, p := range all {
		p.wish, p.lacks, p.why, p.later = submit, nil, nil, false
		if err := s.examine(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func rowsOf(all []*plan) (list []*rows.BackgroundJob) {
	for _, p := range all {
		list = append(list, p.Row)
	}
	return list
}

// owner is whose the job will be.
func (s *submissions) owner(row *rows.BackgroundJob) access.Caller {
	return access.Caller{User: cmp.Or(row.OwnerUser, row.Owner), Organization: cmp.Or(row.Organization, s.DefaultOrganization)}
}

// inserter is who inserted the row, as Frappe wrote it: as a member of no organization only who belongs to all is allowed.
func inserter(row *rows.BackgroundJob) access.Caller {
	return access.Caller{User: row.Owner, Member: true}
}

// examine fills in the plan of one submission.
func (s *submissions) examine(ctx context.Context, p *plan) error {
	row := p.Row
	if p.later = s.ofApp && s.leftToApp(s.site, row); p.later {
		return nil
	}
	if p.was == rows.StatusPending { // it was looked at before, and waits
		if s.askDelivery(ctx, p); p.wish != submit || p.why != nil {
			return nil
		}
	}
	owner := s.owner(row)
	if owner.Organization == "" {
		p.why = policy.NeedsOrganization(row.JobType)
		return nil
	}
	id := s.known[owner]
	answer := s.Ask(ctx, policy.Question{
		Moment: policy.AtSubmission, Site: s.site, JobType: row.JobType, Organization: cmp.Or(id.Organization, owner.Organization), User: id.User, Row: row,
	})
	if answer.Verdict == policy.Refuse {
		if !policy.Final(answer.Err) {
			return answer.Err
		}
		p.why = answer.Err
		return nil
	}
	if p.why = s.notAllowed(row, owner, id); p.why == nil && p.NoObject {
		p.why = job.Refuse("ValidationError", "input_parameters is not a JSON object, as {\"name\": \"value\"} is one")
	}
	if p.why == nil {
		p.lacks, p.why = s.lacks(row, id)
	}
	if p.why != nil {
		return nil
	}
	if !slices.Contains(s.handled, row.JobType) {
		if err := s.withoutHandler(ctx, p); err != nil || p.why != nil || p.later {
			return err
		}
	}
	if p.was == "" {
		s.askDelivery(ctx, p)
	}
	return nil
}

// askDelivery finds out whether a job may leave for its queue. One that has to wait stays Pending: it is looked at again
// when somebody tells of it, and by each look.
func (s *submissions) askDelivery(ctx context.Context, p *plan) {
	row := p.filledIn()
	parents := s.parents[row.Name]
	q := policy.About(policy.AtDelivery, s.site, &row)
	q.Parents = &parents
	answer := s.Ask(ctx, q)
	if answer.Rule == policy.RunAfter {
		s.runAfter[row.Name] = row.RunAfter
	}
	switch {
	case answer.Verdict == policy.Refuse:
		p.why = answer.Err
	case answer.Verdict == policy.Wait && p.was == "":
		p.wish, p.waits = create, answer.Why
	case answer.Verdict == policy.Wait:
		p.wish = nothing
	}
}

// notAllowed says why a job may not be submitted in the name of its owner.
func (s *submissions) notAllowed(row *rows.BackgroundJob, owner access.Caller, id access.Identity) error {
	inserter := s.known[inserter(row)]
	switch {
	case id.User == "":
		return job.Refuse("PermissionError", "User not found: site %s has no user %.140q", s.site, owner.User)
	case id.Organization == "":
		return job.Refuse("OrganizationError", "Organization not found: site %s has no organization %.140q", s.site, owner.Organization)
	case id.User != inserter.User && !inserter.Allowed && !s.TrustEnqueuer:
		return job.Refuse("PermissionError", "%s inserted it for %s: only a System Manager submits for others, and bridge.trust_enqueuer is not set", row.Owner, id.User)
	}
	return nil
}

// lacks is what a row gets that its inserter left out.
func (s *submissions) lacks(row *rows.BackgroundJob, id access.Identity) (lacks []rows.Value, why error) {
	t := s.types[row.JobType]
	if t == nil { // it was made since they were read
		t = &rows.JobType{TypeName: row.JobType, DefaultPriority: usualPriority, DefaultTimeout: usualTimeout, MaxRetries: usualRetries}
	}
	if err := job.CheckPriority(row.Priority); err != nil {
		return nil, job.Refuse("ValidationError", "%s", err.Error())
	}
	lacks = []rows.Value{rows.Job.Organization.To(id.Organization), rows.Job.OwnerUser.To(id.User)}
	if row.Priority == "" || row.Priority == usualPriority {
		lacks = append(lacks, rows.Job.Priority.To(t.DefaultPriority))
	}
	if row.TimeoutSeconds <= 0 || row.TimeoutSeconds == usualTimeout {
		lacks = append(lacks, rows.Job.TimeoutSeconds.To(t.DefaultTimeout))
	}
	if row.MaxRetries < 0 || row.MaxRetries == usualRetries {
		lacks = append(lacks, rows.Job.MaxRetries.To(t.MaxRetries))
	}
	if row.CreatedAt.IsZero() {
		lacks = append(lacks, rows.Job.CreatedAt.To(row.Creation))
	}
	if parents := s.parents[row.Name]; row.DependsOn == "" && len(parents) > 0 {
		lacks = append(lacks, rows.Job.DependsOn.To(parents[0].Name))
	}
	return lacks, nil
}

// withoutHandler leaves a job to the process that has a handler for it. Where nobody has, it is refused after a while: a
// process that is started anew comes back meanwhile.
func (s *submissions) withoutHandler(ctx context.Context, p *plan) error {
	name := p.Row.JobType
	elsewhere, asked := s.elsewhere[name]
	if !asked {
		var err error
		if elsewhere, err = s.RQ.Elsewhere(ctx, job.HandlerNames(s.types, name)...); err != nil {
			return err
		}
		s.elsewhere[name] = elsewhere
	}
	if elsewhere || s.age(s.site, p.Row.Name) < s.Grace {
		p.later = true
		return nil
	}
	p.why = job.Refuse("JobTypeError", "no running bridge has a handler for Job Type %q", name)
	return nil
}
