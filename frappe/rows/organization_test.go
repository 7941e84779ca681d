package rows

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrganization(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabOrganization` (name,org_name,status) VALUES ('ORG-1','One','Active'),('ORG-2','Two','Dissolved'),('ORG-3','Three',NULL)")
	for name, status := range map[string]string{"ORG-1": OrganizationActive, "ORG-2": OrganizationDissolved, "ORG-3": ""} {
		if o, err := d.Organization(t.Context(), name); err != nil || o.Name != name || o.Status != status {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	if _, err := d.Organization(t.Context(), "ORG-9"); !errors.Is(err, ErrNoSuchOrganization) {
		t.Errorf("absent: %v", err)
	}
}

func TestMembersThroughPerson(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabPerson` (name,frappe_user) VALUES ('P1','a@example.com'),('P2','b@example.com'),('P3',NULL),('P4','d@example.com'),('P5','e@example.com')")
	mustExec(t, d, "INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('1','P1','ORG-1','Active'),('2','P2','ORG-1','Inactive'),('3','P3','ORG-1','Active'),"+
		"('4','P4','ORG-2','Active'),('5','P5','ORG-1','Pending'),('6','P1','ORG-2','Active'),('7','P1','ORG-1','Active')")
	mustExec(t, d, "INSERT INTO `tabUser Permission` (name,user,allow,for_value) VALUES ('x','z@example.com','Organization','ORG-1')")
	users, source, err := d.Members(t.Context(), "ORG-1")
	if diff := cmp.Diff([]string{"a@example.com"}, users); err != nil || source != MembersFromOrgMember || diff != "" {
		t.Errorf("%s, %v, %s", source, err, diff)
	}
	organizations, _, err := d.OrganizationsOf(t.Context(), "a@example.com")
	if diff := cmp.Diff([]string{"ORG-1", "ORG-2"}, organizations); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if users, _, err := d.Members(t.Context(), "ORG-9"); err != nil || len(users) != 0 {
		t.Errorf("of an organization nobody knows: %v, %v", users, err)
	}
}

func TestMembersThroughUserPermission(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "DROP TABLE `tabPerson`")
	d.tables.forget()
	mustExec(t, d, "INSERT INTO `tabUser Permission` (name,user,allow,for_value,apply_to_all_doctypes,applicable_for) VALUES ('1','a@example.com','Organization','ORG-1',1,NULL),"+
		"('2','b@example.com','Organization','ORG-1',0,'Background Job'),('3','c@example.com','Organization','ORG-1',0,'Invoice'),('4','d@example.com','Company','ORG-1',1,NULL)")
	users, source, err := d.Members(t.Context(), "ORG-1")
	if diff := cmp.Diff([]string{"a@example.com", "b@example.com"}, users); err != nil || source != MembersFromUserPermission || diff != "" {
		t.Errorf("%s, %v, %s", source, err, diff)
	}
	organizations, source, err := d.OrganizationsOf(t.Context(), "b@example.com")
	if diff := cmp.Diff([]string{"ORG-1"}, organizations); err != nil || source != MembersFromUserPermission || diff != "" {
		t.Errorf("%s, %v, %s", source, err, diff)
	}
}

func TestRoles(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabUser` (name,user_type) VALUES ('a@example.com','System User'),('w@example.com','Website User')")
	mustExec(t, d, "INSERT INTO `tabHas Role` (name,parent,parenttype,role) VALUES ('1','a@example.com','User','Dartwing Admin'),('2','a@example.com','User','All'),('3','a@example.com','Report','System Manager')")
	for user, want := range map[string][]string{
		"a@example.com": {"Dartwing Admin", "All", "Guest", "Desk User"}, "w@example.com": {"All", "Guest"},
		"Administrator": {"Administrator", "System Manager", "All", "Guest", "Desk User"},
	} {
		got, err := d.Roles(t.Context(), user)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", user, err, diff)
		}
	}
}

func TestJobTypesAreCachedForSeconds(t *testing.T) {
	_, d := installed(t, testMajor)
	first, err := d.JobTypes(t.Context())
	if err != nil || len(first) != 3 || first["long_running_job"].DefaultTimeout != 1800 || first["long_running_job"].DefaultPriority != PriorityLow {
		t.Fatalf("%+v, %v", first, err)
	}
	mustExec(t, d, "UPDATE `tabJob Type` SET is_enabled=0, default_priority=NULL, default_timeout=0")
	if again, err := d.JobTypes(t.Context()); err != nil || !again["echo_job"].Enabled {
		t.Errorf("not cached: %v", err)
	}
	d.jobTypes.forget()
	got, err := d.JobTypes(t.Context())
	if err != nil || got["echo_job"].Enabled || got["echo_job"].DefaultPriority != PriorityNormal || got["echo_job"].DefaultTimeout != 300 {
		t.Errorf("%+v, %v", got["echo_job"], err)
	}
	inserted, err := d.InsertJobTypes(t.Context(), []JobType{{TypeName: "echo_job"}, {TypeName: "mine", HandlerMethod: "a.b", DisplayName: "Mine", Enabled: true}})
	if diff := cmp.Diff([]string{"mine"}, inserted); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := d.JobTypes(t.Context()); err != nil || got["mine"] == nil || got["echo_job"].HandlerMethod == "" {
		t.Errorf("after the insert: %+v, %v", got, err)
	}
}
