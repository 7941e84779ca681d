package servers_test

import (
	"context"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestSentinelReplacesAMaster, which then is a replica of the new one, with all that was written.
func TestSentinelReplacesAMaster(t *testing.T) {
	t.Parallel()
	s := servertest.Sentinel(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	former, err := s.Master(ctx)
	if err != nil || former != s.Servers[0] {
		t.Fatalf("at the start %v is master: %v", former, err)
	}
	rdb := client(t, former)
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := rdb.Wait(ctx, 2, time.Second).Val(); n != 2 {
		t.Fatalf("%d replicas follow, want 2", n)
	}
	if err := s.Failover(ctx); err != nil {
		t.Fatal(err)
	}
	next, err := s.NextMaster(ctx, former)
	if err != nil {
		t.Fatal(err)
	}
	if got := client(t, next).Get(ctx, "k").Val(); got != "v" {
		t.Errorf("the new master has %q", got)
	}
	for {
		role, err := rdb.Do(ctx, "ROLE").Slice()
		if err == nil && role[0] == "slave" {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the former master is %v: %v", role, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
