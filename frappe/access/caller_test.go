package access

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Statements that make users and organizations.
const (
	someUsers         = "INSERT INTO `tabUser` (name,email,api_key) VALUES ('Ann@example.com','1','1'),('bob@example.com','2','2'),('eve@example.com','3','3'),('sue@example.com','4','4')"
	someOrganizations = "INSERT INTO `tabOrganization` (name) VALUES ('ORG-1'),('ORG-2')"
	aManager          = "INSERT INTO `tabHas Role` (name,parent,parenttype,role) VALUES ('1','sue@example.com','User','System Manager')," +
		"('2','bob@example.com','User','Dartwing User'),('3','eve@example.com','Page','System Manager')"
)

func wantIdentity(t *testing.T, d *Directory, c Caller, want Identity) {
	t.Helper()
	got, err := d.Identify(t.Context(), []Caller{c, {User: "nobody", Organization: "ORG-0", Member: true}})
	if diff := cmp.Diff(want, got[c]); err != nil || diff != "" {
		t.Errorf("%.40q for %.40q (-want +got), error %v:\n%s", c.User, c.Organization, err, diff)
	}
}

func TestIdentifyThroughPerson(t *testing.T) {
	d, db, exec := newSite(t)
	install(t, db)
	exec(someUsers, someOrganizations, aManager,
		"INSERT INTO `tabPerson` (name,frappe_user,primary_email) VALUES ('P1','ann@example.com','1'),('P2','bob@example.com','2')",
		"INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('1','P1','ORG-1','Active'),('2','P2','ORG-1','Pending')")
	ann := Identity{User: "Ann@example.com", Organization: "ORG-1", Allowed: true}
	wantIdentity(t, d, Caller{"Ann@example.com", "ORG-1", true}, ann)
	wantIdentity(t, d, Caller{"ANN@example.com ", "org-1 ", true}, ann)
	wantIdentity(t, d, Caller{"ann@example.com", "ORG-2", true}, Identity{User: "Ann@example.com", Organization: "ORG-2"})
	wantIdentity(t, d, Caller{"ann@example.com", "ORG-2", false}, Identity{User: "Ann@example.com", Organization: "ORG-2", Allowed: true})
	wantIdentity(t, d, Caller{"ann@example.com", "ORG-3", false}, Identity{User: "Ann@example.com", Allowed: true})
	wantIdentity(t, d, Caller{"bob@example.com", "ORG-1", true}, Identity{User: "bob@example.com", Organization: "ORG-1"})
	wantIdentity(t, d, Caller{"eve@example.com", "ORG-1", true}, Identity{User: "eve@example.com", Organization: "ORG-1"})
	wantIdentity(t, d, Caller{"sue@example.com", "ORG-2", true}, Identity{User: "sue@example.com", Organization: "ORG-2", Allowed: true})
	wantIdentity(t, d, Caller{"Administrator", "ORG-2", true}, Identity{User: "Administrator", Organization: "ORG-2", Allowed: true})
	wantIdentity(t, d, Caller{"nobody@example.com", "ORG-1", false}, Identity{Organization: "ORG-1"})
	wantIdentity(t, d, Caller{"", "ORG-1", true}, Identity{Organization: "ORG-1"})
	wantIdentity(t, d, Caller{strings.Repeat("x", 1<<20), "\xff", true}, Identity{})

	// What was allowed is kept for some seconds; what was refused is asked again at once.
	exec("UPDATE `tabOrg Member` SET status=IF(status='Active','Inactive','Active')")
	wantIdentity(t, d, Caller{"Ann@example.com", "ORG-1", true}, ann)
	wantIdentity(t, New(db), Caller{"Ann@example.com", "ORG-1", true}, Identity{User: "Ann@example.com", Organization: "ORG-1"})
	wantIdentity(t, d, Caller{"bob@example.com", "ORG-1", true}, Identity{User: "bob@example.com", Organization: "ORG-1", Allowed: true})
}

func TestIdentifyThroughUserPermission(t *testing.T) {
	d, db, exec := newSite(t)
	exec("CREATE TABLE `tabDocType` (name varchar(140))") // a Frappe site: Person and Org Member are an app's business
	install(t, db)
	wantIdentity(t, d, Caller{"ann@example.com", "ORG-0", true}, Identity{}) // without users and organizations
	exec("CREATE TABLE `tabUser` (name varchar(140), email int, api_key int)", someUsers, someOrganizations)
	fresh := New(db)
	wantIdentity(t, fresh, Caller{"bob@example.com", "ORG-2", true}, Identity{User: "bob@example.com", Organization: "ORG-2"}) // without any source
	exec("CREATE TABLE `tabUser Permission` (name varchar(140), user varchar(140), allow varchar(140), for_value varchar(140), apply_to_all_doctypes int, applicable_for varchar(140))",
		"INSERT INTO `tabUser Permission` VALUES ('1','ann@example.com','Organization','ORG-1',1,NULL),('2','bob@example.com','Organization','ORG-1',0,'Invoice')",
		"CREATE TABLE `tabHas Role` (name varchar(140), parent varchar(140), parenttype varchar(140), role varchar(140))", aManager)
	wantIdentity(t, fresh, Caller{"Ann@example.com", "ORG-1", true}, Identity{User: "Ann@example.com", Organization: "ORG-1", Allowed: true})
	wantIdentity(t, fresh, Caller{"bob@example.com", "ORG-1", true}, Identity{User: "bob@example.com", Organization: "ORG-1"})
	wantIdentity(t, fresh, Caller{"sue@example.com", "ORG-1", true}, Identity{User: "sue@example.com", Organization: "ORG-1", Allowed: true})
}

