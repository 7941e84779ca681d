package frappe

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// lines is a logger of go-redis, as a program that embeds this package may have set it.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) Printf(_ context.Context, format string, v ...any) {
	l.mu.Lock()
	l.said = append(l.said, fmt.Sprintf(format, v...))
	l.mu.Unlock()
}

// TestARedisThatIsAwayIsSaidOnlyByErrors: what go-redis logs belongs to the whole process.
func TestARedisThatIsAwayIsSaidOnlyByErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites/common_site_config.json"), `{"redis_queue": "redis://127.0.0.1:1", "redis_cache": "unix://`+dir+`/none.sock"}`)
	b, err := OpenBench(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var l lines
	redis.SetLogger(&l)
	for name, options := range map[string]func() (*Redis, error){"127.0.0.1:1": b.RedisQueue, "none.sock": b.RedisCache} {
		o, err := options()
		if err != nil {
			t.Fatal(err)
		}
		c := o.Open()
		begin := time.Now()
		for range 30 {
			err = c.Ping(t.Context()).Err()
		}
		if !(errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %q, want that it is refused, and where", name, err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("%s: thirty refusals took %s", name, took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) > 0 {
		t.Errorf("go-redis logged %d lines, such as %q", len(l.said), l.said[0])
	}
}
