// Package memo keeps what was read for a short while.
package memo

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// most is how many values one Memo keeps; with one more it begins anew.
const most = 4096

// Memo keeps values by key. The zero Memo is ready. Safe for concurrent use.
type Memo[T any] struct {
	mu      sync.Mutex
	entries map[string]*entry[T]
}

type entry[T any] struct {
	loaded chan struct{} // closed when value and until stand
	value  T
	until  time.Time
}

// Get returns the value of a key and loads it if it is too old. One caller loads; others who want the same wait for it,
// no longer than their context lasts. What failed is not kept: whoever waited for it loads for itself.
func (m *Memo[T]) Get(ctx context.Context, key string, keep time.Duration, load func() (T, error)) (T, error) {
	var old *entry[T]
	for {
		m.mu.Lock()
		e := m.entries[key]
		if e == nil || e == old {
			if m.entries == nil || e == nil && len(m.entries) >= most {
				m.entries = map[string]*entry[T]{}
			}
			e = &entry[T]{loaded: make(chan struct{})}
			m.entries[key] = e
			m.mu.Unlock()
			return e.load(keep, load)
		}
		m.mu.Unlock()
		select {
		case <-e.loaded:
		default:
			select {
			case <-e.loaded:
			case <-ctx.Done():
				var zero T
				return zero, context.Cause(ctx)
			}
		}
		if time.Now().Before(e.until) {
			return e.value, nil
		}
		old = e
	}
}

// GetMany gives the values of several keys, and has those loaded together that are too old. What load leaves out isn't kept.
// Two callers who want the same at the same time both load it.
func (m *Memo[T]) GetMany(keys []string, keep time.Duration, load func(missing []string) (map[string]T, error)) (map[string]T, error) {
	found := make(map[string]T, len(keys))
	var missing []string
	m.mu.Lock()
	for _, key := range keys {
		if value, fresh := m.entries[key].fresh(); fresh {
			found[key] = value
		} else if !slices.Contains(missing, key) {
			missing = append(missing, key)
		}
	}
	m.mu.Unlock()
	if len(missing) == 0 {
		return found, nil
	}
	loaded, err := load(missing)
	if err != nil {
		return nil, err
	}
	maps.Copy(found, loaded)
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, value := range loaded {
		if m.entries == nil || len(m.entries) >= most {
			m.entries = map[string]*entry[T]{}
		}
		e := &entry[T]{loaded: make(chan struct{}), value: value, until: time.Now().Add(keep)}
		close(e.loaded)
		m.entries[key] = e
	}
	return found, nil
}

// fresh gives the value if it is loaded and not too old.
func (e *entry[T]) fresh() (value T, ok bool) {
	if e == nil {
		return value, false
	}
	select {
	case <-e.loaded:
		return e.value, time.Now().Before(e.until)
	default:
		return value, false
	}
}

func (e *entry[T]) load(keep time.Duration, load func() (T, error)) (T, error) {
	defer close(e.loaded)
	value, err := load()
	if err == nil {
		e.value, e.until = value, time.Now().Add(keep)
	}
	return value, err
}

// Forget makes the next Get of any key load.
func (m *Memo[T]) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = nil
}
