package servers_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func TestFakeSiteAnswersAsFrappe(t *testing.T) {
	// Above jane of realtime_test.go: an own document of a DocType, and all of another.
	reader := servers.SiteUser{
		Name: "r@example.com", SID: "r-sid", Token: "rk:rs", Read: []string{"Background Job/JOB-1", "Note/*", "Job Type"},
	}
	site := servertest.FakeSite(t, map[string][]servers.SiteUser{"site1": {reader}, "site2": {jane}})
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("rk:rs"))
	const logged = "frappe.auth.get_logged_user"
	doc := func(doctype, name string) url.Values { return url.Values{"doctype": {doctype}, "docname": {name}} }
	for _, tc := range []struct {
		name       string
		method     string
		query      url.Values
		header     [][2]string
		wantStatus int
		want       string // part of the body
	}{
		{"session", logged, nil, [][2]string{{"Cookie", "sid=r-sid"}}, 200, `{"message":"r@example.com"}`},
		{"session in the query", logged, url.Values{"sid": {"r-sid"}}, nil, 200, `"r@example.com"`},
		{"token", logged, nil, [][2]string{{"Authorization", "token rk:rs"}}, 200, `"r@example.com"`},
		{"basic", logged, nil, [][2]string{{"Authorization", basic}}, 200, `"r@example.com"`},
		{"basic, not base64", logged, nil, [][2]string{{"Authorization", "Basic !"}}, 400, "InvalidAuthorizationToken"},
		{"cookie beats an unknown scheme", logged, nil, [][2]string{{"Cookie", "sid=r-sid"}, {"Authorization", "X y"}}, 200, "r@"},
		{"cookie and wrong key", logged, nil, [][2]string{{"Cookie", "sid=r-sid"}, {"Authorization", "token a:b"}}, 401, ""},
		{"nobody", logged, nil, nil, 403, "PermissionError"},
		{"unknown session", logged, nil, [][2]string{{"Cookie", "sid=old"}}, 403, `"session_expired":1`},
		{"wrong key", logged, nil, [][2]string{{"Authorization", "token rk:no"}}, 401, "AuthenticationError"},
		{"another site's session", logged, nil, [][2]string{{"Cookie", "sid=jane-sid"}}, 403, "PermissionError"},
		{"unknown site", logged, nil, [][2]string{{"X-Frappe-Site-Name", "site9"}}, 404, "<h1>"},
		{"unknown method", "no.such", nil, nil, 417, "ValidationError"},
		{"user info", "frappe.realtime.get_user_info", nil, [][2]string{{"Cookie", "sid=r-sid"}}, 200, `"user_type":"System User"`},
		{"user info of nobody", "frappe.realtime.get_user_info", nil, nil, 200, `"user":"Guest"`},
		{"own document", "frappe.realtime.can_subscribe_doc", doc("Background Job", "JOB-1"), [][2]string{{"Cookie", "sid=r-sid"}}, 200, "true"},
		{"another's", "frappe.realtime.can_subscribe_doc", doc("Background Job", "JOB-2"), [][2]string{{"Cookie", "sid=r-sid"}}, 403, ""},
		{"any document", "frappe.realtime.can_subscribe_doc", doc("Note", "x/y"), [][2]string{{"Cookie", "sid=r-sid"}}, 200, "true"},
		{"DocType right is no document right", "frappe.realtime.can_subscribe_doc", doc("Job Type", "a"), [][2]string{{"Cookie", "sid=r-sid"}}, 403, ""},
		{"DocType", "frappe.realtime.can_subscribe_doctype", doc("Background Job", ""), [][2]string{{"Cookie", "sid=r-sid"}}, 200, "true"},
		{"other DocType", "frappe.realtime.can_subscribe_doctype", doc("User", ""), [][2]string{{"Cookie", "sid=r-sid"}}, 403, ""},
		{"16", "frappe.realtime.has_permission", url.Values{"doctype": {"Note"}, "name": {"x"}}, [][2]string{{"Cookie", "sid=r-sid"}}, 200, "true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := get(t, site.URL+"/api/method/"+tc.method+"?"+tc.query.Encode(), tc.header)
			if status != tc.wantStatus || !strings.Contains(body, tc.want) {
				t.Errorf("got %d %s, want %d with %s", status, body, tc.wantStatus, tc.want)
			}
		})
	}
	if n := site.Calls("no.such"); n != 1 {
		t.Errorf("Calls = %d, want 1", n)
	}
}

// get asks site1 unless a header names another site.
func get(t *testing.T, url string, header [][2]string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Close = "site1:8000", true
	for _, h := range header {
		request.Header.Set(h[0], h[1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}
