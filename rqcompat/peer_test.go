package rqcompat_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// peer is a client with a Redis of its own, seen from outside like another process on it would see it.
type peer struct {
	*rqcompat.Client
	t   *testing.T
	ctx context.Context
	rdb *redis.Client
}

func newPeer(t *testing.T, version string) *peer {
	t.Helper()
	d, err := rqcompat.ParseDialect(version)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: servertest.Redis(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return &peer{Client: rqcompat.NewClient(rdb, d), t: t, ctx: t.Context(), rdb: rdb}
}

func forEachDialect(t *testing.T, test func(t *testing.T, p *peer)) {
	for _, version := range []string{"1.15.1", "1.16.2", "2.6.1", "2.10.0"} {
		t.Run(version, func(t *testing.T) { test(t, newPeer(t, version)) })
	}
}

func (p *peer) do(args ...any) any {
	p.t.Helper()
	v, err := p.rdb.Do(p.ctx, args...).Result()
	if err != nil && err != redis.Nil {
		p.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func (p *peer) hash(id string) map[string]string {
	p.t.Helper()
	return p.rdb.HGetAll(p.ctx, "rq:job:"+id).Val()
}

func (p *peer) queue(q string) []string {
	p.t.Helper()
	return p.rdb.LRange(p.ctx, "rq:queue:"+q, 0, -1).Val()
}

// set renders a set or a sorted set with its scores.
func (p *peer) set(key string) string {
	p.t.Helper()
	if p.rdb.Type(p.ctx, key).Val() == "set" {
		m := p.rdb.SMembers(p.ctx, key).Val()
		slices.Sort(m)
		return fmt.Sprint(m)
	}
	s := "["
	for i, z := range p.rdb.ZRangeWithScores(p.ctx, key, 0, -1).Val() {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("%v=%.0f", z.Member, z.Score)
	}
	return s + "]"
}

func (p *peer) keys() []string {
	p.t.Helper()
	k := p.rdb.Keys(p.ctx, "*").Val()
	slices.Sort(k)
	return k
}

func (p *peer) wantKeys(want ...string) {
	p.t.Helper()
	if got := p.keys(); !slices.Equal(got, want) {
		p.t.Errorf("keys\n got %q\nwant %q", got, want)
	}
}

func (p *peer) want(what string, got, want any) {
	p.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// enqueue wants a request to succeed.
func (p *peer) enqueue(r rqcompat.Request) *rqcompat.Job {
	p.t.Helper()
	if r.Queue == "" {
		r.Queue = "q"
	}
	if r.Call.Func == "" {
		r.Call.Func = "mod.fn"
	}
	j, err := p.Enqueue(p.ctx, r)
	if err != nil {
		p.t.Fatal(err)
	}
	return j
}

// run makes a queued job look as if a Python worker of this dialect had started it.
func (p *peer) run(id, execution string) {
	p.t.Helper()
	p.do("LREM", "rq:queue:q", 1, id)
	p.do("HSET", "rq:job:"+id, "status", "started", "started_at", "2026-11-23T11:44:25.000000Z", "worker_name", "w")
	p.do("ZADD", "rq:wip:q", 4e9, p.Dialect().WipMember(id, execution))
	if p.Dialect().CompositeWip {
		p.do("ZADD", "rq:executions:"+id, 4e9, execution)
		p.do("HSET", "rq:execution:"+id+":"+execution, "id", execution, "created_at", "1.5", "last_heartbeat", "1.5")
	}
}

// end makes a job look as if it had ended with a status.
func (p *peer) end(id string, status rqcompat.Status) {
	p.t.Helper()
	registry := map[rqcompat.Status]string{"finished": "finished", "failed": "failed", "stopped": "failed"}[status]
	p.do("LREM", "rq:queue:q", 0, id)
	p.do("HSET", "rq:job:"+id, "status", string(status), "ended_at", "2026-11-23T11:44:26.000000Z",
		"started_at", "2026-11-23T11:44:25.000000Z", "worker_name", "w", "last_heartbeat", "2026-11-23T11:44:26.000000Z")
	p.do("ZADD", "rq:"+registry+":q", 4e9, id)
	p.do("EXPIRE", "rq:job:"+id, 500)
	p.do("XADD", "rq:results:"+id, "*", "type", 1)
}
