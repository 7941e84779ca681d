package policy

import (
	"context"
	"log/slog"
	"time"
)

// suspensionPoll is how often rq:suspended is looked at, as RQ's workers do.
const suspensionPoll = time.Second

// Suspension holds all jobs while RQ is suspended (`rq suspend`); it remembers for a moment. Used by one goroutine.
type Suspension struct {
	// Suspended asks Redis.
	Suspended func(context.Context) (bool, error)
	Log       *slog.Logger

	checked time.Time
	on      bool
}

// Ask answers Go or Wait.
func (s *Suspension) Ask(ctx context.Context) Answer {
	if time.Since(s.checked) >= suspensionPoll {
		// After an error the answer is the last one: the claim will say what is wrong.
		if on, err := s.Suspended(ctx); err == nil {
			if on != s.on {
				s.Log.Info("rq suspension changed", "suspended", on)
			}
			s.on, s.checked = on, time.Now()
		}
	}
	if s.on {
		return waitFor(suspensionPoll, "RQ is suspended (rq resume ends that)")
	}
	return Answer{}
}
