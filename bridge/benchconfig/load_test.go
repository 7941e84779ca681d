package benchconfig

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// benchWith opens a bench whose configuration has the given key "bridge".
func benchWith(t *testing.T, section any) *frappe.Bench {
	t.Helper()
	dir := t.TempDir()
	common := map[string]any{"redis_queue": "redis://127.0.0.1:1", "workers": map[string]any{"go": map[string]any{"timeout": 3600}}}
	if section != nil {
		common["bridge"] = section
	}
	text, err := json.Marshal(common)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sites"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLoad(t *testing.T) {
	t.Setenv("BRIDGE_CONCURRENCY", "7")
	t.Setenv("BRIDGE_DEFAULT_ORGANIZATION", "ORG-1")
	t.Setenv("BRIDGE_TRUST_ENQUEUER", "true")
	b := benchWith(t, map[string]any{
		"trust_enqueuer": false, "concurrency": 3, "stop_timeout": "2m", "lease": 5, "weights": map[string]any{"ORG-1": 2},
		"retry":    map[string]any{"base": 0.5, "jitter": -1},
		"handlers": map[string]any{"export": map[string]any{"exec": map[string]any{"command": []string{"/bin/true"}}}},
	})
	c, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.Concurrency != 7 || c.DefaultOrganization != "ORG-1" || !c.TrustEnqueuer {
		t.Errorf("the environment must win: %d, %q, %v", c.Concurrency, c.DefaultOrganization, c.TrustEnqueuer)
	}
	if c.StopTimeout != 2*time.Minute || c.Lease != 5*time.Second || c.Weights["ORG-1"] != 2 {
		t.Errorf("durations and maps: %+v", c)
	}
	if want := (bridge.RetryPolicy{Base: 500 * time.Millisecond, Jitter: -1}); c.Retry != want {
		t.Errorf("retry %+v, want %+v", c.Retry, want)
	}
	if e := c.Foreign["export"].Exec; e == nil || e.Command[0] != "/bin/true" || c.NoSamples {
		t.Errorf("handlers %+v, without the samples: %t", c.Foreign, c.NoSamples)
	}
	if c.Bench != b || c.Log != b.Log {
		t.Error("bench and log must be those that were given")
	}
	if _, err := bridge.New(c); err != nil {
		t.Errorf("what was loaded must be good: %v", err)
	}
}

