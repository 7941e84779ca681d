package pickle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"testing"
	"time"
)

// job is the tuple of testdata/pickle/bench.py.
func job() *Tuple {
	return &Tuple{[]any{
		"frappe.utils.background_jobs.execute_job", nil, &Tuple{},
		&Dict{[]Pair{
			{"site", "site1.localhost"},
			{"user", "jane@example.com"},
			{"method", "myapp.tasks.export"},
			{"event", nil},
			{"job_name", "myapp.tasks.export"},
			{"is_async", true},
			{"kwargs", &Dict{[]Pair{
				{"invoice", "INV-00001"}, {"copies", int64(2)}, {"ratio", 0.5}, {"urgent", false},
				{"tags", &List{[]any{"a", "b"}}},
			}}},
		}},
	}}
}

// cpython reports what bench.py measured, in nanoseconds.
type cpython struct {
	Decode float64 `json:"decode_ns"`
	Encode float64 `json:"encode_ns"`
	Pickle []byte  `json:"pickle"`
}

// measured runs CPython in the same minute as the benchmark it is compared with.
func measured(b *testing.B) cpython {
	b.Helper()
	cmd := exec.Command(python(b), "bench.py")
	cmd.Dir = vectorDir
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("bench.py: %v", err)
	}
	var c cpython
	if err := json.Unmarshal(out, &c); err != nil {
		b.Fatal(err)
	}
	return c
}

// compare times op the way bench.py does, fastest of several runs, and reports the ratio.
func compare(b *testing.B, python float64, op func()) {
	const number, repeat = 5000, 40
	best := time.Duration(math.MaxInt64)
	for range repeat {
		start := time.Now()
		for range number {
			op()
		}
		best = min(best, time.Since(start))
	}
	ns := float64(best.Nanoseconds()) / number
	b.ReportMetric(ns, "best-ns/op")
	b.ReportMetric(python, "cpython-ns/op")
	b.ReportMetric(ns/python, "x-cpython")
}

// BenchmarkDecodeJob reads a thousand jobs in turn that differ in one argument, as jobs do.
func BenchmarkDecodeJob(b *testing.B) {
	c := measured(b)
	jobs := make([][]byte, 1000)
	for i := range jobs {
		jobs[i] = bytes.Replace(c.Pickle, []byte("INV-00001"), fmt.Appendf(nil, "INV-%05d", i), 1)
	}
	next := 0
	decode := func() {
		if _, err := Decode(jobs[next%len(jobs)]); err != nil {
			b.Fatal(err)
		}
		next++
	}
	b.ReportAllocs()
	for b.Loop() {
		decode()
	}
	compare(b, c.Decode, decode)
}

func BenchmarkEncodeJob(b *testing.B) {
	c := measured(b)
	v := job()
	encode := func() {
		if _, err := (EncodeOptions{Protocol: 5}).Encode(v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		encode()
	}
	compare(b, c.Encode, encode)
}

// BenchmarkDecodeRows reads a list of 1000 small dicts.
func BenchmarkDecodeRows(b *testing.B) {
	data, err := Encode(rows(1000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRows(b *testing.B) {
	v := rows(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONJob(b *testing.B) {
	v := job()
	b.ReportAllocs()
	for b.Loop() {
		JSON(v)
	}
}

func rows(n int) *List {
	l := &List{}
	for i := range n {
		l.Items = append(l.Items, &Dict{[]Pair{
			{"name", "INV-" + string(rune('A'+i%26))}, {"idx", int64(i)}, {"total", float64(i) / 7}, {"customer", "ACME"}, {"paid", i%2 == 0},
		}})
	}
	return l
}
