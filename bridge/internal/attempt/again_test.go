package attempt

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestAJobThatIsReadAgain: its lease is held meanwhile, and it runs as what was read.
func TestAJobThatIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		slot := h.slots.Take(1)[0]
		lease := rqcompat.Lease{Queue: "b:go", ID: "plain-1", Worker: slot.Worker.Name, StartedAt: time.Now()}
		outline := &job.Queued{Queue: job.Queue{Name: "b:go"}, ID: "plain-1", Method: "old"}
		h.Start(t.Context(), t.Context(), outline, func(context.Context) *job.Queued {
			time.Sleep(time.Second)
			if !h.Holds(lease.Worker) {
				t.Error("nobody holds a claimed job while it is read again")
			}
			return plain(nil)
		}, slot, lease)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		h.wantStory(t, "a job that is read again", "rq finished", "ended finished")
		if len(h.ends) != 1 || h.ends[0].info.Method != "go.plain" || h.ends[0].info.User != "jane@example.com" {
			t.Errorf("it ended as %+v, want what was read", h.ends)
		}
		h.wantFree(t)
	})
}

// TestAJobThatIsNotOursAnyMore goes back to its queue.
func TestAJobThatIsNotOursAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		slot := h.slots.Take(1)[0]
		h.Start(t.Context(), t.Context(), &job.Queued{ID: "plain-1"}, func(context.Context) *job.Queued { return nil }, slot,
			rqcompat.Lease{Queue: "b:go", ID: "plain-1", Worker: slot.Worker.Name, StartedAt: time.Now()})
		synctest.Wait()
		h.wantStory(t, "a job that isn't ours any more", "rq given back")
		h.wantFree(t)
	})
}
