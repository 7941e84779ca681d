package sites

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestACacheThatIsAway is asked once, said once, and keeps no row; what it missed is removed when it answers again.
func TestACacheThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu      sync.Mutex
			asked   int
			away    = true
			removed []string
		)
		log, said := logged()
		d := &documents{log: log, remove: func(ctx context.Context, database string, names []string) error {
			mu.Lock()
			asked++
			silent := away
			mu.Unlock()
			if silent {
				<-ctx.Done()
				return ctx.Err()
			}
			mu.Lock()
			removed = append(removed, database+": "+strings.Join(names, " "))
			mu.Unlock()
			return nil
		}}
		begin := time.Now()
		for i := range 5 {
			d.forget(t.Context(), "a", []string{fmt.Sprint("JOB-", i)})
		}
		d.forget(t.Context(), "b", []string{"JOB-9"})
		took := time.Since(begin)
		mu.Lock()
		n := asked
		mu.Unlock()
		if took != cacheTime || n != 1 {
			t.Errorf("six batches waited %s for a cache that is asked %d times, want %s and once", took, n, cacheTime)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(said.String(), "document cache not invalidated"); n != 1 {
			t.Errorf("said %d times, want once:\n%s", n, said)
		}
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(3 * cachePause)
		synctest.Wait()
		d.forget(t.Context(), "a", []string{"JOB-10"})
		slices.Sort(removed)
		if want := []string{"a: JOB-0 JOB-1 JOB-2 JOB-3 JOB-4", "a: JOB-10", "b: JOB-9"}; !slices.Equal(removed, want) {
			t.Errorf("removed %q, want %q", removed, want)
		}
	})
}

func TestWhatACacheMissesIsBounded(t *testing.T) {
	d := &documents{away: true}
	for range 3 {
		d.forget(t.Context(), "a", make([]string, lateDocuments/2+1))
	}
	if n := len(d.late["a"]); n != lateDocuments || d.n != n {
		t.Errorf("%d names are remembered, counted %d, want %d", n, d.n, lateDocuments)
	}
}

// TestACacheThatSwallowsPackets takes connections and answers nothing.
func TestACacheThatSwallowsPackets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, dir := benchDir(t)
	write(t, filepath.Join(dir, "sites/common_site_config.json"), fmt.Sprintf(`{"redis_cache": "redis://%s"}`, l.Addr()))
	server, err := b.RedisCache()
	if err != nil {
		t.Fatal(err)
	}
	cache := server.Open()
	log, _ := logged()
	d := &documents{log: log, remove: func(ctx context.Context, database string, names []string) error {
		return rows.InvalidateDocument(ctx, cache, database, DocType, names...)
	}}
	begin := time.Now()
	d.forget(t.Context(), "a", []string{"JOB-1"})
	if took := time.Since(begin); took > 10*cacheTime || !d.away {
		t.Errorf("a batch of rows waited %s for it, away: %t, want %s", took, d.away, cacheTime)
	}
	if err := errors.Join(cache.Close()); err != nil {
		t.Error(err)
	}
}
