package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// enqueueCases are the ways of frappe.enqueue, on one queue.
func enqueueCases(b *bed, group, queue string, has need) []Case {
	w := way{queue: queue}
	cases := []Case{
		{Name: "job_id", Means: "a Python call with an id of its own runs in Go, with its arguments and as its user", Run: w.jobID},
		{Name: "deduplicate", Means: "a call that is on its way already isn't enqueued twice", Run: w.deduplicate},
		{Name: "timeout", Means: "the caller's time limit reaches the handler", Run: w.timeout},
		{Name: "at_front", Means: "urgent calls work", Run: w.options(values{"at_front": true})},
		{Name: "job_name", Means: "calls with the old job_name work", Run: w.options(values{"job_name": "a name"})},
		{Name: "enqueue_after_commit", Means: "a call comes after the commit, and not at all after a rollback", Run: w.afterCommit},
		{Name: "argument types", Means: "dates, decimals, bytes, large numbers arrive as the README says", Run: w.oddTypes},
		{Name: "a Document as argument", Means: "callers may pass a whole document", Needs: []need{documents}, Run: w.document},
		{Name: "Server Script, API", Means: "a site without an app enqueues Go jobs from a Server Script", Needs: []need{documents, scripts, web, users}, Run: w.apiScript},
		{Name: "Server Script, DocType event", Means: "saving a document enqueues a Go job", Needs: []need{documents, scripts}, Run: w.eventScript},
		{Name: "now=True", Means: "runs in the caller's process, so it can't be Go's", Run: w.now},
	}
	for i := range cases {
		c := &cases[i]
		c.Name = group + ": " + c.Name
		c.Needs = append([]need{ownWorker, has}, c.Needs...)
		if c.Fix == "" {
			c.Fix = "look at the job (bridge job ID), at the log of the worker, and whether a Python worker listens to this queue"
		}
	}
	return cases
}

// way enqueues on one queue.
type way struct{ queue string }

// call enqueues in Python and returns RQ's id, "" if Frappe enqueued nothing.
func (w way) call(ctx context.Context, b *bed, method, id string, options, kwargs values) (string, error) {
	var rqID *string
	err := b.python.do(ctx, `
frappe.set_user(args["user"])
job = frappe.enqueue(args["method"], queue=args["queue"], job_id=args["id"], **{**(args["options"] or {}), **(args["kwargs"] or {})})
answer = job and job.id
`, values{"user": b.caller(), "method": method, "queue": w.queue, "id": id, "options": options, "kwargs": kwargs}, &rqID)
	if rqID == nil {
		return "", err
	}
	return *rqID, err
}

// caller is who enqueues: the owner if there is one.
func (b *bed) caller() string {
	if b.owner.name == "" {
		return "Administrator"
	}
	return b.owner.name
}

func (w way) jobID(ctx context.Context, b *bed) error {
	id := newID("id")
	rqID, err := w.call(ctx, b, echoMethod, id, nil, values{"invoice": "INV-1", "copies": 2})
	if err != nil {
		return err
	}
	if err := want("the id", rqID, b.frappe.JobID(b.site, id)); err != nil {
		return err
	}
	back, err := b.echoOf(ctx, rqID)
	if err != nil {
		return err
	}
	return errors.Join(want("the user", back.User, b.caller()), want("the method", back.Method, echoMethod),
		sameJSON(back.Params, values{"invoice": "INV-1", "copies": 2}))
}

func (w way) deduplicate(ctx context.Context, b *bed) error {
	id, once := newID("once"), values{"deduplicate": true}
	first, err := w.call(ctx, b, taskMethod, id, once, values{"seconds": 2})
	if err != nil {
		return err
	}
	// A job that Python failed in the meantime is neither queued nor started: wait until Go has it.
	if err := b.until(ctx, takeBack, "the job is started in Go", func() (bool, error) { return b.startedInGo(ctx, first) }); err != nil {
		return err
	}
	second, err := w.call(ctx, b, taskMethod, id, once, values{"seconds": 2})
	if err != nil {
		return err
	}
	if second != "" {
		return fmt.Errorf("a second call of %s was enqueued while the first one ran", id)
	}
	e, err := b.await(ctx, first)
	if err == nil {
		_, err = e.value()
	}
	return err
}

