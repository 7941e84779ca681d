package doctor

import (
	"context"
	"errors"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// holds says what is paused on a site, and which circuit breakers are open.
func (r *report) holds(ctx context.Context, check string, db *rows.DB) error {
	pauses, err1 := db.Pauses(ctx)
	open, err2 := db.OpenBreakers(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for _, p := range pauses.All {
		flag := map[string]string{rows.PauseOrganization: "--organization ", rows.PauseJobType: "--job-type "}[p.Kind]
		r.warn(check, "bridge resume --site "+db.Site()+" "+flag+output.OneLine(p.Of()), "%s %s is paused by %s since %s: %s",
			p.Kind, output.OneLine(p.Of()), output.OneLine(p.PausedBy), output.Clock(p.Since), output.OneLine(p.Reason))
	}
	for _, b := range open {
		r.warn(check, "mend what the error says, and wait, or run: bridge breakers close --site "+db.Site()+" "+b.JobType+" "+b.Organization,
			"the circuit breaker of %s for %s is open since %s: %d of %d attempts failed, the last with: %s",
			b.JobType, b.Organization, output.Clock(b.OpenedAt), b.Failures, b.Attempts, output.Clip(output.OneLine(b.LastError), 200))
	}
	return nil
}

// members says by which source it is told who belongs to an organization.
func (r *report) members(ctx context.Context, check string, db *rows.DB) error {
	source, err := db.MemberSource(ctx)
	if err != nil || source == "" {
		return err // that there is none is among what is missing
	}
	tenant, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	who := map[rows.MemberSource]string{
		rows.MembersFromOrgMember:      "an active Org Member of it, through Person",
		rows.MembersFromUserPermission: "whoever has a User Permission for it",
	}[source]
	r.ok(check, "jobs belong to a document of %s; its members are: %s", tenant, who)
	return nil
}
