package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

func (r *report) sites(ctx context.Context, b *frappe.Bench, cfg bridge.Config, only string) {
	names, err := b.Sites()
	if only != "" {
		names, err = []string{only}, nil
	}
	if err != nil {
		r.fail("sites", err, "")
		return
	}
	if len(names) == 0 {
		r.add(Error, "sites", "run: bench new-site", "the bench has none")
	}
	r.sitesInAll = len(names)
	for _, name := range names {
		site, err := b.Site(name)
		if err != nil {
			r.fail("site "+name, err, "")
			continue
		}
		for _, w := range site.Warnings() {
			r.warn("site "+name, "", "%s", w)
		}
		r.database(ctx, b, cfg, site)
	}
}

func (r *report) database(ctx context.Context, b *frappe.Bench, cfg bridge.Config, site *frappe.Site) {
	check := "site " + site.Name
	if site.MaintenanceMode() {
		r.warn(check, "run: bench --site "+site.Name+" set-maintenance-mode off", "it is in maintenance mode: its jobs are held")
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	db, err := rows.Open(ctx, site)
	if err != nil {
		r.fail(check, err, "") // the error says what to do
		return
	}
	defer db.Close()
	problems, err := rows.CheckTables(ctx, db)
	if err != nil {
		r.fail(check, err, "")
		return
	}
	worst := OK
	for _, p := range problems {
		what := strings.TrimSuffix(strings.Join([]string{p.Table, p.Column + p.Index}, "."), ".")
		if p.Install {
			p.Fix = "run: bridge install --site " + site.Name
		}
		level := Warning
		if p.Fatal {
			level, worst = Error, Error
		}
		r.add(level, check, p.Fix, "%s: %s", what, p.Problem)
	}
	if worst == Error {
		return
	}
	r.ok(check, "database %s, time zone %s, %s", site.DBName(), db.Location(), jobCounts(ctx, db))
	for _, err := range []error{
		r.deadLetters(ctx, check, site, db), r.overlooked(ctx, check, cfg, db), r.connections(ctx, check, site, db),
		r.holds(ctx, check, db), r.members(ctx, check, db),
		r.documents(whole, check, b, site, db),
	} {
		if err != nil {
			r.fail(check, err, "")
		}
	}
}

// jobCounts says how many jobs are where a person may want to look.
func jobCounts(ctx context.Context, db *rows.DB) string {
	var parts []string
	for _, s := range []rows.Status{rows.StatusQueued, rows.StatusRunning, rows.StatusDeadLetter} {
		n, err := db.Count(ctx, "", []rows.Status{s}, countMost)
		if err != nil {
			return err.Error()
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(s))))
	}
	return strings.Join(parts, ", ")
}

// realtime asks for an Engine.IO session as a browser's first request does.
func (r *report) realtime(ctx context.Context, b *frappe.Bench) {
	url := watch.ServerURL(b)
	fix := "start it (bench start, node-socketio in supervisor), or correct socketio_port; jobs run all the same, but nobody sees their progress live"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/socket.io/?EIO=4&transport=polling", nil)
	if err != nil {
		r.fail("realtime", err, fix)
		return
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.warn("realtime", fix, "%v", err)
		return
	}
	defer response.Body.Close()
	head, err := io.ReadAll(io.LimitReader(response.Body, 2))
	if err != nil || response.StatusCode != http.StatusOK || string(head) != "0{" {
		r.warn("realtime", fix, "%s answers %s and is not a Socket.IO server", url, response.Status)
	} else {
		r.ok("realtime", "%s", url)
	}
}
