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
	// creates has the users, each with a DocType, who were seen to be allowed to create its documents.
	creates memo.Memo[bool]
	having  memo.Memo[[]string] // by role
	// managers has the users who were seen to be System Managers.
	managers memo.Memo[bool]
	enabled  memo.Memo[bool] // the users who were seen to be enabled
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
		query, args, err := d.membership(ctx, membersByPerson, membersByPermission)
		switch {
		case err != nil:
			return nil, err
		case query == "":
			return nil, fmt.Errorf("site %s: %w", d.db.Site(), ErrNoMembership)
		}
		return d.db.Strings(ctx, "read members", query, append(args, organization)...)
	})
}

// membership is that of two questions which fits what says on the site who belongs where, "" if nothing does; args are its
// first ones.
func (d *Directory) membership(ctx context.Context, byPerson, byPermission string) (query string, args []any, err error) {
	source, err := d.db.MemberSource(ctx)
	switch {
	case err != nil || source == "":
		return "", nil, err
	case source != rows.MembersFromUserPermission:
		return byPerson, nil, nil
	}
	tenant, err := d.db.Tenant(ctx)
	return byPermission, []any{tenant}, err
}

const (
	havingRole = "SELECT DISTINCT h.parent FROM `tabHas Role` h JOIN `tabUser` u ON u.name=h.parent" +
		" WHERE h.parenttype='User' AND h.role=? AND u.enabled=1 AND u.name<>'Guest' ORDER BY 1 LIMIT 1000"
	// maxHaving is how many users InRole names.
	maxHaving = 20
)

// InRole lists up to 20 enabled users who have a role and may see what belongs to the organization, as its members and
// System Managers may.
func (d *Directory) InRole(ctx context.Context, role, organization string) (users []string, err error) {
	all, err := d.having.Get(ctx, role, membersKept, func() ([]string, error) {
		return d.db.Strings(ctx, "read who has a role", havingRole, role)
	})
	if err != nil {
		return nil, err
	}
	pairs := make([]Identity, len(all))
	for i, user := range all {
		pairs[i] = Identity{User: user, Organization: organization}
	}
	belongs, err := d.belong(ctx, pairs)
	for _, p := range pairs {
		if belongs[p.key()] && len(users) < maxHaving {
			users = append(users, p.User)
		}
	}
	return users, err
}
