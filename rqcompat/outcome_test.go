package rqcompat

import (
	"cmp"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	python7    = "gAVLAy4=" // a stored return value
	oneYear    = 31536000
	boom       = "Traceback (most recent call last):\nValueError: boom\n"
	finishedOK = OutcomeFinished
)

func TestSettleFinished(t *testing.T) {
	for _, c := range []struct {
		name, resultTTL string
		score           string
		jobTTL, stream  int64
	}{
		{"default", "", "now+500", 500, 500},
		{"600 as Frappe asks", "600", "now+600", 600, 600},
		{"forever", "-1", "inf", -1, -1},
		{"other negative", "-5", "-5", -1, -2},
		{"more than Redis takes", "9223372036854775807", "now+9999999999", 9999999999, 9999999999},
		{"less than any", "-9223372036854775807", "inf", -1, -1},
		{"no number", "soon", "now+500", 500, 500},
		{"no whole number", "1.5", "now+500", 500, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a", "result_ttl", c.resultTTL, "meta", "m", "x_unknown", "kept", "dependency_ids", `["p"]`)
				b.do("SADD", "rq:job::a:dependencies", "p")
				b.do("SADD", "rq:job:a:dependents", "nobody")
				l := b.claim("default", "a")
				ended := l.StartedAt.Add(1500 * time.Millisecond)
				b.settle(Outcome{Lease: l, Kind: finishedOK, ReturnValue: python7, EndedAt: ended}, Settled)

				b.wantHash("rq:job:a", map[string]string{
					"status": "finished", "started_at": FormatTime(l.StartedAt), "ended_at": FormatTime(ended), "worker_name": "w1",
					"meta": "m", "x_unknown": "kept", "result": "<none>",
				})
				for _, key := range []string{"rq:job:a", "rq:job::a:dependencies", "rq:job:a:dependents"} {
					b.wantTTL(key, c.jobTTL)
				}
				b.wantScore("rq:finished:default", "a", c.score)
				b.wantTTL("rq:results:a", c.stream)
				if c.stream != -2 {
					b.wantResult("a", b.result(l, ended, "type", "1", "return_value", python7))
				}
				b.wantNoTrace(l)
				b.wantHash("rq:worker:w1", map[string]string{"successful_job_count": "1", "total_working_time": "1.500000", "failed_job_count": "<none>"})
			})
		})
	}
}

func TestSettleNone(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		ended := l.StartedAt.Add(time.Second)
		b.settle(Outcome{Lease: l, Kind: finishedOK, EndedAt: ended}, Settled)
		b.wantResult("a", b.result(l, ended, "type", "1"))
	})
}

func TestSettleFinishedUnkept(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "result_ttl", "0", "group_id", "g")
		b.do("SADD", "rq:group:g", "a", "other")
		b.do("SADD", "rq:job::a:dependencies", "gone")
		b.put("default", "child", "status", "deferred")
		b.do("SADD", "rq:job:a:dependents", "child")
		b.do("ZADD", "rq:deferred:default", "+inf", "child")
		l := b.claim("default", "a")
		b.settle(Outcome{Lease: l, Kind: finishedOK, ReturnValue: python7}, Settled)
		for _, key := range []string{"rq:job:a", "rq:job:a:dependents", "rq:job::a:dependencies", "rq:results:a", "rq:finished:default"} {
			b.wantTTL(key, -2)
		}
		if b.d.CompositeWip {
			b.wantMembers("rq:group:g", "other")
		}
		b.wantMembers("rq:queue:default", "child")
		b.wantNoTrace(l)
		b.wantHash("rq:worker:w1", map[string]string{"successful_job_count": "1"})
	})
}

func TestSettleFailed(t *testing.T) {
	for _, c := range []struct {
		name, failureTTL string
		score            string
		jobTTL, stream   int64
	}{
		{"default", "", "now+31536000", oneYear, oneYear},
		{"a week as Frappe asks", "604800", "now+604800", 604800, 604800},
		{"forever", "-1", "-1", -1, -1},
		{"more than Redis takes", "9223372036854775807", "now+9999999999", 9999999999, 9999999999},
		{"no number", "1e3", "now+31536000", oneYear, oneYear},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a", "failure_ttl", c.failureTTL, "retries_left", "0")
				l := b.claim("default", "a")
				ended := l.StartedAt.Add(1500 * time.Millisecond)
				b.settle(Outcome{Lease: l, Kind: OutcomeFailed, Exc: boom, EndedAt: ended}, Settled)
				b.wantHash("rq:job:a", map[string]string{"status": "failed", "started_at": FormatTime(l.StartedAt), "ended_at": FormatTime(ended), "worker_name": "w1"})
				b.wantTTL("rq:job:a", c.jobTTL)
				b.wantScore("rq:failed:default", "a", c.score)
				b.wantTTL("rq:results:a", c.stream)
				b.wantResult("a", b.result(l, ended, "type", "2", "exc_string", EncodeExc(boom)))
				b.wantNoTrace(l)
				b.wantHash("rq:worker:w1", map[string]string{"failed_job_count": "1", "total_working_time": "1.500000", "successful_job_count": "<none>"})
			})
		})
	}
}

