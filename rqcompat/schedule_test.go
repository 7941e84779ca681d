package rqcompat

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEnqueueDue(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		now := time.Now()
		for _, j := range [][]string{
			{"due", "status", "scheduled", "ttl", "60"}, {"front", "status", "scheduled", "enqueue_at_front", "1"},
			{"notyet", "status", "scheduled"}, {"canceled", "status", "canceled"}, {"repeat", "status", "finished"},
			{"retry", "status", "scheduled", "enqueue_at_front_on_retry", "1", "ended_at", "2026-11-23T11:44:25.000000Z"},
			{"running", "status", "started"},
		} {
			b.put("default", j[0], j[1:]...)
			b.do("ZADD", "rq:scheduled:default", now.Unix()-1, j[0])
		}
		b.do("HDEL", "rq:job:due", "timeout")
		b.do("ZADD", "rq:scheduled:default", now.Unix()+60, "notyet", now.Unix()-1, "nohash")
		b.do("DEL", "rq:queues")
		n, err := b.EnqueueDue(b.ctx(), "default")
		if n != 4 || err != nil {
			t.Errorf("enqueued %d, %v, want 4", n, err)
		}
		b.wantMembers("rq:scheduled:default", "notyet")
		b.wantScore("rq:scheduled:default", "notyet", "now+60")
		if b.d.ResultExecution {
			b.wantMembers("rq:queue:default", "retry", "front", "due", "repeat")
		} else {
			b.wantMembers("rq:queue:default", "front", "due", "repeat", "retry")
		}
		b.wantMembers("rq:queues", "rq:queue:default")
		b.wantHash("rq:job:due", map[string]string{"status": "queued", "timeout": "180"})
		b.wantTTL("rq:job:due", 60)
		b.wantHash("rq:job:canceled", map[string]string{"status": "canceled"})
	})
}

// Schedulers at the same time, more jobs than a batch: each job is enqueued once.
func TestEnqueueDueOnce(t *testing.T) {
	b := newBed(t, "2.10.0")
	const jobs = 2*dueBatch + 10
	for i := range jobs {
		b.put("default", fmt.Sprint(i), "status", "scheduled")
		b.do("ZADD", "rq:scheduled:default", i, fmt.Sprint(i))
	}
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n, err := b.EnqueueDue(b.ctx(), "default")
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(n))
		})
	}
	wg.Wait()
	if n := b.do("LLEN", "rq:queue:default"); n != int64(jobs) || total.Load() != jobs {
		t.Errorf("%v in the queue, %d reported, want %d", n, total.Load(), jobs)
	}
	b.wantTTL("rq:scheduled:default", -2)
}

func TestSchedulerLock(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		name := NewExecutionID()
		b.do("SET", "rq:scheduler-lock:taken", "4711")
		l, err := b.AcquireScheduler(b.ctx(), []string{"default", "taken", "long"}, name)
		if err != nil || !slices.Equal(l.Queues(), []string{"default", "long"}) {
			t.Fatalf("acquired %q, %v", l.Queues(), err)
		}
		value := strconv.Itoa(os.Getpid())
		if b.d.SchedulerByName {
			value = name
			b.wantHash("rq:scheduler:"+name, map[string]string{"name": name, "pid": strconv.Itoa(os.Getpid()), "queues": "default,taken,long"})
			b.wantTTL("rq:scheduler:"+name, 61)
		} else {
			b.wantTTL("rq:scheduler:"+name, -2)
		}
		if got := b.do("GET", "rq:scheduler-lock:default"); got != value {
			t.Errorf("lock value %v, want %v", got, value)
		}
		b.do("EXPIRE", "rq:scheduler-lock:default", 5)
		b.do("SET", "rq:scheduler-lock:long", "4712")
		if err := l.Renew(b.ctx()); err != nil || !slices.Equal(l.Queues(), []string{"default"}) {
			t.Errorf("after renewal: %q, %v", l.Queues(), err)
		}
		b.wantTTL("rq:scheduler-lock:default", 61)
		b.do("DEL", "rq:scheduler-lock:taken")
		if err := l.Acquire(b.ctx()); err != nil || !slices.Equal(l.Queues(), []string{"default", "taken"}) {
			t.Errorf("second try: %q, %v", l.Queues(), err)
		}
		b.do("SET", "rq:scheduler-lock:taken", "4713")
		if err := l.Release(b.ctx()); err != nil {
			t.Error(err)
		}
		b.wantTTL("rq:scheduler-lock:default", -2)
		b.wantTTL("rq:scheduler:"+name, -2)
		if got := b.do("GET", "rq:scheduler-lock:taken"); got != "4713" {
			t.Errorf("the lock of another scheduler became %v", got)
		}
	})
}
