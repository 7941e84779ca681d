package rows

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// newBenchDB is a database on a server of its own with the memory that a site's database has in earnest. Commits are
// durable.
func newBenchDB(b *testing.B) *DB {
	b.Helper()
	m := servertest.PrivateMariaDB(b, "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--innodb-flush-log-at-trx-commit=1")
	if err := m.CreateDatabase(b.Context(), "bench", "bench", "secret"); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1", Sites: []servers.BenchSite{
		{Name: "s", DBName: "bench", DBPassword: "secret", DBHost: m.Host, DBPort: m.Port}}})
	if err != nil {
		b.Fatal(err)
	}
	d := siteDB(b, openSite(b, dir, "s"))
	if _, err := Install(b.Context(), d, InstallOptions{Samples: true}); err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkTransition measures durable transitions, each with its log row: jobs go Queued, Running, Completed. As with
// workers that claim several, jobs start together, and end with times and texts of their own.
func BenchmarkTransition(b *testing.B) {
	for _, size := range []int{1, 10, 50, 200} {
		for _, writers := range []int{1, 4} {
			b.Run(fmt.Sprintf("batch=%d/writers=%d", size, writers), func(b *testing.B) { benchmarkTransition(b, size, writers) })
		}
	}
}

func benchmarkTransition(b *testing.B, size, writers int) {
	d := newBenchDB(b)
	ctx := context.Background()
	batches := (b.N/2 + size - 1) / size
	names := make([][]string, batches)
	for i := range names {
		js := make([]NewJob, size)
		for k := range js {
			js[k] = NewJob{JobType: "echo_job", Organization: fmt.Sprintf("ORG-2026-%05d", k%7), OwnerUser: "jane@example.com", Status: StatusQueued,
				MaxRetries: 5, TimeoutSeconds: 300, InputParameters: []byte(`{"text": "hello"}`), JobHash: fmt.Sprintf("%016x", i*size+k)}
		}
		jobs, err := d.CreateJobs(ctx, js)
		if err != nil {
			b.Fatal(err)
		}
		for _, j := range jobs {
			names[i] = append(names[i], j.Name)
		}
	}
	b.ResetTimer()
	work := make(chan []string)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for batch := range work {
				runThrough(b, d, batch)
			}
		})
	}
	for _, batch := range names {
		work <- batch
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(2*batches*size)/b.Elapsed().Seconds(), "transitions/s")
}

// runThrough takes a batch of queued jobs to their end.
func runThrough(b *testing.B, d *DB, names []string) {
	start := d.Now()
	var claim, settle []Transition
	for i, n := range names {
		end := start.Add(time.Duration(i*3+1) * time.Microsecond)
		claim = append(claim, Transition{Name: n, From: StatusQueued, To: StatusRunning, StartedAt: start, Message: "Worker started execution"})
		settle = append(settle, Transition{Name: n, From: StatusRunning, To: StatusCompleted, Fence: fence(d, start), Message: "Job completed successfully",
			Set: []Value{Job.Progress.To(100), Job.ProgressMessage.To("done"), Job.OutputReference.To("/files/" + n), Job.CompletedAt.To(end)}})
	}
	for _, ts := range [][]Transition{claim, settle} {
		results, err := d.Transition(context.Background(), ts)
		if err != nil {
			b.Error(err)
			return
		}
		for i, r := range results {
			if !r.Applied {
				b.Errorf("%s: %+v", ts[i].Name, r)
				return
			}
		}
	}
}
