package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// BenchConfig describes a bench directory. Zero fields get what their comment says.
type BenchConfig struct {
	ID         string // bench_id; "" = none, so that it follows from the directory
	Major      int    // of Frappe. Default 15
	RQVersion  string // "installed" in the bench's Python environment. Default: the one of that Frappe version
	RedisQueue string // URL
	RedisCache string // URL. Default: RedisQueue
	// Workers are the custom queues with their timeouts in seconds. Default {"go": 3600}.
	Workers map[string]int64
	// Bridge is the key "bridge" of common_site_config.json. Default: none.
	Bridge map[string]any
	// Common are further keys of common_site_config.json, which win over all above.
	Common map[string]any
	Sites  []BenchSite
}

// BenchSite is one site of a bench.
type BenchSite struct {
	Name       string // directory name
	DBHost     string
	DBPort     int
	DBName     string         // also the database user
	DBPassword string         // of that user
	Config     map[string]any // further keys of site_config.json, which win over all above
}

// frappeRQ is the RQ version that each major version of Frappe pins.
var frappeRQ = map[int]string{15: "1.15.1", 16: "2.6.1", 17: "2.6.1"}

// NewBench writes what a sidecar reads of a bench into dir, which is created when missing: the configuration of bench
// and sites, the list of apps, Frappe's version and the mark of the installed RQ. Files that are there are replaced.
func NewBench(dir string, cfg BenchConfig) error {
	if cfg.Major == 0 {
		cfg.Major = 15
	}
	if cfg.RQVersion == "" {
		cfg.RQVersion = frappeRQ[cfg.Major]
	}
	files := map[string]any{
		"sites/common_site_config.json":  commonConfig(cfg),
		"sites/apps.txt":                 "frappe\n",
		"apps/frappe/frappe/__init__.py": fmt.Sprintf("__version__ = \"%d.0.0\"\n", cfg.Major),
		rqMetadata(cfg.RQVersion):        fmt.Sprintf("Metadata-Version: 2.1\nName: rq\nVersion: %s\n", cfg.RQVersion),
		"sites/assets/assets.json":       map[string]any{},
	}
	for _, site := range cfg.Sites {
		if site.Name != filepath.Base(site.Name) || site.Name == "." || site.Name == ".." {
			return fmt.Errorf("write a bench: %q is no name for a site's directory", site.Name)
		}
		files["sites/"+site.Name+"/site_config.json"] = siteConfig(site)
	}
	for name, content := range files {
		if err := writeBenchFile(filepath.Join(dir, name), content); err != nil {
			return fmt.Errorf("write a bench: %w", err)
		}
	}
	return nil
}

// UnsetBenchVariables makes this process, and those that it starts, do without the settings of a real bench in the environment.
func UnsetBenchVariables() {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); IsBenchVariable(name) {
			os.Unsetenv(name)
		}
	}
}

// IsBenchVariable reports whether an environment variable may change what a bench is, so that runs against a private one
// have to do without it.
func IsBenchVariable(name string) bool {
	return name == "RQ_ADMIN_PASWORD" || strings.HasPrefix(name, "FRAPPE_") || strings.HasPrefix(name, "BRIDGE_") && name != cacheVariable
}

// rqMetadata is where pip notes that RQ is installed.
func rqMetadata(version string) string {
	return "env/lib/python3.11/site-packages/rq-" + version + ".dist-info/METADATA"
}

func commonConfig(cfg BenchConfig) map[string]any {
	if cfg.RedisCache == "" {
		cfg.RedisCache = cfg.RedisQueue
	}
	if cfg.Workers == nil {
		cfg.Workers = map[string]int64{"go": 3600}
	}
	workers := map[string]any{}
	for name, timeout := range cfg.Workers {
		workers[name] = map[string]any{"timeout": timeout, "background_workers": 1}
	}
	common := map[string]any{
		"redis_queue": cfg.RedisQueue, "redis_cache": cfg.RedisCache, "workers": workers, "db_type": "mariadb",
	}
	if cfg.ID != "" {
		common["bench_id"] = cfg.ID
	}
	if cfg.Bridge != nil {
		common["bridge"] = cfg.Bridge
	}
	maps.Copy(common, cfg.Common)
	return common
}

func siteConfig(site BenchSite) map[string]any {
	config := map[string]any{
		"db_name": site.DBName, "db_password": site.DBPassword, "db_host": site.DBHost, "db_port": site.DBPort,
	}
	maps.Copy(config, site.Config)
	return config
}

// writeBenchFile writes a text as it is and anything else as JSON, laid out as bench does.
func writeBenchFile(path string, content any) error {
	text, isText := content.(string)
	if !isText {
		b, err := json.MarshalIndent(content, "", " ")
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		text = string(b) + "\n"
	}
	// Passwords are in there; bench keeps them from other users as well.
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600))
}
