package bridge

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// benchWith opens a bench whose configuration has the given key "bridge".
func benchWith(t *testing.T, bridge map[string]any) *frappe.Bench {
	t.Helper()
	dir := t.TempDir()
	if err := servers.NewBench(dir, servers.BenchConfig{Bridge: bridge, RedisQueue: "redis://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	b, err := frappe.OpenBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestLoadConfig(t *testing.T) {
	t.Setenv("BRIDGE_CONCURRENCY", "7")
	t.Setenv("BRIDGE_DEFAULT_ORGANIZATION", "ORG-1")
	b := benchWith(t, map[string]any{
		"concurrency": 3, "stop_timeout": "2m", "lease": 5, "weights": map[string]any{"ORG-1": 2},
		"retry":    map[string]any{"base": 0.5, "jitter": -1},
		"handlers": map[string]any{"export": map[string]any{"exec": map[string]any{"command": []string{"/bin/true"}}}},
	})
	c, err := LoadConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.Concurrency != 7 || c.DefaultOrganization != "ORG-1" {
		t.Errorf("the environment must win: %d, %q", c.Concurrency, c.DefaultOrganization)
	}
	if time.Duration(c.StopTimeout) != 2*time.Minute || time.Duration(c.Lease) != 5*time.Second || c.Weights["ORG-1"] != 2 {
		t.Errorf("durations and maps: %+v", c)
	}
	if p := c.Retry.policy(); p.Base != 500*time.Millisecond || p.Jitter != 0 || p.Max != 8*time.Second {
		t.Errorf("retry %+v", p)
	}
	if c = c.withDefaults(); len(c.Queues) != 1 || c.Queues[0] != "go" || len(c.SharedQueues) != 3 || c.validate() != nil {
		t.Errorf("defaults %+v: %v", c, c.validate())
	}
}

func TestBadConfigIsReportedByName(t *testing.T) {
	tests := []struct {
		name   string
		bridge map[string]any
		want   string
	}{
		{"mistyped key", map[string]any{"concurency": 3}, "did you mean bridge.concurrency?"},
		{"unknown key", map[string]any{"colour": 3}, "known keys: "},
		{"wrong type", map[string]any{"concurrency": "many"}, `bridge.concurrency: "many" where a whole number is wanted; it comes from`},
		{"wrong inner type", map[string]any{"retry": map[string]any{"jitter": "some"}}, `bridge.retry: string at "jitter" where a number is wanted`},
		{"negative duration", map[string]any{"stop_timeout": "-5s"}, `"-5s" is no duration`},
		{"no number", map[string]any{"stop_timeout": "NaN"}, `"NaN" is no duration`},
		{"unknown inner key", map[string]any{"retry": map[string]any{"bse": 1}}, `unknown field "bse"`},
		{"bad duration", map[string]any{"lease": "soon"}, "is no duration"},
		{"lease too long", map[string]any{"lease": 60}, "bridge.lease is 1m0s"},
		{"unknown queue", map[string]any{"queues": []string{"og"}}, `queue "og" is not one of the bench's`},
		{"listed twice", map[string]any{"queues": []string{"go", "go"}}, `queue "go" is listed twice`},
		{"own and shared", map[string]any{"queues": []string{"default"}, "shared_queues": []string{"default"}}, "it can be own or shared, not both"},
		{"no queue", map[string]any{"queues": []string{}, "shared_queues": []string{}}, "no queue to work"},
		{"handler without kind", map[string]any{"handlers": map[string]any{"x": map[string]any{}}}, `needs exactly one of "exec" and "http"`},
		{"kill grace too long", map[string]any{"cancel_grace": 5, "handlers": map[string]any{"x": map[string]any{"exec": map[string]any{"command": []string{"/bin/true"}}}}}, "exec.kill_grace is 5s, want less than bridge.cancel_grace"},
		{"negative concurrency", map[string]any{"concurrency": -1}, "bridge.concurrency is -1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := LoadConfig(benchWith(t, tc.bridge))
			if err == nil {
				_, err = New(c)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestCommaTooManyIsReportedWithItsPlace(t *testing.T) {
	b := benchWith(t, nil)
	path := b.SitesDir + "/common_site_config.json"
	if err := os.WriteFile(path, []byte("{\n \"redis_queue\": \"redis://x\",\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := frappe.OpenBench(b.Dir)
	if err == nil || !strings.Contains(err.Error(), "common_site_config.json") || !strings.Contains(err.Error(), "3") {
		t.Errorf("error %v, want the file and line 3", err)
	}
}

func TestEnvironmentIsReadAsAPersonMeansIt(t *testing.T) {
	t.Setenv("BRIDGE_RQ_VERSION", "2.10")
	t.Setenv("BRIDGE_QUEUES", "go,default")
	t.Setenv("BRIDGE_WEIGHTS", `{"ORG-1": 2}`)
	t.Setenv("BRIDGE_STOP_TIMEOUT", "90s")
	c, err := LoadConfig(benchWith(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	c = c.withDefaults()
	if c.RQVersion != "2.10" || len(c.Queues) != 2 || c.Weights["ORG-1"] != 2 || time.Duration(c.StopTimeout) != 90*time.Second {
		t.Errorf("%+v", c)
	}
	// A standard queue that is taken as one's own is not shared by default.
	if strings.Join(c.SharedQueues, " ") != "short long" || c.validate() != nil {
		t.Errorf("shared %v, %v", c.SharedQueues, c.validate())
	}
}

func TestRegisterTwicePanics(t *testing.T) {
	e, err := New(Config{Bench: benchWith(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(v.(string), "registered twice") {
			t.Errorf("panic %v", v)
		}
	}()
	e.register("x", nil)
	e.register("x", nil)
}

func TestSecondsText(t *testing.T) {
	for text, want := range map[string]time.Duration{`1.5`: 1500 * time.Millisecond, `"90s"`: 90 * time.Second, `"2"`: 2 * time.Second} {
		var s Seconds
		if err := json.Unmarshal([]byte(text), &s); err != nil || time.Duration(s) != want {
			t.Errorf("%s = %s, %v, want %s", text, time.Duration(s), err, want)
		}
	}
}
