// Package access answers who belongs to an organization of a site.
package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/internal/memo"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// membersKept is how long a change made in the desk may stay unseen.
const membersKept = 5 * time.Second

// ErrNoMembership says that the site has nothing that could tell who belongs to an organization.
var ErrNoMembership = errors.New("the site has neither Org Member with Person nor User Permission: nobody belongs to an organization")

// Directory is who belongs where on one site. Safe for concurrent use.
type Directory struct {
	db      *rows.DB
	members memo.Memo[[]string]
	// belongs has the users, each with an organization, who were seen to belong to it.
	belongs memo.Memo[bool]
}

// New is the directory of a site. What it read is kept with it for some seconds, so keep it as long as db.
func New(db *rows.DB) *Directory { return &Directory{db: db} }

// Who belongs to an organization.
const (
	byPerson = " FROM `tabOrg Member` m JOIN `tabPerson` p ON p.name=m.person WHERE m.organization=? AND m.status='Active'"
	// A permission that is limited to another DocType doesn't make its user a member.
	byPermission = " FROM `tabUser Permission` WHERE allow=? AND for_value=?" +
		" AND (apply_to_all_doctypes=1 OR applicable_for='Background Job')"

	membersByPerson     = "SELECT DISTINCT p.frappe_user" + byPerson + " AND p.frappe_user IS NOT NULL AND p.frappe_user<>'' ORDER BY 1"
	membersByPermission = "SELECT DISTINCT user" + byPermission + " AND user IS NOT NULL ORDER BY 1"
)

// Members lists the users who belong to an organization, cached for a few seconds: through Person and Org Member where
// the site has them, else through User Permission on the DocType of organizations. ErrNoMembership for neither. Don't change the list.
func (d *Directory) Members(ctx context.Context, organization string) (users []string, err error) {
	return d.members.Get(ctx, organization, membersKept, func() ([]string, error) {
		source, err := d.db.MemberSource(ctx)
		if err != nil {
			return nil, err
		}
		query, args := membersByPerson, []any{organization}
		switch source {
		case rows.MembersFromUserPermission:
			tenant, err := d.db.Tenant(ctx)
			if err != nil {
				return nil, err
			}
			query, args = membersByPermission, []any{tenant, organization}
		case "":
			return nil, fmt.Errorf("site %s: %w", d.db.Site(), ErrNoMembership)
		}
		return d.db.Strings(ctx, "read members", query, args...)
	})
}
