package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// What the doctor looks at beside Redis: the sites and the realtime server.

func (d *doctor) sites(ctx context.Context, b *frappe.Bench) {
	names, err := b.Sites()
	if d.site != "" {
		names, err = []string{d.site}, nil
	}
	if err != nil {
		d.fail("sites", err, "")
		return
	}
	if len(names) == 0 {
		d.bad("sites", "run: bench new-site", "the bench has none")
	}
	for _, name := range names {
		site, err := b.Site(name)
		if err != nil {
			d.fail("site "+name, err, "")
			continue
		}
		for _, w := range site.Warnings() {
			d.warn("site "+name, "", "%s", w)
		}
		d.database(ctx, site)
	}
}

func (d *doctor) database(ctx context.Context, site *frappe.Site) {
	check := "site " + site.Name
	if site.MaintenanceMode() {
		d.warn(check, "run: bench --site "+site.Name+" set-maintenance-mode off", "it is in maintenance mode: its jobs are held")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	db, err := site.DB(ctx)
	if err != nil {
		d.fail(check, err, "") // the error says what to do
		return
	}
	problems, err := frappe.CheckTables(ctx, site)
	if err != nil {
		d.fail(check, err, "")
		return
	}
	fatal := false
	for _, p := range problems {
		what := strings.TrimSuffix(strings.Join([]string{p.Table, p.Column + p.Index}, "."), ".")
		if p.Fatal {
			fatal = true
			d.bad(check, p.Fix, "%s: %s", what, p.Problem)
		} else {
			d.warn(check, p.Fix, "%s: %s", what, p.Problem)
		}
	}
	if fatal {
		return
	}
	d.ok(check, "database %s, time zone %s, %s", site.DBName(), db.Location(), d.jobCounts(ctx, db))
}

// jobCounts says how many jobs are where a person may want to look.
func (d *doctor) jobCounts(ctx context.Context, db *frappe.DB) string {
	var parts []string
	for _, s := range []frappe.Status{frappe.StatusQueued, frappe.StatusRunning, frappe.StatusDeadLetter} {
		_, n, err := db.ListJobs(ctx, frappe.ListFilter{Statuses: []frappe.Status{s}, Limit: 1})
		if err != nil {
			return err.Error()
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(s))))
	}
	return strings.Join(parts, ", ")
}

// realtime asks for an Engine.IO session as a browser's first request does.
func (d *doctor) realtime(ctx context.Context, b *frappe.Bench) {
	url := realtimeURL(b)
	fix := "start it (bench start, node-socketio in supervisor), or correct socketio_port; jobs run all the same, but nobody sees their progress live"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/socket.io/?EIO=4&transport=polling", nil)
	if err != nil {
		d.fail("realtime", err, fix)
		return
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.warn("realtime", fix, "%v", err)
		return
	}
	defer response.Body.Close()
	head, err := io.ReadAll(io.LimitReader(response.Body, 2))
	if err != nil || response.StatusCode != http.StatusOK || string(head) != "0{" {
		d.warn("realtime", fix, "%s answers %s and is no Socket.IO server", url, response.Status)
		return
	}
	d.ok("realtime", "%s", url)
}
