package servers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCachedBuildsOnce(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	var builds atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cached(t.Context(), "x", func(dir string) error {
				builds.Add(1)
				time.Sleep(100 * time.Millisecond)
				return os.WriteFile(filepath.Join(dir, "f"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "f")); err != nil {
				t.Errorf("handed out before it was complete: %v", err)
			}
		})
	}
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times, want 1", n)
	}
}

func TestCachedForgetsWhatDidNotComplete(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	boom := errors.New("boom")
	if _, err := cached(t.Context(), "x", func(string) error { return boom }); !errors.Is(err, boom) {
		t.Fatalf("error = %v, want boom", err)
	}
	// What a killed build leaves: files, but no mark.
	stale := filepath.Join(CacheDir(), "x", "stale")
	if err := errors.Join(os.Mkdir(filepath.Dir(stale), 0o755), os.WriteFile(stale, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := cached(t.Context(), "x", func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file of the interrupted build is still there: %v", err)
	}
}

func TestCachedGivesUpWaitingWithItsContext(t *testing.T) {
	t.Setenv("BRIDGE_CACHE", t.TempDir())
	unlock, err := lockFile(t.Context(), filepath.Join(CacheDir(), "x.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := cached(ctx, "x", func(string) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want DeadlineExceeded", err)
	}
}

func TestFreePortIsBelowTheOutgoingRange(t *testing.T) {
	for range 100 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < 10000 || port >= ephemeralStart() {
			t.Fatalf("port %d is not in 10000 to %d", port, ephemeralStart()-1)
		}
	}
}
