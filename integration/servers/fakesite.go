package servers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// SiteUser is somebody a FakeSite knows.
type SiteUser struct {
	Name string `json:"name"` // e-mail address
	Type string `json:"type"` // "System User" (default) or "Website User"
	SID  string `json:"sid"`  // session cookie; "" = not logged in
	// Token is "key:secret" of the user's API key; "" = none.
	Token string `json:"token"`
	// Read lists what the user may read: "DocType", "DocType/name", "DocType/*" for each document of it, or "*". A
	// right to some document includes reading the DocType, as Frappe's role check does.
	Read []string `json:"read"`
}

// Cookie is the user's Cookie header.
func (u SiteUser) Cookie() string { return "sid=" + u.SID }

// Authorization is the user's Authorization header.
func (u SiteUser) Authorization() string { return "token " + u.Token }

// FakeSite answers, for any number of sites, the questions that a realtime server or a sidecar asks a Frappe site:
// who is calling, and may they read this. A site is chosen by X-Frappe-Site-Name, else by Host, as Frappe does.
type FakeSite struct {
	URL string // "http://127.0.0.1:port"

	server *http.Server
	served chan error

	mu    sync.Mutex
	sites map[string][]SiteUser
	calls map[string]int
}

// StartFakeSite serves the given sites' users on a free loopback port.
func StartFakeSite(sites map[string][]SiteUser) (*FakeSite, error) {
	return ListenFakeSite("127.0.0.1:0", sites)
}

// ListenFakeSite serves the given sites' users on addr.
func ListenFakeSite(addr string, sites map[string][]SiteUser) (*FakeSite, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the sites: %w", err)
	}
	f := &FakeSite{
		URL: "http://" + listener.Addr().String(), sites: map[string][]SiteUser{}, calls: map[string]int{},
		served: make(chan error, 1),
	}
	for site, users := range sites {
		f.SetUsers(site, users...)
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { f.served <- f.server.Serve(listener) }()
	return f, nil
}

// SetUsers replaces the users of a site, and makes the site if it is new.
func (f *FakeSite) SetUsers(site string, users ...SiteUser) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sites[site] = slices.Clone(users)
}

// Calls is how often a method was called, on all sites together.
func (f *FakeSite) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Stop ends the server and returns when it is gone. Calling it again does nothing.
func (f *FakeSite) Stop() error {
	err := f.server.Close()
	if f.served != nil {
		if served := <-f.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		f.served = nil
	}
	return err
}

// Wait blocks until ctx ends or the server breaks, and stops it.
func (f *FakeSite) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return f.Stop()
	case err := <-f.served:
		f.served = nil
		return err
	}
}

// ServeHTTP answers /api/method/<method>.
func (f *FakeSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method, ok := strings.CutPrefix(r.URL.Path, "/api/method/")
	f.mu.Lock()
	f.calls[method]++
	users, known := f.sites[siteName(r)]
	f.mu.Unlock()
	if !known {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "<h1>%s does not exist</h1>", http.StatusText(http.StatusNotFound))
		return
	}
	user, err := caller(users, r)
	switch {
	case err != nil:
		answerException(w, err)
	case !ok:
		answerException(w, &siteException{Status: http.StatusNotFound, Type: "PageDoesNotExistError"})
	default:
		answerMethod(w, r, method, user)
	}
}

func answerMethod(w http.ResponseWriter, r *http.Request, method string, user SiteUser) {
	argument := r.FormValue
	switch method {
	case "frappe.auth.get_logged_user":
		if user.Name == guest {
			answerException(w, &siteException{Status: http.StatusForbidden, Type: "PermissionError", SessionExpired: hasSID(r)})
			return
		}
		answerJSON(w, http.StatusOK, map[string]any{"message": user.Name})
	case "frappe.realtime.get_user_info":
		answerJSON(w, http.StatusOK, map[string]any{"message": map[string]any{
			"user": user.Name, "user_type": user.Type, "installed_apps": []string{"frappe"},
		}})
	case "frappe.realtime.can_subscribe_doctype":
		answerPermission(w, user.mayRead(argument("doctype"), ""))
	case "frappe.realtime.can_subscribe_doc":
		answerPermission(w, user.mayRead(argument("doctype"), argument("docname")))
	case "frappe.realtime.has_permission":
		answerPermission(w, user.mayRead(argument("doctype"), argument("name")))
	default:
		answerException(w, &siteException{Status: http.StatusExpectationFailed, Type: "ValidationError"})
	}
}

const guest = "Guest"

// caller finds who sent a request: the session first, then the API key; nobody is Guest.
func caller(users []SiteUser, r *http.Request) (SiteUser, error) {
	user := SiteUser{Name: guest, Type: "Website User"}
	if sid := requestSID(r); sid != "" {
		if i := slices.IndexFunc(users, func(u SiteUser) bool { return u.SID == sid }); i >= 0 {
			user = users[i]
		}
	}
	scheme, value, two := strings.Cut(r.Header.Get("Authorization"), " ")
	if two {
		token := value
		if strings.EqualFold(scheme, "basic") {
			decoded, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return user, &siteException{Status: http.StatusBadRequest, Type: "InvalidAuthorizationToken"}
			}
			token = string(decoded)
		} else if !strings.EqualFold(scheme, "token") {
			token = ""
		}
		i := slices.IndexFunc(users, func(u SiteUser) bool { return token != "" && u.Token == token })
		switch {
		case i >= 0 && user.Name == guest:
			user = users[i]
		case i < 0 && (token != "" || user.Name == guest):
			return user, &siteException{Status: http.StatusUnauthorized, Type: "AuthenticationError"}
		}
	}
	if user.Type == "" {
		user.Type = "System User"
	}
	return user, nil
}

// requestSID takes the session from the query before the cookie: Frappe 15's realtime server sends it there.
func requestSID(r *http.Request) string {
	if sid := r.URL.Query().Get("sid"); sid != "" {
		return sid
	}
	if c, err := r.Cookie("sid"); err == nil && c.Value != guest {
		return c.Value
	}
	return ""
}

func hasSID(r *http.Request) bool { return requestSID(r) != "" }

func siteName(r *http.Request) string {
	if site := r.Header.Get("X-Frappe-Site-Name"); site != "" {
		return site
	}
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}

func (u SiteUser) mayRead(doctype, name string) bool {
	return slices.ContainsFunc(u.Read, func(right string) bool {
		ofType, ofName, hasName := strings.Cut(right, "/")
		switch {
		case right == "*":
			return true
		case ofType != doctype:
			return false
		case name == "":
			return true
		default:
			return hasName && (ofName == "*" || ofName == name)
		}
	})
}

// siteException is an error as a Frappe site reports it.
type siteException struct {
	Status         int
	Type           string
	SessionExpired bool
}

func (e *siteException) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Type) }

func answerException(w http.ResponseWriter, err error) {
	var e *siteException
	if !errors.As(err, &e) {
		e = &siteException{Status: http.StatusInternalServerError, Type: "Exception"}
	}
	body := map[string]any{"exc_type": e.Type}
	if e.SessionExpired {
		body["session_expired"] = 1
	}
	answerJSON(w, e.Status, body)
}

func answerPermission(w http.ResponseWriter, allowed bool) {
	if !allowed {
		answerException(w, &siteException{Status: http.StatusForbidden, Type: "PermissionError"})
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"message": true})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may have gone; nobody is left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
