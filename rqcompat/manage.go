package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	cancelScript  = newScript("cancel.lua")
	requeueScript = newScript("requeue.lua")
	deleteScript  = newScript("delete.lua")
)

// NotRequeueableError is an ErrNotRequeueable with the status that stands in the way.
type NotRequeueableError struct {
	ID     string
	Status Status
}

func (e *NotRequeueableError) Error() string {
	return fmt.Sprintf("%v: job %q has status %q; it must be failed, stopped or canceled and still in that registry",
		ErrNotRequeueable, clip(e.ID), clip(string(e.Status)))
}

func (e *NotRequeueableError) Is(target error) bool { return target == ErrNotRequeueable }

// Fetch reads one job, or what can be read of it with the error of ParseJob; ErrNoSuchJob if none. rq/job.py Job.fetch.
func (c *Client) Fetch(ctx context.Context, id string) (*Job, error) {
	hash, err := c.rdb.HGetAll(ctx, JobKey(id)).Result()
	return fetched(id, hash, err)
}

// FetchResult is what Fetch returns for one job.
type FetchResult struct {
	Job *Job
	Err error
}

// fetchChunk bounds how many hashes one reply buffer holds.
const fetchChunk = 500

// FetchMany reads many jobs with one round trip per 500, and returns one result per id in their order. What is wrong with
// a job is in its result; the error is the server's ([Judge]), and nothing is known of any job then.
func (c *Client) FetchMany(ctx context.Context, ids []string) ([]*FetchResult, error) {
	results := make([]*FetchResult, 0, len(ids))
	for chunk := range slices.Chunk(ids, fetchChunk) {
		cmds := make([]*redis.MapStringStringCmd, len(chunk))
		_, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
			for i, id := range chunk {
				cmds[i] = p.HGetAll(ctx, JobKey(id))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("fetch %d jobs: %w", len(chunk), err)
		}
		for i, id := range chunk {
			job, err := fetched(id, cmds[i].Val(), cmds[i].Err())
			results = append(results, &FetchResult{Job: job, Err: err})
		}
	}
	return results, nil
}

var sizesScript = newScript("sizes.lua")

// FetchSmall is FetchMany for jobs that anybody may have enqueued: of one that has more than most bytes the result is
// ErrLarge, without the job. It takes one round trip more.
func (c *Client) FetchSmall(ctx context.Context, ids []string, most int) ([]*FetchResult, error) {
	script := batched[string]{script: sizesScript, args: func(some []string) ([]any, error) { return anys(some), nil }}
	sizes, err := inBatches[int](ctx, c, script, ids)
	if err != nil {
		return nil, fmt.Errorf("look how large %d jobs are: %w", len(ids), err)
	}
	results := make([]*FetchResult, len(ids))
	var small []string
	for i, id := range ids {
		switch size := sizes[i]; {
		case size.Err != nil:
			results[i] = &FetchResult{Err: wrap(size.Err, "fetch job %q", clip(id))}
		case size.Result > most:
			results[i] = &FetchResult{Err: fmt.Errorf("fetch job %q: %w: it has %d bytes", clip(id), ErrLarge, size.Result)}
		default:
			small = append(small, id)
		}
	}
	fetched, err := c.FetchMany(ctx, small)
	if err != nil {
		return nil, err
	}
	for i := range results {
		if results[i] == nil {
			results[i], fetched = fetched[0], fetched[1:]
		}
	}
	return results, nil
}

func fetched(id string, hash map[string]string, err error) (job *Job, _ error) {
	if err == nil && len(hash) == 0 {
		err = ErrNoSuchJob
	}
	if err == nil {
		job, err = ParseJob(id, hash)
	}
	return job, wrap(err, "fetch job %q", clip(id))
}

// Cancel takes a job out of its queue or registry and marks it canceled. With releaseDependents, jobs that wait
// for it are queued as if it had ended well. It does not stop a job that runs: send SendStop first when that is
// wanted. ErrNoSuchJob or ErrCanceled when there is nothing to cancel. rq/job.py Job.cancel.
func (c *Client) Cancel(ctx context.Context, id string, releaseDependents bool) error {
	n, err := cancelScript.Run(ctx, c.rdb, []string{JobKey(id)}, id, c.Now(ctx).Unix(), FormatTime(time.Now()), bit(releaseDependents)).Int()
	switch {
	case err == nil && n < 0:
		err = ErrNoSuchJob
	case err == nil && n == 0:
		err = ErrCanceled
	}
	return wrap(err, "cancel job %q", clip(id))
}

// emptyExc is the exc_info that RQ's requeue writes: zlib of "".
var emptyExc = deflate(nil)

// Requeue puts a failed, stopped or canceled job to the end or the head of its queue. It acts only when it removed
// the job from its registry, so of two callers one gets a *NotRequeueableError. retries_left stays as it is.
// rq/registry.py BaseRegistry.requeue.
func (c *Client) Requeue(ctx context.Context, id string, atFront bool) error {
	push := "RPUSH"
	if atFront {
		push = "LPUSH"
	}
	return requeued(id, requeueScript.Run(ctx, c.rdb, []string{JobKey(id)}, requeueArgs(id, push, false)...))
}

