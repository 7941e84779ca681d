package rqcompat

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// LapsedJob is a started job whose lease was not renewed in time, or whose process is dead.
type LapsedJob struct {
	ID, ExecutionID string
	Member          string // of rq:wip:<q>
	// Status, WorkerName and StartedAt are what the hash says; Status is empty when there is none.
	Status     Status
	WorkerName string
	StartedAt  time.Time
	Kills      int // how often the job lapsed before
	// Beside says who ran beside the job in its process whenever it lapsed, a line each. A caller of Rescue who knows adds
	// the line of this time (Ran).
	Beside string
	// HandOver has the job's failure callback called in Python, if this lapse fails it; a caller who knows of one adds it.
	HandOver *HandOver
	// Limits of jobs that run don't count the lost worker any more; a caller who knows them says so. Otherwise they do until its
	// lease ends.
	Limits []Limit
	// Ended says that the job's work is done and only the end isn't written yet: no lapse fails it. A caller who knows says so.
	Ended bool

	slack  time.Duration // of the Lapsed that found it
	silent string        // the process of the LeftBy that found it
}

// Silent is the process of the LeftBy that found the job, "" for one whose lease has run out.
func (l LapsedJob) Silent() string { return l.silent }

// lapsedMost is the most members one look at a started registry returns.
const lapsedMost = 1000

