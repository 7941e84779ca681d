package benchconfig_test

import (
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
)

// exampleBench makes a bench directory with that common_site_config.json.
func exampleBench(config string) (dir string) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sites"), 0o700); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), []byte(config), 0o600); err != nil {
		log.Fatal(err)
	}
	return dir
}

func ExampleLoad() {
	dir := exampleBench(`{"bridge": {"concurrency": 20, "stop_timeout": "2m", "retry": {"base": 30}}}`)
	defer os.RemoveAll(dir)
	os.Setenv("BRIDGE_CONCURRENCY", "50")
	defer os.Unsetenv("BRIDGE_CONCURRENCY")
	bench, err := benchconfig.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := benchconfig.Load(bench)
	fmt.Println(cfg.Concurrency, cfg.StopTimeout, cfg.Retry.Base, err)
	// Output: 50 2m0s 30s <nil>
}

// Everything that is wrong is told at once.
func ExampleLoad_mistakes() {
	dir := exampleBench(`{"bridge": {"concurency": 20, "lease": "soon", "max_kills": 0}}`)
	defer os.RemoveAll(dir)
	bench, err := benchconfig.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = benchconfig.Load(bench)
	fmt.Println(err)
	// Output:
	// unknown key bridge.concurency; did you mean bridge.concurrency?
	// bridge.lease: "soon" is not a duration above zero: write seconds (30) or a string ("30s", "2m"); it comes from common_site_config.json or, before that, from BRIDGE_LEASE
	// bridge.max_kills: 0 where at least 1 is wanted; it comes from common_site_config.json or, before that, from BRIDGE_MAX_KILLS
}

// What a program wants to set by itself it sets after loading.
func ExampleOpen() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	bench, err := benchconfig.Open("/home/frappe/frappe-bench", logger)
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := benchconfig.Load(bench)
	if err != nil {
		log.Fatal(err)
	}
	cfg.NoSamples = true
	if _, err := bridge.New(cfg); err != nil {
		log.Fatal(err)
	}
}
