package rqcompat

import (
	"context"
	"fmt"
	"time"
)

// LeftResult says what became of something that was left behind.
type LeftResult int

// The results of BringBack.
const (
	LeftChanged  LeftResult = 0 // it isn't as it was found any more: nothing was done
	LeftRemoved  LeftResult = 1 // the stale entry, or the dead worker's, was removed
	LeftRequeued LeftResult = 2 // the job is in its queue again, and runs from its beginning
	LeftFailed   LeftResult = 3 // the job took its worker down too often and is in the failed registry
	LeftListed   LeftResult = 4 // the failed job is in the failed registry again
	LeftLocked   LeftResult = 5 // somebody maintains the queue, and does the same or more: nothing was done; try again in a minute
)

// leftMostKills is how many starts of a job may come to nothing before it fails.
const leftMostKills = 3

// leftWorkerTTL is the rest of the life of a worker's record that had no end: RQ's, of `rq worker` before 2.0.
const leftWorkerTTL = 420 * time.Second

// maintained is how long a pass of RQ's maintenance over a queue may last; what holds its lock for longer has forgotten it.
const maintained = time.Minute

var bringBackScript = newScript("bring_back.lua")

// BringBack puts right what LeftBehind found, each thing in one step and only if it is as it was found, and returns a result
// for each.
//
// Lost, stuck and abandoned jobs, and those that are started or scheduled in no registry, go to the end of their queue one
// after the other, as RQ's requeue and retry do; the scheduled ones to its head if that was asked for (enqueue_at_front). They keep their
// retries. Some of them had been started: their functions run twice, so ask somebody who knows them. A job whose third
// start came to nothing is failed, with a text like RQ's; its failure callback isn't called. A failed job without its
// entry gets it again. Stale entries, and workers without a record, are removed; an endless record is given an end.
//
// RQ's maintenance does some of this, in several steps under its lock of a queue. BringBack takes the same lock for those,
// and returns LeftLocked while another works under it. RQ 1.15, and any version after an error, leaves the lock to expire 15
// minutes later: one that was taken more than a minute ago is taken over.
func (c *Client) BringBack(ctx context.Context, found []Left) ([]Answer[LeftResult], error) {
	answers := make([]Answer[LeftResult], len(found))
	locks := map[string]bool{}
	var unlocks []func() error
	defer func() {
		for _, unlock := range unlocks {
			_ = unlock() // it ends by itself
		}
	}()
	for i, l := range found {
		if l.Kind != LeftLost && l.Kind != LeftUnregistered {
			mine, asked := locks[l.Queue]
			if !asked {
				unlock, ok, err := c.lockMaintenance(ctx, l.Queue, maintained)
				if err != nil {
					return nil, wrap(err, "lock the maintenance of queue %q", clip(l.Queue))
				}
				if mine, locks[l.Queue] = ok, ok; ok {
					unlocks = append(unlocks, unlock)
				}
			}
			if !mine {
				answers[i].Result = LeftLocked
				continue
			}
		}
		var err error
		if answers[i], err = c.bringBack(ctx, l); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// bringBack puts one thing right. The error is the server's.
func (c *Client) bringBack(ctx context.Context, l Left) (a Answer[LeftResult], err error) {
	if l.Kind == LeftWorker {
		return c.forgetWorker(ctx, l)
	}
	now, at := c.Now(ctx), time.Now()
	member, execution := l.trace.lapsed, ""
	if member == "" {
		member = l.trace.ended
	}
	if member != "" {
		_, execution = c.d.SplitWipMember(member)
	}
	exc := fmt.Sprintf("%s\nIts worker %s died, as those before it did.", abandonedText(at), l.Worker)
	replies, err := c.runScripts(ctx, bringBackScript, []scriptCall{{args: []any{
		c.d.endFlags(), now.Unix(), FormatTime(at), floatTime(at), string(l.Kind), l.Queue, l.ID,
		string(l.Status), l.trace.enqueued, l.trace.started, l.trace.worker, member, execution, leftMostKills, EncodeExc(exc),
	}}})
	if err != nil {
		return a, wrap(err, "bring back job %q", clip(l.ID))
	}
	n, err := replies[0].Int()
	return Answer[LeftResult]{Result: LeftResult(n), Err: wrap(err, "bring back job %q", clip(l.ID))}, nil
}

// forgetWorker does with a dead worker what RQ's clean_worker_registry does, and with an endless one what `rq worker` did.
func (c *Client) forgetWorker(ctx context.Context, l Left) (a Answer[LeftResult], err error) {
	key := WorkerKey(l.ID)
	n, err := forgetWorkersScript.Run(ctx, c.rdb, []string{QueueWorkersKey(l.Queue)}, key).Int()
	if err == nil && n == 0 {
		var ttl time.Duration
		if ttl, err = c.rdb.PTTL(ctx, key).Result(); err == nil && ttl == -1 {
			n, err = 1, c.rdb.Expire(ctx, key, leftWorkerTTL).Err()
		}
	}
	return Answer[LeftResult]{Result: LeftResult(n)}, wrap(err, "forget worker %q", clip(l.ID))
}
