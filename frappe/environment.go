package frappe

import (
	"os"
	"slices"
	"strings"
)

// FRAPPE_DB_HOST overrules db_host of both files (frappe/__init__.py get_site_config of 15, frappe/config.py of 16).
var (
	environmentKeys = []string{"redis_queue", "redis_cache", "db_type", "db_host", "db_port", "db_socket"}
	// environmentKeys16 are only looked at by Frappe 16 and later; 15 reads these three from the files alone.
	environmentKeys16 = []string{"db_user", "db_name", "db_password"}

	configDefaults = Config{
		"redis_queue": "redis://127.0.0.1:11311",
		"redis_cache": "redis://127.0.0.1:13311",
		"db_type":     "mariadb",
	}
)

// withEnvironment puts the process environment on top of c, and the defaults where a value is still empty.
func (c Config) withEnvironment(major int) Config {
	keys := environmentKeys
	if major == 0 || major >= 16 {
		keys = slices.Concat(keys, environmentKeys16)
	}
	merged := c.overlaid(nil)
	for _, key := range keys {
		if v := os.Getenv("FRAPPE_" + strings.ToUpper(key)); v != "" {
			merged[key] = v
		}
	}
	for key, v := range configDefaults {
		if merged.String(key, "") == "" {
			merged[key] = v
		}
	}
	return merged
}
