package bridge

import (
	"context"
	"fmt"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

const (
	// fuzzedPatience is how long a job may wait for its place behind one that is hostile: the decoder's own limit, with
	// all that a loaded machine does beside.
	fuzzedPatience = 5 * time.Second
	// fuzzedInput is how large a hash may be that has to keep the limits, and fuzzedMemory what may be allocated for it, in
	// bytes: more than is in use at a time.
	fuzzedInput  = 64 << 10
	fuzzedMemory = 512 << 20
)

// FuzzEngine gives hashes with any fields to a running engine, on an own and on a shared queue: nothing panics, what is
// enqueued behind runs in time, and no small hash takes much memory.
func FuzzEngine(f *testing.F) {
	seedHashes(f)
	b := newBed(f, map[string]any{"concurrency": 8})
	b.cfg.NoSamples = true
	b.countTypes()
	ran := make(chan string, 100)
	b.start(func(e *Engine) {
		Register(e, "go.count", func(context.Context, *Job[any]) (any, error) { return nil, nil })
		Register(e, "go.healthy", func(_ context.Context, job *Job[any]) (any, error) {
			ran <- job.ID
			return nil, nil
		})
	})
	healthy, n := call(f, "go.healthy", nil), 0
	f.Fuzz(func(t *testing.T, data []byte, field, value, other, otherValue string, own bool) {
		if len(data)+len(field)+len(value)+len(other)+len(otherValue) > fuzzedInput {
			t.Skip("its size is a reason of its own for what it costs")
		}
		n++
		kind := map[bool]string{true: "go", false: "short"}[own]
		hostile, neighbour := fmt.Sprint("hostile-", n), fmt.Sprint("neighbour-", n)
		before := allocated()
		b.put(kind, hostile, data, map[string]string{field: value, other: otherValue})
		b.put(kind, neighbour, healthy, nil)
		waitRan(t, ran, neighbour)
		b.takeAway(kind, hostile)
		if used := allocated() - before; used > fuzzedMemory {
			t.Errorf("%d MB were allocated", used>>20)
		}
	})
}

// put writes a hash as somebody may who doesn't care what RQ writes, and its id.
func (b *bed) put(kind, id string, data []byte, fields map[string]string) {
	queue := b.bench.QueueName(kind)
	hash := map[string]any{"data": data, "origin": queue, "status": "queued", "created_at": "2026-01-02T03:04:05.000006Z", "timeout": "180"}
	for field, value := range fields {
		if field != "" {
			hash[field] = value
		}
	}
	_, err := b.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		p.HSet(context.Background(), rqcompat.JobKey(id), hash)
		p.RPush(context.Background(), rqcompat.QueueKey(queue), id)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// takeAway removes a job that may wait for ever, once it doesn't run.
func (b *bed) takeAway(kind, id string) {
	queue := b.bench.QueueName(kind)
	for range 1000 {
		if b.rdb.ZCard(context.Background(), rqcompat.WipKey(queue)).Val() == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.rdb.LRem(context.Background(), rqcompat.QueueKey(queue), 0, id)
	b.rdb.Del(context.Background(), rqcompat.JobKey(id))
}

func waitRan(t *testing.T, ran <-chan string, id string) {
	t.Helper()
	late := time.After(fuzzedPatience)
	for {
		select {
		case got := <-ran:
			if got == id {
				return
			}
		case <-late:
			t.Fatalf("a job behind it didn't run within %s", fuzzedPatience)
		}
	}
}

// allocated is how many bytes this process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// seedHashes adds calls of each kind, with what RQ writes beside them and what it doesn't.
func seedHashes(f *testing.F) {
	enqueued := call(f, frappe.ExecuteJob, envelope(testSite, "go.count", map[string]any{"organization": "ORG-A", "n": 1}))
	executor := call(f, frappe.ExecuteJob, envelope(testSite, frappe.Executor, map[string]any{"background_job_id": "JOB-2026-00001"}))
	for _, data := range [][]byte{enqueued, executor, call(f, "go.count", nil), []byte(`["go.count", null, [], {}]`), []byte("x\x9c\x01\xff"), nil} {
		f.Add(data, "timeout", "10000000000000", "retry_intervals", "[0, 5]", true)
		f.Add(data, "failure_callback_name", "app.failed", "status", "started", false)
	}
	// What is small in Redis and not in memory: copies of one tuple, lists of lists of one list.
	copies := "\x80\x04(cbuiltins\nlist\n" + strings.Repeat("N", 500_000) + "tq\x000](" + strings.Repeat("ccopyreg\n__newobj__\nh\x00R", 1000) + "e."
	laughs := "\x80\x04]q\x00" + strings.Repeat("]("+strings.Repeat("h\x00", 20)+"eq\x000", 20) + "h\x00."
	for _, payload := range []string{copies, laughs} {
		f.Add(deflated([]byte(payload)), "", "", "", "", true)
	}
	for field, value := range map[string]string{
		"created_at": "0000-01-01T00:00:00Z", "enqueued_at": "\xff", "result_ttl": "0", "failure_ttl": "-1", "ttl": "1", "retries_left": "3", "number_of_retries": "-1",
		"dependency_ids": `["a"]`, "dependency_id": "a", "allow_dependency_failures": "1", "enqueue_at_front": "1", "group_id": "g", "repeats_left": "9", "repeat_intervals": "[1]",
		"meta": "\x80\x05}.", "worker_name": "w", "started_at": "2026-01-02T03:04:05.000006Z", "origin": "other", "description": "\x00", "success_callback_timeout": "x",
		"exc_info": "x\x9c\x03\x00", "result": "\x80\x05N.", "webhooks": "[]", "bridge": "1",
	} {
		f.Add(enqueued, field, value, "retries_left", "1", true)
		f.Add(enqueued, field, value, "", "", false)
	}
}
