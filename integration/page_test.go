package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/documents"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/testdata/desk"
)

// deskPage is a page in a browser that stands in for Frappe's desk, with the Client Scripts that we ship, a stock
// Socket.IO client, and the rows of the site.
type deskPage struct {
	*servers.Page
	t   *testing.T
	db  *sql.DB
	url string
}

// openDesk opens the desk as a user of the story.
func openDesk(t *testing.T, s *story, u servers.SiteUser) *deskPage {
	t.Helper()
	st, err := s.bench.Site(site)
	if err != nil {
		t.Fatal(err)
	}
	p := &deskPage{t: t}
	if p.db, err = sql.Open("mysql", servertest.MariaDB(t).DSN(st.DBName())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.db.Close() })
	client := s.realtime.ClientScript()
	scripts := clientScripts(t)
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(desk.Source))
	mux.HandleFunc("GET /socket.io.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, client) })
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /desk/scripts", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(scripts) })
	mux.HandleFunc("POST /desk/block", p.answer(block))
	mux.HandleFunc("POST /desk/get", p.answer(p.get))
	mux.HandleFunc("POST /desk/list", p.answer(p.list))
	mux.HandleFunc("POST /desk/set", p.answer(p.set))
	mux.HandleFunc("PUT /api/resource/{doctype}/{name}", p.put)
	mux.HandleFunc("GET /api/method/frappe.client.get_value", p.getValue)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: u.SID})
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL + "/desk.html?" + url.Values{"user": {u.Name}, "realtime": {s.realtime.URL + "/" + site}}.Encode()
	if p.Page, err = servertest.Browser(t).Open(t.Context(), p.url); err != nil {
		t.Fatal(err)
	}
	p.await("desk.ready && frappe.realtime.socket.connected")
	return p
}

// of is the page for a part of the test.
func (p *deskPage) of(t *testing.T) *deskPage {
	part := *p
	part.t = t
	return &part
}

// clientScripts are the Client Scripts as a site has them, those of lists first.
func clientScripts(t *testing.T) (scripts []string) {
	t.Helper()
	all, err := documents.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, view := range []string{"List", "Form"} {
		for _, d := range all {
			if d.DocType == "Client Script" && d.Fields["view"] == view {
				scripts = append(scripts, d.Fields["script"].(string))
			}
		}
	}
	return scripts
}

// block is a Custom HTML Block as a site has it.
func block(_ context.Context, a asked) (any, error) {
	all, err := documents.Load()
	for _, d := range all {
		if d.DocType == "Custom HTML Block" && d.Name == a.Name {
			return d.Fields, nil
		}
	}
	return nil, errors.Join(err, fmt.Errorf("no block %s", a.Name))
}

// asked is what the page wants of the site.
type asked struct {
	DocType string         `json:"doctype"`
	Name    string         `json:"name"`
	Names   []string       `json:"names"`
	Filters any            `json:"filters"`
	OrderBy string         `json:"order_by"`
	Values  map[string]any `json:"values"`
}

func (p *deskPage) answer(with func(ctx context.Context, a asked) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var a asked
		err := json.NewDecoder(r.Body).Decode(&a)
		var answer any
		if err == nil {
			answer, err = with(r.Context(), a)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusExpectationFailed)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (p *deskPage) get(ctx context.Context, a asked) (any, error) {
	found, err := p.query(ctx, a.DocType, "name = ?", a.Name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// list knows filters that are equalities, and names.
func (p *deskPage) list(ctx context.Context, a asked) (any, error) {
	where, args := "1", []any{}
	if equal, ok := a.Filters.(map[string]any); ok {
		for field, value := range equal {
			where, args = where+" AND `"+field+"` = ?", append(args, value)
		}
	}
	if a.Names != nil {
		where += " AND name IN (''" + strings.Repeat(", ?", len(a.Names)) + ")"
		for _, name := range a.Names {
			args = append(args, name)
		}
	}
	if a.OrderBy != "" {
		where += " ORDER BY " + a.OrderBy
	}
	return p.query(ctx, a.DocType, where, args...)
}

// query reads rows as the desk gets them: every value a text or a number.
func (p *deskPage) query(ctx context.Context, doctype, where string, args ...any) ([]map[string]any, error) {
	found := []map[string]any{}
	rows, err := p.db.QueryContext(ctx, "SELECT * FROM `tab"+doctype+"` WHERE "+where, args...)
	if err != nil {
		if strings.Contains(err.Error(), "doesn't exist") { // a table of Frappe's own
			return found, nil
		}
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, places := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		row := map[string]any{"doctype": doctype}
		for i, column := range columns {
			if text, ok := values[i].([]byte); ok {
				values[i] = string(text)
			}
			row[column] = values[i]
		}
		found = append(found, row)
	}
	return found, rows.Err()
}

func (p *deskPage) set(ctx context.Context, a asked) (any, error) {
	for field, value := range a.Values {
		if _, err := p.db.ExecContext(ctx, "UPDATE `tab"+a.DocType+"` SET `"+field+"` = ?, modified = NOW(6) WHERE name = ?", value, a.Name); err != nil {
			return nil, err
		}
	}
	return p.get(ctx, a)
}

// getValue answers as Frappe does, also of a document that isn't there.
func (p *deskPage) getValue(w http.ResponseWriter, r *http.Request) {
	a := asked{DocType: r.FormValue("doctype")}
	err := json.Unmarshal([]byte(r.FormValue("filters")), &a.Filters)
	found, err2 := p.list(r.Context(), a)
	if err = errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusExpectationFailed)
		return
	}
	var message any = values{}
	if rows := found.([]map[string]any); len(rows) > 0 {
		message = rows[0]
	}
	_ = json.NewEncoder(w).Encode(values{"message": message})
}

func (p *deskPage) put(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	a := asked{DocType: r.PathValue("doctype"), Name: r.PathValue("name")}
	if err == nil {
		err = json.Unmarshal(text, &a.Values)
	}
	if r.Header.Get("X-Frappe-CSRF-Token") != "token" || strings.Contains(a.Name, "forbidden") {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"exc_type": "PermissionError"}`)
		return
	}
	if err == nil {
		_, err = p.set(r.Context(), a)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusExpectationFailed)
		return
	}
	_, _ = io.WriteString(w, "{}")
}

// do runs something in the page.
func (p *deskPage) do(format string, args ...any) {
	p.t.Helper()
	for i, arg := range args {
		text, err := json.Marshal(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		args[i] = string(text)
	}
	if err := p.Eval(p.t.Context(), "(async () => {"+fmt.Sprintf(format, args...)+"})()", nil); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until something is true in the page, two seconds and some more for a busy machine.
func (p *deskPage) await(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Await(ctx, expression); err != nil {
		var form, list string
		_ = p.Eval(p.t.Context(), `document.querySelector("#form").innerText`, &form)
		_ = p.Eval(p.t.Context(), `document.querySelector("#list").innerText`, &list)
		p.t.Fatalf("%v\nform: %s\nlist: %s\nerrors: %q", err, form, list, p.Errors())
	}
}

// value is what an expression comes to in the page, as JSON.
func (p *deskPage) value(expression string) string {
	p.t.Helper()
	var text string
	if err := p.Eval(p.t.Context(), "JSON.stringify("+expression+")", &text); err != nil {
		p.t.Fatal(err)
	}
	return text
}
