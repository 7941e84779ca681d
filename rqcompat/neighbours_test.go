package rqcompat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// secret is in all data that errors must not show.
const secret = "s3cret"

var tooLarge = strings.Repeat(secret, maxOutcome/len(secret)+1)

// spoiled draws for each of n jobs what is wrong with it, "" for nothing.
func spoiled(t *rapid.T, n int, kinds ...string) []string {
	all := make([]string, n)
	for i := range all {
		if rapid.IntRange(0, 3).Draw(t, "bad") == 0 {
			all[i] = rapid.SampledFrom(kinds).Draw(t, "kind")
		}
	}
	return all
}

// otherwise makes a key hold something else than its command expects.
func (b *bed) otherwise(t *rapid.T, key string) {
	b.do("DEL", key)
	switch rapid.IntRange(0, 2).Draw(t, "type") {
	case 0:
		b.do("SET", key, secret)
	case 1:
		b.do("PFADD", key, secret)
	case 2:
		b.do("XADD", key, "*", secret, secret)
	}
}

// inBothWorlds tests dialects of both kinds, on a server that is empty at each draw.
func inBothWorlds(t *testing.T, test func(t *rapid.T, b *bed)) {
	for _, version := range []string{"1.15.1", "2.6.1"} {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, version)
			rapid.Check(t, func(rt *rapid.T) {
				b.do("FLUSHALL")
				test(rt, b)
			})
		})
	}
}

// wantAlone wants an error about the data, that names what is odd and shows nothing of it.
func wantAlone(t *rapid.T, what string, err error, names string) {
	if err == nil || Judge(err) != Final || !strings.Contains(err.Error(), names) || strings.Contains(err.Error(), secret) {
		t.Fatalf("%s: %v, want an error about it that says %q and shows no data", what, err, names)
	}
}

func (b *bed) leases(n int) []Lease {
	ls := make([]Lease, n)
	for i := range ls {
		id := fmt.Sprint("job-", i)
		ls[i] = Lease{Queue: []string{"default", "long"}[i%2], ID: id, Worker: "w-" + id, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
	}
	return ls
}

// start claims a job for each lease.
func (b *bed) start(ls []Lease) {
	for _, l := range ls {
		b.put(l.Queue, l.ID, "meta", secret)
		if got := b.tryClaim(l, true); got != Claimed {
			b.t.Fatalf("claim %s: %d", l.ID, got)
		}
	}
}

// has says whether a member is in a list or a sorted set.
func (b *bed) has(key, member string) bool {
	if b.do("TYPE", key) == "list" {
		return slices.Contains(b.rdb.LRange(b.ctx(), key, 0, -1).Val(), member)
	}
	return b.rdb.ZScore(b.ctx(), key, member).Err() == nil
}

// TestABadClaimIsAlone: one that can't be made leaves its job where it stands; the others start.
func TestABadClaimIsAlone(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		kinds := []string{"no hash", "hash", "worker", "no worker", "name", "origin"}
		if b.d.CompositeWip {
			kinds = append(kinds, "executions", "execution id")
		}
		ls := b.leases(rapid.IntRange(1, 12).Draw(t, "n"))
		bad := spoiled(t, len(ls), kinds...)
		claims := make([]Claim, len(ls))
		for i, l := range ls {
			b.put(l.Queue, l.ID, "meta", secret)
			claims[i] = Claim{Queue: l.Queue, ID: l.ID, Worker: NewWorker(l.Worker, l.Queue), Register: i%2 == 0, ExecutionID: l.ExecutionID}
			switch bad[i] {
			case "no hash":
				b.do("DEL", "rq:job:"+l.ID)
			case "hash":
				b.otherwise(t, "rq:job:"+l.ID)
			case "executions":
				b.otherwise(t, "rq:executions:"+l.ID)
			case "worker":
				b.otherwise(t, "rq:worker:"+l.Worker)
			case "origin": // of no queue, where a lease is looked for
				b.do("HSET", "rq:job:"+l.ID, "status", "started", "origin", "odd")
				b.do("SET", "rq:wip:odd", secret)
			case "no worker":
				claims[i].Worker = nil
			case "name":
				claims[i].Worker.Name = secret[:1] + "\xff"
			case "execution id":
				claims[i].ExecutionID = "short"
			}
		}
		got, err := b.Claim(b.ctx(), claims, ls[0].StartedAt, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]string{"executions": "rq:executions:", "execution id": "execution id"}
		for i, l := range ls {
			waits, runs := b.has("rq:queue:"+l.Queue, l.ID), b.has(WipKey(l.Queue), b.d.WipMember(l.ID, l.ExecutionID))
			switch bad[i] {
			case "", "origin", "worker": // its record is written anew
				if got[i].Err != nil || got[i].Result != Claimed || waits || !runs || b.hash("rq:job:" + l.ID)["worker_name"] != l.Worker {
					t.Fatalf("claim of %s (%s): %+v, waits %v, runs %v", l.ID, bad[i], got[i], waits, runs)
				}
			case "no hash", "hash":
				if got[i].Err != nil || got[i].Result != ClaimNoHash || waits || runs {
					t.Fatalf("claim of %s, which has %s: %+v, waits %v, runs %v", l.ID, bad[i], got[i], waits, runs)
				}
			case "no worker", "name":
				if got[i].Err == nil || !waits {
					t.Fatalf("claim with %s: %+v, waits %v", bad[i], got[i], waits)
				}
			default:
				wantAlone(t, "claim with bad "+bad[i], got[i].Err, names[bad[i]])
				if waits == runs { // it stands in one place, from where it will be taken
					t.Fatalf("claim with bad %s: waits %v, runs %v", bad[i], waits, runs)
				}
			}
		}
	})
}

