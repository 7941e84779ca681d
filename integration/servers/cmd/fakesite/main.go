// Command fakesite serves users of sites that exist nowhere else, for trying the realtime server without a bench:
//
//	fakesite 127.0.0.1:8000 users.json
//
// The file has, for each site, a list of users: {"site1": [{"name": "jane@example.com", "sid": "jane", "read": ["*"]}]}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "fakesite: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("got %d arguments, want an address and a file of users", len(args))
	}
	b, err := os.ReadFile(args[1])
	if err != nil {
		return fmt.Errorf("read the users: %w", err)
	}
	var sites map[string][]servers.SiteUser
	if err := json.Unmarshal(b, &sites); err != nil {
		return fmt.Errorf("read the users in %s: %w", args[1], err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := servers.ListenFakeSite(args[0], sites)
	if err != nil {
		return err
	}
	fmt.Printf("fakesite serves %d sites on %s\n", len(sites), f.URL)
	return f.Wait(ctx)
}
