package benchconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// section is the bridge's key in common_site_config.json.
const section = "bridge"

// Open opens the bench in dir, its own directory or its sites directory, with what the key "bridge" says about it. A nil
// log discards what can't be returned. The errors are those of frappe.OpenBench.
func Open(dir string, log *slog.Logger) (*frappe.Bench, error) {
	return frappe.OpenBench(dir, frappe.Options{Section: section, Log: log})
}

// Load reads the configuration of the bridge for b; Log is the bench's. Unknown keys, unknown BRIDGE_… variables and
// values of the wrong type are errors that name the key, all at once. Whether values fit together bridge.New checks.
func Load(b *frappe.Bench) (bridge.Config, error) {
	c := bridge.Config{Bench: b, Log: b.Log}
	values, err := fileValues(b.Config()[section])
	if err != nil {
		return c, err
	}
	s := settings{Config: &c, samples: true}
	keys := s.keys()
	errs := []error{overlay(values, keys, os.Environ())}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		into, known := keys[key]
		if !known {
			errs = append(errs, fmt.Errorf("unknown key %s%s", bridgeKey(key), hint(key, bridgeKey, keys)))
			continue
		}
		if err := decode(values[key], into); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; it comes from common_site_config.json or, before that, from %s",
				bridgeKey(key), err, variable(key)))
		}
	}
	c.Retention, c.DeadLetterAlert = s.retention.kept(), s.alert.told()
	c.Breaker = bridge.BreakerPolicy(s.breaker)
	c.Retry, c.RetryIntervals, c.Foreign, c.NoSamples = s.retry.policy(), s.intervals.pauses(), foreign(s.handlers), !s.samples
	return c, errors.Join(errs...)
}

func bridgeKey(key string) string { return section + "." + key }

// fileValues gives what the file says, key by key.
func fileValues(file any) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	if file == nil {
		return values, nil
	}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", section, err)
	}
	if json.Unmarshal(text, &values) != nil {
		return nil, errors.New(`common_site_config.json: "bridge" is not an object such as {"queues": ["go"]}`)
	}
	return values, nil
}

const prefix = "BRIDGE_"

// variable is the environment's name of a key.
func variable(key string) string { return prefix + strings.ToUpper(key) }

// otherVariables start with BRIDGE_ and are not keys: where the command line finds its bench, who watches as whom, what
// programs of exec handlers are told of their job (one may call the bridge), and what this project's tools use.
var otherVariables = []string{
	"BRIDGE_BENCH", "BRIDGE_API_KEY", "BRIDGE_API_SECRET", "BRIDGE_SID",
	"BRIDGE_JOB_ID", "BRIDGE_JOB_NAME", "BRIDGE_JOB_TYPE", "BRIDGE_SITE", "BRIDGE_USER", "BRIDGE_ORGANIZATION",
	"BRIDGE_ATTEMPT", "BRIDGE_TIMEOUT",
	"BRIDGE_CACHE", "BRIDGE_PROGRAM",
}

// isOther reports whether a variable is somebody else's: Kubernetes' for a service called bridge, for instance.
func isOther(name string) bool {
	return slices.Contains(otherVariables, name) || strings.HasPrefix(name, "BRIDGE_TEST_") ||
		strings.HasPrefix(name, "BRIDGE_SERVICE_") || name == "BRIDGE_PORT" || strings.HasPrefix(name, "BRIDGE_PORT_")
}

// Environment keeps of entries NAME=value those that change what Open and Load make of a bench, sorted: what a process that is
// started elsewhere has to be given, to have the same configuration.
func Environment(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case value == "" || name == "FRAPPE_SITE": // which only commands ask for
		case strings.HasPrefix(name, prefix) && !isOther(name), strings.HasPrefix(name, "FRAPPE_"), name == "RQ_ADMIN_PASWORD":
			kept = append(kept, entry)
		}
	}
	slices.Sort(kept)
	return kept
}

// overlay puts what the environment says over the file's values.
func overlay(values map[string]json.RawMessage, keys map[string]any, environment []string) error {
	var errs []error
	for _, entry := range slices.Sorted(slices.Values(environment)) {
		name, value, _ := strings.Cut(entry, "=")
		key := strings.ToLower(strings.TrimPrefix(name, prefix))
		if !strings.HasPrefix(name, prefix) || value == "" || isOther(name) {
			continue
		}
		into, known := keys[key]
		switch {
		case !known || name != variable(key):
			errs = append(errs, fmt.Errorf("unknown environment variable %s%s", name, hint(key, variable, keys)))
		case into == elsewhere{}:
			errs = append(errs, fmt.Errorf("environment variable %s has no effect: set bridge.%s in common_site_config.json", name, key))
		default:
			values[key] = environmentValue(value, into)
		}
	}
	return errors.Join(errs...)
}

// environmentValue makes JSON of a variable: a string as it is (2.10 is not a number), a list with commas, else JSON.
func environmentValue(value string, into any) json.RawMessage {
	var plain any = value
	_, isString := into.(*string)
	_, isList := into.(*[]string)
	_, isIntervals := into.(*intervals)
	isList = isList || isIntervals
	switch {
	case !isString && json.Valid([]byte(value)) && (!isList || value[0] == '['):
		return json.RawMessage(value)
	case isList:
		plain = strings.Split(value, ",")
	}
	text, _ := json.Marshal(plain) // strings always encode
	return text
}

// hint names the known key that is nearest to a mistyped one, as it is written where that was found.
func hint(key string, written func(string) string, keys map[string]any) string {
	known := slices.Sorted(maps.Keys(keys))
	best := slices.MinFunc(known, func(a, b string) int { return editDistance(key, a) - editDistance(key, b) })
	if editDistance(key, best) > 3 {
		return "; known keys: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %s?", written(best))
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