func TestSettleFailedUnkept(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "failure_ttl", "0")
		l := b.claim("default", "a")
		b.settle(Outcome{Lease: l, Kind: OutcomeFailed, Exc: boom}, Settled)
		for _, key := range []string{"rq:job:a", "rq:results:a", "rq:failed:default"} {
			b.wantTTL(key, -2)
		}
		b.wantNoTrace(l)
	})
}

func TestSettleRetry(t *testing.T) {
	for _, c := range []struct {
		name            string
		left, intervals string
		front, noRetry  bool
		want            string // "queue", "front", "scheduled" or "failed"
		after           string
	}{
		{name: "no intervals", left: "2", want: "queue"},
		{name: "interval 0", left: "1", intervals: "[0]", want: "queue"},
		{name: "first of three", left: "3", intervals: "[10, 30, 60]", want: "scheduled", after: "now+10"},
		{name: "last of three", left: "1", intervals: "[10, 30, 60]", want: "scheduled", after: "now+60"},
		{name: "more retries than intervals", left: "5", intervals: "[1, 2]", want: "scheduled", after: "now+1"},
		{name: "the last interval at last", left: "1", intervals: "[1, 2]", want: "scheduled", after: "now+2"},
		{name: "at front", left: "1", front: true, want: "front"},
		{name: "broken intervals", left: "1", intervals: "[1,", want: "queue"},
		{name: "the row decides", left: "1", noRetry: true, want: "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				fields := []string{"retries_left", c.left, "retry_intervals", c.intervals, "ttl", "70", "bridge_kills", "2", "bridge_beside", "x"}
				if c.front {
					fields = append(fields, "enqueue_at_front_on_retry", "1")
				}
				b.put("default", "a", fields...)
				b.put("default", "b")
				l := b.claim("default", "a")
				b.do("DEL", "rq:queues")
				ended := l.StartedAt.Add(1500 * time.Millisecond)
				b.settle(Outcome{Lease: l, Kind: OutcomeFailed, Exc: boom, EndedAt: ended, NoRQRetry: c.noRetry}, Settled)
				b.wantNoTrace(l)
				b.wantHash("rq:worker:w1", map[string]string{"failed_job_count": "1", "total_working_time": "1.500000"})
				b.wantHash("rq:job:a", map[string]string{"bridge_kills": "<none>", "bridge_beside": "<none>", "ended_at": FormatTime(ended)})
				if c.want == "failed" {
					b.wantHash("rq:job:a", map[string]string{"status": "failed", "retries_left": c.left})
					return
				}
				b.wantTTL("rq:results:a", -2)
				b.wantTTL("rq:failed:default", -2)
				b.wantMembers("rq:queues", "rq:queue:default")
				b.wantHash("rq:job:a", map[string]string{"retries_left": string(c.left[0] - 1)})
				switch want := c.want; {
				case want == "scheduled":
					b.wantHash("rq:job:a", map[string]string{"status": "scheduled"})
					b.wantScore("rq:scheduled:default", "a", c.after)
					b.wantMembers("rq:queue:default", "b")
					b.wantTTL("rq:job:a", -1)
				case want == "front" && b.d.ResultExecution:
					b.wantMembers("rq:queue:default", "a", "b")
				default:
					b.wantHash("rq:job:a", map[string]string{"status": "queued"})
					b.wantMembers("rq:queue:default", "b", "a")
					b.wantTTL("rq:job:a", 70)
					if at, err := ParseTime(b.hash("rq:job:a")["enqueued_at"]); err != nil || time.Since(at) > time.Minute {
						t.Errorf("enqueued_at is %v (%v), want now", at, err)
					}
				}
			})
		})
	}
}

