package access

import (
	"context"
	"errors"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Who may create documents of a DocType, as far as its roles say (frappe/permissions.py get_role_permissions): rules that
// people made in the desk replace those of the DocType.
const (
	hasOwnRules = "SELECT `parent` FROM `tabCustom DocPerm` WHERE `parent`=? LIMIT 1"
	whoCreates  = " p WHERE p.`parent`=? AND p.`permlevel`=0 AND p.`create`=1 AND (p.`role` IN ('All','Guest')" +
		" OR p.`role`='Desk User' AND EXISTS(SELECT 1 FROM `tabUser` u WHERE u.`name`=? AND u.`user_type`='System User')" +
		" OR p.`role` IN (SELECT r.`role` FROM `tabHas Role` r WHERE r.`parenttype`='User' AND r.`parent`=?)) LIMIT 1"
)

// MayCreate reports whether a user, as the database spells him, may create documents of a DocType by his roles. That he may
// is kept for seconds. A site without Frappe's permissions has nobody but Administrator who may.
func (d *Directory) MayCreate(ctx context.Context, user, doctype string) (bool, error) {
	if user == Administrator {
		return true, nil
	}
	key := Identity{User: user, Organization: doctype}.key()
	found, err := d.creates.GetMany([]string{key}, membersKept, func([]string) (map[string]bool, error) {
		own, err := d.db.Strings(ctx, "look who made the permissions of "+doctype, hasOwnRules, doctype)
		if err != nil {
			return nil, err
		}
		table := "`tabDocPerm`"
		if len(own) > 0 {
			table = "`tabCustom DocPerm`"
		}
		may, err := d.db.Strings(ctx, "read who may create "+doctype, "SELECT p.`role` FROM "+table+whoCreates, doctype, user, user)
		if err != nil || len(may) == 0 {
			return nil, err
		}
		return map[string]bool{key: true}, nil
	})
	if errors.Is(err, rows.ErrTableMissing) {
		return false, nil
	}
	return found[key], err
}