// RetryMany is Requeue of many jobs to the end of their queues, in one round trip, that also takes scheduled ones, which wait
// for their retry: before they are due, or as what RQ's schedulers do then. There is an error for each job, in order, nil for
// one that is queued; the error of the whole is the server's, after which any may have been queued.
func (c *Client) RetryMany(ctx context.Context, ids []string) ([]error, error) {
	calls := make([]scriptCall, len(ids))
	for i, id := range ids {
		calls[i] = scriptCall{[]string{JobKey(id)}, requeueArgs(id, "RPUSH", true)}
	}
	replies, err := c.runScripts(ctx, requeueScript, calls)
	if err != nil {
		return nil, fmt.Errorf("requeue %d jobs: %w", len(ids), err)
	}
	errs := make([]error, len(ids))
	for i, reply := range replies {
		errs[i] = requeued(ids[i], reply)
	}
	return errs, nil
}

func requeueArgs(id, push string, scheduled bool) []any {
	return []any{id, FormatTime(time.Now()), push, emptyExc, bit(scheduled)}
}

// requeued says what the script's reply means.
func requeued(id string, answer *redis.Cmd) error {
	reply, err := answer.Slice()
	switch {
	case err == nil && reply[0] == int64(0):
		status, _ := reply[1].(string)
		return &NotRequeueableError{ID: id, Status: Status(status)}
	case err == nil && reply[0] == int64(-1):
		err = ErrNoSuchJob
	}
	return wrap(err, "requeue job %q", clip(id))
}

// Delete removes a job with everything that mentions it, its results included. It does not stop a job that runs.
// ErrNoSuchJob when there is no hash; leftovers such as results are removed all the same. rq/job.py Job.delete.
func (c *Client) Delete(ctx context.Context, id string) error {
	n, err := deleteScript.Run(ctx, c.rdb, []string{JobKey(id)}, id).Int()
	if err == nil && n == 0 {
		err = ErrNoSuchJob
	}
	return wrap(err, "delete job %q", clip(id))
}

// Suspend tells all workers of this Redis, Python ones included, to take no new job: for d, in whole seconds
// rounded up, or until Resume when d is 0. rq/suspension.py suspend.
func (c *Client) Suspend(ctx context.Context, d time.Duration) error {
	d = (max(d, 0) + time.Second - 1).Truncate(time.Second)
	return wrap(c.rdb.Set(ctx, SuspendedKey(), 1, d).Err(), "suspend workers")
}

// Resume ends a suspension; without one it does nothing. rq/suspension.py resume.
func (c *Client) Resume(ctx context.Context) error {
	return wrap(c.rdb.Del(ctx, SuspendedKey()).Err(), "resume workers")
}

// Suspended says whether workers shall take no new job. rq/suspension.py is_suspended.
func (c *Client) Suspended(ctx context.Context) (bool, error) {
	n, err := c.rdb.Exists(ctx, SuspendedKey()).Result()
	return n > 0, wrap(err, "read suspension")
}

// Pause tells this package's workers, and no others, to take nothing from the queues until Unpause. It outlives every
// process.
func (c *Client) Pause(ctx context.Context, queues ...string) error {
	return wrap(c.rdb.SAdd(ctx, PausedKey(), anys(queues)...).Err(), "pause %d queues", len(queues))
}

// Unpause ends the pause of the queues; of one that isn't paused it does nothing.
func (c *Client) Unpause(ctx context.Context, queues ...string) error {
	return wrap(c.rdb.SRem(ctx, PausedKey(), anys(queues)...).Err(), "end the pause of %d queues", len(queues))
}

// Holds are the orders to take no new job.
type Holds struct {
	// Suspended holds for all workers of this Redis: see Suspend.
	Suspended bool
	// Paused are the queues that Pause named.
	Paused []string
}

// Holds reads both in one round trip.
func (c *Client) Holds(ctx context.Context) (Holds, error) {
	var suspended *redis.IntCmd
	var paused *redis.StringSliceCmd
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		suspended, paused = p.Exists(ctx, SuspendedKey()), p.SMembers(ctx, PausedKey())
		return nil
	})
	if err != nil {
		return Holds{}, fmt.Errorf("read what is suspended: %w", err)
	}
	queues := paused.Val()
	slices.Sort(queues)
	return Holds{Suspended: suspended.Val() > 0, Paused: queues}, nil
}

// Position is how many jobs wait before a job in its queue; ok is false if it doesn't wait there.
func (c *Client) Position(ctx context.Context, queue, id string) (before int64, ok bool, err error) {
	before, err = c.rdb.LPos(ctx, QueueKey(queue), id, redis.LPosArgs{}).Result()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	return before, err == nil, wrap(err, "look for job %q in its queue", clip(id))
}
