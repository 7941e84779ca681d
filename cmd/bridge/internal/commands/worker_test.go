package commands

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/spf13/pflag"
)

// What no flag names stays as the configuration has it.
func TestWorkerFlagsOverlayTheConfiguration(t *testing.T) {
	configured := bridge.Config{Queues: []string{"go"}, SharedQueues: []string{"short"}, Concurrency: 7, RQVersion: "1.15.1", DefaultOrganization: "A"}
	overlaid := func(flags string) bridge.Config {
		var w workerFlags
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		w.add(set)
		if err := set.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		cfg := configured
		w.overlay(&cfg, set)
		return cfg
	}
	cfg := overlaid("")
	if !slices.Equal(cfg.Queues, configured.Queues) || !slices.Equal(cfg.SharedQueues, configured.SharedQueues) || cfg.Concurrency != 7 || cfg.NoSamples || cfg.RQVersion != "1.15.1" {
		t.Errorf("without flags the configuration is %+v, want it as it was", cfg)
	}
	cfg = overlaid("--queue a --queue b --no-shared --concurrency 2 --stop-timeout 3s --cancel-grace 4s --lease 5s --rq-version 2.6.1 --default-organization B --no-builtins")
	if !slices.Equal(cfg.Queues, []string{"a", "b"}) || cfg.SharedQueues == nil || len(cfg.SharedQueues) > 0 || cfg.Concurrency != 2 || cfg.RQVersion != "2.6.1" || cfg.DefaultOrganization != "B" {
		t.Errorf("with all flags the configuration is %+v", cfg)
	}
	if time.Duration(cfg.StopTimeout) != 3*time.Second || time.Duration(cfg.CancelGrace) != 4*time.Second || time.Duration(cfg.Lease) != 5*time.Second {
		t.Errorf("with all flags the times are %v, %v, %v", cfg.StopTimeout, cfg.CancelGrace, cfg.Lease)
	}
	if !cfg.NoSamples {
		t.Error("--no-builtins leaves the sample handlers there")
	}
	if cfg = overlaid("--shared-queue x,y"); !slices.Equal(cfg.SharedQueues, []string{"x", "y"}) {
		t.Errorf("shared queues are %q", cfg.SharedQueues)
	}
}
