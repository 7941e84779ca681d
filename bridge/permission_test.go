package bridge

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestPermissionIsAskedAgainAtTheStart: what the owner of a job has lost while it waited ends it for good, in the log's words.
func TestPermissionIsAskedAgainAtTheStart(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.3})
	b.exec("CREATE TABLE `tabDocPerm` (name varchar(140), parent varchar(140), role varchar(140), permlevel int, `create` int)")
	b.exec("CREATE TABLE `tabCustom DocPerm` LIKE `tabDocPerm`")
	b.exec("INSERT INTO `tabDocPerm` VALUES ('1','Invoice','Clerk',0,1)")
	b.exec("UPDATE `tabJob Type` SET requires_permission='Invoice' WHERE name='sample_job'")
	submit := func(user, jobType string) string {
		t.Helper()
		row, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: jobType, Organization: "ORG-A", User: user, Parameters: map[string]any{"duration": 0}})
		if err != nil {
			t.Fatal(err)
		}
		return row.Name
	}
	for _, user := range []string{"stays@example.com", "leaves@example.com", "disabled@example.com", "deleted@example.com", "demoted@example.com"} {
		b.addMember(user, "ORG-A")
		b.exec("INSERT INTO `tabHas Role` (name, parent, parenttype, role) VALUES (?, ?, 'User', 'Clerk')", "Clerk "+user, user)
	}
	stays, leaves, disabled := submit("stays@example.com", "sample_job"), submit("leaves@example.com", "echo_job"), submit("disabled@example.com", "echo_job")
	deleted, demoted, asks := submit("deleted@example.com", "echo_job"), submit("demoted@example.com", "sample_job"), submit("demoted@example.com", "echo_job")
	b.exec("UPDATE `tabOrg Member` SET status='Inactive' WHERE name='M-leaves@example.com'")
	b.exec("UPDATE tabUser SET enabled=0 WHERE name='disabled@example.com'")
	b.exec("DELETE FROM tabUser WHERE name='deleted@example.com'")
	b.exec("DELETE FROM `tabHas Role` WHERE parent='demoted@example.com'")
	b.start(nil)
	for name, want := range map[string]string{
		leaves:   "Permission denied: leaves@example.com doesn't belong to organization ORG-A any more",
		disabled: "Permission denied: disabled@example.com is disabled, or no user of site " + testSite + " any more",
		deleted:  "Permission denied: deleted@example.com is disabled, or no user",
		demoted:  "Permission denied: demoted@example.com may not create Invoice, which Job Type sample_job requires",
	} {
		row := b.waitRow(name, rows.StatusDeadLetter)
		history := strings.Join(b.history(name), "\n")
		if !strings.Contains(row.ErrorMessage, want) || row.ErrorType != "Permanent" || row.RetryCount != 0 || !strings.Contains(history, "Queued>Dead Letter Job failed: "+want) {
			t.Errorf("%s ended with %q (%s), want %q; its log:\n%s", name, row.ErrorMessage, row.ErrorType, want, history)
		}
	}
	b.waitRow(stays, rows.StatusCompleted)
	b.waitRow(asks, rows.StatusCompleted)
}