// TestABadOutcomeIsAlone: the others are settled, and it can be settled bare.
func TestABadOutcomeIsAlone(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		ls := b.leases(rapid.IntRange(1, 12).Draw(t, "n"))
		b.start(ls)
		os := make([]Outcome, len(ls))
		bad := spoiled(t, len(ls), "hash", "results", "dependents", "worker", "kind", "size")
		for i, l := range ls {
			os[i] = Outcome{Lease: l, Kind: rapid.SampledFrom([]OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeStopped}).Draw(t, "outcome"), EndedAt: time.Now(), Exc: boom}
			switch bad[i] {
			case "hash":
				b.otherwise(t, "rq:job:"+l.ID)
			case "results":
				b.do("SET", "rq:results:"+l.ID, secret)
			case "dependents":
				b.otherwise(t, "rq:job:"+l.ID+":dependents")
			case "worker":
				b.otherwise(t, "rq:worker:"+l.Worker)
			case "kind":
				os[i].Kind = 99
			case "size":
				os[i].ReturnValue = tooLarge
			}
		}
		got, err := b.Settle(b.ctx(), os)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]string{"kind": "kind of outcome 99", "size": "bytes", "dependents": ":dependents"}
		for i, l := range ls {
			if bad[i] == "" {
				if got[i].Err != nil || got[i].Result != Settled {
					t.Fatalf("outcome %d of %s: %+v", os[i].Kind, l.ID, got[i])
				}
				b.wantEnded(t, os[i], 1)
				continue
			}
			wantAlone(t, "outcome with bad "+bad[i], got[i].Err, names[bad[i]])
			if !b.has(WipKey(l.Queue), b.d.WipMember(l.ID, l.ExecutionID)) {
				t.Fatalf("a job whose outcome has bad %s is in no registry", bad[i])
			}
			if bad[i] != "results" && bad[i] != "dependents" && bad[i] != "size" {
				continue
			}
			if result, err := b.SettleBare(b.ctx(), os[i]); err != nil || result != Settled {
				t.Fatalf("settle %s, which has bad %s, bare: %d, %v", l.ID, bad[i], result, err)
			}
			b.wantEnded(t, os[i], 0)
		}
	})
}

// wantEnded wants that an outcome was written, and with how many results.
func (b *bed) wantEnded(t *rapid.T, o Outcome, results int64) {
	status, registry := map[OutcomeKind]string{OutcomeFinished: "finished", OutcomeFailed: "failed", OutcomeStopped: "stopped"}[o.Kind], "rq:failed:"
	if o.Kind == OutcomeFinished {
		registry = "rq:finished:"
	}
	if got := b.hash("rq:job:" + o.ID)["status"]; got != status || !b.has(registry+o.Queue, o.ID) || b.has(WipKey(o.Queue), b.d.WipMember(o.ID, o.ExecutionID)) {
		t.Fatalf("a settled job (%d): status %q, in its registry %v", o.Kind, got, b.has(registry+o.Queue, o.ID))
	}
	if w := b.hash("rq:worker:" + o.Worker); w["state"] != "idle" || w["current_job"] != "" {
		t.Fatalf("the worker of a settled job: %v", w)
	}
	if b.do("TYPE", "rq:results:"+o.ID) == "stream" || results > 0 {
		if n := b.rdb.XLen(b.ctx(), "rq:results:"+o.ID).Val(); n != results {
			t.Fatalf("a settled job has %d results, want %d", n, results)
		}
	}
}

