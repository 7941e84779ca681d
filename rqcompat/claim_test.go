package rqcompat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// everyDialect runs a test in each dialect of the interop matrix, each on a Redis of its own.
func everyDialect(t *testing.T, test func(t *testing.T, b *bed)) {
	for _, version := range []string{"1.15.1", "1.16.2", "2.6.1", "2.10.0"} {
		t.Run(version, func(t *testing.T) { test(t, newBed(t, version)) })
	}
}

// bed is a client with a Redis, and shortcuts that end the test on errors.
type bed struct {
	t testing.TB
	*Client
	worker *Worker
}

func newBed(t testing.TB, version string) *bed {
	t.Helper()
	rdb := redis.NewClient(testOptions(servertest.Redis(t).Addr))
	t.Cleanup(func() { _ = rdb.Close() })
	d, err := ParseDialect(version)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{t: t, Client: NewClient(rdb, d), worker: NewWorker("w1", "default")}
}

// testOptions turns maintenance notifications off: in their automatic mode go-redis 9.23 has a data race between
// connections that are opened at the same time.
func testOptions(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (b *bed) ctx() context.Context { return b.t.Context() }

func (b *bed) do(args ...any) any {
	b.t.Helper()
	v, err := b.rdb.Do(b.ctx(), args...).Result()
	if err != nil && err != redis.Nil {
		b.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// put writes a queued job the way RQ's enqueue does; fields override.
func (b *bed) put(queue, id string, fields ...string) {
	b.t.Helper()
	h := map[string]string{
		"created_at": "2026-11-23T11:44:24.460163Z", "enqueued_at": "2026-11-23T11:44:24.461699Z", "data": "x\x9c",
		"origin": queue, "status": "queued", "timeout": "180", "started_at": "", "ended_at": "", "worker_name": "",
		"last_heartbeat": "", "success_callback_name": "", "failure_callback_name": "", "stopped_callback_name": "",
		"description": "f()",
	}
	for i := 0; i < len(fields); i += 2 {
		h[fields[i]] = fields[i+1]
	}
	b.do("SADD", "rq:queues", "rq:queue:"+queue)
	args := []any{"HSET", "rq:job:" + id}
	for _, k := range slices.Sorted(maps.Keys(h)) {
		args = append(args, k, h[k])
	}
	b.do(args...)
	if h["status"] == "queued" {
		b.do("RPUSH", "rq:queue:"+queue, id)
	}
}

// claim claims one job for the bed's worker and wants it to succeed.
func (b *bed) claim(queue, id string) Lease {
	b.t.Helper()
	l := Lease{Queue: queue, ID: id, Worker: b.worker.Name, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
	got := b.tryClaim(l, true)
	if got != Claimed {
		b.t.Fatalf("claim %s: %d", id, got)
	}
	return l
}

func (b *bed) tryClaim(l Lease, register bool) ClaimResult {
	b.t.Helper()
	w := *b.worker
	w.Name = l.Worker
	got, err := b.Claim(b.ctx(), []Claim{{Queue: l.Queue, ID: l.ID, Worker: &w, Register: register, ExecutionID: l.ExecutionID}}, l.StartedAt, 15*time.Second)
	if err != nil {
		b.t.Fatal(err)
	}
	return done(b.t, got)[0]
}

// done are the results of a batch of which every member shall have one.
func done[R ~int](t testing.TB, answers []Answer[R]) (results []R) {
	t.Helper()
	for i, a := range answers {
		if a.Err != nil {
			t.Fatalf("member %d of %d: %v", i, len(answers), a.Err)
		}
		results = append(results, a.Result)
	}
	return results
}

func (b *bed) settle(o Outcome, want OutcomeResult) {
	b.t.Helper()
	if o.EndedAt.IsZero() {
		o.EndedAt = o.StartedAt.Add(1500 * time.Millisecond)
	}
	got, err := b.Settle(b.ctx(), []Outcome{o})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := done(b.t, got)[0]; got != want {
		b.t.Fatalf("settle %s: got %d, want %d", o.ID, got, want)
	}
}

func (b *bed) hash(key string) map[string]string {
	b.t.Helper()
	h, err := b.rdb.HGetAll(b.ctx(), key).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// wantHash compares some fields of a hash; "<none>" wants the field to be absent.
func (b *bed) wantHash(key string, want map[string]string) {
	b.t.Helper()
	h := b.hash(key)
	for _, f := range slices.Sorted(maps.Keys(want)) {
		got, ok := h[f]
		switch {
		case want[f] == "<none>" && !ok:
		case want[f] == "<none>" && ok:
			b.t.Errorf("%s %s: got %q, want no such field", key, f, got)
		case got != want[f] || !ok:
			b.t.Errorf("%s %s: got %q (%v), want %q", key, f, got, ok, want[f])
		}
	}
}

func (b *bed) wantMembers(key string, want ...string) {
	b.t.Helper()
	var got []string
	var err error
	switch b.do("TYPE", key) {
	case "zset":
		got, err = b.rdb.ZRange(b.ctx(), key, 0, -1).Result()
	case "set":
		got, err = b.rdb.SMembers(b.ctx(), key).Result()
		slices.Sort(got)
	case "list":
		got, err = b.rdb.LRange(b.ctx(), key, 0, -1).Result()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: got %q, want %q", key, got, want)
	}
}

// wantScore compares a score with now + want seconds; "inf", "-1" and "none" stand for themselves.
func (b *bed) wantScore(key, member, want string) {
	b.t.Helper()
	s, err := b.rdb.ZScore(b.ctx(), key, member).Result()
	got := strconv.FormatFloat(s, 'g', -1, 64)
	if err == redis.Nil {
		got = "none"
	} else if err != nil {
		b.t.Fatal(err)
	}
	if plus, ok := strings.CutPrefix(want, "now+"); ok {
		n, _ := strconv.ParseFloat(plus, 64)
		if d := s - n - float64(time.Now().Unix()); err != nil || d < -3 || d > 1 {
			b.t.Errorf("%s %s: got %s, want now (%d) + %s", key, member, got, time.Now().Unix(), plus)
		}
		return
	}
	if got != strings.Replace(want, "inf", "+Inf", 1) {
		b.t.Errorf("%s %s: got score %s, want %s", key, member, got, want)
	}
}

// wantTTL wants about so many seconds; -1 no expiry, -2 no key.
func (b *bed) wantTTL(key string, want int64) {
	b.t.Helper()
	got := b.do("TTL", key).(int64)
	if got != want && (want < 0 || got < want-3 || got > want) {
		b.t.Errorf("%s: ttl %d, want %d", key, got, want)
	}
}

// wantResult compares the newest entry of a result stream; nil wants no stream.
func (b *bed) wantResult(id string, want map[string]any) {
	b.t.Helper()
	got, err := b.rdb.XRevRangeN(b.ctx(), "rq:results:"+id, "+", "-", 1).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	if len(got) == 0 || want == nil {
		if len(got) > 0 || want != nil {
			b.t.Errorf("result of %s: got %v, want %v", id, got, want)
		}
		return
	}
	if !maps.Equal(got[0].Values, want) {
		b.t.Errorf("result of %s: got %v, want %v", id, got[0].Values, want)
	}
}

// result is the expected stream entry in the bed's dialect.
func (b *bed) result(l Lease, ended time.Time, kv ...any) map[string]any {
	m := map[string]any{}
	if b.d.ResultWorkerName {
		m["worker_name"] = l.Worker
	}
	if b.d.ResultExecution {
		m["execution_id"] = l.ExecutionID
		m["execution_started_at"] = floatTime(l.StartedAt)
		m["execution_ended_at"] = floatTime(ended)
	}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

// wantNoTrace wants nothing left of an execution.
func (b *bed) wantNoTrace(l Lease) {
	b.t.Helper()
	b.wantMembers("rq:wip:" + l.Queue)
	b.wantTTL("rq:executions:"+l.ID, -2)
	b.wantTTL("rq:execution:"+l.ID+":"+l.ExecutionID, -2)
	b.wantHash("rq:worker:"+l.Worker, map[string]string{"current_job": "<none>", "state": "idle", "current_job_working_time": "0"})
}

func TestClaim(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		b.put("default", "b", "ttl", "50")
		b.put("default", "c")
		b.do("EXPIRE", "rq:job:b", 50)
		b.do("RPUSH", "rq:queue:default:intermediate", "b", "z")
		b.do("SET", "rq:queue:default:intermediate:first_seen:b", "1")
		b.do("HSET", "rq:worker:w1", "death", "2026-11-23T11:44:25.000000Z")
		l := b.claim("default", "b")

		b.wantMembers("rq:queue:default", "a", "c")
		b.wantMembers("rq:queue:default:intermediate", "z")
		if b.d.IntermediateGrace {
			b.wantTTL("rq:queue:default:intermediate:first_seen:b", -2)
		}
		b.wantTTL("rq:job:b", -1)
		ts := FormatTime(l.StartedAt)
		b.wantHash("rq:job:b", map[string]string{"status": "started", "started_at": ts, "last_heartbeat": ts, "worker_name": "w1", "origin": "default", "ended_at": ""})
		b.wantHash("rq:worker:w1", map[string]string{
			"state": "busy", "current_job": "b", "current_job_working_time": "0", "last_heartbeat": ts, "queues": "default",
			"pid": strconv.Itoa(b.worker.PID), "birth": FormatTime(b.worker.Birth), "version": b.d.Version, "python_version": goVersion,
			"hostname": b.worker.Hostname, "ip_address": "unknown", "death": "<none>",
		})
		b.wantTTL("rq:worker:w1", 90)
		b.wantMembers("rq:workers", "rq:worker:w1")
		b.wantMembers("rq:workers:default", "rq:worker:w1")
		member := b.d.WipMember("b", l.ExecutionID)
		b.wantMembers("rq:wip:default", member)
		b.wantScore("rq:wip:default", member, "now+16")
		if !b.d.CompositeWip {
			b.wantTTL("rq:executions:b", -2)
			return
		}
		b.wantScore("rq:executions:b", l.ExecutionID, "now+150")
		b.wantTTL("rq:executions:b", 150)
		key := ExecutionKey("b", l.ExecutionID)
		b.wantTTL(key, 90)
		b.wantHash(key, map[string]string{"id": l.ExecutionID, "created_at": floatTime(l.StartedAt), "last_heartbeat": floatTime(l.StartedAt), "job_id": "b", "worker_name": "w1"})
	})
}

// TestClaimTellsAnotherJobOfThatID: it is claimed as well, whether it was read before or not.
func TestClaimTellsAnotherJobOfThatID(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		made := time.Date(2026, 11, 23, 11, 44, 24, 460163000, time.UTC)
		var claims []Claim
		for i, at := range []time.Time{made, made.Add(time.Microsecond), {}} {
			id := fmt.Sprint("job-", i)
			b.put("default", id)
			claims = append(claims, Claim{Queue: "default", ID: id, Worker: b.worker, ExecutionID: NewExecutionID(), CreatedAt: at})
		}
		answers, err := b.Claim(b.ctx(), claims, time.Now(), 15*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []ClaimResult{Claimed, ClaimedAnother, Claimed} {
			if answers[i].Result != want || answers[i].Err != nil {
				t.Errorf("job %d: %d, %v, want %d", i, answers[i].Result, answers[i].Err, want)
			}
			b.wantHash("rq:job:"+claims[i].ID, map[string]string{"status": "started"})
		}
	})
}

func TestClaimRefuses(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "canceled", "status", "canceled")
		b.do("RPUSH", "rq:queue:default", "canceled", "deleted", "set:dependents", "twice")
		b.do("SADD", "rq:job:set:dependents", "x")
		b.put("default", "twice")
		for i, c := range []struct {
			id   string
			want ClaimResult
		}{
			{"elsewhere", ClaimGone}, {"canceled", ClaimCanceled}, {"deleted", ClaimNoHash}, {"set:dependents", ClaimNoHash},
			{"twice", Claimed}, {"twice", ClaimRunning}, {"twice", ClaimGone},
		} {
			l := Lease{Queue: "default", ID: c.id, Worker: fmt.Sprint("w", i), ExecutionID: NewExecutionID(), StartedAt: time.Now()}
			if got := b.tryClaim(l, true); got != c.want {
				t.Errorf("%s: got %d, want %d", c.id, got, c.want)
			}
		}
		b.wantMembers("rq:queue:default")
		b.wantHash("rq:job:canceled", map[string]string{"status": "canceled", "worker_name": ""})
		b.wantTTL("rq:job:deleted", -2)
		b.wantMembers("rq:workers", "rq:worker:w4")
		b.wantHash("rq:job:twice", map[string]string{"worker_name": "w4"})
	})
}

