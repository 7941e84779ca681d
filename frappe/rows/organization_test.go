package rows

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
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
	mustExec(t, d, "INSERT INTO `tabOrganization` (name,org_name,status) VALUES ('ORG-9','Nine','Active')")
	if _, err := d.Organization(t.Context(), "ORG-9"); err != nil {
		t.Errorf("made a moment after it was absent: %v", err)
	}
	mustExec(t, d, "UPDATE `tabOrganization` SET status='Inactive'")
	if o, err := d.Organization(t.Context(), "ORG-1"); err != nil || o.Status != OrganizationActive {
		t.Errorf("read again at once: %+v, %v; want what is kept for seconds", o, err)
	}
	d.organizations.Forget()
	if o, err := d.Organization(t.Context(), "ORG-1"); err != nil || o.Status != OrganizationInactive {
		t.Errorf("read anew: %+v, %v", o, err)
	}
}

// TestAStrangeStatusIsToldOnce, and a known one never.
func TestAStrangeStatusIsToldOnce(t *testing.T) {
	_, d := installed(t, testMajor)
	var log bytes.Buffer
	d.log = slog.New(slog.NewTextHandler(&log, nil))
	mustExec(t, d, "INSERT INTO `tabOrganization` (name,org_name,status) VALUES ('ORG-1','One','Audited'),('ORG-2','Two','Suspended'),('ORG-3','Three',NULL)")
	for _, name := range []string{"ORG-1", "ORG-2", "ORG-3", "ORG-1"} {
		d.organizations.Forget()
		if _, err := d.Organization(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "status=Audited") {
		t.Errorf("the log says\n%s\nwant one line about Audited", got)
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
	d.jobTypes.Forget()
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

// TestTenant: the DocType of organizations is what the desk's field is a link to.
func TestTenant(t *testing.T) {
	_, d := installed(t, testMajor)
	want := func(want string) {
		t.Helper()
		d.tenant.Forget()
		if got, err := d.Tenant(t.Context()); got != want || err != nil {
			t.Errorf("the tenant is %q (%v), want %q", got, err, want)
		}
	}
	want("Organization")
	mustExec(t, d, "CREATE TABLE tabDocField (parent varchar(140), fieldname varchar(140), fieldtype varchar(140), `options` text)")
	mustExec(t, d, "CREATE TABLE `tabProperty Setter` (doc_type varchar(140), field_name varchar(140), property varchar(140), `value` text)")
	want("Organization")
	mustExec(t, d, "INSERT INTO tabDocField VALUES ('Background Job','organization','Link','Company'), ('Other','organization','Link','Other')")
	want("Company")
	mustExec(t, d, "INSERT INTO `tabProperty Setter` VALUES ('Background Job','organization','options','Customer Group')")
	want("Customer Group")

	mustExec(t, d, "CREATE TABLE `tabCustomer Group` (name varchar(140) PRIMARY KEY)")
	mustExec(t, d, "INSERT INTO `tabCustomer Group` VALUES ('Retail')")
	if o, err := d.Organization(t.Context(), "retail"); err != nil || o.Name != "Retail" || o.Status != "" {
		t.Errorf("one of a DocType without a status: %+v, %v", o, err)
	}
	if source, err := d.MemberSource(t.Context()); source != MembersFromUserPermission || err != nil {
		t.Errorf("members are from %q (%v): an Org Member is one of an Organization", source, err)
	}
	if _, err := Install(t.Context(), d, InstallOptions{Organization: "ORG-1"}); err == nil || !strings.Contains(err.Error(), "belong to a Customer Group") {
		t.Errorf("making an Organization: %v", err)
	}
	mustExec(t, d, "DROP TABLE tabOrganization")
	if report, err := Install(t.Context(), d, InstallOptions{}); err != nil || len(report.Created) > 0 {
		t.Errorf("an installation made %v (%v)", report.Created, err)
	}

	mustExec(t, d, "UPDATE `tabProperty Setter` SET `value`='a`b'")
	d.tenant.Forget()
	if _, err := d.Tenant(t.Context()); err == nil || !strings.Contains(err.Error(), "no DocType") {
		t.Errorf("a strange name: %v", err)
	}
}