func TestEveryKey(t *testing.T) {
	c, err := Load(benchWith(t, map[string]any{
		"queues": []string{"go"}, "shared_queues": []string{"long"}, "concurrency": 3, "weights": map[string]any{"ORG-1": 2},
		"running_per_organization": 20, "running_of": map[string]any{"ORG-2": 0}, "ageing": 0,
		"rq_version": "1.15.1", "default_organization": "ORG-1", "stop_timeout": 1, "cancel_grace": 2.5, "lease": "3s", "row_grace": "4",
		"retry": map[string]any{"base": "2m", "max": 600, "jitter": 0.5}, "retry_intervals": []any{2, "1m"}, "max_kills": 9, "builtins": false,
		"handlers": map[string]any{
			"a": map[string]any{"exec": map[string]any{"command": []string{"x", "y"}, "dir": "/", "env": map[string]any{"A": "B"}, "kill_grace": 1}},
			"b": map[string]any{"http": map[string]any{"url": "http://h/", "method": "PUT", "headers": map[string]any{"C": "D"}, "timeout": "1m"}},
			"c": map[string]any{"http": map[string]any{"url": "http://h/", "timeout": 0}, "retry_intervals": []any{}},
		},
		"dead_letter_alert": map[string]any{"threshold": 0, "role": "Operator"},
		"retention":         map[string]any{"days": 7, "dead_letter_days": 0},
		"frappe_version":    15, "job_id_separator": "::", "db_connections": 5, "queue_limit": -1, "running_memory": 64, "trust_enqueuer": true,
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := bridge.Config{
		Queues: []string{"go"}, SharedQueues: []string{"long"}, Concurrency: 3, Weights: map[string]int{"ORG-1": 2},
		RunningPerOrganization: 20, RunningOf: map[string]int{"ORG-2": 0}, Ageing: -1,
		RQVersion: "1.15.1", DefaultOrganization: "ORG-1", StopTimeout: time.Second, CancelGrace: 2500 * time.Millisecond,
		Lease: 3 * time.Second, RowGrace: 4 * time.Second, TrustEnqueuer: true,
		Retry: bridge.RetryPolicy{Base: 2 * time.Minute, Max: 10 * time.Minute, Jitter: 0.5}, RetryIntervals: []time.Duration{2 * time.Second, time.Minute}, MaxKills: 9, DBConnections: 5, QueueLimit: -1, RunningMemory: 64 << 20, NoSamples: true,
		DeadLetterAlert: bridge.DeadLetterAlert{Threshold: -1, Role: "Operator"},
		Retention:       bridge.Retention{Days: 7, DeadLetterDays: -1},
		Foreign: map[string]bridge.ForeignHandler{
			"a": {Exec: &bridge.ExecConfig{Command: []string{"x", "y"}, Dir: "/", Env: map[string]string{"A": "B"}, KillGrace: time.Second}},
			"b": {HTTP: &bridge.HTTPConfig{URL: "http://h/", Method: "PUT", Headers: map[string]string{"C": "D"}, Timeout: time.Minute}},
			"c": {HTTP: &bridge.HTTPConfig{URL: "http://h/"}, RetryIntervals: []time.Duration{}},
		},
	}
	c.Bench, c.Log = nil, nil
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(bridge.Config{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
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
		{"negative duration", map[string]any{"stop_timeout": "-5s"}, `"-5s" is not a duration`},
		{"no number", map[string]any{"stop_timeout": "NaN"}, `"NaN" is not a duration`},
		{"unknown inner key", map[string]any{"retry": map[string]any{"bse": 1}}, `unknown field "bse"`},
		{"bad duration", map[string]any{"lease": "soon"}, `"soon" is not a duration above zero: write seconds (30)`},
		{"lease too long", map[string]any{"lease": 60}, "bridge.lease is 1m0s"},
		{"unknown queue", map[string]any{"queues": []string{"og"}}, `queue "og" is not one of the bench's`},
		{"listed twice", map[string]any{"queues": []string{"go", "go"}}, `queue "go" is listed twice`},
		{"own and shared", map[string]any{"queues": []string{"default"}, "shared_queues": []string{"default"}}, "it can be own or shared, not both"},
		{"no queue", map[string]any{"queues": []string{}, "shared_queues": []string{}}, "no queue to work"},
		{"handler without kind", map[string]any{"handlers": map[string]any{"x": map[string]any{}}}, `needs exactly one of "exec" and "http"`},
		{"kill grace too long", map[string]any{"cancel_grace": 5, "handlers": map[string]any{"x": map[string]any{"exec": map[string]any{"command": []string{"/bin/true"}}}}}, "exec.kill_grace is 5s, want less than bridge.cancel_grace"},
		{"no concurrency", map[string]any{"concurrency": 0}, "bridge.concurrency: 0 where 1 to 100000 is wanted"},
		{"retention", map[string]any{"retention": map[string]any{"days": -1}}, "bridge.retention: -1 where days from 0 (never) to 36500 are wanted"},
		{"retention's key", map[string]any{"retention": map[string]any{"day": 1}}, `unknown field "day"`},
		{"no kills", map[string]any{"max_kills": 0}, "bridge.max_kills: 0 where at least 1 is wanted"},
		{"no time to stop", map[string]any{"stop_timeout": 0}, "bridge.stop_timeout: 0 is not a duration above zero"},
		{"share that is none", map[string]any{"breaker": map[string]any{"failures": 0}}, "bridge.breaker is failures -1, at_least 10, window 30m0s, open 15m0s; want a share above 0 to 1"},
		{"misspelt breaker", map[string]any{"breaker": map[string]any{"atleast": 5}}, `unknown field "atleast"`},
		{"a breaker that is on", map[string]any{"breaker": true}, "bridge.breaker: bool where an object is wanted"},
		{"no lease", map[string]any{"lease": "0s"}, `bridge.lease: "0s" is not a duration above zero`},
		{"no pause", map[string]any{"retry": map[string]any{"base": 0}}, "bridge.retry: 0 is not a duration above zero"},
		{"two problems", map[string]any{"lease": "soon", "builtins": 1, "concurrency": 1.5}, "bridge.builtins: 1 where true or false is wanted; it comes from common_site_config.json or, before that, from BRIDGE_BUILTINS\nbridge.concurrency: 1.5 where a whole number is wanted"},
		{"negative concurrency", map[string]any{"concurrency": -1}, "bridge.concurrency is -1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Load(benchWith(t, tc.bridge))
			if err == nil {
				_, err = bridge.New(c)
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
	_, err := Open(b.Dir, nil)
	if err == nil || !strings.Contains(err.Error(), "common_site_config.json") || !strings.Contains(err.Error(), "3") {
		t.Errorf("error %v, want the file and line 3", err)
	}
}

func TestEnvironmentIsReadAsAPersonMeansIt(t *testing.T) {
	t.Setenv("BRIDGE_RQ_VERSION", "2.10")
	t.Setenv("BRIDGE_QUEUES", "go,default")
	t.Setenv("BRIDGE_WEIGHTS", `{"ORG-1": 2}`)
	t.Setenv("BRIDGE_STOP_TIMEOUT", "90s")
	c, err := Load(benchWith(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.RQVersion != "2.10" || len(c.Queues) != 2 || c.Weights["ORG-1"] != 2 || c.StopTimeout != 90*time.Second {
		t.Errorf("%+v", c)
	}
	if _, err := bridge.New(c); err != nil {
		t.Errorf("what was loaded must be good: %v", err)
	}
}

func TestTheEnvironmentIsHeldToTheKeys(t *testing.T) {
	tests := map[string]struct{ name, value, want string }{
		"mistyped":         {"BRIDGE_CONCURENCY", "5", "unknown environment variable BRIDGE_CONCURENCY; did you mean BRIDGE_CONCURRENCY?"},
		"small letters":    {"BRIDGE_concurrency", "5", "did you mean BRIDGE_CONCURRENCY?"},
		"unknown":          {"BRIDGE_COLOUR_OF_THE_DAY", "5", "known keys: "},
		"zero":             {"BRIDGE_CONCURRENCY", "0", "bridge.concurrency: 0 where 1 to 100000 is wanted; it comes from common_site_config.json or, before that, from BRIDGE_CONCURRENCY"},
		"wrong type":       {"BRIDGE_CONCURRENCY", "many", `bridge.concurrency: "many" where a whole number is wanted`},
		"broken list":      {"BRIDGE_QUEUES", "[go", `queue "[go" is not one of the bench's`},
		"read from a file": {"BRIDGE_FRAPPE_VERSION", "15", "BRIDGE_FRAPPE_VERSION has no effect: set bridge.frappe_version in common_site_config.json"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tc.name, tc.value)
			c, err := Load(benchWith(t, nil))
			if err == nil {
				_, err = bridge.New(c)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
	for _, name := range append([]string{"BRIDGE_TEST_ANY", "BRIDGE_SERVICE_HOST", "BRIDGE_PORT", "BRIDGE_PORT_80_TCP"}, otherVariables...) {
		t.Setenv(name, "5")
	}
	t.Setenv("BRIDGE_CONCURENCY", "")
	t.Setenv("BRIDGE_CONCURRENCY", "")
	if _, err := Load(benchWith(t, nil)); err != nil {
		t.Errorf("variables of others and empty ones must be left alone: %v", err)
	}
}

// Credentials stand in the headers and environments of handlers, and anything may be mistaken for one of those.
func TestErrorsShowNoSecret(t *testing.T) {
	http := func(more map[string]any) map[string]any {
		http := map[string]any{"url": "http://h/", "headers": map[string]any{"Authorization": "s3cret"}}
		maps.Copy(http, more)
		return map[string]any{"handlers": map[string]any{"x": map[string]any{"http": http}}}
	}
	for name, section := range map[string]any{
		"a list":           []any{"s3cret"},
		"handlers":         map[string]any{"handlers": "s3cret"},
		"one handler":      map[string]any{"handlers": map[string]any{"x": "s3cret"}},
		"headers":          map[string]any{"handlers": map[string]any{"x": map[string]any{"http": map[string]any{"headers": "s3cret"}}}},
		"key beside":       http(map[string]any{"method": 5}),
		"unknown beside":   http(map[string]any{"metod": "PUT"}),
		"object as time":   http(map[string]any{"timeout": map[string]any{"a": "s3cret"}}),
		"numeric token":    map[string]any{"handlers": map[string]any{"x": map[string]any{"exec": map[string]any{"env": map[string]any{"A": json.Number("53")}}}}},
		"object as number": map[string]any{"concurrency": map[string]any{"a": "s3cret"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(benchWith(t, section))
			if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "53") {
				t.Errorf("error %v, want one without the secret", err)
			}
		})
	}
}

func TestZeroesAndNull(t *testing.T) {
	c, err := Load(benchWith(t, map[string]any{"concurrency": nil, "lease": nil, "builtins": nil, "retry": map[string]any{"jitter": 0}}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Concurrency != 0 || c.Lease != 0 || c.NoSamples {
		t.Errorf("null must mean the default: %+v", c)
	}
	if c.Retry.Jitter >= 0 {
		t.Errorf("jitter %g, want a negative one, which is none", c.Retry.Jitter)
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{`1.5`: 1500 * time.Millisecond, `"90s"`: 90 * time.Second, `"2"`: 2 * time.Second} {
		var s seconds
		if err := json.Unmarshal([]byte(text), &s); err != nil || time.Duration(s) != want {
			t.Errorf("%s = %s, %v, want %s", text, time.Duration(s), err, want)
		}
	}
}

// TestBreaker: the object has the policy, false turns it off.
func TestBreaker(t *testing.T) {
	for name, tc := range map[string]struct {
		key  any
		want bridge.BreakerPolicy
	}{
		"nothing":    {nil, bridge.BreakerPolicy{}},
		"off":        {false, bridge.BreakerPolicy{Off: true}},
		"everything": {map[string]any{"failures": 0.8, "at_least": 20, "window": "1h", "open": 60}, bridge.BreakerPolicy{Failures: 0.8, AtLeast: 20, Window: time.Hour, Open: time.Minute}},
	} {
		c, err := Load(benchWith(t, map[string]any{"breaker": tc.key}))
		if err != nil || c.Breaker != tc.want {
			t.Errorf("%s: %+v, %v, want %+v", name, c.Breaker, err, tc.want)
		}
	}
}