// TestSettleRetryIn schedules a failed job again, a number of times that its hash counts, and not if RQ has a schedule.
func TestSettleRetryIn(t *testing.T) {
	for name, c := range map[string]struct {
		left, retried, want, count string
		kind                       OutcomeKind
		permanent                  bool
		after                      string
	}{
		"the first":             {want: "scheduled", count: "1", after: "now+5"},
		"the last":              {retried: "1", want: "scheduled", count: "2", after: "now+5"},
		"one more":              {retried: "2", want: "failed", count: "<none>"},
		"not a number":          {retried: "x", want: "scheduled", count: "1", after: "now+5"},
		"RQ's schedule":         {left: "1", want: "queued", count: "<none>"},
		"RQ's schedule is over": {left: "0", want: "failed", count: "<none>"},
		"never":                 {permanent: true, want: "failed", count: "<none>"},
		"success":               {kind: finishedOK, retried: "1", want: "finished", count: "<none>"},
		"given back":            {kind: OutcomeGivenBack, retried: "1", want: "queued", count: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				var fields []string
				for field, value := range map[string]string{"retries_left": c.left, "bridge_retries": c.retried} {
					if value != "" {
						fields = append(fields, field, value)
					}
				}
				b.put("default", "a", fields...)
				l := b.claim("default", "a")
				ended := l.StartedAt.Add(1500 * time.Millisecond)
				b.settle(Outcome{
					Lease: l, Kind: cmp.Or(c.kind, OutcomeFailed), Exc: boom, EndedAt: ended, NoRQRetry: c.permanent,
					RetryIn: 4100 * time.Millisecond, RetryLimit: 2,
				}, Settled)
				b.wantHash("rq:job:a", map[string]string{"status": c.want, "bridge_retries": c.count})
				b.wantNoTrace(l)
				if c.want != "scheduled" {
					b.wantTTL("rq:scheduled:default", -2)
					return
				}
				b.wantHash("rq:job:a", map[string]string{"ended_at": FormatTime(ended), "retries_left": "<none>"})
				b.wantScore("rq:scheduled:default", "a", c.after)
				b.wantTTL("rq:failed:default", -2)
				b.wantTTL("rq:results:a", -2)
				b.wantTTL("rq:job:a", -1)
				b.do("ZADD", "rq:scheduled:default", 1, "a") // long ago
				if n, err := b.EnqueueDue(b.ctx(), "default"); n != 1 || err != nil {
					t.Errorf("%d jobs are due (%v), want it", n, err)
				}
				j, err := b.Fetch(b.ctx(), "a")
				if err != nil || strconv.Itoa(j.Retried()) != c.count || j.Status != StatusQueued {
					t.Errorf("when it is due it is %s, retried %d times (%v), want queued, %s", j.Status, j.Retried(), err, c.count)
				}
			})
		})
	}
}

// TestSettleRetried: an attempt whose caller retries leaves what RQ's own retry leaves, until the second after it is due.
func TestSettleRetried(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "retries_left", "1", "failure_ttl", "600", "ttl", "70", "bridge_kills", "2")
		b.put("default", "child", "status", "deferred", "allow_dependency_failures", "1")
		b.do("SADD", "rq:job:a:dependents", "child")
		b.do("EXPIRE", "rq:job:a:dependents", "70")
		b.do("ZADD", "rq:deferred:default", "+inf", "child")
		l := b.claim("default", "a")
		ended := l.StartedAt.Add(1500 * time.Millisecond)
		due := time.Now().Add(time.Hour).Truncate(time.Second).Add(500 * time.Millisecond)
		b.settle(Outcome{Lease: l, Kind: OutcomeRetried, Exc: boom, EndedAt: ended, RetryAt: due}, Settled)
		b.wantNoTrace(l)
		b.wantHash("rq:job:a", map[string]string{
			"status": "scheduled", "ended_at": FormatTime(ended), "retries_left": "1", "bridge_kills": "<none>",
		})
		if got := b.rdb.ZScore(t.Context(), "rq:scheduled:default", "a").Val(); got != float64(due.Unix()+1) {
			t.Errorf("scheduled for %.0f, want %d: not before it is due", got, due.Unix()+1)
		}
		for _, key := range []string{"rq:job:a", "rq:job:a:dependents"} {
			b.wantTTL(key, -1)
		}
		for _, key := range []string{"rq:results:a", "rq:failed:default", "rq:queue:default"} {
			b.wantTTL(key, -2)
		}
		b.wantHash("rq:job:child", map[string]string{"status": "deferred"})
		b.wantHash("rq:worker:w1", map[string]string{"failed_job_count": "1", "total_working_time": "1.500000", "current_job": "<none>"})
		b.settle(Outcome{Lease: l, Kind: OutcomeRetried, RetryAt: due}, NotOwner)
	})
}