// TestIdentifyByAnotherTenant: on a site whose jobs belong to companies, Org Members say nothing.
func TestIdentifyByAnotherTenant(t *testing.T) {
	d, db, exec := newSite(t)
	exec("CREATE TABLE tabDocField (parent varchar(140), fieldname varchar(140), fieldtype varchar(140), `options` text)",
		"CREATE TABLE `tabProperty Setter` (doc_type varchar(140), field_name varchar(140), property varchar(140), `value` text)",
		"INSERT INTO tabDocField VALUES ('Background Job','organization','Link','Company')",
		"CREATE TABLE tabCompany (name varchar(140) PRIMARY KEY)", "INSERT INTO tabCompany VALUES ('Acme')",
		"CREATE TABLE tabOrganization (name varchar(140) PRIMARY KEY)", "INSERT INTO tabOrganization VALUES ('Other')")
	install(t, db)
	exec(
		"INSERT INTO tabUser (name,email,api_key) VALUES ('a@example.com','1','1'),('b@example.com','2','2')",
		"INSERT INTO `tabUser Permission` (name,user,allow,for_value,apply_to_all_doctypes) VALUES ('1','a@example.com','Company','Acme',1),('2','b@example.com','Organization','Acme',1)")
	a, b, other := Caller{"a@example.com", "acme", true}, Caller{"b@example.com", "Acme", true}, Caller{"a@example.com", "Other", false}
	got, err := d.Identify(t.Context(), []Caller{a, b, other})
	want := map[Caller]Identity{
		a: {"a@example.com", "Acme", true}, b: {"b@example.com", "Acme", false}, other: {"a@example.com", "", true},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("(-want +got), error %v:\n%s", err, diff)
	}
	wantMembers(t, d, "Acme", "a@example.com")
}

// TestInRole names the enabled users of a role who may see the organization's, and not more than twenty.
func TestInRole(t *testing.T) {
	d, db, exec := newSite(t)
	if _, err := d.InRole(t.Context(), "Operator", "ORG-1"); err == nil {
		t.Error("a site without roles says who has one")
	}
	install(t, db)
	exec(someUsers, someOrganizations, aManager,
		"UPDATE `tabUser` SET enabled=0 WHERE name='eve@example.com'", "INSERT INTO `tabUser` (name,email,api_key) VALUES ('Guest','Guest','Guest')",
		"INSERT INTO `tabHas Role` (name,parent,parenttype,role) SELECT CONCAT('o',name),name,'User','Operator' FROM `tabUser`",
		"INSERT INTO `tabHas Role` (name,parent,parenttype,role) VALUES ('x','ann@example.com','Report','Other')",
		"INSERT INTO `tabPerson` (name,frappe_user,primary_email) VALUES ('P1','Ann@example.com','1'),('P3','eve@example.com','3')",
		"INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('1','P1','ORG-1','Active'),('3','P3','ORG-1','Active')")
	d = New(db)
	for _, tc := range []struct{ role, organization, want string }{
		{"Operator", "ORG-1", "Ann@example.com sue@example.com"}, {"Operator", "ORG-2", "sue@example.com"}, {"Other", "ORG-1", ""}, {"", "ORG-1", ""},
	} {
		if users, err := d.InRole(t.Context(), tc.role, tc.organization); err != nil || strings.Join(users, " ") != tc.want {
			t.Errorf("%s of %s: %q, %v, want %q", tc.role, tc.organization, users, err, tc.want)
		}
	}
	exec("INSERT INTO `tabUser` (name,email,api_key) SELECT CONCAT('u',seq),CONCAT('u',seq),CONCAT('u',seq) FROM seq_1_to_50",
		"INSERT INTO `tabHas Role` (name,parent,parenttype,role) SELECT CONCAT('m',seq),CONCAT('u',seq),'User','System Manager' FROM seq_1_to_50",
		"INSERT INTO `tabHas Role` (name,parent,parenttype,role) SELECT CONCAT('n',seq),CONCAT('u',seq),'User','Operator' FROM seq_1_to_50")
	if users, err := New(db).InRole(t.Context(), "Operator", "ORG-2"); err != nil || len(users) != maxHaving {
		t.Errorf("of a role that fifty have %d are named, %v, want %d", len(users), err, maxHaving)
	}
}
