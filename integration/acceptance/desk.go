package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// deskCases read what the desk's pages read, by REST.
func deskCases() []Case {
	const listFix = "open the page in the desk and look at the Error Log: one broken job hides all others"
	cases := []Case{
		{Name: "RQ Job list", Means: "Go jobs of a shared queue stand in the list, beside Python's", Needs: []need{ownWorker, sharedQueue}, Fix: listFix, Run: jobList},
		{Name: "RQ Job form", Means: "a Go job of the own queue opens", Needs: []need{ownWorker, ownQueue}, Fix: listFix, Run: jobForm},
		{Name: "RQ Worker list", Means: "the bridge's workers stand in the list", Fix: listFix, Run: workerList},
		{Name: "Force Stop", Means: "the desk's button ends a running Go job", Needs: []need{ownWorker, tables, users}, Fix: "look at the worker's log for NOPERM", Run: forceStop},
		{Name: "failures without a row", Means: "a failure of a job that has no row is in the Error Log", Needs: []need{ownWorker, ownQueue},
			Fix: "upgrade the bridge; until then look at bridge job ID", Run: errorLog},
		{Name: "Background Job list", Means: "people see their own jobs and no others'", Needs: []need{ownWorker, tables, users}, Fix: "bridge install --site SITE", Run: rowList},
		{Name: "Background Job form", Means: "people open their own jobs and no others'", Needs: []need{ownWorker, tables, users}, Fix: "bridge install --site SITE", Run: rowForm},
	}
	for i := range cases {
		cases[i].Name = "desk: " + cases[i].Name
		cases[i].Needs = append([]need{documents, web, manager}, cases[i].Needs...)
	}
	return cases
}

// list reads a DocType by REST.
func (b *bed) list(ctx context.Context, as user, doctype string, filters []any, fields ...string) (found []map[string]any, err error) {
	answer, err := b.get(ctx, as, "/api/resource/"+doctype, values{"filters": filters, "fields": fields, "limit_page_length": 500})
	if err != nil {
		return nil, fmt.Errorf("list of %s: %w", doctype, err)
	}
	return found, json.Unmarshal(answer, &found)
}

// nameOf is the name of a document that REST answered.
func nameOf(answer json.RawMessage) (string, error) {
	var doc struct{ Name string }
	if err := json.Unmarshal(answer, &doc); err != nil || doc.Name == "" {
		return "", fmt.Errorf("the site answered %s instead of a document: %w", answer, err)
	}
	return doc.Name, nil
}

// page reads a list as the desk does, and returns the column of names. RQ's lists are made for nothing else.
func (b *bed) page(ctx context.Context, doctype string, filters ...any) (names []string, err error) {
	answer, err := b.get(ctx, b.manager, "/api/method/frappe.desk.reportview.get", values{
		"doctype": doctype, "fields": []string{"name"}, "filters": filters, "order_by": "creation desc", "start": 0, "page_length": 500,
	})
	if err != nil {
		return nil, fmt.Errorf("page %s: %w", doctype, err)
	}
	var table struct {
		Keys   []string
		Values [][]any
	}
	// An empty page is an empty list.
	if json.Unmarshal(answer, &table) != nil {
		return nil, nil
	}
	at := slices.Index(table.Keys, "name")
	for _, row := range table.Values {
		names = append(names, fmt.Sprint(row[at]))
	}
	return names, nil
}

func named(list []map[string]any, name string) bool {
	return slices.ContainsFunc(list, func(row map[string]any) bool { return row["name"] == name })
}

func jobList(ctx context.Context, b *bed) error {
	rqID, err := way{b.shared}.call(ctx, b, echoMethod, newID("listed"), nil, nil)
	if err != nil {
		return err
	}
	if _, err := b.echoOf(ctx, rqID); err != nil {
		return err
	}
	found, err := b.page(ctx, "RQ Job", []any{"RQ Job", "queue", "=", b.shared}, []any{"RQ Job", "status", "=", "finished"})
	if err != nil {
		return err
	}
	if !slices.Contains(found, rqID) {
		return fmt.Errorf("the list has %d finished jobs, but not %s", len(found), rqID)
	}
	return nil
}