func (w way) timeout(ctx context.Context, b *bed) error {
	rqID, err := w.call(ctx, b, echoMethod, newID("timeout"), values{"timeout": 77}, nil)
	if err != nil {
		return err
	}
	back, err := b.echoOf(ctx, rqID)
	if err != nil {
		return err
	}
	return want("the time limit", back.Timeout, 77)
}

// options enqueues with options that change nothing of what the handler gets.
func (w way) options(options values) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		rqID, err := w.call(ctx, b, echoMethod, newID("options"), options, values{"text": "Grüße"})
		if err != nil {
			return err
		}
		back, err := b.echoOf(ctx, rqID)
		if err != nil {
			return err
		}
		return sameJSON(back.Params, values{"text": "Grüße"})
	}
}

func (w way) afterCommit(ctx context.Context, b *bed) error {
	kept, dropped := newID("kept"), newID("dropped")
	var early bool
	err := b.python.do(ctx, `
from frappe.utils.background_jobs import is_job_enqueued
def later(id):
    frappe.enqueue(args["method"], queue=args["queue"], job_id=id, enqueue_after_commit=True)
later(args["dropped"])
frappe.db.rollback()
later(args["kept"])
answer = is_job_enqueued(args["kept"])
`, values{"method": echoMethod, "queue": w.queue, "kept": kept, "dropped": dropped}, &early)
	if err != nil {
		return err
	}
	if early {
		return errors.New("the job was enqueued before the commit")
	}
	if _, err := b.echoOf(ctx, b.frappe.JobID(b.site, kept)); err != nil {
		return err
	}
	if job, err := b.rq().Fetch(ctx, b.frappe.JobID(b.site, dropped)); job != nil && err == nil {
		return errors.New("the job was enqueued after a rollback")
	}
	return nil
}

// oddArguments are what JSON lacks, as Python makes them and as a handler gets them.
var oddArguments = []struct {
	name, python string
	json         any
}{
	{"none", "None", nil},
	{"flag", "True", true},
	{"large", "2**70", json.Number("1180591620717411303424")},
	{"nan", "float('nan')", "nan"},
	{"text", "'Gr\\u00fc\\u00dfe \\U0001f30d'", "Grüße 🌍"},
	{"date", "datetime.date(2024, 2, 29)", "2024-02-29"},
	{"datetime", "datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)", "2024-02-29 23:59:59.123456"},
	{"timedelta", "datetime.timedelta(days=-1, seconds=5)", "-1 day, 0:00:05"},
	{"decimal", "decimal.Decimal('1.50')", "1.50"},
	{"uuid", "uuid.UUID('12345678-1234-5678-1234-567812345678')", "12345678-1234-5678-1234-567812345678"},
	{"bytes", "b'abc'", "abc"},
	{"tuple", "(1, 'two')", []any{1, "two"}},
	{"set", "{7}", []any{7}},
	{"dict", "frappe._dict(a={1: None})", values{"a": values{"1": nil}}},
}

func (w way) oddTypes(ctx context.Context, b *bed) error {
	var code strings.Builder
	wanted := values{}
	for _, a := range oddArguments {
		fmt.Fprintf(&code, "%q: %s, ", a.name, a.python)
		wanted[a.name] = a.json
	}
	rqID := b.frappe.JobID(b.site, newID("types"))
	err := b.python.do(ctx, `
import datetime, decimal, uuid
frappe.enqueue(args["method"], queue=args["queue"], job_id=args["id"], **{`+code.String()+`})
`, values{"method": echoMethod, "queue": w.queue, "id": rqID[len(b.frappe.JobID(b.site, "")):]}, nil)
	if err != nil {
		return err
	}
	back, err := b.echoOf(ctx, rqID)
	if err != nil {
		return err
	}
	var got values
	d := json.NewDecoder(strings.NewReader(string(back.Params)))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		return err
	}
	var wrong []error
	for _, a := range oddArguments {
		if err := sameJSON(got[a.name], a.json); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", a.python, err))
		}
	}
	return errors.Join(wrong...)
}

