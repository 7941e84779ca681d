package access

import (
	"context"
	"errors"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Standing is what a user may do on a site now.
type Standing struct {
	// Enabled says that the site has the user and nobody has disabled him.
	Enabled bool
	// Member says that he may act for the organization, as its members and System Managers may.
	Member bool
}

const isEnabled = "SELECT `name` FROM `tabUser` WHERE `name`=? AND `enabled`=1"

// Standings says how users stand to organizations, whose names are as the database has them, in one query for each of three
// questions. What speaks for a user is kept for seconds; what speaks against him is asked each time. A site without users has
// Administrator only.
func (d *Directory) Standings(ctx context.Context, pairs []Identity) ([]Standing, error) {
	users := make([]string, len(pairs))
	for i, p := range pairs {
		users[i] = p.User
	}
	enabled, err := d.enabled.GetMany(users, membersKept, func(missing []string) (map[string]bool, error) {
		found := map[string]bool{}
		return found, d.whoIs(ctx, "read who is enabled", isEnabled, missing, found, func(user string) []any { return []any{user} })
	})
	if err != nil && !errors.Is(err, rows.ErrTableMissing) {
		return nil, err
	}
	belongs, err := d.belong(ctx, pairs)
	if err != nil {
		return nil, err
	}
	return standings(pairs, enabled, belongs), nil
}

// Known is Standings of one pair without asking anybody; ok is false unless all that is known, and not too old, speaks for him.
func (d *Directory) Known(pair Identity) (s Standing, ok bool) {
	none := func([]string) (map[string]bool, error) { return nil, nil }
	enabled, _ := d.enabled.GetMany([]string{pair.User}, membersKept, none)
	belongs, _ := d.belongs.GetMany([]string{pair.key()}, membersKept, none)
	s = standings([]Identity{pair}, enabled, belongs)[0]
	return s, s.Enabled && s.Member
}

func standings(pairs []Identity, enabled, belongs map[string]bool) []Standing {
	all := make([]Standing, len(pairs))
	for i, p := range pairs {
		all[i] = Standing{Enabled: enabled[p.User], Member: belongs[p.key()]}
		if p.User == Administrator {
			all[i] = Standing{Enabled: true, Member: true}
		}
	}
	return all
}

// IsManager reports whether a user, as the database spells him, is a System Manager; that he is is kept for seconds.
func (d *Directory) IsManager(ctx context.Context, user string) (bool, error) {
	if user == Administrator {
		return true, nil
	}
	found, err := d.managers.GetMany([]string{user}, membersKept, func(missing []string) (map[string]bool, error) {
		found := map[string]bool{}
		return found, d.whoIs(ctx, "read the System Managers", isManager, missing, found, func(user string) []any { return []any{user} })
	})
	if errors.Is(err, rows.ErrTableMissing) {
		return false, nil
	}
	return found[user], err
}
