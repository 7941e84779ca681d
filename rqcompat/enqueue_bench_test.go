package rqcompat_test

import (
	"fmt"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

func benchClient(b *testing.B) (*rqcompat.Client, *redis.Client) {
	b.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: servertest.Redis(b).Addr, MaxRetries: -1})
	b.Cleanup(func() { _ = rdb.Close() })
	d, err := rqcompat.ParseDialect("2.6.1")
	if err != nil {
		b.Fatal(err)
	}
	return rqcompat.NewClient(rdb, d), rdb
}

func BenchmarkEnqueue(b *testing.B) {
	c, _ := benchClient(b)
	for b.Loop() {
		if _, err := c.Enqueue(b.Context(), rqcompat.Request{Queue: "q", Call: frappeCall()}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueueMany enqueues a hundred jobs per round.
func BenchmarkEnqueueMany(b *testing.B) {
	for _, deduplicate := range []bool{false, true} {
		b.Run(fmt.Sprintf("deduplicate=%v", deduplicate), func(b *testing.B) {
			c, _ := benchClient(b)
			rs := make([]rqcompat.Request, 100)
			n := 0
			for b.Loop() {
				for i := range rs {
					n++
					rs[i] = rqcompat.Request{Queue: "q", ID: fmt.Sprintf("site1||%d", n), Call: frappeCall(), Deduplicate: deduplicate}
				}
				if _, err := c.EnqueueMany(b.Context(), rs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(rs))/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkFetchMany reads and decodes five hundred jobs per round.
func BenchmarkFetchMany(b *testing.B) {
	c, _ := benchClient(b)
	rs := make([]rqcompat.Request, 500)
	ids := make([]string, len(rs))
	for i := range rs {
		ids[i] = fmt.Sprint(i)
		rs[i] = rqcompat.Request{Queue: "q", ID: ids[i], Call: frappeCall()}
	}
	if _, err := c.EnqueueMany(b.Context(), rs); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		results, err := c.FetchMany(b.Context(), ids)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range results {
			if _, err := r.Job.Call(); r.Err != nil || err != nil {
				b.Fatal(r.Err, err)
			}
		}
	}
	b.ReportMetric(float64(b.N*len(ids))/b.Elapsed().Seconds(), "jobs/s")
}
