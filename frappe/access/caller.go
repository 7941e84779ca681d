package access

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Caller is who calls and for which organization, as the call spells both.
type Caller struct {
	User, Organization string
	// Member says that the user has to belong to the organization.
	Member bool
}

// Identity is a caller as the site's database spells the names; one that it doesn't have is "".
type Identity struct {
	User, Organization string
	// Allowed says that the user may act for the organization: it isn't asked whether he is a member, or he is, or he is a
	// System Manager.
	Allowed bool
}

// Administrator is the user who may do everything, and exists on each site.
const Administrator = "Administrator"

// Identify looks up callers, in one query for each of three questions, whose answers are kept for seconds; that somebody
// is no member is asked each time. A site without User or Organization has none of them.
func (d *Directory) Identify(ctx context.Context, callers []Caller) (map[Caller]Identity, error) {
	var users, organizations []string
	for _, c := range callers {
		users, organizations = append(users, c.User), append(organizations, c.Organization)
	}
	userNames, err := d.spelled(ctx, "User", users)
	if err != nil {
		return nil, err
	}
	userNames[Administrator] = Administrator
	tenant, err := d.db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	organizationNames, err := d.spelled(ctx, tenant, organizations)
	if err != nil {
		return nil, err
	}
	known := make(map[Caller]Identity, len(callers))
	var toProve []Identity
	for _, c := range callers {
		id := Identity{User: userNames[c.User], Organization: organizationNames[c.Organization]}
		id.Allowed = id.User != "" && (!c.Member || id.User == Administrator)
		if id.User != "" && !id.Allowed {
			toProve = append(toProve, id)
		}
		known[c] = id
	}
	belongs, err := d.belong(ctx, toProve)
	if err != nil {
		return nil, err
	}
	for c, id := range known {
		id.Allowed = id.Allowed || belongs[id.key()]
		known[c] = id
	}
	return known, nil
}

// spelled is DB.Spelled for a DocType that the site may not have.
func (d *Directory) spelled(ctx context.Context, doctype string, names []string) (map[string]string, error) {
	found, err := d.db.Spelled(ctx, doctype, names)
	if errors.Is(err, rows.ErrTableMissing) {
		return map[string]string{}, nil
	}
	return found, err
}

// key names the pair; a user's name tells where it ends.
func (i Identity) key() string { return strconv.Itoa(len(i.User)) + ":" + i.User + i.Organization }

const (
	isManager            = "SELECT 1 FROM `tabHas Role` WHERE parenttype='User' AND role='System Manager' AND parent=?"
	isMemberByPerson     = "SELECT 1" + byPerson + " AND p.frappe_user=?"
	isMemberByPermission = "SELECT 1" + byPermission + " AND user=?"
)

// belong finds those of the pairs whose user may act for the organization, by key: System Managers and members.
func (d *Directory) belong(ctx context.Context, pairs []Identity) (map[string]bool, error) {
	byKey := make(map[string]Identity, len(pairs))
	keys := make([]string, 0, len(pairs))
	for _, p := range pairs {
		byKey[p.key()] = p
		keys = append(keys, p.key())
	}
	return d.belongs.GetMany(keys, membersKept, func(missing []string) (map[string]bool, error) {
		found := map[string]bool{}
		err := d.whoIs(ctx, "read the System Managers", isManager, missing, found, func(key string) []any { return []any{byKey[key].User} })
		if err != nil && !errors.Is(err, rows.ErrTableMissing) {
			return nil, err
		}
		query, before, err := d.membership(ctx, isMemberByPerson, isMemberByPermission)
		switch {
		case err != nil:
			return nil, err
		case query == "":
			return found, nil // nobody belongs to an organization
		}
		return found, d.whoIs(ctx, "read who are members", query, missing, found, func(key string) []any {
			return slices.Concat(before, []any{byKey[key].Organization, byKey[key].User})
		})
	})
}

// whoIs adds to found those of the keys for which a question finds a row.
func (d *Directory) whoIs(ctx context.Context, what, question string, keys []string, found map[string]bool, args func(key string) []any) error {
	answers, err := d.db.Each(ctx, what, question, len(keys), func(i int) []any { return args(keys[i]) })
	for i := range answers {
		found[keys[i]] = true
	}
	return err
}
