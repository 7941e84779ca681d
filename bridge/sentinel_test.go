package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// failover is a bench whose Redis has sentinels, under load.
type failover struct {
	*bed
	sentinel *servers.Sentinel
	c        *counter
	// rowed and plain are what was accepted.
	rowed, plain []string
	refused      int
}

func newFailover(t *testing.T) *failover {
	s := servertest.Sentinel(t)
	f := &failover{sentinel: s, c: newCounter(), bed: newBedOn(t, s.Servers[0], map[string]any{"concurrency": 20}, servers.BenchConfig{Common: s.Config()})}
	f.countTypes()
	f.c.pause = 300 * time.Millisecond
	f.start(func(e *Engine) {
		f.c.register(e)
		Register(e, "go.plain", func(_ context.Context, job *Job[any]) (any, error) {
			f.c.ran(job.ID)
			return nil, nil
		})
	})
	return f
}

// load submits a job with a row and one without, each 40 ms, until ctx ends.
func (f *failover) load(ctx context.Context) {
	for ctx.Err() == nil {
		row, err := f.client().Submit(context.WithoutCancel(ctx), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A"})
		if err == nil {
			f.rowed = append(f.rowed, row.Name)
		} else {
			f.refused++
		}
		plain, err := f.client().Enqueue(context.WithoutCancel(ctx), EnqueueRequest{Site: testSite, Method: "go.plain", Queue: "go"})
		if err == nil {
			f.plain = append(f.plain, plain.ID)
		} else {
			f.refused++
		}
		time.Sleep(40 * time.Millisecond)
	}
}

// TestSentinelFailover: a master is killed, replaced as an operator does it, or cut off while jobs come and run. No job with a
// row is lost; the former master, back as a replica, has none of our connections, and the new one has all.
func TestSentinelFailover(t *testing.T) { // not in parallel: it keeps the machine from others
	if testing.Short() {
		t.Skip("takes half a minute for each kind of failover")
	}
	for name, fault := range map[string]struct {
		begin, end func(*failover, *servers.Redis) error
	}{
		"killed": {
			func(_ *failover, r *servers.Redis) error { r.Kill(); return nil },
			func(f *failover, r *servers.Redis) error { return r.Restart(f.t.Context()) },
		},
		"replaced": {
			func(f *failover, _ *servers.Redis) error { return f.sentinel.Failover(f.t.Context()) },
			func(*failover, *servers.Redis) error { return nil },
		},
		"cut off": {
			func(_ *failover, r *servers.Redis) error { return r.Pause() },
			func(_ *failover, r *servers.Redis) error { return r.Resume() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFailover(t)
			running := f.submit("holds", nil)
			f.c.waitHeld(f.bed, 1)
			ctx, stop := context.WithCancel(t.Context())
			loaded := make(chan struct{})
			go func() { defer close(loaded); f.load(ctx) }()
			time.Sleep(2 * time.Second)
			former := f.sentinel.Servers[0]
			begin := time.Now()
			if err := fault.begin(f, former); err != nil {
				t.Fatal(err)
			}
			limited, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			next, err := f.sentinel.NextMaster(limited, former)
			if err != nil {
				t.Fatal(err)
			}
			replaced := time.Now()
			time.Sleep(3 * time.Second)
			stop()
			<-loaded
			close(f.c.open)
			f.waitRow(running, rows.StatusCompleted)
			f.waitJob(f.bench.JobID(testSite, running), rqcompat.StatusFinished)
			for _, name := range f.rowed {
				f.waitRow(name, rows.StatusCompleted)
			}
			t.Logf("replaced after %s; all of %d rows done %s later; %d submissions refused meanwhile", replaced.Sub(begin), len(f.rowed), time.Since(replaced), f.refused)
			if took := time.Since(replaced); took > 15*time.Second {
				t.Errorf("all rows were done %s after the failover", took)
			}
			f.lostPlain()
			if err := fault.end(f, former); err != nil {
				t.Fatal(err)
			}
			f.wantFollowed(former, next)
		})
	}
}

// lostPlain says how many of the jobs without a row the failover lost: what the master had acknowledged and not passed on.
func (f *failover) lostPlain() {
	f.t.Helper()
	gone, twice := 0, 0
	for _, id := range f.plain {
		job, err := f.client().RQ().Fetch(f.t.Context(), id)
		switch {
		case errors.Is(err, rqcompat.ErrNoSuchJob):
			gone++
		case err != nil:
			f.t.Error(err)
		case job.Status != rqcompat.StatusFinished:
			f.waitJob(id, rqcompat.StatusFinished)
		}
		if f.c.of(id) > 1 {
			twice++
		}
	}
	f.t.Logf("of %d jobs without a row %d are gone, %d ran more than once", len(f.plain), gone, twice)
}

// wantFollowed checks that all connections lead to the new master once the former one is its replica.
func (f *failover) wantFollowed(former, next *servers.Redis) {
	f.t.Helper()
	old, now := redis.NewClient(&redis.Options{Addr: former.Addr, ClientName: "test"}), redis.NewClient(&redis.Options{Addr: next.Addr, ClientName: "test"})
	defer old.Close()
	defer now.Close()
	f.within(40*time.Second, "the former master is a replica", func() bool {
		role, err := old.Do(f.t.Context(), "ROLE").Slice()
		return err == nil && role[0] == "slave"
	}, func() string { return "" })
	ours := func() (list []string) {
		text, err := old.ClientList(f.t.Context()).Result()
		if err != nil {
			return []string{err.Error()}
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "name=sentinel-") && !strings.Contains(line, "name=test") && !strings.Contains(line, "flags=M") {
				list = append(list, line)
			}
		}
		return list
	}
	f.eventually("nobody stays with the former master", func() bool { return len(ours()) == 0 }, func() string { return fmt.Sprint(ours()) })
	for _, channel := range []string{"events", "rq:pubsub:bridge-all"} {
		f.eventually("somebody listens to "+channel, func() bool {
			n, err := now.PubSubNumSub(f.t.Context(), channel).Result()
			patterns, err2 := now.PubSubNumPat(f.t.Context()).Result()
			return err == nil && err2 == nil && n[channel]+patterns >= 1
		}, func() string { return "" })
	}
	f.c.open = make(chan struct{})
	id, begin := f.enqueue("go.fine", nil), time.Now()
	f.waitJob(id, rqcompat.StatusFinished)
	f.t.Logf("a job took %s afterwards", time.Since(begin))
}
