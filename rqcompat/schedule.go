package rqcompat

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// schedulerTTL is the life of a scheduler's locks and record: its interval of 1 s and 60 s of slack.
	schedulerTTL = 61 * time.Second
	dueBatch     = 200 // how many scheduled jobs one script call looks at
)

var (
	enqueueDueScript = newScript("enqueue_due.lua")
	renewLockScript  = newScript("renew_lock.lua")
)

// SchedulerLock says for which queues this process moves scheduled jobs. RQ wants one scheduler per queue. A lock
// that is lost only means that somebody else does the work: EnqueueDue is safe without it. It belongs to one
// goroutine. rq/scheduler.py RQScheduler, 1.15.1–2.10.
type SchedulerLock struct {
	c      *Client
	name   string
	queues []string
	held   []string
	born   time.Time
}

// AcquireScheduler tries to become the scheduler of each of the queues. name, 32 hex digits (NewExecutionID makes
// one), is what RQ 2.10 and later find in the locks, with a record behind it; older versions find the PID. See
// Queues for what was acquired; that may be nothing.
func (c *Client) AcquireScheduler(ctx context.Context, queues []string, name string) (*SchedulerLock, error) {
	if name == "" {
		return nil, fmt.Errorf("acquire scheduler: no name given")
	}
	l := &SchedulerLock{c: c, name: name, queues: slices.Clone(queues), born: time.Now()}
	return l, l.Acquire(ctx)
}

// Queues lists the queues the lock is held for.
func (l *SchedulerLock) Queues() []string { return slices.Clone(l.held) }

// value is what goes into the locks. Processes in different containers can share a PID; then one may extend or
// release what is the other's, as RQ always does.
func (l *SchedulerLock) value() string {
	if l.c.d.SchedulerByName {
		return l.name
	}
	return strconv.Itoa(os.Getpid())
}

// Acquire tries again for the queues that are not held. RQ does so every 120 s.
func (l *SchedulerLock) Acquire(ctx context.Context) error {
	for _, q := range l.queues {
		if slices.Contains(l.held, q) {
			continue
		}
		ok, err := l.c.rdb.SetNX(ctx, SchedulerLockKey(q), l.value(), schedulerTTL).Result()
		if err != nil {
			return fmt.Errorf("acquire scheduler of queue %q: %w", clip(q), err)
		}
		if ok {
			l.held = append(l.held, q)
		}
	}
	return l.record(ctx)
}

// Renew keeps the locks for another 61 s and forgets those we lost. RQ does so every second; 20 s are enough.
func (l *SchedulerLock) Renew(ctx context.Context) error {
	var still []string
	for i, q := range l.held {
		n, err := renewLockScript.Run(ctx, l.c.rdb, []string{SchedulerLockKey(q)}, l.value(), seconds(schedulerTTL)).Int()
		if err != nil {
			l.held = append(still, l.held[i:]...)
			return fmt.Errorf("renew scheduler of queue %q: %w", clip(q), err)
		}
		if n == 1 {
			still = append(still, q)
		}
	}
	l.held = still
	return l.record(ctx)
}

// record writes what 2.10 shows about a scheduler.
func (l *SchedulerLock) record(ctx context.Context) error {
	if !l.c.d.SchedulerByName || len(l.held) == 0 {
		return nil
	}
	key := SchedulerKey(l.name)
	_, err := l.c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, key, "name", l.name, "hostname", hostname(), "pid", os.Getpid(),
			"queues", strings.Join(l.queues, ","), "created_at", FormatTime(l.born), "last_heartbeat", FormatTime(time.Now()))
		p.Expire(ctx, key, schedulerTTL)
		return nil
	})
	return wrap(err, "write scheduler record")
}

// Release gives the locks back and removes the record.
func (l *SchedulerLock) Release(ctx context.Context) error {
	for len(l.held) > 0 {
		key := SchedulerLockKey(l.held[0])
		if err := unlockScript.Run(ctx, l.c.rdb, []string{key}, l.value()).Err(); err != nil {
			return fmt.Errorf("release scheduler of queue %q: %w", clip(l.held[0]), err)
		}
		l.held = l.held[1:]
	}
	if !l.c.d.SchedulerByName {
		return nil
	}
	return wrap(l.c.rdb.Del(ctx, SchedulerKey(l.name)).Err(), "remove scheduler record")
}

// EnqueueDue moves all scheduled jobs of a queue that are due into the queue and returns how many. Each
// leaves the schedule in the same step, so any number of callers may do this at the same time. rq/scheduler.py
// enqueue_scheduled_jobs.
func (c *Client) EnqueueDue(ctx context.Context, queue string) (n int, err error) {
	for {
		got, err := enqueueDueScript.Run(ctx, c.rdb, nil, c.Now(ctx).Unix(), FormatTime(time.Now()), queue, dueBatch, bit(c.d.ResultExecution)).Int64Slice()
		if err != nil {
			return n, fmt.Errorf("enqueue due jobs of queue %q: %w", clip(queue), err)
		}
		n += int(got[1])
		if got[0] < dueBatch {
			return n, nil
		}
	}
}
