package access

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// newSite is the directory of a site of its own, and what runs statements there.
func newSite(t *testing.T) (*Directory, *rows.DB, func(statements ...string)) {
	t.Helper()
	b, err := frappe.OpenBench(servertest.Bench(t, nil, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1"}), frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site, err := b.Site("site1.localhost")
	if err != nil {
		t.Fatal(err)
	}
	db, err := rows.Open(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(db), db, func(statements ...string) {
		t.Helper()
		if err := servertest.MariaDB(t).Exec(t.Context(), append([]string{"USE `" + site.DBName() + "`"}, statements...)...); err != nil {
			t.Fatal(err)
		}
	}
}

func install(t *testing.T, db *rows.DB) {
	t.Helper()
	if _, err := rows.Install(t.Context(), db, rows.InstallOptions{}); err != nil {
		t.Fatal(err)
	}
}

func wantMembers(t *testing.T, d *Directory, organization string, want ...string) {
	t.Helper()
	users, err := d.Members(t.Context(), organization)
	if diff := cmp.Diff(want, users); err != nil || diff != "" {
		t.Errorf("members of %s (-want +got), error %v:\n%s", organization, err, diff)
	}
}

func TestMembersThroughPerson(t *testing.T) {
	d, db, exec := newSite(t)
	install(t, db)
	exec("INSERT INTO `tabPerson` (name,frappe_user) VALUES ('P1','a@example.com'),('P2','b@example.com'),('P3',NULL),('P4','d@example.com'),('P5','e@example.com')",
		"INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('1','P1','ORG-1','Active'),('2','P2','ORG-1','Inactive'),('3','P3','ORG-1','Active'),"+
			"('4','P4','ORG-2','Active'),('5','P5','ORG-1','Pending'),('6','P1','ORG-2','Active'),('7','P1','ORG-1','Active')",
		"INSERT INTO `tabUser Permission` (name,user,allow,for_value) VALUES ('x','z@example.com','Organization','ORG-1')")
	wantMembers(t, d, "ORG-1", "a@example.com")
	wantMembers(t, d, "ORG-9")
	exec("UPDATE `tabOrg Member` SET status='Active'")
	wantMembers(t, d, "ORG-1", "a@example.com") // kept for some seconds
	wantMembers(t, New(db), "ORG-1", "a@example.com", "b@example.com", "e@example.com")
}

func TestMembersThroughUserPermission(t *testing.T) {
	d, db, exec := newSite(t)
	exec("CREATE TABLE `tabDocType` (name varchar(140))") // a Frappe site: Person and Org Member are an app's business
	install(t, db)
	if _, err := d.Members(t.Context(), "ORG-1"); !errors.Is(err, ErrNoMembership) {
		t.Errorf("without any source: %v, want ErrNoMembership", err)
	}
	exec("CREATE TABLE `tabUser Permission` (name varchar(140), user varchar(140), allow varchar(140), for_value varchar(140), apply_to_all_doctypes int, applicable_for varchar(140))",
		"INSERT INTO `tabUser Permission` VALUES ('1','a@example.com','Organization','ORG-1',1,NULL),('2','b@example.com','Organization','ORG-1',0,'Background Job'),"+
			"('3','c@example.com','Organization','ORG-1',0,'Invoice'),('4','d@example.com','Company','ORG-1',1,NULL)")
	wantMembers(t, d, "ORG-1", "a@example.com", "b@example.com")
}