func TestSettleRepeat(t *testing.T) {
	for _, c := range []struct {
		name, left, intervals, after string
	}{
		{"at once", "2", "", ""},
		{"from the end", "2", "[5, 7]", "now+7"},
		{"the first comes last", "1", "[5, 7]", "now+5"},
		{"more repeats than intervals", "3", "[5, 7]", "now+7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a", "repeats_left", c.left, "repeat_intervals", c.intervals)
				l := b.claim("default", "a")
				b.settle(Outcome{Lease: l, Kind: finishedOK}, Settled)
				b.wantNoTrace(l)
				b.wantScore("rq:finished:default", "a", "now+500")
				switch {
				case !b.d.Repeat:
					b.wantHash("rq:job:a", map[string]string{"status": "finished", "repeats_left": c.left})
					b.wantTTL("rq:job:a", 500)
					return
				case c.after != "":
					b.wantHash("rq:job:a", map[string]string{"status": "scheduled"})
					b.wantScore("rq:scheduled:default", "a", c.after)
				default:
					b.wantHash("rq:job:a", map[string]string{"status": "queued"})
					b.wantMembers("rq:queue:default", "a")
				}
				b.wantHash("rq:job:a", map[string]string{"repeats_left": string(c.left[0] - 1)})
				b.wantTTL("rq:job:a", -1)
			})
		})
	}
}

func TestSettleStopped(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a", "retries_left", "3")
		l := b.claim("default", "a")
		ended := l.StartedAt.Add(time.Second)
		b.settle(Outcome{Lease: l, Kind: OutcomeStopped, Exc: "Job stopped by user, work-horse terminated.", EndedAt: ended}, Settled)
		b.wantHash("rq:job:a", map[string]string{"status": "stopped", "retries_left": "3", "ended_at": FormatTime(ended)})
		b.wantScore("rq:failed:default", "a", "now+31536000")
		b.wantResult("a", b.result(l, ended, "type", "2", "exc_string", EncodeExc("Job stopped by user, work-horse terminated.")))
		b.wantNoTrace(l)
		b.wantHash("rq:worker:w1", map[string]string{"failed_job_count": "1", "total_working_time": "<none>"})
	})
}

func TestSettleGivenBack(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		var os []Outcome
		for _, id := range []string{"a", "b", "c"} {
			b.put("default", id, "ttl", "90", "retries_left", "1", "bridge_kills", "1")
			b.do("SADD", "rq:job:"+id+":dependents", "x")
			b.do("SADD", "rq:job::"+id+":dependencies", "x")
		}
		for _, id := range []string{"a", "b"} {
			w := NewWorker("w-"+id, "default")
			l := Lease{Queue: "default", ID: id, Worker: w.Name, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
			if got := b.tryClaim(l, true); got != Claimed {
				t.Fatalf("claim %s: got %d, want it claimed", id, got)
			}
			os = append(os, Outcome{Lease: l, Kind: OutcomeGivenBack, EndedAt: time.Now()})
		}
		b.do("DEL", "rq:queues")
		got, err := b.Settle(b.ctx(), os)
		if err != nil || !slices.Equal(done(t, got), []OutcomeResult{Settled, Settled}) {
			t.Fatalf("gave two jobs back: got %v, %v, want both settled", got, err)
		}
		b.wantMembers("rq:queue:default", "a", "b", "c")
		b.wantMembers("rq:queues", "rq:queue:default")
		for _, o := range os {
			b.wantNoTrace(o.Lease)
			b.wantHash("rq:worker:"+o.Worker, map[string]string{"failed_job_count": "<none>", "total_working_time": "<none>"})
			b.wantHash("rq:job:"+o.ID, map[string]string{
				"status": "queued", "started_at": "", "worker_name": "", "last_heartbeat": "", "ended_at": "", "retries_left": "1",
				"enqueued_at": "2026-11-23T11:44:24.461699Z", "bridge_kills": "1",
			})
			for _, key := range []string{"rq:job:" + o.ID, "rq:job:" + o.ID + ":dependents", "rq:job::" + o.ID + ":dependencies"} {
				b.wantTTL(key, 90)
			}
		}
		b.wantTTL("rq:results:a", -2)
	})
}

