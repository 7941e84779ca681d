package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
)

// jobArguments are the arguments for a job, from one JSON object and from key=value words; the words win. A value
// that is JSON is taken as JSON (count=3, on=true, list=[1,2]), anything else as text; text that looks like JSON is
// quoted (code='"42"').
func jobArguments(object string, words []string) (map[string]any, error) {
	arguments := map[string]any{}
	if object != "" {
		v, err := exactJSON([]byte(object))
		if err != nil {
			return nil, exitcode.Usagef("the arguments are no JSON: %v; want an object such as '{\"count\": 3}'", err)
		}
		var ok bool
		if arguments, ok = v.(map[string]any); !ok {
			return nil, exitcode.Usagef("the arguments are JSON but no object; want one such as '{\"count\": 3}'")
		}
	}
	for _, word := range words {
		key, text, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, exitcode.Usagef("argument %q is not key=value", output.Clip(word, 40))
		}
		v, err := exactJSON([]byte(text))
		if err != nil {
			v = text
		}
		arguments[key] = v
	}
	return arguments, nil
}

// exactJSON decodes one JSON value and keeps numbers as they are written.
func exactJSON(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the value")
	}
	return v, nil
}

// moment reads a point in time: "10m" from now, "-24h" before it, a date, or a date and time in the local zone or
// with one.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "+")); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, exitcode.Usagef("%q is no time: write 10m, -24h, 2026-01-31, \"2026-01-31 15:04\" or 2026-01-31T15:04:05Z", text)
}
