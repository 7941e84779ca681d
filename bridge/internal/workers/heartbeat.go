package workers

import (
	"context"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// Interval is how often records get a heartbeat; RQ expects one within recordTTL.
	Interval  = 15 * time.Second
	recordTTL = 90 * time.Second
	// slotIdle is how long a slot keeps its worker record without work.
	slotIdle = time.Minute
)

// Records is what a heartbeat does in Redis.
type Records interface {
	Heartbeat(ctx context.Context, ws []*rqcompat.Worker, ttl time.Duration) error
	Deregister(ctx context.Context, ws []*rqcompat.Worker) error
}

// Heartbeat keeps the records of idle slots alive and removes those that have been idle for long. One stays, so that
// RQ's tools see that the queues are worked; busy tells that a running job shows that already.
func (s *Slots) Heartbeat(ctx context.Context, rq Records, busy bool, log *slog.Logger) {
	warm, cold := s.retire(time.Now().Add(-slotIdle), 1)
	if len(warm) == 0 && !busy {
		warm = s.first()
	}
	if err := rq.Heartbeat(ctx, warm, recordTTL); err != nil {
		log.Warn("worker records not renewed", "error", err)
	}
	if err := rq.Deregister(ctx, cold); err != nil {
		log.Warn("idle worker records not removed", "error", err)
	}
}

// Leave takes this process out of RQ's view.
func (s *Slots) Leave(ctx context.Context, rq Records) error { return rq.Deregister(ctx, s.records()) }
