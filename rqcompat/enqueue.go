package rqcompat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var enqueueScript = newScript("enqueue.lua")

// DuplicateJobError is an ErrDuplicateJob with the status of the job that was there first.
type DuplicateJobError struct {
	ID     string
	Status Status
}

func (e *DuplicateJobError) Error() string {
	return fmt.Sprintf("%v: %q is %s", ErrDuplicateJob, clip(e.ID), e.Status)
}

func (e *DuplicateJobError) Is(target error) bool { return target == ErrDuplicateJob }

// RefusedError has why Redis refused some jobs of an EnqueueMany: an error of Enqueue by the index of its request.
type RefusedError struct {
	Of       map[int]error
	requests int
}

func (e *RefusedError) Error() string {
	lines := make([]string, 0, len(e.Of))
	for _, i := range slices.Sorted(maps.Keys(e.Of)) {
		lines = append(lines, fmt.Sprintf("request %d: %v", i, e.Of[i]))
	}
	return fmt.Sprintf("%d of %d jobs not enqueued: %s", len(e.Of), e.requests, strings.Join(lines, "\n"))
}

func (e *RefusedError) Unwrap() []error { return slices.Collect(maps.Values(e.Of)) }

// Enqueue writes one job in one atomic step: into its queue, into the schedule, or, when dependencies are not
// done, into the deferred registry; the returned job's Status tells which. Errors: what is wrong with the request,
// *DuplicateJobError, *DependencyError, or the connection's, after which the job may or may not have been written.
// rq/queue.py Queue.enqueue_call, enqueue_at.
func (c *Client) Enqueue(ctx context.Context, r Request) (*Job, error) {
	call, job, err := c.prepare(r, time.Now())
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	if err := enqueued(job, enqueueScript.Run(ctx, c.rdb, call.keys, call.args...)); err != nil {
		return nil, err
	}
	return job, nil
}

// enqueueChunk bounds the size of one pipeline of EnqueueMany.
const enqueueChunk = 1000

// EnqueueMany writes many jobs with one round trip per 1000. Each job is atomic, the batch is not; requests take effect
// in their order, so later ones may depend on earlier ones. A faulty request stops the batch before anything is
// written. Jobs that Redis refused (duplicates, failed dependencies) are nil in the result, and the error is a *RefusedError;
// the others are enqueued. After a connection error any may have been written.
func (c *Client) EnqueueMany(ctx context.Context, rs []Request) ([]*Job, error) {
	now := time.Now()
	jobs := make([]*Job, len(rs))
	calls := make([]scriptCall, len(rs))
	for i, r := range rs {
		var err error
		if calls[i], jobs[i], err = c.prepare(r, now); err != nil {
			return nil, fmt.Errorf("enqueue %d jobs: request %d: %w", len(rs), i, err)
		}
	}
	var replies []*redis.Cmd
	for chunk := range slices.Chunk(calls, enqueueChunk) {
		some, err := c.runScripts(ctx, enqueueScript, chunk)
		if err != nil {
			return nil, fmt.Errorf("enqueue %d jobs: %w", len(rs), err)
		}
		replies = append(replies, some...)
	}
	refused := map[int]error{}
	for i, reply := range replies {
		if err := enqueued(jobs[i], reply); err != nil {
			jobs[i], refused[i] = nil, err
		}
	}
	if len(refused) > 0 {
		return jobs, &RefusedError{refused, len(rs)}
	}
	return jobs, nil
}

// prepare checks a request and makes the job and the script call for it.
func (c *Client) prepare(r Request, now time.Time) (scriptCall, *Job, error) {
	job, err := c.newJob(r, now)
	if err != nil {
		return scriptCall{}, nil, err
	}
	where, due := "back", int64(0)
	switch {
	case !r.At.IsZero():
		where, due = "schedule", r.At.Unix()
	case r.AtFront:
		where = "front"
	}
	ttl := ""
	if r.TTL != nil {
		ttl = fmt.Sprint(*r.TTL)
	}
	args := make([]any, 0, 64)
	args = append(args, job.ID, r.Queue, where, due, FormatTime(now), ttl, bit(r.Deduplicate),
		c.deferredScore(r.TTL, now), bit(c.d.ResultExecution), bit(r.AllowDependencyFailures), len(r.DependsOn))
	args = append(args, anys(r.DependsOn)...)
	for name, value := range job.Hash() {
		args = append(args, name, value)
	}
	job.EnqueuedAt = now.UTC().Truncate(time.Microsecond)
	return scriptCall{[]string{JobKey(job.ID), QueueKey(r.Queue)}, args}, job, nil
}

// deferredScore is +inf, which no cleaner of any version takes for expired, or the end of the job's ttl where
// maintenance acts on it (2.0–2.7). RQ 1.x and 2.8+ write the current time, which 2.0–2.7 would fail at once.
func (c *Client) deferredScore(ttl *int64, now time.Time) string {
	if ttl != nil && c.d.DeferredExpires {
		return fmt.Sprint(now.Unix() + *ttl)
	}
	return "+inf"
}

// enqueued turns the script's reply into the job's final state.
func enqueued(job *Job, reply *redis.Cmd) error {
	v, err := reply.StringSlice()
	if err != nil {
		return fmt.Errorf("enqueue job %q: %w", clip(job.ID), err)
	}
	switch {
	case v[0] == "duplicate" && len(v) == 2:
		return &DuplicateJobError{ID: job.ID, Status: Status(v[1])}
	case v[0] == "dependency" && len(v) == 3:
		return &DependencyError{ID: job.ID, Dependency: v[1], Status: Status(v[2])}
	}
	job.Status = Status(v[0])
	if job.Status != StatusQueued {
		job.EnqueuedAt = time.Time{}
	}
	return nil
}
