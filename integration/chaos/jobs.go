package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// way is how a job is enqueued, and whose it is.
type way string

const (
	// byFrappe is frappe.enqueue in Python of a method that has a Job Type, so that it gets a row.
	byFrappe way = "frappe"
	// bySubmit is a submission, which makes row and delivery; its queue is not chosen.
	bySubmit way = "submit"
	// plainly is frappe.enqueue in Python of a method without a row.
	plainly way = "plain"
	// forPython is frappe.enqueue of a method that only Python has.
	forPython way = "python"
)

// task is a job that is to be enqueued.
type task struct {
	way way
	// queue is its queue type.
	queue string
	// method is another one than that of its way.
	method string
	params
}

func (t task) hasRow() bool { return t.way == byFrappe || t.way == bySubmit }

// accepted is a job whose enqueueing succeeded: from then on it may not be lost.
type accepted struct {
	task
	id string // RQ's
}

// jobs are those that were accepted on a bed, by their keys.
type jobs struct {
	mu  sync.Mutex
	all map[string]accepted
}

// plainIDs says that this RQ refuses Frappe's ids, with the site in front.
func (b *bed) plainIDs() bool { return b.version == "2.10.0" }

// enqueue enqueues tasks, and adds those that were accepted to into, if there is one. The error is of the first that were not.
func (b *bed) enqueue(ctx context.Context, into *jobs, tasks ...task) error {
	calls := []map[string]any{}
	var requests []bridge.SubmitRequest
	var enqueued, submitted []task
	for _, t := range tasks {
		if t.way == bySubmit {
			submitted = append(submitted, t)
			requests = append(requests, bridge.SubmitRequest{Site: site, JobType: jobType, Organization: organization, Parameters: t.params})
			continue
		}
		call := map[string]any{"queue": t.queue, "site": site, "plain_id": b.plainIDs(), "job_id": t.Key, "key": t.Key, "ms": t.MS, "result_ttl": 7200}
		switch t.way {
		case forPython:
			call["method"], call["timeout"] = "site_tasks.witnessed", rqTimeout
		case plainly:
			call["method"] = plainMethod
		case byFrappe:
			call["method"], call["organization"] = rowMethod, organization
		}
		if t.method != "" {
			call["method"] = t.method
		}
		enqueued = append(enqueued, t)
		calls = append(calls, call)
	}
	if len(calls) > 0 {
		var ids []string
		if err := b.peer.Ask("produce.frappe_many", map[string]any{"calls": calls}, &ids); err != nil {
			return err
		}
		for i, t := range enqueued {
			into.add(accepted{t, ids[i]})
		}
	}
	results, err := b.client.SubmitMany(ctx, requests)
	for i, r := range results {
		if r.Err == nil {
			into.add(accepted{submitted[i], b.bench.JobID(site, r.Row.Name)})
		} else if err == nil {
			err = fmt.Errorf("submit %s: %w", submitted[i].Key, r.Err)
		}
	}
	return err
}

func (j *jobs) add(a accepted) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil {
		j.all = map[string]accepted{}
	}
	j.all[a.Key] = a
}

func (j *jobs) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

// list is what was accepted so far, by key.
func (j *jobs) list() []accepted {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]accepted, 0, len(j.all))
	for _, key := range slices.Sorted(maps.Keys(j.all)) {
		all = append(all, j.all[key])
	}
	return all
}
