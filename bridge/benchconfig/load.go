package benchconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

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
	c.Retry, c.Foreign, c.NoSamples = s.retry.policy(), foreign(s.handlers), !s.samples
	return c, errors.Join(errs...)
}

func bridgeKey(key string) string { return section + "." + key }

// fileValues gives what the file says, key by key.
func fileValues(file any) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	if file == nil {
		return values, nil
	}
	m, ok := file.(map[string]any)
	if !ok {
		return nil, errors.New(`common_site_config.json: "bridge" is not an object such as {"queues": ["go"]}`)
	}
	for key, v := range m {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("read bridge.%s: %w", key, err)
		}
		values[key] = text
	}
	return values, nil
}
