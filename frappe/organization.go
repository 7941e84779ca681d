package frappe

import (
	"context"
	"errors"
)

// The values of Organization.status.
const (
	OrganizationActive    = "Active"
	OrganizationInactive  = "Inactive"
	OrganizationDissolved = "Dissolved"
)

// Where Members and OrganizationsOf found who belongs to an organization.
const (
	MembersFromOrgMember      = "Org Member"
	MembersFromUserPermission = "User Permission"
)

// ErrNoSuchOrganization says that the site has no Organization of that name.
var ErrNoSuchOrganization = errors.New("no such organization")

// Organization is the part of a tenant's row that decides whether its jobs may run.
type Organization struct{ Name, Status string }

// Organization reads a tenant, cached for a few seconds; ErrNoSuchOrganization when there is none.
func (d *DB) Organization(ctx context.Context, name string) (*Organization, error) {
	return nil, errNotBuilt
}

// Members lists the users who belong to an organization, cached for a few seconds: through Person and Org Member where
// the site has them, else through User Permission on Organization. source says which.
func (d *DB) Members(ctx context.Context, organization string) (users []string, source string, err error) {
	return nil, "", errNotBuilt
}

// OrganizationsOf lists the organizations a user belongs to, from the same source as Members.
func (d *DB) OrganizationsOf(ctx context.Context, user string) (organizations []string, source string, err error) {
	return nil, "", errNotBuilt
}

// Roles lists the roles a user has: those assigned, and the automatic ones (All, Guest, Desk User).
func (d *DB) Roles(ctx context.Context, user string) ([]string, error) {
	return nil, errNotBuilt
}
