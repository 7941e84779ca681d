package bridge

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// decodeOr decodes calls, but for those with a description, of which it does odd.
func decodeOr(odd func()) func(*rqcompat.Job, pickle.Limits) (*rqcompat.Call, error) {
	return func(j *rqcompat.Job, _ pickle.Limits) (*rqcompat.Call, error) {
		if j.Description == "odd" {
			odd()
		}
		return j.Call()
	}
}

// odd enqueues a job that decodeOr meets.
func (b *bed) odd(kind, id string) string {
	b.t.Helper()
	return b.raw(kind, id, call(b.t, "go.fine", nil), map[string]string{"description": "odd"})
}

// TestADecoderThatNeverReturnsKeepsNobody, neither other jobs nor the stop. The job is refused, or left to Python.
func TestADecoderThatNeverReturnsKeepsNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"queues": []string{"go"}, "shared_queues": []string{"short"}})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	b.cfg.decode = decodeOr(func() { <-release })
	b.cfg.pace = fastPace
	b.cfg.pace.patience = time.Second
	var fine []string
	for i := range 5 {
		b.odd("short", fmt.Sprint("short-", i))
		fine = append(fine, b.raw("short", "", call(t, "go.fine", nil), nil))
	}
	own := b.odd("go", "own")
	fine = append(fine, b.plain("go.fine"))
	r := b.start(registerFine)
	for _, id := range fine {
		b.waitJob(id, rqcompat.StatusFinished)
	}
	b.waitJob(own, rqcompat.StatusFailed)
	if exc := b.lastExc(own); !strings.Contains(exc, "decoding it doesn't end within 1s") {
		t.Errorf("an own queue's job failed with %q", exc)
	}
	begin := time.Now()
	if err := r.stop(); err != nil || time.Since(begin) > 20*time.Second {
		t.Errorf("the stop took %s: %v", time.Since(begin), err)
	}
	for i := range 5 {
		b.waitJob(fmt.Sprint("short-", i), rqcompat.StatusQueued)
	}
	if n, err := b.client().RQ().QueueIDs(t.Context(), b.bench.QueueName("short"), 0, -1); err != nil || len(n) != 5 || n[0] != "short-0" || n[4] != "short-4" {
		t.Errorf("left to Python are %v, %v, want all five in order", n, err)
	}
}

// deadly is the decoder of worker processes: it kills them.
var deadly = decodeOr(func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })

// TestACallThatKillsWhoReadsIt is left alone after the third death; others run.
func TestACallThatKillsWhoReadsIt(t *testing.T) {
	for kind, end := range map[string]rqcompat.Status{"go": rqcompat.StatusFailed, "short": rqcompat.StatusQueued} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"queues": []string{"go"}, "shared_queues": []string{"short"}, "lease": 1})
			b.cfg.pace = fastPace
			text := make([]byte, 100<<10) // large enough to be looked at alone
			_, _ = rand.Read(text)
			killer := b.raw(kind, "killer", call(t, "go.fine", map[string]any{"text": text}), map[string]string{"description": "odd"})
			fine := []string{b.raw(kind, "", call(t, "go.fine", nil), nil), b.plain("go.fine")}
			for i := range 3 {
				b.workerDies(60*time.Second, func() string { return fmt.Sprintf("worker %d still lives", i+1) })
				for _, process := range b.rdb.ZRange(t.Context(), rqcompat.ReadingKey(killer), 0, -1).Val() {
					b.rdb.ZIncrBy(t.Context(), rqcompat.ReadingKey(killer), -31_000, process) // 31 s go by
				}
			}
			b.cfg.decode = decodeOr(func() { t.Error("it is read a fourth time") })
			log := b.capture()
			b.start(registerFine)
			for _, id := range fine {
				b.waitJob(id, rqcompat.StatusFinished)
			}
			b.eventually("the log tells of it", func() bool { return strings.Contains(log.String(), "killed the process that read it 3 times") }, log.String)
			b.waitJob(killer, end)
			if kind != "go" {
				return
			}
			if exc := b.lastExc(killer); !strings.Contains(exc, "killed the process that read it 3 times") {
				t.Errorf("it failed with %q", exc)
			}
		})
	}
}
