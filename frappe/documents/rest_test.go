package documents

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// restServer is a site's REST API over a site in memory, for the user of the key "admin".
func restServer(t *testing.T, s *site) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /api/method/frappe.auth.get_logged_user", func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "token admin:secret":
			say(w, http.StatusOK, map[string]any{"message": "Administrator"})
		case "token jane:secret":
			say(w, http.StatusOK, map[string]any{"message": "jane@example.com"})
		default:
			say(w, http.StatusUnauthorized, map[string]any{"exc_type": "AuthenticationError", "exception": "AuthenticationError"})
		}
	})
	mux.HandleFunc("GET /api/method/frappe.client.get_count", func(w http.ResponseWriter, r *http.Request) {
		n, _ := s.Count(r.Context(), r.FormValue("doctype"))
		say(w, http.StatusOK, map[string]any{"message": n})
	})
	body := func(r *http.Request) (fields map[string]any) {
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
			t.Error(err)
		}
		return fields
	}
	mux.HandleFunc("POST /api/resource/{doctype}", func(w http.ResponseWriter, r *http.Request) {
		now, _ := s.Bring(r.Context(), body(r))
		say(w, http.StatusOK, map[string]any{"data": now})
	})
	mux.HandleFunc("/api/resource/{doctype}/{name}", func(w http.ResponseWriter, r *http.Request) {
		doctype, name := r.PathValue("doctype"), r.PathValue("name")
		now, _ := s.Get(r.Context(), doctype, name)
		switch {
		case doctype == installation && s.all["DocType "+installation] == nil:
			say(w, http.StatusInternalServerError, map[string]any{"exc_type": "ImportError"})
			return
		case now == nil:
			say(w, http.StatusNotFound, map[string]any{"exc_type": "DoesNotExistError"})
			return
		case r.Method == http.MethodPut:
			now, _ = s.Save(r.Context(), doctype, name, body(r))
		case r.Method == http.MethodDelete:
			_ = s.Delete(r.Context(), doctype, name)
		}
		say(w, http.StatusOK, map[string]any{"data": now})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// TestOverREST: what goes over REST comes to the same as what Frappe imports.
func TestOverREST(t *testing.T) {
	s := newSite()
	s.named = true
	all := shippedWith(t, "one;")
	over, err := OverREST(t.Context(), restServer(t, s).URL+"/", "admin", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	apply := func(plan *Plan, err error) (steps []string) {
		t.Helper()
		if err == nil {
			err = plan.Apply(t.Context(), func(int, Step) {})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan.Steps {
			steps = append(steps, step.String())
		}
		return steps
	}
	apply(prepare(t.Context(), over, all, Options{}))
	if s.all["List Filter 4f0c1a"] == nil || s.all["DocType Background Job"] == nil {
		t.Fatalf("the site has %v", sortedKeys(s.all))
	}
	want(t, "steps of a second installation", apply(prepare(t.Context(), over, all, Options{})), nil)
	want(t, "steps through Frappe", install(t, s, all, Options{}), nil)
	want(t, "steps of a newer version", apply(prepare(t.Context(), over, shippedWith(t, "two;"), Options{})), []string{"upgrade Client Script Try"})
	plan, err := prepareRemoval(t.Context(), over, all, true)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := plan.Rows(t.Context())
	if diff := cmp.Diff(map[string]int{"Background Job": 3, "Background Job Batch": 3, "Background Job Dependency": 3, "Background Job Pause": 3, "Job Circuit Breaker": 3, "Job Execution Log": 3, "Job Schedule": 3, "Job Type": 3, "Organization": 3, "Withheld Job Result": 3}, counts); err != nil || diff != "" {
		t.Errorf("rows to be deleted (-want +got), error %v:\n%s", err, diff)
	}
	apply(plan, nil)
	onlyRoles(t, s)
}

func TestRESTThatCantBe(t *testing.T) {
	server := restServer(t, newSite())
	for key, want := range map[string]string{"jane": "the API key is that of jane@example.com", "x": "answered 401: AuthenticationError"} {
		if _, err := OverREST(t.Context(), server.URL, key, "secret"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with the key of %s the error is %v", key, err)
		}
	}
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html>Session Stopped", http.StatusServiceUnavailable)
	}))
	defer closed.Close()
	if _, err := OverREST(t.Context(), closed.URL, "admin", "secret"); err == nil || !strings.Contains(err.Error(), "maintenance mode") {
		t.Errorf("in maintenance the error is %v", err)
	}
}
