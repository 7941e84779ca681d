package bridge

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// waitingJobs is how many jobs TestWaitingCostsLittle has; BRIDGE_TEST_WAITING_JOBS asks for more.
const waitingJobs = 2000

// TestWaitingCostsLittle: jobs with a thousand rows of parameters each wait in less than a tenth of the memory that one of
// them takes as it is decoded, the copy of the queue and all. When they may run they have their parameters.
func TestWaitingCostsLittle(t *testing.T) { // not parallel: it measures the process
	const most = 1500 // bytes a job
	jobs := waitingJobs
	if n, err := strconv.Atoi(os.Getenv("BRIDGE_TEST_WAITING_JOBS")); err == nil {
		jobs = n
	}
	b := newBed(t, map[string]any{"queues": []string{"go"}, "shared_queues": []string{}, "concurrency": 20})
	if err := b.client().RQ().Suspend(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ran := make(chan int, jobs)
	r := b.start(func(e *Engine) {
		Register(e, "go.rows", func(_ context.Context, j *Job[struct{ Rows []map[string]any }]) (any, error) {
			ran <- len(j.Params.Rows)
			return nil, nil
		})
	})
	<-r.Connected()
	before := heapInUse()
	data := rowsCall(t, 1000)
	queue := b.bench.QueueName("go")
	for ids := range slices.Chunk(sequence(jobs), 500) {
		if _, err := b.rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, i := range ids {
				id := fmt.Sprintf("%s::%036d", testSite, i)
				p.HSet(t.Context(), rqcompat.JobKey(id), "data", data, "status", "queued", "origin", queue, "created_at", rqcompat.FormatTime(time.Now()))
				p.RPush(t.Context(), rqcompat.QueueKey(queue), id)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	b.within(time.Duration(jobs)*10*time.Millisecond+time.Minute, "all jobs wait",
		func() bool { return r.Stats().Waiting == jobs }, func() string { return fmt.Sprintf("%+v", r.Stats()) })
	each := (heapInUse() - before) / jobs
	t.Logf("%d jobs of %d bytes in Redis wait in %d bytes each; the process has %s, and had %s at most",
		jobs, len(data), each, resident("VmRSS:"), resident("VmHWM:"))
	if each > most {
		t.Errorf("a waiting job takes %d bytes, want at most %d", each, most)
	}
	if err := b.client().RQ().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if rows := <-ran; rows != 1000 {
			t.Fatalf("a job ran with %d rows, want 1000", rows)
		}
	}
}

// rowsCall is the call of a job with so many rows of parameters.
func rowsCall(t *testing.T, n int) []byte {
	rows := make([]any, n)
	for i := range rows {
		rows[i] = map[string]any{"item_code": fmt.Sprint("ITEM-", i), "qty": i % 97, "rate": float64(i) / 4}
	}
	return call(t, "go.rows", map[string]any{"rows": rows})
}

func sequence(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func heapInUse() int {
	runtime.GC()
	runtime.GC() // what was in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// resident is the memory that the system says this process has, or had at most.
func resident(field string) string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown memory"
}
