package policy

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// SuspensionPoll is how often it is looked what is suspended or paused, as RQ's workers do.
const SuspensionPoll = time.Second

// Suspension holds all jobs while RQ is suspended (`rq suspend`), and those of a queue that is paused for bridges. It
// remembers for a moment. Safe for concurrent use.
type Suspension struct {
	// Read asks Redis for both.
	Read func(context.Context) (suspended bool, paused []string, err error)
	Log  *slog.Logger

	mu        sync.Mutex
	checked   time.Time
	suspended bool
	paused    []string
}

// Ask answers Go or Wait, for all jobs.
func (s *Suspension) Ask(ctx context.Context) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look(ctx); s.suspended {
		return waitFor(SuspensionPoll, Suspended)
	}
	return Answer{}
}

// Suspended tells a person why nobody takes jobs.
const Suspended = "RQ is suspended: no worker takes jobs, Python's neither (bridge resume or rq resume ends that)"

// Paused reports whether nothing is to be taken from a queue.
func (s *Suspension) Paused(ctx context.Context, queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(ctx)
	return slices.Contains(s.paused, queue)
}

// look asks Redis again if the last answer is old. After an error the answer is the last one: the claim will say what is
// wrong. It needs mu.
func (s *Suspension) look(ctx context.Context) {
	if time.Since(s.checked) < SuspensionPoll {
		return
	}
	suspended, paused, err := s.Read(ctx)
	if err != nil {
		return
	}
	if suspended != s.suspended {
		s.Log.Info("rq suspension changed", "suspended", suspended)
	}
	if !slices.Equal(paused, s.paused) {
		s.Log.Info("paused queues changed", "paused", paused)
	}
	s.suspended, s.paused, s.checked = suspended, paused, time.Now()
}
