package rows

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frappesBell are the tables as Frappe 15.41 makes them, as far as they are looked at.
var frappesBell = []string{
	"CREATE TABLE `tabNotification Log` (`name` varchar(140) NOT NULL PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), " +
		"`owner` varchar(140), `docstatus` int(1) NOT NULL DEFAULT 0, `idx` int(8) NOT NULL DEFAULT 0, `subject` text, `for_user` varchar(140), `type` varchar(140), " +
		"`email_content` longtext, `document_type` varchar(140), `read` int(1) NOT NULL DEFAULT 0, `document_name` varchar(140), `attached_file` longtext, `from_user` varchar(140), `link` varchar(140)) COLLATE=utf8mb4_unicode_ci",
	"CREATE TABLE `tabNotification Settings` (`name` varchar(140) NOT NULL PRIMARY KEY, `enabled` int(1) NOT NULL DEFAULT 1, `seen` int(1) NOT NULL DEFAULT 0) COLLATE=utf8mb4_unicode_ci",
	"CREATE TABLE `tabTranslation` (`name` varchar(140) NOT NULL PRIMARY KEY, `language` varchar(140), `source_text` longtext, `translated_text` longtext) COLLATE=utf8mb4_unicode_ci",
	"ALTER TABLE `tabUser` ADD COLUMN `language` varchar(140)",
	"INSERT INTO `tabUser` (name,enabled,language) VALUES ('jane@example.com',1,'de'), ('joe@example.com',1,NULL), ('quiet@example.com',1,'de'), ('gone@example.com',0,'de'), ('Guest',1,'de')",
	"INSERT INTO `tabNotification Settings` VALUES ('jane@example.com',1,1), ('quiet@example.com',0,1)",
	"INSERT INTO `tabTranslation` VALUES ('1','de','{0} failed: {1}','{0} ist gescheitert: {1}'), ('2','fr','{0} failed: {1}','{1} : échec de {0}'), ('3','de','other','anders')",
	"INSERT INTO `tabSingles` VALUES ('System Settings','language','fr')",
}

// TestNotify writes what make_notification_logs does, for those who hear of it, in their language.
func TestNotify(t *testing.T) {
	_, d := installed(t, testMajor)
	say := func(user string) Notification {
		return Notification{User: user, Text: "{0} failed: {1}", Args: []string{"<Export> JOB-1", `no "{0}" & no 😀`}, Doctype: "Background Job", Name: "JOB-1"}
	}
	if _, err := d.Notify(t.Context(), []Notification{say("jane@example.com")}); !errors.Is(err, ErrTableMissing) {
		t.Fatalf("on a site without the log: %v, want ErrTableMissing", err)
	}
	for _, q := range frappesBell {
		mustExec(t, d, q)
	}
	d.tables.tables.Forget()
	more := Notification{User: "joe@example.com", Text: "{0} more", Args: []string{strings.Repeat("9", 200)}, Link: "/app/x?status=Dead%20Letter"}
	ns := []Notification{say("jane@example.com"), say("joe@example.com"), say("quiet@example.com"), say("gone@example.com"), say("nobody@example.com"), say(""), say("Guest"), more}
	told, err := d.Notify(t.Context(), ns)
	if err != nil || !slices.Equal(told, []string{"jane@example.com", "joe@example.com"}) {
		t.Fatalf("told %q, %v", told, err)
	}
	got, err := d.Strings(t.Context(), "read", "SELECT CONCAT_WS('|',for_user,from_user,type,owner,subject,COALESCE(document_type,'-'),COALESCE(document_name,'-'),COALESCE(link,'-'),`read`,LENGTH(name),creation=modified) FROM `tabNotification Log` ORDER BY for_user,subject DESC")
	if err != nil {
		t.Fatal(err)
	}
	why := "no &#34;{0}&#34; &amp; no 😀"
	want := []string{
		"jane@example.com|Administrator|Alert|Administrator|<b class=\"subject-title\">&lt;Export&gt; JOB-1</b> ist gescheitert: " + why + "|Background Job|JOB-1|-|0|10|1",
		"joe@example.com|Administrator|Alert|Administrator|" + why + " : échec de <b class=\"subject-title\">&lt;Export&gt; JOB-1</b>|Background Job|JOB-1|-|0|10|1",
		"joe@example.com|Administrator|Alert|Administrator|<b class=\"subject-title\">" + strings.Repeat("9", 139) + "…</b> more|-|-|/app/x?status=Dead%20Letter|0|10|1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	seen, err := d.Strings(t.Context(), "read", "SELECT CONCAT(name,' ',seen) FROM `tabNotification Settings` ORDER BY name")
	if diff := cmp.Diff([]string{"jane@example.com 0", "quiet@example.com 1"}, seen); err != nil || diff != "" {
		t.Errorf("settings: %v\n%s", err, diff)
	}
	// Without settings and translations, as on a site that is being made.
	mustExec(t, d, "DROP TABLE `tabNotification Settings`, `tabTranslation`")
	d.tables.tables.Forget()
	if told, err := d.Notify(t.Context(), []Notification{say("quiet@example.com")}); err != nil || len(told) != 1 {
		t.Errorf("told %q, %v", told, err)
	}
}
