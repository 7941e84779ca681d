package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ruleCases are what holds jobs, as people write it into documents, and that the bridge says so.
func ruleCases() []Case {
	cases := []Case{
		{Name: "dependency", Means: "a job waits for the one that it depends on, and starts at its end", Run: dependent},
		{Name: "dead dependency", Means: "what depends on a dead letter becomes one, and names it", Run: dependentOnDead},
		{Name: "run after", Means: "a job starts at the time that its document names", Run: runsAfter},
		{Name: "pause", Means: "a document holds the jobs of a Job Type, and its deletion lets them go", Run: pausedByDocument},
		{Name: "batch", Means: "a batch counts its jobs, and ends with them", Run: batched},
		{Name: "schedule", Means: "a schedule submits jobs, and shows its next times", Run: scheduled},
		{Name: "explain", Means: "bridge explain says why a job doesn't run, by exit code too", Run: explained},
	}
	for i := range cases {
		cases[i].Name = "rules: " + cases[i].Name
		cases[i].Needs = []need{ownWorker, tables, documents, users, manager, web}
		cases[i].Fix = "see why the job waits (bridge explain NAME); a DocType or field that is missing: bridge install --site SITE"
	}
	return cases
}

// needField says that the site's DocType has no such field.
func (b *bed) needField(ctx context.Context, doctype, field string) error {
	var has bool
	err := b.python.do(ctx, `
answer = bool(frappe.db.exists("DocType", args["doctype"]) and frappe.get_meta(args["doctype"]).has_field(args["field"]))
`, values{"doctype": doctype, "field": field}, &has)
	if err == nil && !has {
		return missing("DocType %s has no field %s: bridge install --site %s", doctype, field, b.site)
	}
	return err
}

// waits waits until a row says what it waits for.
func (b *bed) waits(ctx context.Context, row, text string) error {
	return b.until(ctx, 20*time.Second, row+" says that it waits for "+text, func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, row)
		if err != nil {
			return false, err
		}
		if in.Row.Status != rows.StatusPending && in.Row.Status != rows.StatusQueued {
			return false, fmt.Errorf("%s is %s and should wait", row, in.Row.Status)
		}
		return strings.Contains(in.Row.WaitingFor, text), nil
	})
}

func dependent(ctx context.Context, b *bed) error {
	if err := b.needField(ctx, "Background Job", "dependencies"); err != nil {
		return err
	}
	parent, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 9}})
	if err != nil {
		return err
	}
	child, err := b.insertBy(ctx, b.owner, values{"depends_on": parent, "input_parameters": task{Seconds: 0.1}})
	if err != nil {
		return err
	}
	if err := b.waits(ctx, child, parent); err != nil {
		return err
	}
	ended, err := b.awaitRow(ctx, parent, 20*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	started, err := b.awaitRow(ctx, child, 10*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	if after := started.StartedAt.Sub(ended.CompletedAt); after < 0 || after > 2*time.Second {
		return fmt.Errorf("it started %s after the end of what it depends on", after)
	}
	return nil
}

func dependentOnDead(ctx context.Context, b *bed) error {
	if err := b.needField(ctx, "Background Job", "dependencies"); err != nil {
		return err
	}
	parent, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Permanent: true}})
	if err != nil {
		return err
	}
	child, err := b.insertBy(ctx, b.owner, values{"depends_on": parent})
	if err != nil {
		return err
	}
	dead, err := b.awaitRow(ctx, child, 20*time.Second, rows.StatusDeadLetter)
	if err == nil && !strings.Contains(dead.ErrorMessage, parent) {
		err = fmt.Errorf("its error_message is %q", dead.ErrorMessage)
	}
	return err
}

