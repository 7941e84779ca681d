package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// skewError is how wrong a clock must be for an error: RQ's Python workers go by their machine's.
const skewError = 10 * time.Second

func (r *report) queueServer(ctx context.Context, rdb redis.UniversalClient) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if skew, err := rqcompat.NewClient(rdb, rqcompat.Dialect{}).Skew(ctx); err != nil {
		r.fail("clock", err, "")
	} else {
		r.clock(skew)
	}
	// A server that hides its configuration has somebody who looks after it.
	config, err := rdb.ConfigGet(ctx, "maxmemory*").Result()
	if most, policy := config["maxmemory"], config["maxmemory-policy"]; err == nil && most != "0" && most != "" && policy != "noeviction" {
		r.warn("redis_queue", "set maxmemory-policy noeviction: the queue is no cache", "it may evict jobs: maxmemory %s, policy %s", most, policy)
	}
}

func (r *report) clock(skew time.Duration) {
	fix := "run a time service (chrony, systemd-timesyncd) on both machines"
	off := skew.Abs().Round(time.Millisecond)
	switch {
	case skew.Abs() >= skewError:
		r.add(Error, "clock", fix, "Redis is %s off this machine: jobs of Python workers here may be taken for abandoned, and times in rows are wrong", off)
	case skew.Abs() > rqcompat.MostSkew:
		r.warn("clock", fix, "Redis is %s off this machine: times in rows are wrong", off)
	default:
		r.ok("clock", "Redis is %s off this machine", off)
	}
}

// rq looks at RQ's state: its version, its workers, its queues.
func (r *report) rq(ctx context.Context, b *frappe.Bench, cfg bridge.Config, rdb redis.UniversalClient, fix bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found, err := rqcompat.Detect(ctx, rdb, cfg.RQVersion, b.RQVersion())
	if err != nil {
		r.fail("rq version", err, `set "rq_version" under "bridge" in common_site_config.json`)
		return
	}
	if found.Dialect.Tested {
		r.ok("rq version", "%s, from %s", found.Dialect.Version, found.Source)
	} else {
		r.warn("rq version", "nothing need be done; report what looks wrong",
			"%s, from %s: its format is known from its source, it is not in the test matrix", found.Dialect.Version, found.Source)
	}
	rq := rqcompat.NewClient(rdb, found.Dialect)
	holds, err := rq.Holds(ctx)
	if err != nil {
		r.fail("rq", err, "")
		return
	}
	if holds.Suspended {
		r.warn("rq", "resume them: bridge resume", "all workers are suspended, Python's too: nobody takes jobs")
	}
	who := r.workers(ctx, b, cfg, rq)
	for _, q := range b.QueueTypes() {
		l := queueLook{report: r, rq: rq, check: "queue " + q.Name, kind: q.Name, queue: b.QueueName(q.Name), who: who, now: time.Now()}
		if slices.Contains(holds.Paused, l.queue) {
			r.warn(l.check, "bridge resume "+q.Name, "it is paused: no bridge takes its jobs")
		}
		if err := l.run(ctx, int64(b.Config().Int("rq_failed_jobs_limit", 1000))); err != nil {
			r.fail(l.check, err, "")
		}
		if err := l.popped(ctx, fix); err != nil {
			r.fail(l.check, err, "")
		}
	}
}

// queueLook is a look at one queue.
type queueLook struct {
	*report
	rq                 *rqcompat.Client
	check, kind, queue string
	who                crews
	now                time.Time
}

