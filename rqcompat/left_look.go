package rqcompat

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// fading: a hash that expires within this time says nothing by being in no registry, whose entry may have expired first.
	fading = time.Minute
	// silentWorker is how old the last heartbeat of a worker may be whose record doesn't expire: RQ's own life of the records
	// of idle workers.
	silentWorker = 480 * time.Second
	// leftScan is how many keys one SCAN passes.
	leftScan = 1000
)

// LeftOptions says where to look for what was left behind, and how.
type LeftOptions struct {
	// Queues are looked at, with the jobs that came from them; all others on the same Redis are left alone.
	Queues []string
	// Mine tells by its id whether a job may be one of these queues; of others no field is read. Nil reads the origin of all.
	Mine func(id string) bool
	// Ours tells by its name whether a worker is one of this package's: what such a worker holds is left to Rescue.
	Ours func(worker string) bool
	// Grace is how long a thing has to stay as it is, in the same place, to count as left behind.
	Grace time.Duration
	// Most is the most things to find; 0 is 10,000. There may be a million, and the next look finds the rest.
	Most int
	// Looked, if set, is told now and then how many jobs the scan has passed, Waiting how many things are to be looked at
	// again after Grace.
	Looked  func(jobs int)
	Waiting func(things int)
}

// LeftReport is what a look found.
type LeftReport struct {
	// Jobs is how many hashes were passed, those of others too.
	Jobs  int
	Found []Left // jobs by queue and age, then workers
	// More: there is more than Most.
	More bool
}

// LeftBehind finds what workers left behind in the queues, those of RQ's Python above all. It changes nothing, takes no
// lock, and asks for some hundred keys at a time, so that Redis serves others in between; beside what it found it keeps
// eight bytes for each id that waits, is scheduled or has failed.
//
// What it names was seen twice, Grace apart, and each time between two readings of its hash that said the same: jobs that
// have just been popped, or are just being written, have moved on by then. Where nothing looks odd at first it doesn't wait.
// A job of a synchronous queue (is_async=False, which frappe.enqueue doesn't use) has no sign of being run: it is taken for
// lost if it runs for longer than Grace.
func (c *Client) LeftBehind(ctx context.Context, o LeftOptions) (LeftReport, error) {
	if o.Most == 0 {
		o.Most = 10_000
	}
	l := leftLook{c: c, o: o}
	before, err := c.places(ctx, o.Queues)
	if err != nil {
		return l.report, err
	}
	ids, err := l.scan(ctx, before)
	if err != nil {
		return l.report, err
	}
	jobs, err := c.traces(ctx, ids, before, o.Ours)
	if err != nil {
		return l.report, err
	}
	for id, job := range jobs {
		if !slices.Contains(o.Queues, job.Queue) {
			delete(jobs, id)
		}
	}
	// Where the jobs are is read anew, after their hashes: what was enqueued meanwhile is in a list by now.
	if jobs, err = l.again(ctx, jobs, false); err != nil {
		return l.report, err
	}
	workers, err := l.workers(ctx)
	if err != nil {
		return l.report, err
	}
	if n := len(jobs) + len(workers); n > 0 {
		if o.Waiting != nil {
			o.Waiting(n)
		}
		if err := sleep(ctx, o.Grace); err != nil {
			return l.report, err
		}
		if jobs, err = l.again(ctx, jobs, true); err != nil {
			return l.report, err
		}
		still, err := l.workers(ctx)
		if err != nil {
			return l.report, err
		}
		maps.DeleteFunc(workers, func(key string, w Left) bool { return still[key].trace != w.trace })
	}
	l.report.Found = slices.SortedFunc(maps.Values(jobs), compareLeft)
	l.report.Found = append(l.report.Found, slices.SortedFunc(maps.Values(workers), compareLeft)...)
	if len(l.report.Found) > o.Most {
		l.report.Found, l.report.More = l.report.Found[:o.Most], true
	}
	return l.report, nil
}

