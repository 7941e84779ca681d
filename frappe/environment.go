package frappe

import "os"

// Environment variables overrule both files (frappe/__init__.py get_site_config of 15, frappe/config.py of 16).
var (
	commonEnvironment = map[string]string{
		"redis_queue": "FRAPPE_REDIS_QUEUE",
		"redis_cache": "FRAPPE_REDIS_CACHE",
		"db_type":     "FRAPPE_DB_TYPE",
		"db_host":     "FRAPPE_DB_HOST",
		"db_port":     "FRAPPE_DB_PORT",
		"db_socket":   "FRAPPE_DB_SOCKET",
	}
	// databaseEnvironment is only looked at by Frappe 16 and later; 15 reads these three from the files alone.
	databaseEnvironment = map[string]string{
		"db_user":     "FRAPPE_DB_USER",
		"db_name":     "FRAPPE_DB_NAME",
		"db_password": "FRAPPE_DB_PASSWORD",
	}
	configDefaults = Config{
		"redis_queue": "redis://127.0.0.1:11311",
		"redis_cache": "redis://127.0.0.1:13311",
		"db_type":     "mariadb",
	}
)

// withEnvironment puts the process environment on top of c, and the defaults where a value is still empty.
func (c Config) withEnvironment(major int) Config {
	over := Config{}
	overlay := func(variables map[string]string) {
		for key, variable := range variables {
			if v := os.Getenv(variable); v != "" {
				over[key] = v
			}
		}
	}
	overlay(commonEnvironment)
	if major == 0 || major >= 16 {
		overlay(databaseEnvironment)
	}
	merged := c.overlaid(over)
	for key, v := range configDefaults {
		if merged.String(key, "") == "" {
			merged[key] = v
		}
	}
	return merged
}
