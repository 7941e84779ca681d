package rows

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The values of Organization.status: the Dartwing app's, and Suspended, which sites add to them.
const (
	OrganizationActive    = "Active"
	OrganizationInactive  = "Inactive"
	OrganizationSuspended = "Suspended"
	OrganizationDissolved = "Dissolved"
)

// knownStatuses are those that somebody has decided about; an empty one is as good as Active.
var knownStatuses = []string{"", OrganizationActive, OrganizationInactive, OrganizationSuspended, OrganizationDissolved}

// DefaultTenant is the DocType of the organizations that jobs belong to where the site's Background Job doesn't say
// another. What is called an organization here is a document of the tenant's DocType, whatever that is.
const DefaultTenant = "Organization"

// tenantKept is how long it may stay unseen that jobs belong to another DocType now.
const tenantKept = 30 * time.Second

// tenantQuery is what the desk takes for the options of the field: a Property Setter's, else the DocType's own.
const tenantQuery = "SELECT COALESCE((SELECT `value` FROM `tabProperty Setter` WHERE doc_type='Background Job' AND field_name='organization' AND property='options' LIMIT 1)," +
	" (SELECT `options` FROM `tabDocField` WHERE parent='Background Job' AND fieldname='organization' AND fieldtype='Link' LIMIT 1), '')"

// Tenant is the DocType that the organization of a Background Job is a link to, cached for half a minute.
func (d *DB) Tenant(ctx context.Context) (string, error) {
	return d.tenant.Get(ctx, "", tenantKept, func() (string, error) {
		described, err := d.tables.has(ctx, "tabDocField", "tabProperty Setter")
		if err != nil || !described {
			return DefaultTenant, err
		}
		found, err := d.Strings(ctx, "read which DocType jobs belong to", tenantQuery)
		if err != nil || len(found) == 0 || found[0] == "" {
			return DefaultTenant, err
		}
		if strings.Contains(found[0], "`") {
			return "", fmt.Errorf("site %s: the field organization of Background Job is a link to %q, which is no DocType", d.site, found[0])
		}
		return found[0], nil
	})
}

// organizationKept is how long a change made in the desk may stay unseen.
const organizationKept = 3 * time.Second

// ErrNoSuchOrganization says that the site has no Organization of that name.
var ErrNoSuchOrganization = errors.New("no such organization")

// Organization is the part of a tenant's row that decides whether its jobs may run.
type Organization struct {
	Name   string `db:"name"`
	Status string `db:"status"`
}

// heldStatuses are the statuses of an organization that hold its jobs, and their results, until somebody changes them.
var heldStatuses = []string{OrganizationInactive, OrganizationSuspended}

// Suspended reports whether the organization's jobs wait until somebody changes its status. Of the other statuses Dissolved refuses
// them, Active runs them, and one that nobody here knows does with a warning in the log.
func (o *Organization) Suspended() bool { return slices.Contains(heldStatuses, o.Status) }

var organizationColumns = columnsOf[Organization]()

// Organization reads a tenant, however its name is spelled, cached for seconds; ErrNoSuchOrganization if there is none.
// Don't change the value.
func (d *DB) Organization(ctx context.Context, name string) (*Organization, error) {
	if !isName(name) {
		return nil, fmt.Errorf("site %s: %w: %.*q", d.site, ErrNoSuchOrganization, maxName, name)
	}
	return d.organizations.Get(ctx, name, organizationKept, func() (*Organization, error) {
		tenant, err := d.Tenant(ctx)
		if err != nil {
			return nil, err
		}
		found, err := selectRows(ctx, &d.tables, "read organization "+name, "tab"+tenant, organizationColumns, "WHERE `name`=?", name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("site %s: %w: %q", d.site, ErrNoSuchOrganization, name)
		}
		d.noteStatus(found[0])
		return found[0], nil
	})
}

// noteStatus says once that a status isn't known: its jobs run.
func (d *DB) noteStatus(o *Organization) {
	if slices.Contains(knownStatuses, o.Status) {
		return
	}
	if _, told := d.strangeStatuses.LoadOrStore(o.Status, true); !told {
		d.log.Warn("organization has a status that the bridge doesn't know; its jobs run", "site", d.site, "organization", o.Name, "status", o.Status)
	}
}

// insertOrganization inserts an active tenant, if it doesn't exist yet.
func (d *DB) insertOrganization(ctx context.Context, name string, report *InstallReport) error {
	if tenant, err := d.Tenant(ctx); err != nil || tenant != DefaultTenant {
		return cmp.Or(err, fmt.Errorf("site %s: %s isn't made: the site's jobs belong to a %s, which its app makes", d.site, name, tenant))
	}
	t, err := d.tables.get(ctx, tableOrganization)
	if err != nil {
		return err
	}
	defer d.organizations.Forget()
	now := formatTime(d.Now(), d.Location())
	values := map[string]string{
		"name": name, "creation": now, "modified": now, "owner": systemUser(""), "modified_by": systemUser(""),
		"org_name": name, "org_type": "Company", "status": OrganizationActive,
	}
	var columns []string
	var args []any
	for _, column := range slices.Sorted(maps.Keys(values)) {
		if t.has(column) {
			columns, args = append(columns, "`"+column+"`"), append(args, values[column])
		}
	}
	n, err := d.exec(ctx, "insert organization "+name, "INSERT IGNORE INTO `"+tableOrganization+"` ("+strings.Join(columns, ",")+") VALUES ("+marks(len(columns))+")", args...)
	if n > 0 {
		report.Organizations = append(report.Organizations, name)
	}
	return err
}

// MemberSource is where a site keeps who belongs to an organization.
type MemberSource string

const (
	MembersFromOrgMember      MemberSource = "Org Member"      // Org Member with status Active -> Person.frappe_user
	MembersFromUserPermission MemberSource = "User Permission" // Frappe's own User Permission on the tenant's DocType
)

// MemberSource looks which tables the site has: the first of the sources above, "" when it has neither. Org Members are
// those of an Organization.
func (d *DB) MemberSource(ctx context.Context) (MemberSource, error) {
	tenant, err := d.Tenant(ctx)
	if err != nil {
		return "", err
	}
	if tenant == DefaultTenant {
		person, err := d.tables.has(ctx, tableOrgMember, tablePerson)
		if err != nil || person {
			return MembersFromOrgMember, err
		}
	}
	permission, err := d.tables.has(ctx, "tabUser Permission")
	if err != nil || permission {
		return MembersFromUserPermission, err
	}
	return "", nil
}