// A batch of every kind answers for each item and mixes nothing up.
// TestAnOddTTLKeepsNoJob: who enqueues writes it, and Redis takes neither these numbers nor these texts.
func TestAnOddTTLKeepsNoJob(t *testing.T) {
	for ttl, want := range map[string]int64{"9223372036854775807": 9999999999, "soon": -1, "0x10": -1, "-9223372036854775807": -1} {
		everyDialect(t, func(t *testing.T, b *bed) {
			b.put("default", "a", "ttl", ttl)
			b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeGivenBack}, Settled)
			b.wantHash("rq:job:a", map[string]string{"status": "queued"})
			b.wantTTL("rq:job:a", want)
		})
	}
}

func TestSettleBatch(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		kinds := []OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeStopped, OutcomeGivenBack, OutcomeFinished}
		var os []Outcome
		for i, kind := range kinds {
			id, queue := string(rune('a'+i)), []string{"default", "other"}[i%2]
			b.put(queue, id)
			l := Lease{Queue: queue, ID: id, Worker: "w-" + id, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
			if got := b.tryClaim(l, true); got != Claimed {
				t.Fatalf("claim %s: got %d, want it claimed", id, got)
			}
			os = append(os, Outcome{Lease: l, Kind: kind, EndedAt: time.Now(), Exc: boom})
		}
		b.do("DEL", "rq:job:e")
		got, err := b.Settle(b.ctx(), os)
		if err != nil || !slices.Equal(done(t, got), []OutcomeResult{Settled, Settled, Settled, Settled, JobDeleted}) {
			t.Fatalf("settled five jobs, the last of them deleted: got %v, %v", got, err)
		}
		for i, want := range []string{"finished", "failed", "stopped", "queued"} {
			b.wantHash("rq:job:"+os[i].ID, map[string]string{"status": want})
		}
		for _, o := range os {
			b.wantNoTrace(o.Lease)
		}
		b.wantMembers("rq:finished:default", "a")
		b.wantMembers("rq:failed:default", "c")
		b.wantMembers("rq:failed:other", "b")
		b.wantMembers("rq:queue:other", "d")
		b.wantTTL("rq:job:e", -2)
	})
}

// Whoever takes a job away changes its hash; the former owner must not write over that.
func TestSettleFence(t *testing.T) {
	for _, c := range []struct {
		name   string
		lose   func(b *bed, l *Lease)
		want   OutcomeResult
		status string
		busy   bool // the worker is left alone
	}{
		{"failed by a cleaner", func(b *bed, l *Lease) {
			b.do("HSET", "rq:job:a", "status", "failed")
			b.do("DEL", "rq:wip:default")
			b.do("ZADD", "rq:failed:default", "9999999999", "a")
		}, NotOwner, "failed", false},
		{"taken by another worker", func(b *bed, l *Lease) {
			b.do("HSET", "rq:job:a", "worker_name", "other", "started_at", FormatTime(time.Now()))
		}, NotOwner, "started", false},
		{"run again by the same worker", func(b *bed, l *Lease) {
			b.do("HSET", "rq:job:a", "started_at", FormatTime(time.Now().Add(time.Second)))
		}, NotOwner, "started", true},
		{"another start time", func(b *bed, l *Lease) { l.StartedAt = l.StartedAt.Add(time.Microsecond) }, NotOwner, "started", true},
		{"back in the queue", func(b *bed, l *Lease) {
			b.do("HSET", "rq:job:a", "status", "queued", "worker_name", "", "started_at", "")
			b.do("RPUSH", "rq:queue:default", "a")
		}, NotOwner, "queued", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a")
				l := b.claim("default", "a")
				c.lose(b, &l)
				before := b.hash("rq:job:a")
				for _, kind := range []OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeStopped, OutcomeGivenBack} {
					b.settle(Outcome{Lease: l, Kind: kind}, c.want)
				}
				b.wantHash("rq:job:a", before)
				b.wantHash("rq:job:a", map[string]string{"status": c.status})
				b.wantTTL("rq:results:a", -2)
				b.wantTTL("rq:finished:default", -2)
				current := map[string]string{"current_job": "<none>", "state": "idle", "failed_job_count": "<none>", "successful_job_count": "<none>"}
				if c.busy {
					current["current_job"], current["state"] = "a", "busy"
				}
				b.wantHash("rq:worker:w1", current)
				if b.d.CompositeWip {
					b.wantScore("rq:wip:default", b.d.WipMember("a", l.ExecutionID), "none")
				} else if c.status == "started" {
					b.wantScore("rq:wip:default", "a", "now+16")
				}
			})
		})
	}
}

