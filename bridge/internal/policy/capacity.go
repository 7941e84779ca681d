package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrQueueFull says that as many jobs of the organization wait as may. Package bridge publishes it.
var ErrQueueFull = errors.New("queue full")

const (
	// countKept is how long a count of waiting jobs counts, with what this process has submitted since; fullKept the same where
	// nothing was free: somebody waits for a place.
	countKept, fullKept = time.Second, 100 * time.Millisecond
	// maxCounts is how many organizations' counts are kept.
	maxCounts = 10_000
)

// counts are how many jobs of organizations wait. The zero counts are ready.
type counts struct {
	mu sync.Mutex
	of map[tenant]*count
}

type tenant struct{ site, organization string }

// count is what was counted, and what was submitted here since.
type count struct {
	at            time.Time
	counted, here int
}

// waiting is how many jobs of an organization wait, counted up to most.
func (l *Limits) waiting(ctx context.Context, who tenant, most int) (int, error) {
	l.counts.mu.Lock()
	if c := l.counts.of[who]; c != nil {
		n, age := c.counted+c.here, time.Since(c.at)
		if age < fullKept || n < l.QueueLimit && age < countKept {
			l.counts.mu.Unlock()
			return n, nil
		}
	}
	l.counts.mu.Unlock()
	n, err := l.Count(ctx, who.site, who.organization, most)
	if err != nil {
		return 0, err
	}
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if l.counts.of == nil || len(l.counts.of) >= maxCounts {
		l.counts.of = map[tenant]*count{}
	}
	l.counts.of[who] = &count{at: time.Now(), counted: n}
	return n, nil
}

// add takes down what was submitted, or given back, since it was counted.
func (l *Limits) add(who tenant, n int) {
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if c := l.counts.of[who]; c != nil {
		c.here += n
	}
}

// capacity refuses those of an organization's submissions for which nothing is free. One that is a row already is counted.
func (l *Limits) capacity(ctx context.Context, who tenant, of []*Submission) error {
	if l.QueueLimit <= 0 {
		return nil
	}
	n, err := l.waiting(ctx, who, l.QueueLimit+1)
	if err != nil {
		return err
	}
	free := l.QueueLimit - n
	for _, s := range of {
		if s.IsRow {
			if free < 0 {
				s.Err = l.full(who)
			}
			continue
		}
		if free <= 0 {
			s.Err = l.full(who)
			continue
		}
		free, s.counted = free-1, true
		l.add(who, 1)
	}
	return nil
}

func (l *Limits) full(who tenant) error {
	return fmt.Errorf("site %s: %w: %d jobs of organization %s wait already, which is bridge.queue_limit; try again when some have ended",
		who.site, ErrQueueFull, l.QueueLimit, who.organization)
}
