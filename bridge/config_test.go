package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// benchOf opens a bench without sites, whose Redis is away.
func benchOf(t *testing.T) *frappe.Bench {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sites"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"redis_queue": "redis://127.0.0.1:1", "workers": {"go": {"timeout": 3600}}}`
	if err := os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := frappe.OpenBench(dir, frappe.Options{Section: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDefaults(t *testing.T) {
	b := benchOf(t)
	c := Config{Bench: b, Retry: RetryPolicy{Base: 500 * time.Millisecond, Jitter: -1}}.WithDefaults()
	if strings.Join(c.Queues, " ") != "go" || strings.Join(c.SharedQueues, " ") != "short default long" || c.validate() != nil {
		t.Errorf("queues %v, shared %v: %v", c.Queues, c.SharedQueues, c.validate())
	}
	if c.Concurrency != 100 || c.MaxKills != 3 || c.StopTimeout != 30*time.Second || c.CancelGrace != 10*time.Second ||
		c.Lease != 15*time.Second || c.RowGrace != 10*time.Second {
		t.Errorf("defaults %+v", c)
	}
	for retry, want := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 9: 8 * time.Second} {
		if got := job.PauseAfter(errors.New("broken"), c.Retry, retry); got != want {
			t.Errorf("retry %d without jitter after %s, want %s", retry, got, want)
		}
	}
	// A standard queue that is taken as one's own is not shared by default.
	c = Config{Bench: b, Queues: []string{"go", "default"}}.WithDefaults()
	if strings.Join(c.SharedQueues, " ") != "short long" || c.validate() != nil {
		t.Errorf("shared %v, %v", c.SharedQueues, c.validate())
	}
}

func TestNewReportsWhatIsWrong(t *testing.T) {
	program := &ExecConfig{Command: []string{"/bin/true"}}
	tests := map[string]struct {
		cfg  Config
		want string
	}{
		"lease too long":        {Config{Lease: time.Minute}, "bridge.lease is 1m0s"},
		"unknown queue":         {Config{Queues: []string{"og"}}, `queue "og" is not one of the bench's`},
		"listed twice":          {Config{Queues: []string{"go", "go"}}, `queue "go" is listed twice`},
		"own and shared":        {Config{Queues: []string{"default"}, SharedQueues: []string{"default"}}, "it can be own or shared, not both"},
		"no queue":              {Config{Queues: []string{}, SharedQueues: []string{}}, "no queue to work"},
		"handler without kind":  {Config{Foreign: map[string]ForeignHandler{"x": {}}}, `needs exactly one of "exec" and "http"`},
		"kill grace too long":   {Config{CancelGrace: 5 * time.Second, Foreign: map[string]ForeignHandler{"x": {Exec: program}}}, "exec.kill_grace is 5s, want less than bridge.cancel_grace"},
		"negative concurrency":  {Config{Concurrency: -1}, "bridge.concurrency is -1"},
		"too much concurrency":  {Config{Concurrency: 100_001}, "bridge.concurrency is 100001, want 1 to 100000"},
		"negative kills":        {Config{MaxKills: -1}, "bridge.max_kills is -1"},
		"weight of zero":        {Config{Weights: map[string]int{"ORG-1": 0}}, `bridge.weights["ORG-1"] is 0, want 1 to 100`},
		"cap below zero":        {Config{RunningPerOrganization: -1}, `bridge.running_per_organization is -1, want at least 0`},
		"own cap below zero":    {Config{RunningOf: map[string]int{"ORG-1": -1}}, `bridge.running_of["ORG-1"] is -1, want at least 0`},
		"negative stop timeout": {Config{StopTimeout: -time.Second}, "bridge.stop_timeout is -1s"},
		"retry maximum":         {Config{Retry: RetryPolicy{Base: time.Hour, Max: time.Minute}}, "bridge.retry: retry maximum 1m0s is below the base 1h0m0s"},
		"two at once":           {Config{Lease: time.Minute, MaxKills: -1}, "want 1 s to 15 s\nbridge.max_kills is -1"},
		"program that is away":  {Config{Foreign: map[string]ForeignHandler{"x": {Exec: &ExecConfig{Command: []string{"no-such-program-here"}}}}}, `bridge.handlers["x"]: exec: `},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.cfg.Bench = benchOf(t)
			if _, err := New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.Bench is required") {
		t.Errorf("without a bench: error %v", err)
	}
}

// TestRetryIntervals: none at all is not the same as none given.
func TestRetryIntervals(t *testing.T) {
	e, err := New(Config{Bench: benchOf(t), Foreign: map[string]ForeignHandler{
		"program": {Exec: &ExecConfig{Command: []string{"/bin/true"}}, RetryIntervals: []time.Duration{time.Minute}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	handle := func(context.Context, *RawJob) (any, error) { return nil, nil }
	Register(e, "usual", handle)
	Register(e, "never", handle, WithRetryIntervals())
	if want := []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}; !slices.Equal(e.cfg.RetryIntervals, want) {
		t.Errorf("by default %v, want %v", e.cfg.RetryIntervals, want)
	}
	handlers := e.wrapped(e)
	if got := handlers["usual"].RetryIntervals; got != nil {
		t.Errorf("a handler that says nothing has %v of its own", got)
	}
	if got := handlers["never"].RetryIntervals; got == nil || len(got) > 0 {
		t.Errorf("a handler without retries has %v, want an empty list", got)
	}
	if got := handlers["program"].RetryIntervals; !slices.Equal(got, []time.Duration{time.Minute}) {
		t.Errorf("a program's own are %v, want a minute", got)
	}
	if _, err := New(Config{Bench: benchOf(t), RetryIntervals: []time.Duration{-1}}); err == nil || !strings.Contains(err.Error(), "bridge.retry_intervals: retry interval -1ns is not above zero") {
		t.Errorf("an interval below zero: %v", err)
	}
}

func TestAHandlersOwnRetryMayHaveNoJitter(t *testing.T) {
	e, err := New(Config{Bench: benchOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	Register(e, "x", func(context.Context, *RawJob) (any, error) { return nil, nil }, WithRetry(RetryPolicy{Base: time.Hour, Jitter: -1}))
	if got := job.PauseAfter(errors.New("broken"), *e.wrapped(e)["x"].Retry, 1); got != time.Hour {
		t.Errorf("the first retry comes after %s, want an hour", got)
	}
}

// A name has one handler. Who comes second is told what is there already, and from where.
func TestRegisterPanics(t *testing.T) {
	handle := func(context.Context, *RawJob) (any, error) { return nil, nil }
	cfg := Config{Bench: benchOf(t), Foreign: map[string]ForeignHandler{"configured": {Exec: &ExecConfig{Command: []string{"/bin/true"}}}}}
	tests := map[string]struct {
		register func(*Engine)
		want     string
	}{
		"twice":        {func(e *Engine) { Register(e, "x", handle); Register(e, "x", handle) }, `handler "x" is there already, from Register`},
		"configured":   {func(e *Engine) { Register(e, "configured", handle) }, `handler "configured" is there already, from bridge.handlers`},
		"a sample":     {func(e *Engine) { Register(e, "echo_job", handle) }, `handler "echo_job" is there already, from the samples`},
		"no function":  {func(e *Engine) { Register[struct{}](e, "x", nil) }, `the handler of "x" is nil`},
		"no name":      {func(e *Engine) { Register(e, "", handle) }, "a handler needs a name"},
		"silly retry":  {func(e *Engine) { Register(e, "x", handle, WithRetry(RetryPolicy{Base: -1})) }, `the handler of "x": retry base -1ns is negative`},
		"no interval":  {func(e *Engine) { Register(e, "x", handle, WithRetryIntervals(time.Second, 0)) }, `the handler of "x": retry interval 0s is not above zero`},
		"after Run":    {func(e *Engine) { e.started.Store(true); Register(e, "x", handle) }, `handler "x" is registered after Run`},
		"Use, after":   {func(e *Engine) { e.started.Store(true); e.Use(nil) }, "Use is called after Run"},
		"OnEnd, after": {func(e *Engine) { e.started.Store(true); e.OnEnd(nil) }, "OnEnd is called after Run"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if v, _ := recover().(string); !strings.Contains(v, tc.want) {
					t.Errorf("panic %q, want one that says %q", v, tc.want)
				}
			}()
			tc.register(e)
		})
	}
}
