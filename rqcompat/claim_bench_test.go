package rqcompat

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// BenchmarkClaimSettle measures claiming and finishing no-op jobs as Frappe enqueues them, in steady state.
// script-µs/job is how long the server's one thread was in the two scripts, on the clock; redis-cpu-µs/job is its
// whole CPU time, with reading requests and writing replies.
func BenchmarkClaimSettle(b *testing.B) {
	for _, version := range []string{"1.15.1", "2.10.0"} {
		for _, batch := range []int{1, 50} {
			b.Run(fmt.Sprintf("rq=%s/batch=%d", version, batch), func(b *testing.B) { benchClaimSettle(b, version, batch) })
		}
	}
	limits := []Limit{running("organization", 1<<30), running("type", 1<<30), {Key: "rate", Most: 1 << 30, Window: time.Minute}}
	b.Run("rq=1.15.1/batch=50/limits=3", func(b *testing.B) { benchClaimSettle(b, "1.15.1", 50, limits...) })
}

// benchBacklog is how many jobs wait at most: enough for full batches, and what is in a busy queue.
const benchBacklog = 1000

func benchClaimSettle(b *testing.B, version string, batch int, limits ...Limit) {
	bed := newBed(b, version)
	workers := make([]*Worker, batch)
	for i := range workers {
		workers[i] = NewWorker("bridge-0123456789abcdef-"+strconv.Itoa(i), "b:default")
	}
	if err := bed.Heartbeat(bed.ctx(), workers, time.Minute); err != nil {
		b.Fatal(err)
	}
	var micros, cpu float64
	for first := 0; first < b.N; first += benchBacklog {
		n := min(benchBacklog, b.N-first)
		b.StopTimer()
		bed.fill(first, n)
		bed.do("CONFIG", "RESETSTAT")
		before := serverCPU(bed)
		b.StartTimer()
		for i := 0; i < n; i += batch {
			bed.claimAndFinish(workers[:min(batch, n-i)], first+i, limits...)
		}
		b.StopTimer()
		micros += serverMicros(bed)
		cpu += serverCPU(bed) - before
	}
	b.ReportMetric(micros/float64(b.N), "script-µs/job")
	b.ReportMetric(cpu/float64(b.N), "redis-cpu-µs/job")
}

func benchID(i int) string { return "site1.local||" + strconv.Itoa(100_000_000+i) }

// fill enqueues n jobs like those of Frappe.
func (b *bed) fill(first, n int) {
	data := strings.Repeat("d", 300)
	_, err := b.rdb.Pipelined(b.ctx(), func(p redis.Pipeliner) error {
		for i := first; i < first+n; i++ {
			p.HSet(b.ctx(), JobKey(benchID(i)), "created_at", "2026-11-23T11:44:24.460163Z", "enqueued_at", "2026-11-23T11:44:24.461699Z",
				"data", data, "origin", "b:default", "status", "queued", "timeout", "300", "result_ttl", "600", "failure_ttl", "604800",
				"started_at", "", "ended_at", "", "worker_name", "", "last_heartbeat", "", "success_callback_name", "",
				"failure_callback_name", "frappe.utils.background_jobs.truncate_failed_registry", "failure_callback_timeout", "60",
				"stopped_callback_name", "", "description", "frappe.utils.background_jobs.execute_job(…)")
			p.RPush(b.ctx(), "rq:queue:b:default", benchID(i))
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) claimAndFinish(workers []*Worker, first int, limits ...Limit) {
	claims := make([]Claim, len(workers))
	for i, w := range workers {
		claims[i] = Claim{Queue: "b:default", ID: benchID(first + i), Worker: w, ExecutionID: NewExecutionID(), Limits: limits}
	}
	started := time.Now()
	got, err := b.Claim(b.ctx(), claims, started, 15*time.Second)
	if err != nil {
		b.t.Fatal(err)
	}
	os := make([]Outcome, len(claims))
	for i, c := range claims {
		if got[i].Result != Claimed {
			b.t.Fatalf("job %s: claim result %v", c.ID, got[i])
		}
		os[i] = Outcome{
			Lease: Lease{Queue: c.Queue, ID: c.ID, Worker: c.Worker.Name, ExecutionID: c.ExecutionID, StartedAt: started, Limits: limits},
			Kind:  OutcomeFinished, EndedAt: time.Now(),
		}
	}
	settled, err := b.Settle(b.ctx(), os)
	if err != nil || settled[0].Result != Settled {
		b.t.Fatal(settled, err)
	}
}

// serverMicros is the time the server has spent in scripts since CONFIG RESETSTAT.
func serverMicros(b *bed) float64 {
	var sum float64
	for line := range strings.Lines(b.do("INFO", "commandstats").(string)) {
		if name, stats, ok := strings.Cut(line, ":"); ok && (name == "cmdstat_evalsha" || name == "cmdstat_eval") {
			_, usec, _ := strings.Cut(stats, "usec=")
			usec, _, _ = strings.Cut(usec, ",")
			n, _ := strconv.ParseFloat(usec, 64)
			sum += n
		}
	}
	return sum
}

// serverCPU is the CPU time of the server's main thread in µs.
func serverCPU(b *bed) float64 {
	var sum float64
	for line := range strings.Lines(b.do("INFO", "cpu").(string)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.HasSuffix(name, "_main_thread") {
			n, _ := strconv.ParseFloat(value, 64)
			sum += n * 1e6
		}
	}
	return sum
}