func runsAfter(ctx context.Context, b *bed) error {
	if err := b.needField(ctx, "Background Job", "run_after"); err != nil {
		return err
	}
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	due := db.Now().Add(12 * time.Second).Truncate(time.Second)
	row, err := b.insertBy(ctx, b.owner, values{"run_after": due.Format(time.DateTime), "input_parameters": task{Seconds: 0.1}})
	if err != nil {
		return err
	}
	if err := b.waits(ctx, row, due.Format(time.DateTime)); err != nil {
		return err
	}
	done, err := b.awaitRow(ctx, row, 30*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	if late := done.StartedAt.Sub(due); late < 0 || late > 2*time.Second {
		return fmt.Errorf("it started %s after its time", late)
	}
	return nil
}

// make makes a document by REST, as the manager, and gives its name.
func (b *bed) make(ctx context.Context, doctype string, fields values) (string, error) {
	answer, err := b.post(ctx, b.manager, "/api/resource/"+doctype, fields)
	if err != nil {
		return "", err
	}
	return nameOf(answer)
}

func pausedByDocument(ctx context.Context, b *bed) (err error) {
	if err := b.needField(ctx, "Background Job Pause", "kind"); err != nil {
		return err
	}
	document, err := b.make(ctx, "Background Job Pause", values{"kind": "Job Type", "job_type": taskType, "reason": name + " pauses it"})
	if err != nil {
		return err
	}
	resume := func() error {
		_, err := b.ask(ctx, b.manager, http.MethodDelete, "/api/resource/Background Job Pause/"+document, nil)
		return err
	}
	defer func() {
		if err != nil { // the other cases want to run
			err = errors.Join(err, resume())
		}
	}()
	if err := pause(ctx, 5*time.Second); err != nil { // what is paused may be known for so long
		return err
	}
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 0.1}})
	if err != nil {
		return err
	}
	if err := b.waits(ctx, row, name+" pauses it"); err != nil {
		return err
	}
	if err := resume(); err != nil {
		return err
	}
	_, err = b.awaitRow(ctx, row, 15*time.Second, rows.StatusCompleted)
	return err
}

func batched(ctx context.Context, b *bed) error {
	if err := b.needField(ctx, "Background Job", "batch"); err != nil {
		return err
	}
	batch, err := b.make(ctx, "Background Job Batch", values{"organization": organization, "title": name})
	if err != nil {
		return err
	}
	for _, t := range []task{{Seconds: 0.1}, {Seconds: 0.1}, {Permanent: true}} {
		if _, err := b.insertBy(ctx, b.manager, values{"batch": batch, "owner_user": b.owner.name, "input_parameters": t}); err != nil {
			return err
		}
	}
	if _, err := b.ask(ctx, b.manager, http.MethodPut, "/api/resource/Background Job Batch/"+batch, values{"closed": 1}); err != nil {
		return err
	}
	var seen string
	err = b.until(ctx, 30*time.Second, "batch "+batch+" has ended", func() (bool, error) {
		var state struct {
			Status              string
			Total, Done, Failed int
		}
		err := b.python.do(ctx, `
answer = frappe.db.get_value("Background Job Batch", args["name"], ["status", "total", "done", "failed"], as_dict=True)
`, values{"name": batch}, &state)
		seen = fmt.Sprintf("%+v", state)
		return state.Status == "Failed" && state.Total == 3 && state.Done == 2 && state.Failed == 1, err
	})
	if err != nil {
		return fmt.Errorf("%w; it is %s", err, seen)
	}
	return nil
}

func scheduled(ctx context.Context, b *bed) error {
	if err := b.needField(ctx, "Job Schedule", "schedule"); err != nil {
		return err
	}
	document, err := b.make(ctx, "Job Schedule", values{
		"schedule_name": name, "job_type": taskType, "organization": organization, "owner_user": b.owner.name,
		"schedule": "@every 5s", "parameters": `{"seconds": 0.1}`,
	})
	if err != nil {
		return err
	}
	var last string
	err = b.until(ctx, 40*time.Second, "the schedule has submitted a job", func() (bool, error) {
		var state struct {
			Last string `json:"last_job"`
			Next string `json:"next_runs"`
		}
		err := b.python.do(ctx, `
found = frappe.db.get_value("Job Schedule", args["name"], ["last_job", "next_runs"], as_dict=True)
answer = {"last_job": found.last_job or "", "next_runs": found.next_runs or ""}
`, values{"name": document}, &state)
		last = state.Last
		return last != "" && state.Next != "", err
	})
	if err == nil {
		_, err = b.awaitRow(ctx, last, 20*time.Second, rows.StatusCompleted)
	}
	_, gone := b.ask(ctx, b.manager, http.MethodDelete, "/api/resource/Job Schedule/"+document, nil)
	return errors.Join(err, gone)
}

func explained(ctx context.Context, b *bed) error {
	row, err := b.insertBy(ctx, b.owner, values{"input_parameters": task{Seconds: 8}})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 10*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	out, err := b.bridge(ctx, nil, "explain", row)
	if err != nil {
		return err
	}
	if !strings.Contains(out, row+" is Running and runs") {
		return fmt.Errorf("while it runs: %q", out)
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	// Exit code 4: it has ended.
	if out, err = b.bridge(ctx, nil, "explain", row); err == nil {
		return fmt.Errorf("after its end: %q and exit code 0", out)
	}
	return nil
}