// Lapsed lists the members of a queue's started registry whose lease has run out, at most 1000 at a time, those of
// Python workers included. It changes nothing.
//
// RQ's readers and workers fail whatever they find lapsed. A caller that wants to come first claims and renews
// with leases that are longer by slack, and counts as lapsed what ends within the next slack. That holds for entries that this package
// wrote, the last of all: the Python worker that had the job before may have written one of RQ 1.x, which lasts a minute from then on.
func (c *Client) Lapsed(ctx context.Context, queue string, slack time.Duration) ([]LapsedJob, error) {
	now := c.Now(ctx)
	entries, err := c.rdb.ZRangeByScoreWithScores(ctx, WipKey(queue), &redis.ZRangeBy{
		Min: "0", Max: "(" + strconv.FormatInt(now.Add(slack).Unix(), 10), Count: lapsedMost,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("look for lapsed jobs of queue %q: %w", clip(queue), err)
	}
	var members []string
	for _, entry := range entries {
		if ours := entry.Score != math.Trunc(entry.Score); ours || entry.Score < float64(now.Unix()) {
			members = append(members, entry.Member.(string))
		}
	}
	jobs, err := c.lapsed(ctx, members)
	if err != nil {
		return nil, fmt.Errorf("look at lapsed jobs of queue %q: %w", clip(queue), err)
	}
	for i := range jobs {
		jobs[i].slack = slack
	}
	return jobs, nil
}

// lapsed reads who had the jobs behind members of a started registry. A member that looks composite, but whose job
// only exists under the whole member, is a bare id: Frappe's ids can end in ":" and 32 hex digits.
func (c *Client) lapsed(ctx context.Context, members []string) ([]LapsedJob, error) {
	if len(members) == 0 {
		return nil, nil
	}
	fields := []string{"status", "worker_name", "started_at", "bridge_kills", "bridge_beside"}
	read := make([]*redis.SliceCmd, len(members))
	bare := make([]*redis.SliceCmd, len(members))
	_, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
		for i, m := range members {
			id, x := c.d.SplitWipMember(m)
			read[i] = p.HMGet(ctx, JobKey(id), fields...)
			if x != "" {
				bare[i] = p.HMGet(ctx, JobKey(m), fields...)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	jobs := make([]LapsedJob, len(members))
	for i, m := range members {
		l := lapsedJob(m, read[i])
		l.ID, l.ExecutionID = c.d.SplitWipMember(m)
		if l.Status == "" && bare[i] != nil {
			if whole := lapsedJob(m, bare[i]); whole.Status != "" {
				l = whole
			}
		}
		jobs[i] = l
	}
	return jobs, nil
}

// lapsedJob reads a reply; one of the wrong type is not a job.
func lapsedJob(member string, cmd *redis.SliceCmd) LapsedJob {
	l := LapsedJob{ID: member, Member: member}
	h, err := cmd.Result()
	if err != nil {
		return l
	}
	text := func(i int) string { s, _ := h[i].(string); return s }
	l.Status, l.WorkerName = Status(text(0)), text(1)
	// An unreadable time or count is as good as none: Rescue compares what it can read.
	l.StartedAt, _ = ParseTime(text(2))
	l.Kills, _ = strconv.Atoi(text(3))
	l.Beside = text(4)
	return l
}

// besideMost is how many of the jobs that ran beside one are named for each time it lapsed.
const besideMost = 10

// Ran adds a line to Beside: the ids of the jobs that ran beside this one when it lapsed.
func (l *LapsedJob) Ran(beside []string) {
	line := "no other job"
	if n := len(beside); n > 0 {
		named := make([]string, min(n, besideMost))
		for i := range named {
			named[i] = strings.Join(strings.Fields(clip(beside[i])), " ")
		}
		line = strings.Join(named, ", ")
		if n > besideMost {
			line += fmt.Sprintf(" and %d more", n-besideMost)
		}
	}
	if l.Beside != "" {
		line = l.Beside + "\n" + line
	}
	l.Beside = line
}

// Deaths says in a sentence how often the job lapsed, this time included, and who ran beside it then.
func (l LapsedJob) Deaths() string {
	text := fmt.Sprintf("the job took its worker down %d times", l.Kills+1)
	if l.Beside != "" {
		text += "; beside it ran, death by death: " + strings.ReplaceAll(l.Beside, "\n", "; ")
	}
	return text
}

// most is the lapse that fails the job.
func (l LapsedJob) most(maxKills int) int {
	if l.Ended {
		return math.MaxInt32
	}
	return maxKills
}

// Writable asks whether Redis takes writes that need memory; the error says why not. Nothing is written: a renewal of no
// lease. While it is refused no worker can renew, and a lapsed lease says nothing of its worker.
func (c *Client) Writable(ctx context.Context) error {
	err := c.rdb.ZAddXX(ctx, WipKey(""), redis.Z{Member: ""}).Err()
	return wrap(err, "write to Redis")
}

// RescueResult says what Rescue did.
type RescueResult int

// The results of a rescue.
const (
	RescueNothing  RescueResult = 0 // the lease was renewed after all, or somebody else was faster
	RescueDropped  RescueResult = 1 // the job had ended or is gone; the stale entry was removed
	RescueRequeued RescueResult = 2 // the job is at the head of its queue again, no retry spent
	RescuePoisoned RescueResult = 3 // the job lapsed once too often and is failed
)

var rescueScript = newScript("rescue.lua")

// Rescue gives a lapsed job back to the head of its queue, or fails it when that would have been its maxKills-th
// lapse. It acts in one step and only if the lease is still lapsed, or the process that LeftBy was asked about still silent, and the job
// still in the hands that l names, so several processes may rescue at the same time. It is meant for jobs of this package's workers.
func (c *Client) Rescue(ctx context.Context, queue string, l LapsedJob, maxKills int) (RescueResult, error) {
	answers, err := c.RescueMany(ctx, []Lapsed{{queue, l}}, maxKills)
	if err != nil {
		return 0, err
	}
	return answers[0].Result, answers[0].Err
}

// Lapsed is a lapsed job of a queue.
type Lapsed struct {
	Queue string
	LapsedJob
}

// RescueMany is Rescue of many jobs in one round trip: there is an answer for each, in order. The error is the server's, after which
// any may have been rescued.
func (c *Client) RescueMany(ctx context.Context, ls []Lapsed, maxKills int) ([]Answer[RescueResult], error) {
	now, at := c.Now(ctx), time.Now()
	answers := make([]Answer[RescueResult], len(ls))
	var calls []scriptCall
	var of []int
	for i, l := range ls {
		args, err := c.rescueArgs(l.Queue, l.LapsedJob, maxKills, now, at)
		if answers[i].Err = wrap(err, "rescue job %q", clip(l.ID)); err == nil {
			calls, of = append(calls, scriptCall{args: args}), append(of, i)
		}
	}
	replies, err := c.runScripts(ctx, rescueScript, calls)
	if err != nil {
		return nil, fmt.Errorf("rescue %d jobs: %w", len(ls), err)
	}
	for n, reply := range replies {
		result, err := reply.Int()
		answers[of[n]] = Answer[RescueResult]{RescueResult(result), wrap(err, "rescue job %q", clip(ls[of[n]].ID))}
	}
	return answers, nil
}

func (c *Client) rescueArgs(queue string, l LapsedJob, maxKills int, now, at time.Time) ([]any, error) {
	exc := fmt.Sprintf("rqcompat.PoisonedJobError: %s; it is not tried again\n", l.Deaths())
	args := []any{c.d.endFlags(), now.Unix(), FormatTime(at), floatTime(at), queue, l.Member,
		l.ID, l.ExecutionID, l.WorkerName, FormatTime(l.StartedAt), floatTime(l.StartedAt), l.most(maxKills), EncodeExc(exc),
		now.Add(l.slack).Unix(), l.Beside, l.silent, len(l.Limits)}
	for _, limit := range l.Limits {
		args = append(args, limit.Key)
	}
	if l.HandOver != nil {
		return c.appendHandOver(args, *l.HandOver, l.ID)
	}
	return args, nil
}
