package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

const (
	rowJobs       = 20_000
	simpleRowJobs = 1_000
)

// measureRows compares jobs whose row goes from Queued over Running to
// Completed, each step with a log row in one durable transaction and its
// events. The rows are there before the clock starts.
func measureRows(ctx context.Context, b *bed) ([]figure, error) {
	var ours []float64
	for range rounds {
		rate, err := b.rowsBridge(ctx, rowJobs)
		if err != nil {
			return nil, fmt.Errorf("bridge: %w", err)
		}
		ours = append(ours, rate)
	}
	names, err := b.newRows(ctx, simpleRowJobs)
	if err != nil {
		return nil, err
	}
	b.rdb.FlushAll(ctx)
	ttl := int64(500)
	var requests []rqcompat.Request
	for _, name := range names {
		requests = append(requests, rqcompat.Request{Queue: "python", ResultTTL: &ttl, Call: rqcompat.Call{Func: "peer.rows", Args: []any{name}}})
	}
	if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
		return nil, err
	}
	simple, err := b.peerRate(ctx, len(names), "work", "SimpleWorker", "python")
	if err != nil {
		return nil, err
	}
	if err := b.allCompleted(ctx, len(names)+rounds*rowJobs); err != nil {
		return nil, err
	}
	own := median(ours)
	return []figure{
		{Scenario: "rows", Who: "bridge", Value: own, Unit: "jobs/s"},
		{Scenario: "rows", Who: "SimpleWorker with PyMySQL", Value: simple, Unit: "jobs/s", Ratio: own / simple, Peer: "bridge/SimpleWorker", Goal: ">= 10"},
	}, nil
}

func (b *bed) db(ctx context.Context) (*rows.DB, error) {
	return b.pool.DB(ctx, site)
}

func (b *bed) newRows(ctx context.Context, n int) (names []string, err error) {
	db, err := b.db(ctx)
	if err != nil {
		return nil, err
	}
	for len(names) < n {
		batch := make([]rows.NewJob, min(200, n-len(names)))
		for i := range batch {
			batch[i] = rows.NewJob{JobType: jobType, Organization: organization, OwnerUser: owner, MaxRetries: 5, TimeoutSeconds: 300, InputParameters: json.RawMessage(`{"x":1}`), Status: rows.StatusQueued}
		}
		rows, err := db.CreateJobs(ctx, batch)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			names = append(names, row.Name)
		}
	}
	return names, nil
}

func (b *bed) allCompleted(ctx context.Context, want int) error {
	db, err := b.db(ctx)
	if err != nil {
		return err
	}
	_, total, err := db.ListJobs(ctx, rows.ListFilter{Statuses: []rows.Status{rows.StatusCompleted}, Limit: 1})
	if err == nil && total != want {
		err = fmt.Errorf("%d of %d rows are Completed", total, want)
	}
	return err
}

func (b *bed) rowsBridge(ctx context.Context, n int) (float64, error) {
	names, err := b.newRows(ctx, n)
	if err != nil {
		return 0, err
	}
	b.rdb.FlushAll(ctx)
	if err := b.enqueueExecutor(ctx, b.queue(), names); err != nil {
		return 0, err
	}
	start := time.Now()
	stop, err := b.engine(bridge.Config{Concurrency: 200}, func(e *bridge.Engine) {
		bridge.Register(e, jobType, func(context.Context, *bridge.Job[struct{}]) (any, error) { return nil, nil })
	})
	if err != nil {
		return 0, err
	}
	err = b.drained(ctx, b.queue())
	elapsed := time.Since(start)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	return float64(n) / elapsed.Seconds(), err
}

// enqueueExecutor delivers rows as the Dartwing app does.
func (b *bed) enqueueExecutor(ctx context.Context, queue string, names []string) error {
	ttl := int64(600)
	var requests []rqcompat.Request
	for i, name := range names {
		inner := &pickle.Dict{}
		inner.Set("background_job_id", name)
		requests = append(requests, rqcompat.Request{
			Queue: queue, ID: b.bench.JobID(site, name), ResultTTL: &ttl, Timeout: &ttl,
			Call: envelope(frappe.Call{Site: site, User: owner, Method: frappe.Executor, IsAsync: true, Kwargs: inner}),
		})
		if len(requests) == 500 || i == len(names)-1 {
			if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
				return err
			}
			requests = requests[:0]
		}
	}
	return nil
}

// envelope is what frappe.enqueue pickles.
func envelope(c frappe.Call) rqcompat.Call {
	kwargs := &pickle.Dict{}
	for key, value := range c.Arguments() {
		kwargs.Set(key, value)
	}
	return rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: kwargs}
}
