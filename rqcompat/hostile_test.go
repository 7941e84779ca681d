package rqcompat_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/opensoft/dartwing-bridge/testdata/hostile"
)

// TestHostileCallsCostLittle: whatever somebody enqueues is decoded, or refused, within 200 ms and 64 MiB, and so it is
// converted and described.
func TestHostileCallsCostLittle(t *testing.T) {
	const (
		most = 5 * 200 * time.Millisecond // on a machine that has other things to do
		peak = 2 * 64 << 20               // for not everything that was given up is collected at once
	)
	every := 25 // all of them take a minute
	if race {
		every = 200 // and many with the race detector
	}
	if os.Getenv("BRIDGE_TEST_HOSTILE") == "all" {
		every = 1
	}
	for _, c := range hostile.Every(every, "hostile.run") {
		var call *rqcompat.Call
		decode := func() { call, _ = (&rqcompat.Job{Data: c.Data}).Call() }
		took, made := spent(decode)
		// What was made in all bounds what was there at a time.
		if made > peak {
			made = live(decode)
		}
		if took > most && !race || made > peak {
			t.Errorf("%s: decoding takes %v and %d MiB", c.Name, took, made>>20)
		}
		if call == nil {
			continue
		}
		arguments := &pickle.Tuple{Items: []any{call.Kwargs, &pickle.List{Items: call.Args}}}
		before := heap()
		arguments, call.Args, call.Kwargs = nil, nil, nil
		if kept := before - heap(); kept > int64(call.Memory)+4<<20 {
			t.Errorf("%s: a call takes %d MiB, and %d MiB are named", c.Name, kept>>20, call.Memory>>20)
		}
		decode()
		arguments = &pickle.Tuple{Items: []any{call.Kwargs, &pickle.List{Items: call.Args}}}
		for what, do := range map[string]func(){
			"measuring": func() { _, _ = pickle.Limits{}.Measure(arguments) }, "JSON": func() { _, _, _ = pickle.Limits{}.JSON(arguments) },
			"JSON for people": func() { pickle.JSON(arguments) }, "a description": func() { call.Description() },
		} {
			took, made := spent(do)
			if made > peak {
				made = live(do)
			}
			if took > most && !race || made > peak {
				t.Errorf("%s: %s takes %v and %d MiB", c.Name, what, took, made>>20)
			}
		}
	}
}

// spent is the time of the processor and the memory that do takes in all.
func spent(do func()) (took time.Duration, made uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processor()
	do()
	took = processor() - start
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

func processor() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// live is the most memory that was in use while do ran, beside what was before.
func live(do func()) (most uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	before := heap()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		select {
		case <-done:
			return uint64(max(0, int64(most)-before))
		default:
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			runtime.Gosched()
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
