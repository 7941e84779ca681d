package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// healthyJobs is how many jobs stand beside the bad ones.
const healthyJobs = 200

// enqueueHealthy has Python enqueue the victim's jobs, each with a row, and returns their ids, which no round has twice.
func (b *bed) enqueueHealthy(ctx context.Context, kind string) (ids []string, err error) {
	b.rounds++
	var questions []question
	for i := range healthyJobs {
		questions = append(questions, frappeEnqueue(fmt.Sprintf(
			`{"method": "hostile.healthy", "site": %q, "user": %q, "organization": %q, "queue": %q, "job_id": "healthy-%d-%d"}`, site, victimUser, victim, kind, b.rounds, i)))
	}
	answers, err := b.ask(ctx, questions)
	if err != nil {
		return nil, err
	}
	for _, answer := range answers {
		var id string
		if err := json.Unmarshal(answer, &id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// enqueueBad writes every bad member on the queue of the kind: those of Python, those whose hash is spoilt, ids without a
// hash, and jobs with the given calls. round keeps their ids apart from those of others. The answer is how many there are.
func (b *bed) enqueueBad(ctx context.Context, kind, round string, payloads []payload) (n int, err error) {
	var questions []question
	for name, options := range enqueued {
		questions = append(questions, asked(options, round+" bad: "+name, kind))
	}
	if _, err := b.ask(ctx, questions); err != nil {
		return 0, err
	}
	n = len(questions)
	for _, s := range hashes {
		job, err := b.rq.Enqueue(ctx, b.request(kind, round+" hash: "+s.name, call(attackerUser, "hostile.bad", map[string]any{"organization": attacker})))
		if err != nil {
			return n, err
		}
		_, err = b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			s.do(ctx, p, job.ID)
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("%s: %w", s.name, err)
		}
		n++
	}
	for _, id := range badIDs() {
		if err := b.rdb.RPush(ctx, rqcompat.QueueKey(b.queue(kind)), id).Err(); err != nil {
			return n, err
		}
		n++
	}
	return n + len(payloads), b.enqueuePayloads(ctx, kind, payloads)
}

// enqueuePayloads writes a job for each payload.
func (b *bed) enqueuePayloads(ctx context.Context, kind string, payloads []payload) error {
	for i, payload := range payloads {
		r := b.request(kind, fmt.Sprintf("payload %d: %s", i, payload.name), rqcompat.Call{})
		r.Data = payload.data
		if _, err := b.rq.Enqueue(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", payload.name, err)
		}
	}
	return nil
}

// mixed is a list with the healthy jobs evenly between the others.
func mixed(all, healthy []string) (list []any) {
	isHealthy := map[string]bool{}
	for _, id := range healthy {
		isHealthy[id] = true
	}
	var others []any
	for _, id := range all {
		if !isHealthy[id] {
			others = append(others, id)
		}
	}
	for i, id := range healthy {
		from, to := i*len(others)/len(healthy), (i+1)*len(others)/len(healthy)
		list = append(append(list, others[from:to]...), id)
	}
	return list
}

// stage takes the list of a queue away, to be in another order; give brings it back at once.
func (b *bed) stage(ctx context.Context, kind string, order func(all []string) []any) (give func() (time.Time, error), err error) {
	list := rqcompat.QueueKey(b.queue(kind))
	all, err := b.rdb.LRange(ctx, list, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	const staged = "hostile:staged"
	if err := b.rdb.Del(ctx, staged, list).Err(); err != nil {
		return nil, err
	}
	if err := b.rdb.RPush(ctx, staged, order(all)...).Err(); err != nil {
		return nil, err
	}
	return func() (time.Time, error) {
		return time.Now(), b.rdb.Rename(ctx, staged, list).Err()
	}, nil
}
