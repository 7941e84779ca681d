package rqcompat

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// BenchmarkOthersWait measures how long another client of the server waits while something is done with 100,000 jobs:
// worst-ping-ms as that client sees it, longest-ms the longest single command or script as the server does.
func BenchmarkOthersWait(b *testing.B) {
	const n = 100_000
	hash := func(ctx context.Context, p redis.Pipeliner, id, status string) {
		p.HSet(ctx, JobKey(id), "status", status, "origin", "default", "data", "x", "created_at", "2026-11-23T11:44:24.460163Z")
	}
	for _, c := range []struct {
		name    string
		prepare func(b *bed, p redis.Pipeliner, id string)
		do      func(b *bed) error
	}{
		{"dependents", func(b *bed, p redis.Pipeliner, id string) {
			hash(b.ctx(), p, id, "deferred")
			p.SAdd(b.ctx(), "rq:job:a:dependents", id)
			p.SAdd(b.ctx(), "rq:job::"+id+":dependencies", "a")
			p.ZAdd(b.ctx(), RegistryKey(Deferred, "default"), redis.Z{Score: 4e9, Member: id})
		}, func(b *bed) error {
			b.put("default", "a")
			b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
			b.releaseAll()
			return nil
		}},
		{"scheduled jobs that are due", func(b *bed, p redis.Pipeliner, id string) {
			hash(b.ctx(), p, id, "scheduled")
			p.ZAdd(b.ctx(), RegistryKey(Scheduled, "default"), redis.Z{Score: 1, Member: id})
		}, func(b *bed) error {
			_, err := b.EnqueueDue(b.ctx(), "default")
			return err
		}},
		{"failed jobs to trim while as many wait", func(b *bed, p redis.Pipeliner, id string) {
			hash(b.ctx(), p, id, "failed")
			p.ZAdd(b.ctx(), RegistryKey(Failed, "default"), redis.Z{Score: 4e9, Member: id})
			p.RPush(b.ctx(), QueueKey("default"), "another-"+id)
		}, func(b *bed) error {
			_, err := b.TrimFailed(b.ctx(), "default", 1000)
			return err
		}},
		{"a group", func(b *bed, p redis.Pipeliner, id string) {
			p.SAdd(b.ctx(), GroupsKey(), "g")
			p.SAdd(b.ctx(), GroupKey("g"), id)
		}, func(b *bed) error {
			_, err := b.MaintainGroups(b.ctx())
			return err
		}},
		{"expired entries", func(b *bed, p redis.Pipeliner, id string) {
			for _, r := range []Registry{Finished, Failed, Deferred} {
				p.ZAdd(b.ctx(), RegistryKey(r, "default"), redis.Z{Score: 1, Member: id})
			}
		}, func(b *bed) error {
			_, err := b.Maintain(b.ctx(), "default", nil)
			return err
		}},
		{"abandoned jobs", func(b *bed, p redis.Pipeliner, id string) {
			hash(b.ctx(), p, id, "started")
			p.ZAdd(b.ctx(), WipKey("default"), redis.Z{Score: 1, Member: id})
		}, func(b *bed) error {
			_, err := b.Maintain(b.ctx(), "default", nil)
			return err
		}},
		{"popped jobs to put back", func(b *bed, p redis.Pipeliner, id string) {
			p.RPush(b.ctx(), FirstKey("default"), id)
		}, func(b *bed) error {
			_, err := b.ReturnPopped(b.ctx(), "default", true)
			return err
		}},
		{"a long queue's end to claim", func(b *bed, p redis.Pipeliner, id string) {
			p.RPush(b.ctx(), QueueKey("default"), id)
		}, func(b *bed) error {
			claims := make([]Claim, 128)
			for i := range claims {
				id := fmt.Sprint("last-", i)
				b.put("default", id)
				claims[i] = Claim{Queue: "default", ID: id, Worker: NewWorker(id, "default"), Register: true, ExecutionID: NewExecutionID()}
			}
			_, err := b.Claim(b.ctx(), claims, time.Now(), time.Minute)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				bed := newBed(b, "2.6.1")
				bed.many(n, func(p redis.Pipeliner, id string) { c.prepare(bed, p, id) })
				bed.do("CONFIG", "SET", "slowlog-log-slower-than", 100, "slowlog-max-len", 100_000)
				bed.do("SLOWLOG", "RESET")
				stop := bed.pingMeanwhile()
				b.StartTimer()
				if err := c.do(bed); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(stop().Microseconds())/1000, "worst-ping-ms")
				b.ReportMetric(float64(bed.longest().Microseconds())/1000, "longest-ms")
			}
		})
	}
}

// pingMeanwhile pings on a connection of its own until stop, which tells the longest time that an answer took.
func (b *bed) pingMeanwhile() (stop func() time.Duration) {
	other := redis.NewClient(testOptions(b.rdb.(*redis.Client).Options().Addr))
	ctx, cancel := context.WithCancel(b.ctx())
	var worst time.Duration
	var pinging sync.WaitGroup
	pinging.Go(func() {
		for ctx.Err() == nil {
			begin := time.Now()
			if other.Ping(ctx).Err() == nil {
				worst = max(worst, time.Since(begin))
			}
		}
	})
	return func() time.Duration {
		cancel()
		pinging.Wait()
		_ = other.Close()
		return worst
	}
}

// longest is how long the longest command of the server took.
func (b *bed) longest() (longest time.Duration) {
	for _, entry := range b.rdb.SlowLogGet(b.ctx(), -1).Val() {
		longest = max(longest, entry.Duration)
	}
	return longest
}
