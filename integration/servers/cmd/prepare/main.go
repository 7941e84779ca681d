// Command prepare makes what tests and demo take from the cache, and prints what it made.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

func main() {
	err := servers.Prepare(context.Background(), func(what string, took time.Duration) {
		if took > 100*time.Millisecond {
			fmt.Printf("setup: made in %s: %s (%.1f s)\n", servers.CacheDir(), what, took.Seconds())
		}
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "setup: %v\n", err)
		os.Exit(1)
	}
}