func compareLeft(a, b Left) int {
	return cmp.Or(strings.Compare(a.Queue, b.Queue), a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
}

// leftLook is one look.
type leftLook struct {
	c      *Client
	o      LeftOptions
	report LeftReport
}

// scan passes all hashes of jobs, and returns the ids of those that aren't where their status says, with all that a
// registry or an intermediate list says is in work.
func (l *leftLook) scan(ctx context.Context, p *places) (ids []string, err error) {
	seen := map[string]bool{}
	take := func(id string) {
		if !seen[id] {
			seen[id], ids = true, append(ids, id)
		}
	}
	for id := range p.stuck {
		take(id)
	}
	for id := range p.wip {
		take(id)
	}
	// Twice as many as asked for: under load much looks odd that has just moved.
	most := len(ids) + 2*l.o.Most
	queues := map[string]bool{}
	for _, q := range l.o.Queues {
		queues[q] = true
	}
	for cursor := uint64(0); ; {
		keys, next, err := l.c.rdb.Scan(ctx, cursor, JobKey("*"), leftScan).Result()
		if err != nil {
			return nil, wrap(err, "look through the jobs")
		}
		err = l.eachOdd(ctx, keys, func(id string, status Status, origin string) {
			if queues[origin] && p.suspicious(id, status) {
				take(id)
			}
		})
		if err != nil {
			return nil, err
		}
		if len(ids) > most {
			l.report.More = true
			return ids, nil
		}
		if cursor = next; cursor == 0 {
			return ids, nil
		}
	}
}

// eachOdd reads status and queue of the jobs behind some keys.
func (l *leftLook) eachOdd(ctx context.Context, keys []string, do func(id string, status Status, origin string)) error {
	var ids []string
	for _, key := range keys {
		// The sets of dependents and of dependencies have similar names.
		id := strings.TrimPrefix(key, JobKey(""))
		if !strings.HasSuffix(id, dependentsSuffix) && !strings.HasPrefix(id, ":") && (l.o.Mine == nil || l.o.Mine(id)) {
			ids = append(ids, id)
		}
	}
	for batch := range slices.Chunk(ids, fetchChunk) {
		read := make([]*redis.SliceCmd, len(batch))
		_, err := pipelined(ctx, l.c.rdb, func(p redis.Pipeliner) {
			for i, id := range batch {
				read[i] = p.HMGet(ctx, JobKey(id), "status", "origin")
			}
		})
		if err != nil {
			return wrap(err, "look at %d jobs", len(batch))
		}
		for i, id := range batch {
			if h, err := read[i].Result(); err == nil {
				status, _ := h[0].(string)
				origin, _ := h[1].(string)
				do(id, Status(status), origin)
			}
		}
	}
	l.report.Jobs += len(ids)
	if l.o.Looked != nil {
		l.o.Looked(l.report.Jobs)
	}
	return nil
}

// again keeps of some jobs those that are as they were, and of which the rule says that they were left behind; strictly
// also in the same places.
func (l *leftLook) again(ctx context.Context, jobs map[string]Left, strictly bool) (map[string]Left, error) {
	if len(jobs) == 0 {
		return jobs, nil
	}
	p, err := l.c.places(ctx, l.o.Queues)
	if err != nil {
		return nil, err
	}
	now, err := l.c.traces(ctx, slices.Collect(maps.Keys(jobs)), p, l.o.Ours)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(now, func(id string, job Left) bool {
		was := jobs[id]
		if same := was.trace == job.trace || !strictly && was.trace.sameHash(job.trace); !same {
			return true
		}
		job.Kind = job.trace.judge()
		now[id] = job
		return job.Kind == ""
	})
	return now, nil
}

// sameHash reports whether the hash said the same.
func (t trace) sameHash(other trace) bool {
	return t.status == other.status && t.enqueued == other.enqueued && t.started == other.started && t.beaten == other.beaten && t.worker == other.worker
}

// workers finds what the queues' lists of workers name and nobody keeps alive.
func (l *leftLook) workers(ctx context.Context) (map[string]Left, error) {
	found := map[string]Left{}
	for _, queue := range l.o.Queues {
		err := l.c.scan(ctx, QueueWorkersKey(queue), func(keys []string) error {
			read, ttl := make([]*redis.SliceCmd, len(keys)), make([]*redis.DurationCmd, len(keys))
			_, err := pipelined(ctx, l.c.rdb, func(p redis.Pipeliner) {
				for i, key := range keys {
					read[i], ttl[i] = p.HMGet(ctx, key, "last_heartbeat"), p.PTTL(ctx, key)
				}
			})
			for i, key := range keys {
				name, ok := strings.CutPrefix(key, WorkerKey(""))
				if err != nil || !ok || l.o.Ours != nil && l.o.Ours(name) {
					continue
				}
				if w, dead := l.worker(ctx, name, queue, read[i], ttl[i].Val()); dead {
					found[queue+" "+name] = w
				}
			}
			return wrap(err, "look at the workers of queue %q", clip(queue))
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// worker judges a record: a missing one, or one that neither expires nor has a heartbeat. RQ's workers make the latter when
// they beat just after it had expired.
func (l *leftLook) worker(ctx context.Context, name, queue string, cmd *redis.SliceCmd, ttl time.Duration) (w Left, dead bool) {
	w = Left{Kind: LeftWorker, Queue: queue, ID: name}
	h, err := cmd.Result()
	if err != nil {
		return w, false // something else has this key
	}
	w.trace.beaten, _ = h[0].(string)
	w.Since, _ = ParseTime(w.trace.beaten)
	w.trace.lapsed = ttl.String()
	missing, endless := ttl == -2, ttl == -1
	return w, missing || endless && l.c.Now(ctx).Sub(w.Since) > silentWorker
}
