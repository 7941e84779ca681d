package rqcompat_test

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// frappeCall is a call of the size that frappe.enqueue makes.
func frappeCall() rqcompat.Call {
	return rqcompat.Call{
		Func: "frappe.utils.background_jobs.execute_job",
		Kwargs: &pickle.Dict{Items: []pickle.Pair{
			{Key: "site", Value: "site1.local"},
			{Key: "user", Value: "Administrator"},
			{Key: "method", Value: "erpnext.stock.doctype.repost_item_valuation.repost_item_valuation.repost_entries"},
			{Key: "event", Value: nil},
			{Key: "job_name", Value: "erpnext.stock.doctype.repost_item_valuation.repost_item_valuation.repost_entries"},
			{Key: "is_async", Value: true},
			{Key: "kwargs", Value: map[string]any{"background_job_id": "JOB-00000042", "organization": "ORG-2025-00001", "count": 17, "ratio": 0.25}},
		}},
	}
}

func frappeHash(tb testing.TB) map[string]string {
	tb.Helper()
	data, err := rqcompat.EncodeCall(frappeCall())
	if err != nil {
		tb.Fatal(err)
	}
	timeout, ttl := int64(300), int64(600)
	now := time.Now()
	j := rqcompat.Job{
		ID: "site1.local||6f1c0a52-7b1e-4b7e-9d0c-2f6b1f0f4c11", Origin: "home-frappe-frappe-bench:default",
		Description: frappeCall().Description(), Status: rqcompat.StatusQueued, Data: data, CreatedAt: now, EnqueuedAt: now,
		Timeout: &timeout, ResultTTL: &ttl, FailureTTL: &ttl,
		FailureCallback: rqcompat.Callback{Name: "frappe.utils.background_jobs.truncate_failed_registry", Timeout: &ttl},
	}
	return j.Hash()
}

func BenchmarkParseJob(b *testing.B) {
	h := frappeHash(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rqcompat.ParseJob("id", h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJobAndCall(b *testing.B) {
	h := frappeHash(b)
	b.ReportAllocs()
	for b.Loop() {
		j, err := rqcompat.ParseJob("id", h)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := j.Call(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPayload(b *testing.B) {
	j, err := rqcompat.ParseJob("id", frappeHash(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Payload(0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCall(b *testing.B) {
	c := frappeCall()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rqcompat.EncodeCall(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDescription(b *testing.B) {
	c := frappeCall()
	b.ReportAllocs()
	for b.Loop() {
		c.Description()
	}
}

func BenchmarkParseTime(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rqcompat.ParseTime("2026-11-23T11:44:24.460163Z"); err != nil {
			b.Fatal(err)
		}
	}
}
