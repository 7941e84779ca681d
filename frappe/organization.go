package frappe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The values of Organization.status.
const (
	OrganizationActive    = "Active"
	OrganizationInactive  = "Inactive"
	OrganizationDissolved = "Dissolved"
)

// Where Members and OrganizationsOf found who belongs to an organization.
const (
	MembersFromOrgMember      = "Org Member"      // Org Member with status Active -> Person.frappe_user
	MembersFromUserPermission = "User Permission" // Frappe's own User Permission on Organization
)

const (
	organizationKept = 3 * time.Second
	membersKept      = 5 * time.Second
)

// ErrNoSuchOrganization says that the site has no Organization of that name.
var ErrNoSuchOrganization = errors.New("no such organization")

// ErrNoMembership says that the site has nothing that could tell who belongs to an organization.
var ErrNoMembership = errors.New("the site has neither Org Member with Person nor User Permission: nobody belongs to an organization")

// Organization is the part of a tenant's row that decides whether its jobs may run.
type Organization struct{ Name, Status string }

// Organization reads a tenant, cached for a few seconds; ErrNoSuchOrganization when there is none.
func (d *DB) Organization(ctx context.Context, name string) (*Organization, error) {
	return d.organizations.get(name, organizationKept, func() (*Organization, error) {
		var row struct {
			Name   string         `db:"name"`
			Status sql.NullString `db:"status"`
		}
		err := d.read(ctx, "read organization "+name, func(ctx context.Context) error {
			err := d.x.GetContext(ctx, &row, "SELECT `name`,`status` FROM `tabOrganization` WHERE `name`=?", name)
			if errors.Is(err, sql.ErrNoRows) {
				row.Name = ""
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if row.Name == "" {
			return nil, fmt.Errorf("site %s: %w: %q", d.site, ErrNoSuchOrganization, name)
		}
		return &Organization{row.Name, row.Status.String}, nil
	})
}

type membership struct {
	names  []string
	source string
}

// memberSource looks which tables the site has; "" when none of them.
func (d *DB) memberSource(ctx context.Context) (string, error) {
	for _, s := range []struct {
		source string
		tables []string
	}{{MembersFromOrgMember, []string{tableOrgMember, tablePerson}}, {MembersFromUserPermission, []string{"tabUser Permission"}}} {
		all := true
		for _, t := range s.tables {
			has, err := d.hasTable(ctx, t)
			if err != nil {
				return "", err
			}
			all = all && has
		}
		if all {
			return s.source, nil
		}
	}
	return "", nil
}

const (
	membersByPerson = "SELECT DISTINCT p.frappe_user FROM `tabOrg Member` m JOIN `tabPerson` p ON p.name=m.person" +
		" WHERE m.organization=? AND m.status='Active' AND p.frappe_user IS NOT NULL AND p.frappe_user<>'' ORDER BY 1"
	organizationsByPerson = "SELECT DISTINCT m.organization FROM `tabOrg Member` m JOIN `tabPerson` p ON p.name=m.person" +
		" WHERE p.frappe_user=? AND m.status='Active' AND m.organization IS NOT NULL ORDER BY 1"
	// A permission that is limited to another DocType doesn't make its user a member.
	membersByPermission = "SELECT DISTINCT user FROM `tabUser Permission` WHERE allow='Organization' AND for_value=?" +
		" AND (apply_to_all_doctypes=1 OR applicable_for='Background Job') AND user IS NOT NULL ORDER BY 1"
	organizationsByPermission = "SELECT DISTINCT for_value FROM `tabUser Permission` WHERE allow='Organization' AND user=?" +
		" AND (apply_to_all_doctypes=1 OR applicable_for='Background Job') AND for_value IS NOT NULL ORDER BY 1"
)

// Members lists the users who belong to an organization, cached for a few seconds: through Person and Org Member where
// the site has them, else through User Permission on Organization. source says which. ErrNoMembership when it has
// neither. The list is shared: don't change it.
func (d *DB) Members(ctx context.Context, organization string) (users []string, source string, err error) {
	return d.membership(ctx, "m:"+organization, membersByPerson, membersByPermission, organization)
}

// OrganizationsOf lists the organizations a user belongs to, from the same source as Members.
func (d *DB) OrganizationsOf(ctx context.Context, user string) (organizations []string, source string, err error) {
	return d.membership(ctx, "o:"+user, organizationsByPerson, organizationsByPermission, user)
}

func (d *DB) membership(ctx context.Context, key, byPerson, byPermission, arg string) ([]string, string, error) {
	m, err := d.members.get(key, membersKept, func() (membership, error) {
		source, err := d.memberSource(ctx)
		if err != nil {
			return membership{}, err
		}
		query := byPerson
		switch source {
		case MembersFromUserPermission:
			query = byPermission
		case "":
			return membership{}, fmt.Errorf("site %s: %w", d.site, ErrNoMembership)
		}
		m := membership{source: source}
		err = d.read(ctx, "read members", func(ctx context.Context) error {
			m.names = nil
			return d.x.SelectContext(ctx, &m.names, query, arg)
		})
		return m, d.noticeColumns(err)
	})
	return m.names, m.source, err
}

// Roles lists the roles a user has: those assigned, and the automatic ones All, Guest and, for System Users, Desk User
// (permissions.py get_roles). Administrator has every role, of which only Administrator and System Manager are listed
// with the automatic ones.
func (d *DB) Roles(ctx context.Context, user string) ([]string, error) {
	if user == "Administrator" {
		return []string{"Administrator", "System Manager", "All", "Guest", "Desk User"}, nil
	}
	var roles, kinds []string
	err := d.read(ctx, "read the roles of "+user, func(ctx context.Context) error {
		roles, kinds = nil, nil
		err := d.x.SelectContext(ctx, &roles, "SELECT DISTINCT role FROM `tabHas Role` WHERE parenttype='User' AND parent=? AND role IS NOT NULL ORDER BY role", user)
		if err != nil {
			return err
		}
		return d.x.SelectContext(ctx, &kinds, "SELECT COALESCE(user_type,'') FROM `tabUser` WHERE name=?", user)
	})
	if err != nil {
		return nil, err
	}
	automatic := []string{"Administrator", "All", "Guest", "Desk User"}
	roles = slices.DeleteFunc(roles, func(r string) bool { return slices.Contains(automatic, r) })
	roles = append(roles, "All", "Guest")
	if slices.Contains(kinds, "System User") {
		roles = append(roles, "Desk User")
	}
	return roles, nil
}