// A claim of a job whose run ended without a trace, such as one a Python worker left "started", is allowed.
func TestClaimStartedWithoutLease(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "status", "started", "worker_name", "dead", "origin", "elsewhere")
		b.do("RPUSH", "rq:queue:default", "a")
		b.claim("default", "a")
		b.wantHash("rq:job:a", map[string]string{"worker_name": "w1", "origin": "default"})
	})
}

// Workers of one batch that differ are each registered as what they are.
func TestClaimRegistersEachWorker(t *testing.T) {
	b := newBed(t, "2.6.1")
	born := time.Now().Add(-time.Hour)
	workers := []*Worker{NewWorker("w1", "default"), NewWorker("w2", "default", "long"), NewWorker("w3", "default"), NewWorker("w4", "default", "long")}
	var claims []Claim
	for i, w := range workers {
		w.Birth, w.PID = born, 100+i%2
		id := fmt.Sprint("job", i)
		b.put("default", id)
		// The last one's record was there once: it is not registered, but found missing.
		claims = append(claims, Claim{Queue: "default", ID: id, Worker: w, Register: i < 3, ExecutionID: NewExecutionID()})
	}
	got, err := b.Claim(b.ctx(), claims, time.Now(), time.Minute)
	if err != nil || !slices.Equal(done(t, got), []ClaimResult{Claimed, Claimed, Claimed, Claimed}) {
		t.Fatalf("claimed four jobs for four workers: got %v, %v", got, err)
	}
	for i, w := range workers {
		b.wantHash("rq:worker:"+w.Name, map[string]string{
			"queues": []string{"default", "default,long"}[i%2], "pid": strconv.Itoa(100 + i%2), "current_job": fmt.Sprint("job", i), "state": "busy",
		})
	}
	b.wantMembers("rq:workers:long", "rq:worker:w2", "rq:worker:w4")
	b.wantMembers("rq:workers:default", "rq:worker:w1", "rq:worker:w2", "rq:worker:w3", "rq:worker:w4")
}

func TestClaimRewritesExpiredWorker(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	b.put("default", "b")
	l := Lease{Queue: "default", ID: "a", Worker: "w1", ExecutionID: NewExecutionID(), StartedAt: time.Now()}
	if got := b.tryClaim(l, false); got != Claimed {
		t.Fatalf("claim %s without registering the worker: got %d, want it claimed", l.ID, got)
	}
	b.wantHash("rq:worker:w1", map[string]string{"pid": strconv.Itoa(b.worker.PID), "state": "busy", "current_job": "a"})
	b.wantMembers("rq:workers", "rq:worker:w1")
	b.settle(Outcome{Lease: l, Kind: OutcomeFinished}, Settled)

	l = Lease{Queue: "default", ID: "b", Worker: "w1", ExecutionID: NewExecutionID(), StartedAt: time.Now()}
	if got := b.tryClaim(l, false); got != Claimed {
		t.Fatalf("claim %s without registering the worker: got %d, want it claimed", l.ID, got)
	}
	b.wantHash("rq:worker:w1", map[string]string{"successful_job_count": "1", "current_job": "b", "state": "busy"})
}
