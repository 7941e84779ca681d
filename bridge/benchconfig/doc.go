// Package benchconfig reads a bridge's configuration from the bench that it works for: the key "bridge" of
// common_site_config.json, overlaid by BRIDGE_… environment variables.
//
//	{"bridge": {"concurrency": 200, "stop_timeout": "2m", "retry": {"base": 30}}}
//
// The keys, each a field of bridge.Config of the same name but for the last ones:
//
//	queues, shared_queues           lists of queue types
//	concurrency, max_kills          whole numbers
//	weights                         an object: organization → whole number
//	rq_version                      a string
//	default_organization            a string
//	stop_timeout, cancel_grace,     durations: seconds as a number, or a string such as "90s" or "2m"
//	lease, row_grace
//	retry                           {"base": duration, "max": duration, "jitter": number}; a jitter of 0 means none
//	handlers                        Config.Foreign, an object: name → {"exec": {"command": […], "dir", "env", "kill_grace"}}
//	                                or {"http": {"url", "method", "headers", "timeout"}}
//	builtins                        false sets Config.NoSamples
//	frappe_version,                 read by package frappe when it opens the bench, from the file alone
//	job_id_separator, db_connections
//
// null stands for the default. A zero where zero makes no sense is an error; in bridge.Config it would mean the default.
//
// A variable is BRIDGE_ and the key in capitals, BRIDGE_CONCURRENCY=50 for instance, and wins over the file. Lists are
// written with commas or as JSON, objects as JSON; an empty variable counts as unset.
package benchconfig