// A worker whose record shows another job by now keeps it, and is not credited with this one.
func TestSettleLeavesTheWorkersNextJob(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, kind := range []OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeStopped, OutcomeGivenBack} {
			b.do("FLUSHALL")
			b.put("default", "a")
			l := b.claim("default", "a")
			b.do("HSET", "rq:worker:w1", "current_job", "next")
			b.settle(Outcome{Lease: l, Kind: kind}, Settled)
			b.wantHash("rq:worker:w1", map[string]string{"current_job": "next", "state": "busy", "successful_job_count": "<none>", "failed_job_count": "<none>"})
		}
	})
}

// Settling twice, as after a lost reply, changes nothing the second time.
func TestSettleTwice(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		b.settle(Outcome{Lease: l, Kind: finishedOK}, Settled)
		b.settle(Outcome{Lease: l, Kind: finishedOK}, NotOwner)
		b.settle(Outcome{Lease: l, Kind: OutcomeGivenBack}, NotOwner)
		b.wantHash("rq:job:a", map[string]string{"status": "finished"})
		b.wantHash("rq:worker:w1", map[string]string{"successful_job_count": "1"})
		if n := b.do("XLEN", "rq:results:a"); n != int64(1) {
			t.Errorf("%d results, want 1", n)
		}
	})
}

func TestSettleCanceled(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, kind := range []OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeStopped, OutcomeGivenBack} {
			b.do("FLUSHALL")
			b.put("default", "a", "retries_left", "2")
			l := b.claim("default", "a")
			b.do("HSET", "rq:job:a", "status", "canceled")
			b.do("DEL", "rq:wip:default")
			b.do("ZADD", "rq:canceled:default", "1", "a")
			ended := l.StartedAt.Add(time.Second)
			b.settle(Outcome{Lease: l, Kind: kind, Exc: boom, EndedAt: ended}, SettledCanceled)
			b.wantHash("rq:job:a", map[string]string{"status": "canceled", "ended_at": FormatTime(ended), "retries_left": "2"})
			b.wantNoTrace(l)
			b.wantMembers("rq:canceled:default", "a")
			for _, key := range []string{"rq:queue:default", "rq:results:a", "rq:finished:default", "rq:failed:default"} {
				b.wantTTL(key, -2)
			}
		}
	})
}

func TestSettleDependents(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     OutcomeKind
		released func(d Dialect) bool
		allow    bool
	}{
		{"finished", OutcomeFinished, func(Dialect) bool { return true }, false},
		{"failed", OutcomeFailed, func(Dialect) bool { return false }, false},
		{"failed, allowed", OutcomeFailed, func(Dialect) bool { return true }, true},
		{"stopped", OutcomeStopped, func(d Dialect) bool { return !d.ResultExecution }, false},
		{"given back", OutcomeGivenBack, func(Dialect) bool { return false }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a")
				b.put("default", "unfinished", "status", "started")
				for _, child := range [][]string{
					{"child", "enqueue_at_front", "0"}, {"waits", "ttl", "100"}, {"off", "status", "canceled"},
				} {
					b.put("other", child[0], append([]string{"status", "deferred", "allow_dependency_failures", bit(c.allow)}, child[1:]...)...)
					b.do("SADD", "rq:job:a:dependents", child[0])
					b.do("SADD", "rq:job::"+child[0]+":dependencies", "a", "expired")
					b.do("ZADD", "rq:deferred:other", "+inf", child[0])
				}
				b.do("SADD", "rq:job::waits:dependencies", "unfinished")
				b.settle(Outcome{Lease: b.claim("default", "a"), Kind: c.kind, Exc: boom}, Settled)
				if !c.released(b.d) {
					b.wantTTL("rq:queue:other", -2)
					b.wantHash("rq:job:child", map[string]string{"status": "deferred"})
					return
				}
				b.wantMembers("rq:queue:other", "child")
				b.wantHash("rq:job:child", map[string]string{"status": "queued"})
				b.wantHash("rq:job:waits", map[string]string{"status": "deferred"})
				b.wantMembers("rq:deferred:other", "off", "waits")
				b.wantMembers("rq:job:a:dependents", "off", "waits")
				b.wantTTL("rq:job:a:dependents", b.do("TTL", "rq:job:a").(int64))
			})
		})
	}
}
