package frappe_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

func queueOf(t *testing.T, url string, common map[string]any) *frappe.Redis {
	t.Helper()
	dir := t.TempDir()
	if err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: url, Common: common}); err != nil {
		t.Fatal(err)
	}
	b, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.RedisQueue()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNobodyStaysWithAReplica: a master that becomes a replica keeps its connections; one refusal ends all of them, whether it
// came in a pipeline or a script, and new ones are refused with Redis's own words until it is a master again.
func TestNobodyStaysWithAReplica(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(c redis.UniversalClient) error{
		"command": func(c redis.UniversalClient) error { return c.Set(t.Context(), "k", 1, 0).Err() },
		"script": func(c redis.UniversalClient) error {
			return c.Eval(t.Context(), "return redis.call('SET', 'k', 1)", nil).Err()
		},
		"pipeline": func(c redis.UniversalClient) error {
			var set *redis.StatusCmd
			_, _ = c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				p.Get(t.Context(), "k") // which a replica answers
				set = p.Set(t.Context(), "k", 1, 0)
				return nil
			})
			return set.Err()
		},
		"transaction": func(c redis.UniversalClient) error {
			var set *redis.StatusCmd
			_, _ = c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
				set = p.Set(t.Context(), "k", 1, 0)
				return nil
			})
			return set.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, other := servertest.Redis(t), servertest.Redis(t)
			direct := redis.NewClient(&redis.Options{Addr: master.Addr, ClientName: "direct"})
			defer direct.Close()
			c := queueOf(t, master.URL(), nil).Open()
			defer c.Close()
			sub := c.Subscribe(t.Context(), "events")
			defer sub.Close()
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := write(c); err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(other.Addr)
			if err := direct.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
				t.Fatal(err)
			}
			// Until it knows its master, it refuses nothing but writes.
			if err := write(c); err == nil || !strings.Contains(err.Error(), "READONLY") {
				t.Fatalf("a write to a replica: %v", err)
			}
			if _, err := sub.ReceiveTimeout(t.Context(), 2*time.Second); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("the subscription stays with the replica: %v", err)
			}
			if err := c.Ping(t.Context()).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY this server is a replica of "+host+":"+port) {
				t.Errorf("a new connection: %v", err)
			}
			if err := direct.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
			if err := write(c); err != nil {
				t.Errorf("a master again: %v", err)
			}
		})
	}
}

// TestSentinelsThatAreOfNoUse: what is wrong is said, and "no such service" is not taken for "no such key".
func TestSentinelsThatAreOfNoUse(t *testing.T) {
	t.Parallel()
	s := servertest.Sentinel(t)
	config := s.Config()
	config["redis_queue_master_service"] = "misspelt"
	gone := s.Config()
	gone["redis_queue_sentinels"] = []string{"127.0.0.1:1", "127.0.0.1:2"}
	one := s.Config() // of three, two are gone
	one["redis_queue_sentinels"] = []string{"127.0.0.1:1", "127.0.0.1:2", s.Addrs[0]}
	for name, tc := range map[string]struct {
		config map[string]any
		want   string
	}{
		"service": {config, `watches no service "misspelt"`},
		"away":    {gone, `no sentinel names the master of "frappe" (2 asked): sentinel 127.0.0.1:`},
		"one":     {one, ""},
	} {
		c := queueOf(t, "", tc.config).Open()
		err := c.Get(t.Context(), "k").Err()
		_ = c.Close()
		switch {
		case tc.want == "" && err != redis.Nil:
			t.Errorf("%s: %v", name, err)
		case tc.want != "" && (err == nil || err == redis.Nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), redis.Nil.Error())):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
