package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// toldCases are about what the bridge writes for people in the desk: fields of jobs and Job Types, and the bell.
func toldCases() []Case {
	const fieldFix = "add the field to the DocType, or leave it: nothing else needs it"
	cases := []Case{
		{Name: "what a job waits for", Means: "a job that waits for more than its turn says what for", Fix: fieldFix, Run: waitsFor},
		{Name: "last log lines", Means: "a job shows what it logged last", Fix: fieldFix, Run: logTail},
		{Name: "who handles a Job Type", Means: "a Job Type shows which bridges run its jobs", Fix: fieldFix, Run: handledBy},
		{Name: "the bell", Means: "who submitted a job hears once, by the desk's bell, that it failed for good", Needs: []need{documents, web, socket},
			Fix: "look at the worker's log, and at the user's Notification Settings", Run: rings},
	}
	for i := range cases {
		cases[i].Name = "told: " + cases[i].Name
		cases[i].Needs = append([]need{ownWorker, tables, users}, cases[i].Needs...)
	}
	return cases
}

// field reads a field as the site's database has it.
func (b *bed) field(ctx context.Context, doctype, field, name string) (string, error) {
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return "", err
	}
	found, err := db.Strings(ctx, "read "+field, "SELECT COALESCE(`"+field+"`,'') FROM `tab"+doctype+"` WHERE name=?", name)
	switch {
	case errors.Is(err, rows.ErrColumnMissing):
		return "", missing("the DocType %s has no field %s", doctype, field)
	case err == nil && len(found) == 0:
		return "", fmt.Errorf("there is no %s %s", doctype, name)
	case err != nil:
		return "", err
	}
	return found[0], nil
}

// awaitField waits until a field has a text.
func (b *bed) awaitField(ctx context.Context, doctype, field, name, text string) error {
	var last string
	err := b.until(ctx, 30*time.Second, fmt.Sprintf("%s of %s has %q", field, name, text), func() (has bool, err error) {
		last, err = b.field(ctx, doctype, field, name)
		return strings.Contains(last, text), err
	})
	if err != nil && last != "" {
		err = fmt.Errorf("%w; it has %q", err, last)
	}
	return err
}

func waitsFor(ctx context.Context, b *bed) error {
	status := func(s string) error {
		return b.python.do(ctx, "frappe.db.sql(\"update `tabOrganization` set status=%s where name=%s\", (args[\"status\"], args[\"name\"]))", values{"status": s, "name": organization}, nil)
	}
	if err := status(rows.OrganizationInactive); err != nil {
		return err
	}
	defer func() { _ = status(rows.OrganizationActive) }() // if it isn't yet
	if err := pause(ctx, 4*time.Second); err != nil {      // an organization is remembered for three seconds
		return err
	}
	row, err := b.submit(ctx, taskType, task{})
	if err != nil {
		return err
	}
	if err := b.awaitField(ctx, documentType, "waiting_for", row, "organization "+organization+" is suspended"); err != nil {
		return err
	}
	if err := status(rows.OrganizationActive); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	after, err := b.field(ctx, documentType, "waiting_for", row)
	return errors.Join(err, want("what the completed job waits for", after, ""))
}

func logTail(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 5})
	if err != nil {
		return err
	}
	if err := b.awaitField(ctx, documentType, "log_tail", row, "begins attempt=1"); err != nil {
		return err
	}
	running, err := b.awaitRow(ctx, row, time.Second, rows.StatusRunning, rows.StatusCompleted)
	if err != nil {
		return err
	}
	if err := want("the job's status when its log shows", running.Status, rows.StatusRunning); err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	return b.awaitField(ctx, documentType, "log_tail", row, "ends")
}

func handledBy(ctx context.Context, b *bed) error {
	return b.awaitField(ctx, "Job Type", "handled_by", taskType, bridge.WorkerPrefix)
}

func rings(ctx context.Context, b *bed) error {
	owner, err := b.listen(ctx, b.owner)
	if err != nil {
		return fmt.Errorf("connect as %s: %w", b.owner.name, err)
	}
	defer owner.stop()
	row, err := b.submit(ctx, taskType, task{Permanent: true})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusDeadLetter); err != nil {
		return err
	}
	err = b.until(ctx, 5*time.Second, "the bell rings", func() (bool, error) { return len(owner.about("notification")) > 0, nil })
	if err != nil {
		return err
	}
	filters := []any{[]any{"document_type", "=", documentType}, []any{"document_name", "=", row}}
	found, err := b.list(ctx, b.owner, "Notification Log", filters, "subject", "for_user")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0]["for_user"] != b.owner.name || !strings.Contains(fmt.Sprint(found[0]["subject"]), row) {
		return fmt.Errorf("of %s the bell has %v, want one entry for %s that names it", row, found, b.owner.name)
	}
	return nil
}
