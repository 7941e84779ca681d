package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// byHandCases are what people and programs do by writing Background Jobs: submit, cancel, retry, and what is undone.
func byHandCases() []Case {
	cases := []Case{
		{Name: "insert in code", Means: "three lines of Python submit a job, and it runs once", Run: insertedInCode},
		{Name: "insert by REST", Means: "whoever may create a Background Job submits one by REST", Needs: []need{web}, Run: insertedByREST},
		{Name: "insert in a Server Script", Means: "a site without an app submits from a script", Needs: []need{scripts, web}, Run: insertedInScript},
		{Name: "Data Import", Means: "each row of an import runs once, within ten seconds", Run: imported},
		{Name: "cancel", Means: "the status Canceled ends a running job at once", Needs: []need{web}, Run: canceledByHand},
		{Name: "retry", Means: "a dead letter whose status is set to Queued runs again, with changed parameters", Needs: []need{web}, Run: retriedByHand},
		{Name: "undone", Means: "a state that only the job's course gives is taken back, and the log says whose it was", Run: undone},
		{Name: "refused", Means: "a submission that may not be is a Dead Letter that says why", Run: refused},
	}
	for i := range cases {
		cases[i].Name = "by hand: " + cases[i].Name
		cases[i].Needs = append([]need{ownWorker, tables, documents, users, manager}, cases[i].Needs...)
		cases[i].Fix = "look at the row's history and why it waits (bridge job NAME); the bridge's Redis user has to hear the channel events (ACL: &events)"
	}
	return cases
}

// insertBy inserts a Background Job in Python as a user.
func (b *bed) insertBy(ctx context.Context, as user, fields values) (row string, err error) {
	document := values{"doctype": "Background Job", "job_type": taskType, "organization": organization, "owner_user": as.name}
	for field, value := range fields {
		document[field] = value
	}
	err = b.python.do(ctx, `
frappe.set_user(args["user"])
answer = frappe.get_doc(args["document"]).insert(ignore_permissions=True).name
`, values{"user": as.name, "document": document}, &row)
	return row, err
}

// ranOnce waits for the end of a job that was submitted by hand.
func (b *bed) ranOnce(ctx context.Context, row, owner string) error {
	done, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	states, err := b.history(ctx, row)
	if err != nil {
		return err
	}
	return errors.Join(want("history", states, "Pending, Queued, Running, Completed"), want("owner_user", done.OwnerUser, owner),
		want("timeout_seconds, the Job Type's", done.TimeoutSeconds, 60))
}

func insertedInCode(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 0.1}})
	if err != nil {
		return err
	}
	return b.ranOnce(ctx, row, b.owner.name)
}

func insertedByREST(ctx context.Context, b *bed) error {
	answer, err := b.post(ctx, b.manager, "/api/resource/Background Job", values{
		"job_type": taskType, "organization": organization, "owner_user": b.owner.name, "input_parameters": task{Seconds: 0.1},
	})
	if err != nil {
		return err
	}
	row, err := nameOf(answer)
	if err != nil {
		return err
	}
	return b.ranOnce(ctx, row, b.owner.name)
}

func insertedInScript(ctx context.Context, b *bed) error {
	const method = "bridge_acceptance_insert"
	script := fmt.Sprintf(`doc = frappe.get_doc({"doctype": "Background Job", "job_type": %q, "organization": %q, "owner_user": frappe.session.user})
doc.insert(ignore_permissions=True)
frappe.response["message"] = {"name": doc.name}`, taskType, organization)
	if err := makeScript(ctx, b, values{"name": name + "-insert", "script_type": "API", "api_method": method, "script": script}); err != nil {
		return err
	}
	answer, err := b.post(ctx, b.owner, "/api/method/"+method, nil)
	if err != nil {
		return err
	}
	row, err := nameOf(answer)
	if err != nil {
		return err
	}
	return b.ranOnce(ctx, row, b.owner.name)
}

// importedRows is how many rows are imported, some ten in a second.
const importedRows = 100

func imported(ctx context.Context, b *bed) error {
	err := b.python.do(ctx, `
import os, tempfile
from frappe.core.doctype.data_import.data_import import import_file
frappe.set_user(args["user"])
lines = ['Job Type,Organization,Submitted By,Priority'] + [f'{args["type"]},{args["organization"]},{args["owner"]},Low'] * args["rows"]
with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as f:
    f.write("\n".join(lines))
try:
    import_file("Background Job", f.name, "Insert", console=True)
finally:
    os.unlink(f.name)
`, values{"user": b.manager.name, "owner": b.owner.name, "type": taskType, "organization": organization, "rows": importedRows}, nil)
	if err != nil {
		return err
	}
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	var found []*rows.BackgroundJob
	err = b.until(ctx, 10*time.Second, "all rows of the import are Completed", func() (bool, error) {
		all, _, err := db.ListJobs(ctx, rows.ListFilter{Organization: organization, JobType: taskType, Statuses: []rows.Status{rows.StatusCompleted}, Limit: 1000})
		found = slices.DeleteFunc(all, func(j *rows.BackgroundJob) bool { return j.Priority != rows.PriorityLow })
		return len(found) >= importedRows, err
	})
	if err != nil {
		return fmt.Errorf("%w: %d of %d", err, len(found), importedRows)
	}
	for _, row := range found {
		states, err := b.history(ctx, row.Name)
		if err != nil || states != "Pending, Queued, Running, Completed" {
			return fmt.Errorf("%s: %s, %w", row.Name, states, err)
		}
	}
	return nil
}

// save writes fields of a row by REST, as the desk does.
func (b *bed) save(ctx context.Context, row string, fields values) error {
	_, err := b.ask(ctx, b.manager, http.MethodPut, "/api/resource/Background Job/"+row, fields)
	return err
}

func canceledByHand(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 50}})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	if err := b.save(ctx, row, values{"status": "Canceled"}); err != nil {
		return err
	}
	return b.until(ctx, 2*time.Second, row+" is canceled and doesn't run any more", func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, row)
		if err != nil {
			return false, err
		}
		return in.Row.CanceledBy == b.manager.name && (in.Job == nil || in.Job.Status != "started"), nil
	})
}

func retriedByHand(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Permanent: true}})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusDeadLetter); err != nil {
		return err
	}
	if err := b.save(ctx, row, values{"status": "Queued", "input_parameters": task{Seconds: 0.1}}); err != nil {
		return err
	}
	done, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	return want("error_message", done.ErrorMessage, "")
}

func undone(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 8}})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	// In SQL, past an app's own code, which may refuse it.
	err = b.python.do(ctx, `
frappe.set_user(args["user"])
frappe.db.set_value("Background Job", args["row"], "status", "Completed")
`, values{"user": b.manager.name, "row": row}, nil)
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 5*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	return b.until(ctx, 10*time.Second, "the log says that it was undone", func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, row)
		undone := slices.ContainsFunc(in.History, func(e rows.LogEntry) bool {
			return e.Actor == b.manager.name && strings.Contains(e.Message, "Undone: "+b.manager.name+" had set the status from Running to Completed")
		})
		return undone, err
	})
}

func refused(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.other, values{"owner_user": b.owner.name})
	if err != nil {
		return err
	}
	dead, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusDeadLetter)
	if err != nil {
		return err
	}
	if !strings.Contains(dead.ErrorMessage, b.other.name+" inserted it for "+b.owner.name) {
		return fmt.Errorf("its error_message is %q", dead.ErrorMessage)
	}
	return nil
}
