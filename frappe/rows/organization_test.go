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
