package access

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStandings: who is disabled, deleted or no member any more is known at once; what spoke for him is kept for seconds.
func TestStandings(t *testing.T) {
	d, db, exec := newSite(t)
	pairs := []Identity{
		{User: "Ann@example.com", Organization: "ORG-1"}, {User: "Ann@example.com", Organization: "ORG-2"}, {User: "bob@example.com", Organization: "ORG-1"},
		{User: "sue@example.com", Organization: "ORG-2"}, {User: "nobody@example.com", Organization: "ORG-1"}, {User: "Administrator", Organization: "ORG-0"},
	}
	want := func(d *Directory, want ...Standing) {
		t.Helper()
		got, err := d.Standings(t.Context(), pairs)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("(-want +got), error %v:\n%s", err, diff)
		}
	}
	none, all := Standing{}, Standing{Enabled: true, Member: true}
	want(d, none, none, none, none, none, all) // a site without users
	install(t, db)
	exec(someUsers, someOrganizations, aManager, "UPDATE tabUser SET enabled=0 WHERE name='bob@example.com'",
		"INSERT INTO `tabPerson` (name,frappe_user,primary_email) VALUES ('P1','ann@example.com','1'),('P2','bob@example.com','2')",
		"INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('1','P1','ORG-1','Active'),('2','P2','ORG-1','Active')")
	if known, ok := d.Known(pairs[0]); ok {
		t.Errorf("%+v is known of somebody who was never asked about", known)
	}
	want(d, all, Standing{Enabled: true}, Standing{Member: true}, all, none, all)
	exec("UPDATE tabUser SET enabled=1-enabled", "DELETE FROM `tabOrg Member`")
	want(d, all, Standing{Enabled: true}, all, all, none, all)
	if known, ok := d.Known(pairs[0]); !ok || known != all {
		t.Errorf("%+v, %v is known of somebody who was asked about", known, ok)
	}
	want(New(db), none, none, Standing{Enabled: true}, Standing{Member: true}, none, all)
}
