// Package wait has what loops wait with: a flag that is raised, a sleep, a tick, a backoff that speaks once, and a warning
// that comes seldom.
package wait

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"
)

// Flag wakes one loop. Raising it twice before the loop looks is the same as once. Make it with NewFlag.
type Flag chan struct{}

// NewFlag returns a flag that is down.
func NewFlag() Flag { return make(Flag, 1) }

// Raise never blocks.
func (f Flag) Raise() {
	select {
	case f <- struct{}{}:
	default:
	}
}

// Wait takes the flag down as soon as it is up; false means that ctx ended first.
func (f Flag) Wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-f:
		return true
	}
}

// Within is Wait for d at most.
func (f Flag) Within(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f:
		return true
	}
	return false
}

// Sleep waits for d or the end of ctx.
func Sleep(ctx context.Context, d time.Duration) { Flag(nil).Within(ctx, d) }

// For waits until what was started in a group has ended, but for d at most; false means that something goes on. Whoever
// stops waits in this way: what was told to end may be stuck in what somebody else sent.
func For(g *sync.WaitGroup, d time.Duration) bool {
	ended, end := context.WithCancel(context.Background())
	go func() {
		g.Wait()
		end()
	}()
	Sleep(ended, d)
	return ended.Err() != nil
}

// Every calls do again and again, the first time after d, until ctx ends.
func Every(ctx context.Context, d time.Duration, do func(now time.Time)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			do(now)
		}
	}
}

// Backoff slows down what fails again and again, from 50 ms on, and says when it begins and when it is over.
type Backoff struct {
	Log *slog.Logger
	// What is the log line of the first failure.
	What string
	// Most is the longest pause; 0 is 5 s.
	Most time.Duration

	pause time.Duration
	since time.Time
	times int
}

// Failed logs the first failure in a row and waits. It does nothing once ctx has ended.
func (b *Backoff) Failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if b.pause == 0 {
		b.Log.Error(b.What, "error", err)
		b.since, b.times = time.Now(), 0
	}
	b.times++
	b.pause = min(max(2*b.pause, 50*time.Millisecond), cmp.Or(b.Most, 5*time.Second))
	Sleep(ctx, b.pause)
}

// Succeeded ends a row of failures.
func (b *Backoff) Succeeded() {
	if b.pause > 0 {
		b.Log.Info(b.What+": over", "lasted", time.Since(b.since), "failures", b.times)
	}
	b.pause = 0
}

// seldom is how long the same is not said again.
const seldom = time.Minute

// Seldom warns of what happens again and again: at once, and then once a minute with how often it happened since. The zero
// value is ready; it is safe for concurrent use.
type Seldom struct {
	mu   sync.Mutex
	said map[string]*saying
}

type saying struct {
	at    time.Time
	times int
}

// Warn says msg about a subject, a site for instance.
func (s *Seldom) Warn(log *slog.Logger, msg, subject string, attrs ...any) {
	now := time.Now()
	s.mu.Lock()
	last := s.said[msg+subject]
	if last == nil {
		last = &saying{at: now.Add(-seldom)}
		if s.said == nil {
			s.said = map[string]*saying{}
		}
		s.said[msg+subject] = last
	}
	last.times++
	quiet, times := now.Sub(last.at) < seldom, last.times
	if !quiet {
		last.at, last.times = now, 0
	}
	s.mu.Unlock()
	switch {
	case quiet:
	case times > 1:
		log.Warn(msg, append(attrs, "times", times)...)
	default:
		log.Warn(msg, attrs...)
	}
}
