package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// completeMark is written last into a cached directory. A directory without it is left over from a build that was
// interrupted, and is made again.
const completeMark = ".complete"

const cacheVariable = "BRIDGE_CACHE"

// CacheDir is where things that are expensive to make are kept between runs: $BRIDGE_CACHE, else dartwing-bridge in
// the user's cache directory, else a directory of this user under the temporary directory. It may be removed at any
// time when nothing runs.
func CacheDir() string {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "dartwing-bridge")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dartwing-bridge-%d", os.Getuid()))
}

// cached returns the cache directory of that name, after build filled it if no earlier run did. build works in the
// final place, because Python environments and Node's links hold absolute paths; a lock keeps others away meanwhile.
func cached(ctx context.Context, name string, build func(dir string) error) (string, error) {
	root, err := filepath.Abs(CacheDir())
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	dir := filepath.Join(root, name)
	if isComplete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("create the cache directory (set BRIDGE_CACHE to another one): %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isComplete(dir) {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear an unfinished cache entry: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create a cache entry: %w", err)
	}
	if err := build(dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.WriteFile(filepath.Join(dir, completeMark), nil, 0o644); err != nil {
		return "", fmt.Errorf("complete a cache entry: %w", err)
	}
	return dir, nil
}

func isComplete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, completeMark))
	return err == nil
}

// lockFile waits for the exclusive lock on path. The kernel drops it with the process, so a crash leaves none behind.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache lock: %w", err)
	}
	for {
		// Not the blocking form: it could not be given up when ctx ends.
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the process that holds %s: %w", path, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// cacheKey is a short name for the given inputs, so that a change of any of them makes a new cache entry.
func cacheKey(inputs ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(inputs, "\x00")))
	return hex.EncodeToString(sum[:6])
}