// TestABadLeaseIsAlone: the others are renewed.
func TestABadLeaseIsAlone(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		full := rapid.Bool().Draw(t, "full")
		kinds := []string{"hash"}
		if full {
			kinds = append(kinds, "worker")
		}
		if full && b.d.CompositeWip {
			kinds = append(kinds, "executions", "execution")
		}
		ls := b.leases(rapid.IntRange(1, 12).Draw(t, "n"))
		b.start(ls)
		bad := spoiled(t, len(ls), kinds...)
		for i, l := range ls {
			switch bad[i] {
			case "hash":
				b.do("ZREM", WipKey(l.Queue), b.d.WipMember(l.ID, l.ExecutionID)) // so that it is looked at
				b.otherwise(t, "rq:job:"+l.ID)
			case "worker":
				b.otherwise(t, "rq:worker:"+l.Worker)
			case "executions":
				b.otherwise(t, "rq:executions:"+l.ID)
			case "execution":
				b.otherwise(t, "rq:execution:"+l.ID+":"+l.ExecutionID)
			}
		}
		got, err := b.Renew(b.ctx(), ls, time.Hour, full)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range ls {
			if bad[i] != "" {
				wantAlone(t, "lease with bad "+bad[i], got[i].Err, "WRONGTYPE")
			} else if got[i].Err != nil || got[i].Result != LeaseHeld {
				t.Fatalf("lease of %s: %+v", l.ID, got[i])
			}
			if until := b.rdb.ZScore(b.ctx(), WipKey(l.Queue), b.d.WipMember(l.ID, l.ExecutionID)).Val(); bad[i] != "hash" && until < float64(time.Now().Add(50*time.Minute).Unix()) {
				t.Fatalf("lease of %s (%s) isn't extended", l.ID, bad[i])
			}
		}
	})
}

// TestABadWorkerIsAlone: the records of the others are renewed.
func TestABadWorkerIsAlone(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		bad := spoiled(t, n, "record", "host", "name")
		ws := make([]*Worker, n)
		wrong := false
		for i := range ws {
			ws[i] = NewWorker(fmt.Sprint("w", i), "default")
			switch bad[i] {
			case "record":
				b.otherwise(t, "rq:worker:"+ws[i].Name)
			case "host":
				ws[i].Hostname = "\xff"
			case "name":
				ws[i].Name = ""
			}
			wrong = wrong || bad[i] != ""
		}
		if err := b.Heartbeat(b.ctx(), ws, time.Minute); (err != nil) != wrong {
			t.Fatalf("heartbeat of workers of which some are bad (%v): %v", wrong, err)
		}
		for i, w := range ws {
			if bad[i] == "" && b.hash("rq:worker:" + w.Name)["birth"] == "" {
				t.Fatalf("worker %s has no record", w.Name)
			}
		}
	})
}

// TestABadHashIsAlone: jobs that are fetched, and looked at as lapsed, beside keys that are no hashes.
func TestABadHashIsAlone(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		ls := b.leases(rapid.IntRange(1, 12).Draw(t, "n"))
		bad := spoiled(t, len(ls), "hash", "list", "timeout")
		var ids []string
		for i, l := range ls {
			ids = append(ids, l.ID)
			b.put("default", l.ID, "meta", secret)
			b.do("ZADD", WipKey("default"), 1, b.d.WipMember(l.ID, l.ExecutionID))
			switch bad[i] {
			case "hash":
				b.otherwise(t, "rq:job:"+l.ID)
			case "list":
				b.do("DEL", "rq:job:"+l.ID)
				b.do("RPUSH", "rq:job:"+l.ID, secret)
			case "timeout":
				b.do("HSET", "rq:job:"+l.ID, "timeout", "soon")
			}
		}
		many, err := b.FetchMany(b.ctx(), ids)
		if err != nil {
			t.Fatal(err)
		}
		small, err := b.FetchSmall(b.ctx(), ids, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		lapsed, err := b.Lapsed(b.ctx(), "default", 0)
		if err != nil || len(lapsed) != len(ids) {
			t.Fatalf("%d of %d lapsed, %v", len(lapsed), len(ids), err)
		}
		for i, id := range ids {
			for _, f := range []*FetchResult{many[i], small[i]} {
				if bad[i] == "" && (f.Err != nil || f.Job.ID != id) {
					t.Fatalf("job %s: %v", id, f.Err)
				}
				if bad[i] != "" {
					wantAlone(t, "a job with bad "+bad[i], f.Err, id)
				}
			}
		}
	})
}

