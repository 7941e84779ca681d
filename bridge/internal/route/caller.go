package route

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// In whose name a call runs. The envelope says who called, Frappe wrote it, and the arguments say for whom, which the
// caller chose. Both are looked up before a job is dealt or anything is written, and what is looked up counts from then
// on: as the site's database spells it, so that no spelling makes another tenant.

// callerOfMethod finds out who has to be looked up of a call that names no row. An error says what is wrong with the
// organization.
func (r *Router) callerOfMethod(o *Routed) error {
	argument, _ := o.Kwargs.Get("organization")
	argument = pickle.Base(argument)
	named, isText := argument.(string)
	if argument != nil && !isText && o.JobType != nil {
		return job.Refuse("OrganizationError", "the argument organization is not text: it has to be the name of one")
	}
	organization := named
	if o.JobType != nil {
		organization = cmp.Or(named, r.DefaultOrganization)
	}
	if organization != "" {
		o.caller = &access.Caller{User: o.User, Organization: organization, Member: named != "" && !r.TrustEnqueuer}
	}
	return nil
}

// callerOfRow is who has to be looked up of a call of user's that names a row: anybody but the row's owner, who may have
// it started. It runs with the row's parameters, but when, and how often, that is for its organization to say.
func (r *Router) callerOfRow(user string, row *rows.BackgroundJob) *access.Caller {
	if user == row.OwnerUser || r.TrustEnqueuer {
		return nil
	}
	return &access.Caller{User: user, Organization: row.Organization, Member: true}
}

// identify looks up the callers of a batch. A call that may not run as it says is refused, and leaves nothing behind in
// the name that it used; what it names may be committed a moment after it was enqueued.
func (r *Router) identify(ctx context.Context, out []Routed) {
	callers := map[string][]access.Caller{}
	for i := range out {
		o := &out[i]
		if o.Verdict != Ours && (o.Verdict != Foreign || o.Row == nil || !o.Queue.Own) {
			o.caller = nil // nothing is done with it here
		}
		if o.caller != nil {
			callers[o.Site] = append(callers[o.Site], *o.caller)
		}
	}
	if len(callers) == 0 {
		return
	}
	known := r.Sites.Identify(ctx, callers)
	refused := map[string][]*Routed{}
	for i := range out {
		o := &out[i]
		if o.caller == nil {
			continue
		}
		of := known[o.Site]
		switch {
		case of.Err == nil:
		case o.JobType == nil:
			continue // a plain job, which needs no organization
		default:
			o.Verdict, o.fault = Unready, nil
			continue
		}
		if refusal := o.take(of.By[*o.caller]); refusal != nil {
			o.refuse(refusal, r.RowGrace)
			refused[o.Site] = append(refused[o.Site], o)
		}
	}
	for site, some := range refused {
		r.rowsDecide(ctx, site, some)
	}
}

// take makes the caller's identity the job's, or says why it can't.
func (o *Routed) take(id access.Identity) error {
	switch {
	case o.JobType == nil: // its organization is only whose turn it takes
		if id.Allowed {
			o.Organization = id.Organization
		}
	case id.User == "":
		return job.Refuse("PermissionError", "User not found: site %s has no user %s", o.Site, shown(o.caller.User))
	case id.Allowed && o.Row != nil:
	case id.Organization == "":
		return job.Refuse("OrganizationError", "Organization not found: site %s has no organization %s", o.Site, shown(o.caller.Organization))
	case !id.Allowed:
		return job.Refuse("PermissionError", "%s doesn't belong to organization %s: neither an active member of it nor a System Manager, "+
			"and bridge.trust_enqueuer is not set", id.User, id.Organization)
	default:
		o.User, o.Organization = id.User, id.Organization
	}
	return nil
}

// shown is a name in an error, unless it is none: what that might be isn't for a log.
func shown(name string) string {
	if n := utf8.RuneCountInString(name); n > 140 {
		return fmt.Sprintf("of %d characters", n)
	}
	return strconv.Quote(name)
}

// longestLook is when at the latest a job is looked at again that is refused unless something is committed.
const longestLook = 2 * time.Second

// refuse has a job fail here, on a shared queue as well: its method is the bridge's. All that a site refuses takes one
// turn, and a row that it named stays as it is.
func (o *Routed) refuse(why error, grace time.Duration) {
	o.User, o.Organization, o.Row, o.RowName = o.caller.User, "", nil, ""
	o.Verdict, o.fault = Ours, why
	if age := time.Since(o.Seen); age < grace {
		o.Verdict, o.fault, o.Again = Unready, nil, max(unreadyPause, min(age, longestLook))
	}
}

// rowsDecide lets those of the refused jobs go on that have a row from an earlier delivery: its organization and its
// owner were looked up then, and may have another name by now.
func (r *Router) rowsDecide(ctx context.Context, site string, refused []*Routed) {
	hashes := make([]string, len(refused))
	for i, o := range refused {
		hashes[i] = sites.Arrival{ID: o.ID, CreatedAt: o.CreatedAt}.Hash()
	}
	found, err := r.Sites.RowsOfArrivals(ctx, site, hashes)
	for i, o := range refused {
		row := found[hashes[i]]
		switch {
		case err != nil:
			o.Verdict, o.fault, o.Again = Unready, nil, unreadyPause
		case row != nil && row.JobType == o.JobType.TypeName:
			o.Verdict, o.fault = Ours, nil
			o.Memory += 2 * len(row.InputParameters)
			o.Row, o.Organization, o.User = row, row.Organization, row.OwnerUser
		}
	}
}
