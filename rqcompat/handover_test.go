package rqcompat

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// handOver is one for job a.
func handOver(kind CallbackKind) *HandOver {
	return &HandOver{ID: "callback-1", Queue: "python", Kind: kind, Callback: Callback{Name: "app.done", Timeout: new(int64(7))}, Class: "m.E", Message: "boom"}
}

// TestHandOver: with the end of a job its callback's is enqueued, beside others of the batch and once, and has what was known
// of the job; not where the job isn't at its end.
func TestHandOver(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, c := range []struct {
			name, field, value string
			outcome            Outcome
			status             string // that the callback sees; "" for none
			result             OutcomeResult
		}{
			{"finished", "", "", Outcome{Kind: OutcomeFinished, ReturnValue: python7, HandOver: handOver(CallbackSuccess)}, "finished", SettledHandedOver},
			{"finished and deleted", "result_ttl", "0", Outcome{Kind: OutcomeFinished, ReturnValue: python7, HandOver: handOver(CallbackSuccess)}, "finished", SettledHandedOver},
			{"failed", "", "", Outcome{Kind: OutcomeFailed, Exc: boom, HandOver: handOver(CallbackFailure)}, "failed", SettledHandedOver},
			{"stopped", "", "", Outcome{Kind: OutcomeStopped, HandOver: handOver(CallbackStopped)}, "stopped", SettledHandedOver},
			{"canceled", "status", "canceled", Outcome{Kind: OutcomeStopped, HandOver: handOver(CallbackStopped)}, "canceled", SettledHandedOver},
			{"to be retried", "retries_left", "1", Outcome{Kind: OutcomeFailed, Exc: boom, HandOver: handOver(CallbackFailure)}, "", Settled},
			{"to be retried later", "", "", Outcome{Kind: OutcomeFailed, Exc: boom, RetryIn: time.Minute, RetryLimit: 1, HandOver: handOver(CallbackFailure)}, "", Settled},
			{"given back", "", "", Outcome{Kind: OutcomeGivenBack, HandOver: handOver(CallbackStopped)}, "", Settled},
		} {
			b.do("FLUSHALL")
			b.put("default", "a", "meta", "m", "success_callback_name", "app.done")
			b.put("default", "b")
			l, other := b.claim("default", "a"), b.claim("default", "b")
			if c.field != "" {
				b.do("HSET", "rq:job:a", c.field, c.value)
			}
			data := b.hash("rq:job:a")["data"]
			c.outcome.Lease = l
			outcomes := []Outcome{{Lease: other, Kind: OutcomeFinished}, c.outcome}
			answers, err := b.Settle(b.ctx(), outcomes)
			if err != nil || answers[0].Result != Settled || answers[1].Result != c.result || answers[1].Err != nil {
				t.Fatalf("%s: %+v, %v", c.name, answers, err)
			}
			if again, err := b.Settle(b.ctx(), outcomes); err != nil || again[1].Result == SettledHandedOver {
				t.Errorf("%s, sent twice: %+v, %v", c.name, again, err)
			}
			if c.status == "" {
				b.wantMembers("rq:queue:python")
				continue
			}
			b.wantMembers("rq:queue:python", "callback-1")
			b.wantHash("rq:job:callback-1", map[string]string{
				"status": "queued", "origin": "python", "timeout": "7", "bridge_of": "a", "bridge_callback": string(c.outcome.HandOver.Kind),
				"of status": c.status, "of meta": "m", "of data": data, "of success_callback_name": "app.done", "of worker_name": "w1",
				"description": string(c.outcome.HandOver.Kind) + " callback app.done of job a",
			})
		}
	})
}

// TestHandOverThatCannotBe: where no job can be put on the queue the job itself can't be settled, but bare.
func TestHandOverThatCannotBe(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	l := b.claim("default", "a")
	b.do("SET", "rq:queue:python", "something else")
	o := Outcome{Lease: l, Kind: OutcomeFinished, HandOver: handOver(CallbackSuccess)}
	if answers, err := b.Settle(b.ctx(), []Outcome{o}); err != nil || Judge(answers[0].Err) != Final {
		t.Fatalf("%+v, %v, want a final error", answers, err)
	}
	b.wantHash("rq:job:a", map[string]string{"status": "started"})
	if result, err := b.SettleBare(b.ctx(), o); err != nil || result != Settled {
		t.Errorf("bare: %v, %v", result, err)
	}
	o.HandOver.Name = strings.Repeat("x", 2000)
	if answers, err := b.Settle(b.ctx(), []Outcome{o}); err != nil || answers[0].Err == nil {
		t.Errorf("a name without end: %+v, %v", answers, err)
	}
}

// TestHandOverOfPoison: the failure callback of a job that is failed for the workers it took down is handed over as well.
func TestHandOverOfPoison(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "bridge_kills", "1")
		for _, want := range []RescueResult{RescueRequeued, RescuePoisoned} {
			b.do("HSET", "rq:job:a", "bridge_kills", map[RescueResult]string{RescueRequeued: "0", RescuePoisoned: "2"}[want])
			b.lapse(b.claim("default", "a"))
			lapsed := b.lapsedOnly("default")
			lapsed.HandOver = handOver(CallbackFailure)
			b.rescue(lapsed, want)
		}
		b.wantMembers("rq:queue:python", "callback-1")
		b.wantHash("rq:job:callback-1", map[string]string{"of status": "failed", "bridge_class": "m.E"})
	})
}

// TestRememberedFields: a callback gets all that a job was.
func TestRememberedFields(t *testing.T) {
	script, _ := luaFiles.ReadFile("lua/hand_over.lua")
	for _, f := range jobFields {
		if !strings.Contains(string(script), "'"+f.name+"'") && !strings.Contains(string(script), "'of "+f.name+"'") && !slices.Contains([]string{"exc_info", "result"}, f.name) {
			t.Errorf("lua/hand_over.lua leaves %s out", f.name)
		}
	}
}
