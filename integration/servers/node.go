package servers

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/opensoft/dartwing-bridge/testdata/realtime"
)

// nodeModules returns a directory with the realtime server's scripts and the modules they import. They stand side by
// side in the cache, because that is where Node looks for what a script imports, and the source may be read-only.
func nodeModules(ctx context.Context) (dir, node string, err error) {
	if node, err = lookPath("node"); err != nil {
		return "", "", err
	}
	build, err := identity(node)
	if err != nil {
		return "", "", err
	}
	key := []string{build}
	files, err := fs.Glob(realtime.Source, "*")
	if err != nil {
		return "", "", fmt.Errorf("list the realtime sources: %w", err)
	}
	for _, file := range files {
		content, err := fs.ReadFile(realtime.Source, file)
		if err != nil {
			return "", "", fmt.Errorf("read the realtime sources: %w", err)
		}
		key = append(key, file, string(content))
	}
	dir, err = cached(ctx, "realtime-"+cacheKey(key...), func(dir string) error {
		npm, err := lookPath("npm")
		if err != nil {
			return err
		}
		if err := os.CopyFS(dir, realtime.Source); err != nil {
			return fmt.Errorf("copy the realtime sources: %w", err)
		}
		return runQuietly(ctx, dir, npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	return dir, node, err
}
