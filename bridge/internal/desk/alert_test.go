package desk

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestManyDeadLettersAreToldOfOnce for all processes, and again only after they were fewer.
func TestManyDeadLettersAreToldOfOnce(t *testing.T) {
	r := servertest.Redis(t)
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	var (
		mu   sync.Mutex
		said []string
		log  strings.Builder
		dead int
	)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
	}
	process := func() *Alert {
		return NewAlert(AlertParams{
			Threshold: 3, Role: "Operator", Told: Told{rdb},
			Count: func(_ context.Context, _, _ string, most int) (int, error) { return min(dead, most), nil },
			InRole: func(_ context.Context, _, role, organization string) ([]string, error) {
				return []string{"jane", "joe"}, nil
			},
			Write: func(_ context.Context, _ string, ns []rows.Notification) ([]string, error) {
				say("bell of %d: %s %q", len(ns), ns[0].Text, ns[0].Args)
				return []string{"jane"}, nil
			},
			Publish: func(_ context.Context, events ...realtime.Event) error {
				for _, e := range events {
					say("%s to %q", e.Name, e.Rooms)
				}
				return nil
			},
			Tenant: func(context.Context, string) string { return "Organization" },
			Now:    func(context.Context, string) string { return "now" },
			Log:    slog.New(slog.NewTextHandler(&log, nil)),
		})
	}
	first, second := process(), process()
	dies := func(n int) {
		t.Helper()
		dead = n
		for _, a := range []*Alert{first, second} {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // what waits is told of before it ends
			a.Moved(sites.Moved{Subject: sites.Subject{Site: "a.test", Organization: "ORG-1"}, To: rows.StatusDeadLetter})
			a.Moved(sites.Moved{Subject: sites.Subject{Site: "a.test", Organization: "ORG-1"}, To: rows.StatusCompleted})
			a.Run(ctx)
		}
	}
	want := []string{
		`bell of 2: {0} has {1} dead letters ["ORG-1" "3"]`,
		`job_dead_letters to ["org:ORG-1" "doc:Organization/ORG-1" "user:jane" "user:joe"]`,
		`notification to ["user:jane"]`,
	}
	dies(2)
	if said != nil {
		t.Errorf("too few, and it says %q", said)
	}
	dies(3)
	dies(4)
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(log.String(), "reached the threshold"); n != 1 {
		t.Errorf("the log warns %d times:\n%s", n, log.String())
	}
	said = nil
	dies(1) // somebody has retried the others
	dies(5)
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("after they were fewer: %s", diff)
	}
}
