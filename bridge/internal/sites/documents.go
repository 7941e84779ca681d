package sites

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// cacheTime is how long a batch of rows waits for redis_cache.
	cacheTime = 200 * time.Millisecond
	// cachePause is how long a cache that gave no answer is left alone.
	cachePause = 3 * time.Second
	// lateDocuments is how many rows are remembered meanwhile.
	lateDocuments = 10_000
)

// documents removes rows from Frappe's document caches, which show the old ones else, in v15 for ever. A cache that is
// away keeps no batch of rows: what it missed is removed when it answers again.
type documents struct {
	remove func(ctx context.Context, database string, names []string) error
	log    *slog.Logger

	mu   sync.Mutex
	away bool
	late map[string][]string // names by database
	n    int                 // of late
}

// forget removes documents, or remembers them.
func (d *documents) forget(ctx context.Context, database string, names []string) {
	d.mu.Lock()
	away := d.away
	if away {
		d.put(database, names)
	}
	d.mu.Unlock()
	if away {
		return
	}
	err := d.within(ctx, cacheTime, database, names)
	if err == nil {
		return
	}
	d.mu.Lock()
	first := !d.away
	d.away = true
	d.put(database, names)
	d.mu.Unlock()
	if first {
		d.log.Warn("document cache not invalidated; Frappe code may see old rows until redis_cache answers again", "error", err)
		time.AfterFunc(cachePause, d.again)
	}
}

// put needs d.mu.
func (d *documents) put(database string, names []string) {
	names = names[:min(len(names), lateDocuments-d.n)]
	if d.late == nil {
		d.late = map[string][]string{}
	}
	d.late[database] = append(d.late[database], names...)
	d.n += len(names)
}

func (d *documents) within(ctx context.Context, limit time.Duration, database string, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return d.remove(ctx, database, names)
}

// again removes what was remembered, and comes back if the cache is still away.
func (d *documents) again() {
	for {
		d.mu.Lock()
		late := d.late
		d.late, d.n = nil, 0
		d.away = len(late) > 0
		d.mu.Unlock()
		if len(late) == 0 {
			d.log.Info("document cache is invalidated again")
			return
		}
		for database, names := range late {
			err := d.within(context.Background(), cachePause, database, names)
			if errors.Is(err, redis.ErrClosed) {
				return // the engine has stopped
			}
			if err == nil {
				delete(late, database)
			}
		}
		if len(late) > 0 {
			d.mu.Lock()
			for database, names := range late {
				d.put(database, slices.Clone(names))
			}
			d.mu.Unlock()
			time.AfterFunc(cachePause, d.again)
			return
		}
	}
}
