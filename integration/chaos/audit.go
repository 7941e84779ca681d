package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// finding is what became of the jobs of a bed.
type finding struct {
	line
	history history
	// wrong is all that should not be, one text each: of jobs, of what is left in Redis, of logs.
	wrong []string
	// poisoned are jobs that ended as dead letters since they were hit three times, as they should.
	poisoned int
	// python are Python's among those that are lost, stuck or failed.
	python int
}

// ended is how a job ended.
const (
	isOver = iota
	isFailed
	isPoisoned // over too, but not as its caller wished
	isStuck
	isLost
)

// audit waits until every accepted job has ended, at most for patience, and says what became of all. The error is that of a server.
func (b *bed) audit(ctx context.Context, j *jobs, patience time.Duration) (f finding, err error) {
	all := j.list()
	var states []int
	var texts []string
	for deadline := time.Now().Add(patience); ; pause(ctx, time.Second) {
		if f.history, states, texts, err = b.look(ctx, all); err != nil {
			return f, err
		}
		going := slices.ContainsFunc(states, func(s int) bool { return s >= isStuck })
		if !going || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	f.Version, f.Jobs, f.Kills, f.Rescues = b.version, len(all), f.history.kills, f.history.rescues
	for i, a := range all {
		switch states[i] {
		case isLost:
			f.Lost++
		case isStuck:
			f.Stuck++
		case isFailed:
			f.Failed++
		case isPoisoned:
			f.poisoned++
		}
		if states[i] != isOver && states[i] != isPoisoned {
			f.wrong = append(f.wrong, a.Key+": "+texts[i])
			if a.way == forPython {
				f.python++
			}
		}
		if len(f.history.runs[a.Key]) > 1 {
			f.Twice++
		}
	}
	f.wrong = append(f.wrong, f.history.needless()...)
	left, err := b.leftovers(ctx)
	if err != nil {
		return f, err
	}
	logs, err := b.faultyLogs(ctx)
	f.wrong = append(append(f.wrong, left...), logs...)
	return f, err
}

// look says how each job stands, and in words. What the handlers say is read last: nothing is over of which they don't know.
func (b *bed) look(ctx context.Context, all []accepted) (h history, states []int, texts []string, err error) {
	byKey, err := b.rowsByKey(ctx)
	if err != nil {
		return h, nil, nil, err
	}
	answers := make([]*redis.SliceCmd, len(all))
	queued := map[string]bool{}
	for from := 0; from < len(all); from += 1000 { // an answer to all at once takes longer than a client waits
		_, err = b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, a := range all[from:min(from+1000, len(all))] {
				answers[from+i] = p.HMGet(ctx, rqcompat.JobKey(a.id), "status", "worker_name")
			}
			return nil
		})
		if err != nil {
			return h, nil, nil, err
		}
	}
	for _, kind := range []string{own, shared, first} {
		ids, err := b.standing(ctx, b.queue(kind))
		if err != nil {
			return h, nil, nil, err
		}
		for _, id := range ids {
			queued[id] = true
		}
	}
	if h, err = b.ledger.history(); err != nil {
		return h, nil, nil, err
	}
	states, texts = make([]int, len(all)), make([]string, len(all))
	for i, a := range all {
		values := answers[i].Val()
		status, _ := values[0].(string)
		row, rows := "", byKey[a.Key]
		if len(rows) > 0 {
			row = rows[0].status
		}
		states[i] = a.judge(status, rows, queued[a.id], h)
		texts[i] = fmt.Sprintf("RQ says %q of worker %v, its %d row(s) %q, it stands in a list: %v; it began %d times and died %d times", status, values[1], len(rows), row, queued[a.id],
			len(h.runs[a.Key]), h.deaths(a.Key))
	}
	return h, states, texts, nil
}

// judge says how a job stands: its status in RQ, its rows, and whether it is in a list.
func (a accepted) judge(status string, found []rowState, listed bool, h history) int {
	row := rows.StatusCompleted
	if a.hasRow() {
		row = rows.StatusPending
		if len(found) > 0 {
			row = rows.Status(found[0].status)
		}
	}
	switch {
	// RQ forgets a job some minutes after its end; its row stays.
	case (status == "finished" || status == "" && a.hasRow()) && row == rows.StatusCompleted && h.ran(a.Key) && len(found) <= 1:
		return isOver
	// The third time it may have been claimed and not begun.
	case h.deaths(a.Key) >= 2 && status == "failed" && (row == rows.StatusDeadLetter || !a.hasRow()):
		return isPoisoned
	case status == "finished" && row == rows.StatusCompleted || status == "failed" && !listed && a.way != forPython && row.Terminal(),
		row == rows.StatusDeadLetter || row == rows.StatusCanceled || len(found) > 1:
		return isFailed
	case !listed && status != "failed" && status != "finished":
		return isLost
	}
	return isStuck
}

// standing are the ids of jobs that wait on a queue or run: in its list, among those that bridges keep for themselves, in the started
// and the scheduled registry.
func (b *bed) standing(ctx context.Context, queue string) (ids []string, err error) {
	for _, key := range []string{rqcompat.QueueKey(queue), rqcompat.IntermediateKey(queue), rqcompat.FirstKey(queue)} {
		found, err := b.rdb.LRange(ctx, key, 0, -1).Result()
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	for _, registry := range []rqcompat.Registry{rqcompat.Wip, rqcompat.Scheduled, rqcompat.Deferred} {
		found, err := b.rdb.ZRange(ctx, rqcompat.RegistryKey(registry, queue), 0, -1).Result()
		if err != nil {
			return nil, err
		}
		for _, member := range found {
			// In RQ 2 those that run stand as <id>:<execution>, and neither has a colon at the join's end but one.
			ids = append(ids, member)
			if i := strings.LastIndexByte(member, ':'); i > 0 {
				ids = append(ids, member[:i])
			}
		}
	}
	return ids, nil
}

// leftovers are what stands in Redis though nothing waits or runs any more. A row may have ended a rescue before its job did.
func (b *bed) leftovers(ctx context.Context) (wrong []string, err error) {
	until(ctx, 10*time.Second, func() bool {
		wrong = nil
		for _, kind := range []string{own, shared, first} {
			var ids []string
			if ids, err = b.standing(ctx, b.queue(kind)); err != nil {
				return true
			}
			for _, id := range ids {
				wrong = append(wrong, fmt.Sprintf("%s stands in a list of queue %s", id, kind))
			}
		}
		return len(wrong) == 0
	})
	return wrong, err
}

// rowState is what a row says.
type rowState struct{ name, status string }

// rowsByKey are the rows of the bed's jobs, by the key of their parameters.
func (b *bed) rowsByKey(ctx context.Context) (map[string][]rowState, error) {
	lines, err := b.db.Strings(ctx, "read the rows", "SELECT CONCAT_WS('\t', name, status, input_parameters) FROM `tabBackground Job` WHERE job_type IN (?,?,?)", jobType, execType, httpType)
	if err != nil {
		return nil, err
	}
	byKey := map[string][]rowState{}
	for _, text := range lines {
		parts := strings.SplitN(text, "\t", 3)
		var p params
		if err := json.Unmarshal([]byte(parts[2]), &p); err != nil {
			return nil, fmt.Errorf("parameters of %s: %w", parts[0], err)
		}
		byKey[p.Key] = append(byKey[p.Key], rowState{parts[0], parts[1]})
	}
	return byKey, nil
}