func jobForm(ctx context.Context, b *bed) error {
	rqID, err := way{b.own}.call(ctx, b, echoMethod, newID("form"), nil, nil)
	if err != nil {
		return err
	}
	if _, err := b.echoOf(ctx, rqID); err != nil {
		return err
	}
	answer, err := b.get(ctx, b.manager, "/api/resource/RQ Job/"+rqID, nil)
	if err != nil {
		return err
	}
	var doc struct {
		Status, Queue string
		JobName       string `json:"job_name"`
	}
	if err := json.Unmarshal(answer, &doc); err != nil {
		return err
	}
	return want("status, queue, job_name", doc.Status+" "+doc.Queue+" "+doc.JobName, "finished "+b.own+" "+echoMethod)
}

func workerList(ctx context.Context, b *bed) error {
	found, err := b.page(ctx, "RQ Worker")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(name string) bool { return strings.HasPrefix(name, bridge.WorkerPrefix) }) {
		return nil
	}
	return fmt.Errorf("none of %d workers is a bridge's", len(found))
}

func forceStop(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 50})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	in, err := b.client.Inspect(ctx, b.site, row)
	if err != nil || in.Job == nil {
		return fmt.Errorf("RQ has no job for %s: %w", row, err)
	}
	if _, err := b.post(ctx, b.manager, "/api/method/frappe.core.doctype.rq_job.rq_job.stop_job", values{"job_id": in.Job.ID}); err != nil {
		return err
	}
	_, err = b.awaitRow(ctx, row, 10*time.Second, rows.StatusCanceled)
	return err
}

func errorLog(ctx context.Context, b *bed) error {
	rqID, err := way{b.own}.call(ctx, b, taskMethod, newID("error"), nil, values{"permanent": true})
	if err != nil {
		return err
	}
	if _, err := b.await(ctx, rqID); err != nil {
		return err
	}
	return b.until(ctx, 5*time.Second, "an Error Log tells of "+rqID, func() (bool, error) {
		found, err := b.list(ctx, b.manager, "Error Log", []any{[]any{"error", "like", "%bridge_acceptance fails for good%"}}, "name")
		return len(found) > 0, err
	})
}

// ownRow is a completed job of the owner.
func (b *bed) ownRow(ctx context.Context) (string, error) {
	row, err := b.submit(ctx, taskType, task{})
	if err == nil {
		_, err = b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted)
	}
	return row, err
}

func rowList(ctx context.Context, b *bed) error {
	row, err := b.ownRow(ctx)
	if err != nil {
		return err
	}
	found, err := b.list(ctx, b.owner, documentType, nil, "name")
	if err != nil {
		return err
	}
	if !named(found, row) {
		return fmt.Errorf("the owner's list has %d jobs, but not %s", len(found), row)
	}
	found, err = b.list(ctx, b.other, documentType, nil, "name")
	if err != nil && !isDenied(err) {
		return err
	}
	if named(found, row) && !b.mayRead(ctx, b.other, row) {
		return fmt.Errorf("%s sees %s in the list, which he may not open", b.other.name, row)
	}
	return nil
}

func rowForm(ctx context.Context, b *bed) error {
	row, err := b.ownRow(ctx)
	if err != nil {
		return err
	}
	answer, err := b.get(ctx, b.owner, "/api/resource/Background Job/"+row, nil)
	if err != nil {
		return fmt.Errorf("as the owner: %w", err)
	}
	var doc struct{ Status, Owner string }
	if err := json.Unmarshal(answer, &doc); err != nil {
		return err
	}
	if err := want("status and owner", doc.Status+" "+doc.Owner, string(rows.StatusCompleted)+" "+b.owner.name); err != nil {
		return err
	}
	if _, err := b.get(ctx, b.other, "/api/resource/Background Job/"+row, nil); err == nil && !b.mayRead(ctx, b.other, row) {
		return fmt.Errorf("%s could open %s", b.other.name, row)
	}
	return nil
}