// TestABadJobIsAloneInMaintenance: what is due, what lapsed and what was abandoned, beside jobs of which a key holds
// something else. No job is lost: each is in one place.
func TestABadJobIsAloneInMaintenance(t *testing.T) {
	inBothWorlds(t, func(t *rapid.T, b *bed) {
		kinds := []string{"hash", "results", "dependents"}
		if b.d.CompositeWip {
			kinds = append(kinds, "executions")
		}
		ls := b.leases(rapid.IntRange(1, 12).Draw(t, "n"))
		for i := range ls {
			ls[i].Queue = "default"
		}
		bad := spoiled(t, len(ls), kinds...)
		how := rapid.SampledFrom([]string{"due", "abandoned", "rescued", "trimmed"}).Draw(t, "how")
		b.start(ls)
		for i, l := range ls {
			switch how {
			case "due":
				b.settle(Outcome{Lease: l, Kind: OutcomeRetried, RetryAt: time.Now().Add(-time.Minute)}, Settled)
			case "trimmed":
				b.settle(Outcome{Lease: l, Kind: OutcomeFailed, Exc: boom}, Settled)
			default:
				b.do("ZADD", WipKey(l.Queue), 1, b.d.WipMember(l.ID, l.ExecutionID))
			}
			switch bad[i] {
			case "hash":
				b.otherwise(t, "rq:job:"+l.ID)
			case "results":
				b.do("SET", "rq:results:"+l.ID, secret)
			case "dependents":
				b.otherwise(t, "rq:job:"+l.ID+":dependents")
			case "executions":
				b.otherwise(t, "rq:executions:"+l.ID)
			}
		}
		switch how {
		case "due":
			if _, err := b.EnqueueDue(b.ctx(), "default"); err != nil {
				t.Fatal(err)
			}
		case "trimmed":
			if n, err := b.TrimFailed(b.ctx(), "default", 0); err != nil || n != int64(len(ls)) {
				t.Fatalf("%d of %d failed jobs trimmed, %v", n, len(ls), err)
			}
			for i, l := range ls {
				if bad[i] == "" && len(b.hash("rq:job:"+l.ID)) > 0 {
					t.Fatalf("job %s is trimmed and still there", l.ID)
				}
			}
			return
		case "abandoned":
			if _, err := b.Maintain(b.ctx(), "default", nil); err != nil && Judge(err) != Final {
				t.Fatal(err)
			}
		case "rescued":
			lapsed, err := b.Lapsed(b.ctx(), "default", 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lapsed {
				if _, err := b.Rescue(b.ctx(), "default", l, 1); err != nil && Judge(err) != Final {
					t.Fatal(err)
				}
			}
		}
		want := map[string]string{"due": "rq:queue:default", "abandoned": "rq:failed:default", "rescued": "rq:failed:default"}[how]
		for i, l := range ls {
			at := 0
			for _, key := range []string{"rq:queue:default", "rq:failed:default", "rq:scheduled:default"} {
				if b.has(key, l.ID) {
					at++
				}
			}
			if b.has(WipKey("default"), b.d.WipMember(l.ID, l.ExecutionID)) {
				at++
			}
			if bad[i] == "" && (at != 1 || !b.has(want, l.ID)) {
				t.Fatalf("a healthy job that was %s is in %d places, want it in %s", how, at, want)
			}
			if bad[i] != "" && bad[i] != "hash" && at != 1 {
				t.Fatalf("a job with bad %s that was %s is in %d places", bad[i], how, at)
			}
		}
	})
}