func (w way) document(ctx context.Context, b *bed) error {
	id := newID("document")
	err := b.python.do(ctx, `
frappe.enqueue(args["method"], queue=args["queue"], job_id=args["id"], document=frappe.get_doc("User", "Guest"))
`, values{"method": echoMethod, "queue": w.queue, "id": id}, nil)
	if err != nil {
		return err
	}
	back, err := b.echoOf(ctx, b.frappe.JobID(b.site, id))
	if err != nil {
		return err
	}
	var params struct {
		Document struct {
			Class string `json:"__class__"`
			Name  string
		}
	}
	if err := json.Unmarshal(back.Params, &params); err != nil {
		return err
	}
	return errors.Join(want("its class", params.Document.Class, "frappe.core.doctype.user.user.User"), want("its name", params.Document.Name, "Guest"))
}

func (w way) apiScript(ctx context.Context, b *bed) error {
	method, id := "bridge_acceptance_"+w.queue, newID("script")
	if err := makeScript(ctx, b, values{
		"name": name + "-api-" + w.queue, "script_type": "API", "api_method": method, "script": fmt.Sprintf(
			"frappe.enqueue(%q, queue=%q, job_id=frappe.form_dict.id, text='from a script')", echoMethod, w.queue),
	}); err != nil {
		return err
	}
	if _, err := b.post(ctx, b.owner, "/api/method/"+method, values{"id": id}); err != nil {
		return err
	}
	return fromScript(ctx, b, id, values{"text": "from a script"})
}

func (w way) eventScript(ctx context.Context, b *bed) error {
	id := newID("event")
	if err := makeScript(ctx, b, values{
		"name": name + "-event-" + w.queue, "script_type": "DocType Event", "reference_doctype": "ToDo", "doctype_event": "After Insert",
		"script": fmt.Sprintf("if doc.description == %q:\n    frappe.enqueue(%q, queue=%q, job_id=doc.description, todo=doc.status)", id, echoMethod, w.queue),
	}); err != nil {
		return err
	}
	err := b.python.do(ctx, `frappe.get_doc({"doctype": "ToDo", "description": args["id"]}).insert(ignore_permissions=True)`, values{"id": id}, nil)
	if err != nil {
		return err
	}
	return fromScript(ctx, b, id, values{"todo": "Open"})
}

func makeScript(ctx context.Context, b *bed, fields values) error {
	return b.python.do(ctx, `frappe.get_doc({"doctype": "Server Script", **args}).insert(ignore_permissions=True)`, fields, nil)
}

// fromScript waits for an echo that a Server Script asked for; the argument function is Frappe's own.
func fromScript(ctx context.Context, b *bed, id string, wanted values) error {
	back, err := b.echoOf(ctx, b.frappe.JobID(b.site, id))
	if err != nil {
		return err
	}
	return errors.Join(want("the method", back.Method, echoMethod), sameJSON(back.Params, wanted))
}

// now makes sure that Frappe keeps such a call to itself.
func (w way) now(ctx context.Context, b *bed) error {
	id := newID("now")
	for _, options := range []values{{"now": true}, {"is_async": false}} {
		if _, err := w.call(ctx, b, echoMethod, id, options, nil); err == nil {
			return fmt.Errorf("frappe.enqueue(%s, %v) did not fail", echoMethod, options)
		}
		if job, err := b.rq().Fetch(ctx, b.frappe.JobID(b.site, id)); job != nil && err == nil {
			return fmt.Errorf("frappe.enqueue(%s, %v) reached RQ", echoMethod, options)
		}
	}
	return missing("Frappe runs the call at once in its own process, where no Go handler is: leave out now and is_async")
}
