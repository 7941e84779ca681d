package rows

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The values of Organization.status.
const (
	OrganizationActive    = "Active"
	OrganizationInactive  = "Inactive"
	OrganizationDissolved = "Dissolved"
)

// organizationKept is how long a change made in the desk may stay unseen.
const organizationKept = 3 * time.Second

// ErrNoSuchOrganization says that the site has no Organization of that name.
var ErrNoSuchOrganization = errors.New("no such organization")

// Organization is the part of a tenant's row that decides whether its jobs may run.
type Organization struct {
	Name   string `db:"name"`
	Status string `db:"status"`
}

var organizationColumns = columnsOf[Organization]()

// Organization reads a tenant, cached for seconds; ErrNoSuchOrganization if there is none. Don't change the value.
func (d *DB) Organization(ctx context.Context, name string) (*Organization, error) {
	return d.organizations.Get(ctx, name, organizationKept, func() (*Organization, error) {
		found, err := selectRows(ctx, &d.tables, "read organization "+name, tableOrganization, organizationColumns, "WHERE `name`=?", name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("site %s: %w: %q", d.site, ErrNoSuchOrganization, name)
		}
		return found[0], nil
	})
}

// MemberSource is where a site keeps who belongs to an organization.
type MemberSource string

const (
	MembersFromOrgMember      MemberSource = "Org Member"      // Org Member with status Active -> Person.frappe_user
	MembersFromUserPermission MemberSource = "User Permission" // Frappe's own User Permission on Organization
)

// MemberSource looks which tables the site has: the first of the sources above, "" when it has neither.
func (d *DB) MemberSource(ctx context.Context) (MemberSource, error) {
	person, err := d.tables.has(ctx, tableOrgMember, tablePerson)
	if err != nil || person {
		return MembersFromOrgMember, err
	}
	permission, err := d.tables.has(ctx, "tabUser Permission")
	if err != nil || permission {
		return MembersFromUserPermission, err
	}
	return "", nil
}
