package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	cleanLockTTL = 899 * time.Second // RQ's: one pass at a time for the whole fleet, even if the holder dies
	// stuckGrace is how long an id may stay in the intermediate list, and stuckMarkTTL how long the moment it was
	// first seen is remembered. rq/intermediate_queue.py.
	stuckGrace   = 60 * time.Second
	stuckMarkTTL = 24 * time.Hour
)

// MaintenanceReport counts what one pass did.
type MaintenanceReport struct {
	Busy             bool  // somebody else is maintaining the queue; nothing was done
	Finished, Failed int64 // expired entries of the finished and failed registries
	// Abandoned jobs of dead workers and Stuck ones of the intermediate list; Retried of both were retried, not failed.
	Abandoned, Stuck, Retried int
	Deferred                  int   // deferred jobs that expired and failed (2.0–2.7 only)
	Dropped                   int   // dropped entries whose job had ended, was queued again or does not exist
	Workers                   int64 // workers taken off the lists because their record had expired
}

var (
	abandonScript       = newScript("abandon.lua")
	lockScript          = newScript("lock.lua")
	unlockScript        = newScript("unlock.lua")
	expireScript        = newScript("expire.lua")
	forgetWorkersScript = newScript("forget_workers.lua")
	forgetGroupScript   = newScript("forget_group.lua")
	trimFailedScript    = newScript("trim_failed.lua")
)

// Maintain cleans up a queue as RQ's workers do for theirs, under RQ's lock: expired finished and failed entries,
// abandoned jobs, expired deferred jobs, dead workers, stuck ids of the intermediate list. Members of the started
// registry whose worker is ours are left to Rescue. A part that cannot be done does not keep the others from being
// done; its error is returned with the report.
//
// Stands for rq/worker.py run_maintenance_tasks and clean_registries, 1.15.1–2.10; see abandon.lua for differences.
func (c *Client) Maintain(ctx context.Context, queue string, ours func(workerName string) bool) (MaintenanceReport, error) {
	var r MaintenanceReport
	unlock, ok, err := c.lockMaintenance(ctx, queue, cleanLockTTL)
	if err != nil {
		return r, fmt.Errorf("maintain queue %q: %w", clip(queue), err)
	}
	if !ok {
		r.Busy = true
		return r, nil
	}
	now := c.Now(ctx)
	p := pass{c: c, queue: queue, now: now, report: &r}
	err = errors.Join(
		p.expire(ctx, RegistryKey(Finished, queue), &r.Finished),
		p.abandoned(ctx, ours),
		p.expire(ctx, RegistryKey(Failed, queue), &r.Failed),
		p.deferred(ctx),
		p.workers(ctx),
		p.stuck(ctx),
		errors.Join(p.bad...),
		unlock(),
	)
	return r, wrap(err, "maintain queue %q", clip(queue))
}

// lockMaintenance takes RQ's lock of a queue, if nobody has it, or whoever took it did so longer ago than forgotten says.
func (c *Client) lockMaintenance(ctx context.Context, queue string, forgotten time.Duration) (unlock func() error, ok bool, err error) {
	// RQ's value is 1 and nobody reads it; a value of our own lets us delete the lock only while it is ours.
	lock, token := CleanLockKey(queue), NewExecutionID()
	ok, err = lockScript.Run(ctx, c.rdb, []string{lock}, token, cleanLockTTL.Milliseconds(), forgotten.Milliseconds()).Bool()
	return func() error { return unlockScript.Run(context.WithoutCancel(ctx), c.rdb, []string{lock}, token).Err() }, ok, err
}

// pass is one run over one queue. Whatever somebody put into a registry, it is read and cleaned maintainStep entries at a time.
type pass struct {
	c      *Client
	queue  string
	now    time.Time
	report *MaintenanceReport
	bad    []error // of single jobs
}

// maintainStep is how many entries are looked at in one step. Redis serves others in between.
const maintainStep = 1000

func (p *pass) expire(ctx context.Context, key string, removed *int64) error {
	for {
		n, err := expireScript.Run(ctx, p.c.rdb, []string{key}, p.unix(), maintainStep).Int64()
		*removed += n
		if err != nil || n < maintainStep {
			return err
		}
	}
}

// expired calls do with the expired members of a registry; do tells how many of them stay.
func (p *pass) expired(ctx context.Context, key string, do func(members []string) (stay int, err error)) error {
	for offset := 0; ; {
		members, err := p.c.rdb.ZRangeByScore(ctx, key, &redis.ZRangeBy{
			Min: "0", Max: p.unix(), Offset: int64(offset), Count: maintainStep,
		}).Result()
		if err != nil || len(members) == 0 {
			return err
		}
		stay, err := do(members)
		if err != nil {
			return err
		}
		offset += stay
	}
}

func (p *pass) unix() string { return strconv.FormatInt(p.now.Unix(), 10) }

// abandonCall builds the call that ends one job found at where.
func (p *pass) abandonCall(where, member, id, execution, exc string) scriptCall {
	return scriptCall{args: []any{
		p.c.d.endFlags(), p.now.Unix(), FormatTime(p.now), floatTime(p.now), where, p.queue, member, id, execution, EncodeExc(exc),
	}}
}

// run runs the calls, each on its own: one that fails is noted, and the others count. It tells how many failed.
func (p *pass) run(ctx context.Context, calls []scriptCall, ended *int) (failed int, err error) {
	replies, err := p.c.runScripts(ctx, abandonScript, calls)
	if err != nil {
		return 0, err
	}
	for i, r := range replies {
		n, err := r.Int()
		if err != nil {
			failed++
			p.bad = append(p.bad, fmt.Errorf("job %q: %w", clip(fmt.Sprint(calls[i].args[7])), err))
			continue
		}
		switch n {
		case 1:
			p.report.Dropped++
		case 2:
			p.report.Retried++
			*ended++
		case 3:
			*ended++
		}
	}
	return failed, nil
}