func (l queueLook) run(ctx context.Context, limit int64) error {
	waiting, err := l.rq.QueueLen(ctx, l.queue)
	if err != nil {
		return err
	}
	in := map[rqcompat.Registry]int64{}
	for _, registry := range []rqcompat.Registry{rqcompat.Wip, rqcompat.Failed, rqcompat.Scheduled} {
		if in[registry], err = l.rq.Count(ctx, registry, l.queue); err != nil {
			return err
		}
	}
	oldest := ""
	if waiting > 0 {
		if oldest, err = l.oldest(ctx); err != nil {
			return err
		}
	}
	failed := in[rqcompat.Failed]
	l.ok(l.check, "%d waiting%s, %d running, %d scheduled, %d failed", waiting, oldest, in[rqcompat.Wip], in[rqcompat.Scheduled], failed)
	if waiting > 0 && len(l.who.python.on[l.kind])+len(l.who.ours.on[l.kind]) == 0 {
		l.warn(l.check, "start a Python worker with --queue "+l.kind+", or let a bridge work it (bridge.queues, bridge.shared_queues)",
			"nobody works it, and %s there%s", isWaiting(waiting), oldest)
	}
	if failed > 0 {
		if err := l.failed(ctx, failed, limit); err != nil {
			return err
		}
	}
	lapsed, err := l.rq.Lapsed(ctx, l.queue, 0)
	for _, j := range lapsed {
		l.warn(l.check, "a running bridge or Python worker of this queue puts it right within a minute; else start one", "job %s lost its worker %s", j.ID, j.WorkerName)
	}
	return err
}

func isWaiting(n int64) string {
	if n == 1 {
		return "1 job waits"
	}
	return fmt.Sprintf("%d jobs wait", n)
}

// oldest says for how long the first job has been waiting.
func (l queueLook) oldest(ctx context.Context) (string, error) {
	ids, err := l.rq.QueueIDs(ctx, l.queue, 0, 0)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	j, err := l.rq.Fetch(ctx, ids[0])
	if j == nil || j.EnqueuedAt.IsZero() {
		if rqcompat.Judge(err) == rqcompat.Final {
			err = nil // an id whose hash is gone or broken: whoever takes it drops or fails it
		}
		return "", err
	}
	return fmt.Sprintf(" (the first for %s)", l.now.Sub(j.EnqueuedAt).Round(time.Second)), nil
}

// failed says how many failed, and with what the last one did.
func (l queueLook) failed(ctx context.Context, n, limit int64) error {
	newest, err := l.rq.Members(ctx, rqcompat.Failed, l.queue, -1, -1)
	if err != nil || len(newest) == 0 {
		return err
	}
	results, err := l.rq.Results(ctx, newest[0].ID)
	if err != nil && rqcompat.Judge(err) != rqcompat.Final {
		return err
	}
	why := "of which RQ has no error"
	if len(results) > 0 {
		why = output.Clip(lastLine(results[0].ExcString), 200)
	}
	full := ""
	if n*10 >= limit*9 {
		full = fmt.Sprintf("; the registry is almost full (%d), the oldest are dropped", limit)
	}
	l.warn(l.check, "bridge failed --queue "+l.kind+" lists them; with --requeue or --delete it clears them away",
		"%s failed, the last %s: %s%s", output.Plural(int(n), "job"), newest[0].ID, why, full)
	return nil
}

// lastLine is where a Python traceback has the error.
func lastLine(text string) string {
	text = strings.TrimRight(text, "\n ")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// popped looks for what a bridge that was ahead of Python's workers took from the queue and left when it died. A running
// bridge of the queue puts it back by itself.
func (l queueLook) popped(ctx context.Context, fix bool) error {
	if len(l.who.ours.on[l.kind]) > 0 {
		return nil
	}
	ids, err := l.rq.Popped(ctx, l.queue)
	if err != nil || len(ids) == 0 {
		return err
	}
	if !fix {
		l.add(Error, l.check, "start a bridge, or run: bridge doctor --fix", "%s taken by a bridge that died, and stand nowhere else", output.Plural(len(ids), "job"))
		return nil
	}
	if ids, err = l.rq.ReturnPopped(ctx, l.queue, true); err == nil {
		l.ok(l.check, "put back %s that a dead bridge had taken: %s", output.Plural(len(ids), "job"), strings.Join(ids, ", "))
	}
	return err
}
