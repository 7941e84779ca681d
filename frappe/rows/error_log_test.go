package rows

import (
	"errors"
	"strings"
	"testing"
)

// frappesErrorLog is the table as Frappe 15.41 makes it.
const frappesErrorLog = "CREATE TABLE `tabError Log` (`name` varchar(140) NOT NULL PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), " +
	"`owner` varchar(140), `docstatus` int(1) NOT NULL DEFAULT 0, `idx` int(8) NOT NULL DEFAULT 0, `seen` int(1) NOT NULL DEFAULT 0, `reference_doctype` varchar(140), " +
	"`reference_name` varchar(140), `method` varchar(140), `error` longtext, `trace_id` varchar(140), `_user_tags` text, `_comments` text, `_assign` text, `_liked_by` text, " +
	"KEY `reference_doctype` (`reference_doctype`), KEY `modified` (`modified`)) ENGINE=MyISAM COLLATE=utf8mb4_unicode_ci ROW_FORMAT=DYNAMIC"

func TestLogErrors(t *testing.T) {
	d := siteDB(t, newSite(t, 15))
	entries := []ErrorLog{
		{Title: "app.export", Error: "Traceback\nboom\xff", User: "jane@example.com", Doctype: "RQ Job", Name: "site::1"},
		{Title: strings.Repeat("ä", 200), Error: "more"},
	}
	if err := d.LogErrors(t.Context(), entries); !errors.Is(err, ErrTableMissing) {
		t.Fatalf("on a site without the table: got %v, want ErrTableMissing", err)
	}
	if _, err := d.x.Exec(frappesErrorLog); err != nil {
		t.Fatal(err)
	}
	if err := d.LogErrors(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	got, err := d.Strings(t.Context(), "read the log", "SELECT CONCAT_WS('|', LENGTH(name), owner, modified_by, method, error, COALESCE(reference_doctype, 'none'), COALESCE(reference_name, 'none'), seen, docstatus, creation = modified) FROM `tabError Log` ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"10|jane@example.com|jane@example.com|app.export|Traceback\nboom\uFFFD|RQ Job|site::1|0|0|1",
		"10|Administrator|Administrator|" + strings.Repeat("ä", 139) + "…|more|none|none|0|0|1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("entries\n%q\nwant\n%q", got, want)
	}
	var age float64
	if err := d.x.Get(&age, "SELECT ABS(TIMESTAMPDIFF(SECOND, MAX(creation), ?)) FROM `tabError Log`", formatTime(d.Now(), d.Location())); err != nil || age > 60 {
		t.Errorf("the entries are %v s away from the site's time (%v)", age, err)
	}
}
