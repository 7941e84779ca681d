package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// pageCases open the desk's pages in a browser, as people do.
func pageCases() []Case {
	cases := []Case{
		{Name: "form", Means: "an open form shows how far its job is, and its end, without a reload", Run: formMoves},
		{Name: "list", Means: "the list's bars move, and what is new comes on top, without a reload", Run: listMoves},
		{Name: "new", Means: "a job that is filled in in the desk runs when it is saved", Run: newForm},
		{Name: "cancel", Means: "the form's button ends a running job", Run: cancelButton},
		{Name: "retry", Means: "a dead letter runs again with other parameters", Run: retryDialog},
		{Name: "others", Means: "people don't see the jobs of others", Run: othersPages},
	}
	for i := range cases {
		cases[i].Name = "desk pages: " + cases[i].Name
		cases[i].Needs = []need{chromium, ownWorker, tables, documents, users, manager, web, socket}
		cases[i].Fix = "bridge install --site SITE, bench --site SITE clear-cache; then look at the browser's console on that page"
	}
	return cases
}

// lookForBrowser starts the browser, if it is wanted.
func (b *bed) lookForBrowser(ctx context.Context) {
	if !b.desk {
		b.missing[chromium] = "not asked for: --desk"
		return
	}
	var arguments []string
	if site, err := url.Parse(b.siteURL()); err == nil && b.url == "" {
		// As in ask: the bench's own web server is on this machine.
		arguments = append(arguments, "--host-resolver-rules=MAP "+site.Hostname()+" 127.0.0.1")
	}
	browser, err := servers.StartBrowser(ctx, arguments...)
	if err != nil {
		b.missing[chromium] = err.Error()
		return
	}
	b.browser = browser
	b.undo = append(b.undo, browser.Stop)
}

// browse opens a page of the desk as a user.
func (b *bed) browse(ctx context.Context, as user, path string) (*servers.Page, error) {
	var session string
	err := b.python.do(ctx, `
from frappe.auth import CookieManager, LoginManager
frappe.utils.set_request(path="/")
frappe.local.cookie_manager = CookieManager()
frappe.local.login_manager = LoginManager()
frappe.local.login_manager.login_as(args["user"])
answer = frappe.session.sid
`, values{"user": as.name}, &session)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", as.name, err)
	}
	p, err := b.browser.Open(ctx, b.siteURL()+"/api/method/frappe.ping?sid="+session)
	if err != nil {
		return nil, err
	}
	return p, p.Go(ctx, b.siteURL()+path)
}

// shows waits until something is true in a page; a desk that nobody opened before takes a while.
func shows(ctx context.Context, p *servers.Page, limit time.Duration, expression string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := p.Await(ctx, expression); err != nil {
		return fmt.Errorf("%w; errors of the page: %q", err, p.Errors())
	}
	return nil
}

const (
	opening = 30 * time.Second // a page opens
	soon    = 2 * time.Second  // something that happened is seen
)

// openForm opens a job's form and waits until its scripts have run.
func (b *bed) openForm(ctx context.Context, as user, row string) (*servers.Page, error) {
	p, err := b.browse(ctx, as, "/app/background-job/"+row)
	if err != nil {
		return nil, err
	}
	return p, shows(ctx, p, opening, fmt.Sprintf("window.cur_frm?.docname === %q && document.querySelector('.job-how-long')?.textContent", row))
}

// whoMay is the owner, or the manager where an app's DocType allows the owner only to look.
func (b *bed) whoMay(ctx context.Context, do, row string) (user, error) {
	var may bool
	err := b.python.do(ctx, `answer = bool(frappe.has_permission("Background Job", args["do"], args["row"] or None, user=args["user"]))`,
		values{"do": do, "row": row, "user": b.owner.name}, &may)
	if may {
		return b.owner, err
	}
	return b.manager, err
}

// openToWrite opens a job's form as somebody who may change it.
func (b *bed) openToWrite(ctx context.Context, row string) (user, *servers.Page, error) {
	who, err := b.whoMay(ctx, "write", row)
	if err != nil {
		return who, nil, err
	}
	p, err := b.openForm(ctx, who, row)
	return who, p, err
}

// runningRow submits a job that takes a while, and waits until it runs.
func (b *bed) runningRow(ctx context.Context, seconds float64) (string, error) {
	row, err := b.submit(ctx, taskType, task{Seconds: seconds})
	if err == nil {
		_, err = b.awaitRow(ctx, row, 20*time.Second, rows.StatusRunning)
	}
	return row, err
}