// abandonedText is what RQ says of a job whose worker left it: rq/registry.py StartedJobRegistry.cleanup.
func abandonedText(at time.Time) string {
	return at.UTC().Format("Moved to FailedJobRegistry, due to AbandonedJobError, at 2006-01-02 15:04:05.000000")
}

func (p *pass) abandoned(ctx context.Context, ours func(string) bool) error {
	exc := abandonedText(p.now)
	return p.expired(ctx, WipKey(p.queue), func(members []string) (int, error) {
		lapsed, err := p.c.lapsed(ctx, members)
		if err != nil {
			return 0, err
		}
		var calls []scriptCall
		for _, l := range lapsed {
			if l.Status == StatusStarted && ours != nil && ours(l.WorkerName) {
				continue
			}
			calls = append(calls, p.abandonCall("wip", l.Member, l.ID, l.ExecutionID, exc))
		}
		failed, err := p.run(ctx, calls, &p.report.Abandoned)
		return len(members) - len(calls) + failed, err
	})
}

func (p *pass) deferred(ctx context.Context) error {
	if !p.c.d.DeferredExpires {
		return nil
	}
	exc := p.now.UTC().Format("Expired in DeferredJobRegistry, moved to FailedJobRegistry at 2006-01-02 15:04:05.000000")
	return p.expired(ctx, RegistryKey(Deferred, p.queue), func(ids []string) (int, error) {
		var calls []scriptCall
		for _, id := range ids {
			calls = append(calls, p.abandonCall("deferred", id, id, "", exc))
		}
		return p.run(ctx, calls, &p.report.Deferred)
	})
}

func (p *pass) workers(ctx context.Context) error {
	keys, err := p.c.rdb.SMembers(ctx, QueueWorkersKey(p.queue)).Result()
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(keys, maintainStep) {
		n, err := forgetWorkersScript.Run(ctx, p.c.rdb, []string{QueueWorkersKey(p.queue)}, anys(batch)...).Int64()
		if err != nil {
			return err
		}
		p.report.Workers += n
	}
	return nil
}

// stuck ends what has been in the intermediate list for longer than the grace period. Every dialect gets the grace
// period: without it, as in 1.15, a claim in progress is failed.
func (p *pass) stuck(ctx context.Context) error {
	// The oldest stand first.
	ids, err := p.c.rdb.LRange(ctx, IntermediateKey(p.queue), 0, maintainStep-1).Result()
	if err != nil || len(ids) == 0 {
		return err
	}
	marks := make([]*redis.StringCmd, len(ids))
	_, err = p.c.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, id := range ids {
			key := FirstSeenKey(p.queue, id)
			pipe.SetNX(ctx, key, floatTime(p.now), stuckMarkTTL)
			marks[i] = pipe.Get(ctx, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var calls []scriptCall
	for i, id := range ids {
		seen, err := strconv.ParseFloat(marks[i].Val(), 64)
		if err == nil && float64(p.now.UnixMicro())/1e6-seen <= stuckGrace.Seconds() {
			continue
		}
		calls = append(calls, p.abandonCall("intermediate", id, id, "", "Job was stuck in intermediate queue."))
	}
	_, err = p.run(ctx, calls, &p.report.Stuck)
	return err
}

// MaintainGroups takes expired jobs out of all groups and removes empty groups; RQ does so once per pass, for all
// queues together. It returns how many jobs were removed. rq/group.py clean_registries, since 2.0.
func (c *Client) MaintainGroups(ctx context.Context) (removed int64, err error) {
	if !c.d.CompositeWip {
		return 0, nil
	}
	err = c.scan(ctx, GroupsKey(), func(names []string) error {
		for _, name := range names {
			err := c.scan(ctx, GroupKey(name), func(ids []string) error {
				args := append([]any{name}, anys(ids)...)
				n, err := forgetGroupScript.Run(ctx, c.rdb, []string{GroupsKey(), GroupKey(name)}, args...).Int64()
				removed += n
				return err
			})
			if err != nil {
				return fmt.Errorf("group %q: %w", clip(name), err)
			}
		}
		return nil
	})
	return removed, wrap(err, "maintain groups")
}

// scan calls do with parts of a set, with nothing for an empty one. What is in it all the time is seen.
func (c *Client) scan(ctx context.Context, key string, do func(members []string) error) error {
	for cursor := uint64(0); ; {
		members, next, err := c.rdb.SScan(ctx, key, cursor, "", scriptBatch).Result()
		if err == nil {
			err = do(members)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// trimBatch is how many failed jobs one script call removes.
const trimBatch = 50

// TrimFailed deletes the oldest failed and stopped jobs of a queue until at most limit are left, and returns how
// many entries it removed. Frappe's own limit is a Python callback, which jobs run by others don't get.
func (c *Client) TrimFailed(ctx context.Context, queue string, limit int64) (removed int64, err error) {
	for {
		n, err := trimFailedScript.Run(ctx, c.rdb, []string{RegistryKey(Failed, queue)}, max(limit, 0), trimBatch).Int64()
		removed += n
		if err != nil {
			return removed, fmt.Errorf("trim failed jobs of queue %q to %d: %w", clip(queue), limit, err)
		}
		if n == 0 {
			return removed, nil
		}
	}
}
