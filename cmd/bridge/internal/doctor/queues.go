package doctor

import (
	"context"
	"fmt"
	"maps"
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
func (r *report) rq(ctx context.Context, b *frappe.Bench, cfg bridge.Config, rdb redis.UniversalClient) {
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
	if suspended, err := rq.Suspended(ctx); err == nil && suspended {
		r.warn("rq", "resume them: rq resume", "workers are suspended: nobody takes jobs")
	}
	r.workers(ctx, b, cfg, rq)
	for _, q := range b.QueueTypes() {
		r.queue(ctx, b, rq, q.Name)
	}
}

// crew is the workers of one kind, Python's or the bridge's: how many there are, and who works each queue type.
type crew struct {
	size int
	on   map[string][]string
}

func (c *crew) queues() string {
	if len(c.on) == 0 {
		return "no queue of this bench"
	}
	return strings.Join(slices.Sorted(maps.Keys(c.on)), ", ")
}

func (r *report) workers(ctx context.Context, b *frappe.Bench, cfg bridge.Config, rq *rqcompat.Client) {
	all, err := rq.Workers(ctx)
	if err != nil {
		r.warn("workers", "remove the broken record, or let it expire", "%v", err)
	}
	python, ours := &crew{on: map[string][]string{}}, &crew{on: map[string][]string{}}
	for _, w := range all {
		c := python
		if strings.HasPrefix(w.Name, bridge.WorkerPrefix) {
			c = ours
		}
		c.size++
		for _, queue := range w.Queues {
			if kind := b.QueueTypeOf(queue); kind != "" {
				c.on[kind] = append(c.on[kind], w.Name)
			}
		}
	}
	r.ok("workers", "Python: %d, on %s", python.size, python.queues())
	if ours.size == 0 {
		r.warn("workers", "start one: bridge worker", "no bridge works this bench")
	} else {
		r.ok("workers", "bridge: %s, on %s", output.Plural(ours.size, "worker record"), ours.queues())
	}
	for _, kind := range ownQueues(b, cfg) {
		if names := python.on[kind]; len(names) > 0 {
			r.warn("workers", "start Python workers with --queue short,default,long",
				"Python works %q too, which is the bridge's own: %s will fail jobs that only Go can run", kind, strings.Join(names, ", "))
		}
	}
}

// ownQueues are the queue types that belong to the bridge alone.
func ownQueues(b *frappe.Bench, cfg bridge.Config) []string {
	isGo := func(q frappe.QueueType) bool { return q.Name == "go" }
	if cfg.Queues == nil && slices.ContainsFunc(b.QueueTypes(), isGo) {
		return []string{"go"}
	}
	return cfg.Queues
}

func (r *report) queue(ctx context.Context, b *frappe.Bench, rq *rqcompat.Client, kind string) {
	check, queue := "queue "+kind, b.QueueName(kind)
	waiting, err := rq.QueueLen(ctx, queue)
	if err != nil {
		r.fail(check, err, "")
		return
	}
	in := map[rqcompat.Registry]int64{}
	for _, registry := range []rqcompat.Registry{rqcompat.Wip, rqcompat.Failed, rqcompat.Scheduled} {
		if in[registry], err = rq.Count(ctx, registry, queue); err != nil {
			r.fail(check, err, "")
			return
		}
	}
	failed := in[rqcompat.Failed]
	text := fmt.Sprintf("%d waiting, %d running, %d scheduled, %d failed", waiting, in[rqcompat.Wip], in[rqcompat.Scheduled], failed)
	limit := int64(b.Config().Int("rq_failed_jobs_limit", 1000))
	if failed*10 >= limit*9 {
		r.warn(check, "look at them (bridge job ID), then: rq requeue --all, or empty the registry",
			"%s: the failed registry is almost full (%d), the oldest are dropped", text, limit)
	} else {
		r.ok(check, "%s", text)
	}
	lapsed, err := rq.Lapsed(ctx, queue, 0)
	if err != nil {
		r.fail(check, err, "")
	}
	for _, l := range lapsed {
		r.warn(check, "a running bridge or Python worker of this queue puts it right within a minute; else start one", "job %s lost its worker %s", l.ID, l.WorkerName)
	}
}