func formMoves(ctx context.Context, b *bed) error {
	row, err := b.runningRow(ctx, 15)
	if err != nil {
		return err
	}
	p, err := b.openForm(ctx, b.owner, row)
	if err != nil {
		return err
	}
	const bar = "parseFloat(document.querySelector('.progress-area .progress-bar').style.width)"
	for range 3 {
		var before float64
		if err := p.Eval(ctx, bar, &before); err != nil {
			return err
		}
		// A report each second, and the time until it is seen.
		if err := shows(ctx, p, time.Second+soon, fmt.Sprintf("%s > %v", bar, before)); err != nil {
			return err
		}
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	if err := shows(ctx, p, soon, "cur_frm.doc.status === 'Completed' && !cur_frm.custom_buttons.Cancel"); err != nil {
		return err
	}
	var dirty bool
	if err := p.Eval(ctx, "!!cur_frm.is_dirty()", &dirty); err != nil || dirty {
		return errors.Join(err, want("changed by the way", dirty, false))
	}
	return quiet(p)
}

// quiet is an error if the page reported any.
func quiet(p *servers.Page) error {
	reported := slices.DeleteFunc(p.Errors(), func(e string) bool { return strings.Contains(e, "/favicon.ico") })
	if len(reported) > 0 {
		return fmt.Errorf("the page reported %s", strings.Join(reported, "; "))
	}
	return nil
}

func listMoves(ctx context.Context, b *bed) error {
	first, err := b.runningRow(ctx, 15)
	if err != nil {
		return err
	}
	p, err := b.browse(ctx, b.manager, "/app/background-job?organization="+organization)
	if err != nil {
		return err
	}
	bar := fmt.Sprintf("parseFloat([...document.querySelectorAll('.list-row-checkbox')].find((box) => box.dataset.name === %q)?.closest('.list-row').querySelector('.progress-bar').style.width)", first)
	if err := shows(ctx, p, opening, bar+" > 0"); err != nil {
		return err
	}
	var before float64
	if err := p.Eval(ctx, bar, &before); err != nil {
		return err
	}
	if err := shows(ctx, p, time.Second+soon, fmt.Sprintf("%s > %v", bar, before)); err != nil {
		return err
	}
	second, err := b.submit(ctx, taskType, task{Seconds: 0.1})
	if err != nil {
		return err
	}
	// The stock list may look no sooner than a few seconds after it was told.
	if err := shows(ctx, p, 6*time.Second, fmt.Sprintf("document.querySelector('.list-row-checkbox')?.dataset.name === %q", second)); err != nil {
		return err
	}
	return quiet(p)
}

func newForm(ctx context.Context, b *bed) error {
	who, err := b.whoMay(ctx, "create", "")
	if err != nil {
		return err
	}
	p, err := b.browse(ctx, who, "/app/background-job/new")
	if err != nil {
		return err
	}
	if err := shows(ctx, p, opening, "window.cur_frm?.is_new()"); err != nil {
		return err
	}
	fill := fmt.Sprintf("(async () => { await cur_frm.set_value('job_type', %q); await cur_frm.set_value('organization', %q); await cur_frm.set_value('input_parameters', '{\"seconds\": 0.1}'); await cur_frm.save(); })()", taskType, organization)
	if err := p.Eval(ctx, fill, nil); err != nil {
		return err
	}
	if err := shows(ctx, p, opening, "!cur_frm.is_new()"); err != nil {
		return err
	}
	var row string
	if err := p.Eval(ctx, "cur_frm.docname", &row); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	return shows(ctx, p, soon, "cur_frm.doc.status === 'Completed'")
}

// press presses a button of the form, and the one that says yes to what it asks.
func press(ctx context.Context, p *servers.Page, label string) error {
	if err := shows(ctx, p, soon, fmt.Sprintf("cur_frm.custom_buttons[%q]", label)); err != nil {
		return err
	}
	return p.Eval(ctx, fmt.Sprintf("cur_frm.custom_buttons[%q].click(); null", label), nil)
}

func cancelButton(ctx context.Context, b *bed) error {
	row, err := b.runningRow(ctx, 50)
	if err != nil {
		return err
	}
	who, p, err := b.openToWrite(ctx, row)
	if err != nil {
		return err
	}
	if err := press(ctx, p, "Cancel"); err != nil {
		return err
	}
	if err := shows(ctx, p, soon, "window.cur_dialog?.display && (cur_dialog.get_primary_btn().click(), true)"); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, soon, rows.StatusCanceled); err != nil {
		return err
	}
	// The desk writes the status alone; whose it was is added by the bridge, which ends the job.
	return b.until(ctx, 5*time.Second, fmt.Sprintf("%s was canceled by %s and runs no longer", row, who.name), func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, row)
		return in.Row != nil && in.Row.CanceledBy == who.name && (in.Job == nil || in.Job.Status != "started"), err
	})
}

func retryDialog(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Permanent: true})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusDeadLetter); err != nil {
		return err
	}
	_, p, err := b.openToWrite(ctx, row)
	if err != nil {
		return err
	}
	if err := press(ctx, p, "Retry with Changed Parameters"); err != nil {
		return err
	}
	if err := shows(ctx, p, opening, "window.cur_dialog?.display && cur_dialog.get_value('input_parameters')"); err != nil {
		return err
	}
	if err := p.Eval(ctx, `cur_dialog.set_value("input_parameters", '{"seconds": 0.1}').then(() => { cur_dialog.get_primary_btn().click(); })`, nil); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	return shows(ctx, p, soon, "cur_frm.doc.status === 'Completed'")
}

func othersPages(ctx context.Context, b *bed) error {
	row, err := b.ownRow(ctx)
	if err != nil {
		return err
	}
	if b.mayRead(ctx, b.other, row) {
		return missing("%s may read the jobs of others by the site's own rules", b.other.name)
	}
	p, err := b.browse(ctx, b.other, "/app/background-job/"+row)
	if err != nil {
		return err
	}
	if err := shows(ctx, p, opening, "window.cur_frm === null || document.querySelector('.msgprint, .page-card')"); err != nil {
		return err
	}
	var shown bool
	if err := p.Eval(ctx, fmt.Sprintf("!!window.locals?.['Background Job']?.[%q]", row), &shown); err != nil || shown {
		return errors.Join(err, fmt.Errorf("%s opened %s", b.other.name, row))
	}
	if err := p.Go(ctx, b.siteURL()+"/app/background-job"); err != nil {
		return err
	}
	if err := shows(ctx, p, opening, "window.cur_list?.data"); err != nil {
		return err
	}
	if err := p.Eval(ctx, fmt.Sprintf("cur_list.data.some((job) => job.name === %q)", row), &shown); err != nil || shown {
		return errors.Join(err, want(row+" in the list of "+b.other.name, shown, false))
	}
	return nil
}
