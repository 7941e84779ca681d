package frappe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Config is a configuration as Frappe sees it: JSON values by key. Numbers are json.Number.
type Config map[string]any

// String is the value of key as a string, def when it is absent, null or empty.
func (c Config) String(key, def string) string {
	switch v := c[key].(type) {
	case string:
		if v != "" {
			return v
		}
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return def
}

// Int is the value of key as a whole number (a numeric string counts: Frappe 15's db_port is one), def when it isn't.
func (c Config) Int(key string, def int) int {
	n, ok := wholeNumber(c[key])
	if !ok {
		return def
	}
	return int(n)
}

// Bool is the truth of a value: false, 0, "", "0", "false", null, an empty list or object and absent are false.
func (c Config) Bool(key string) bool {
	switch v := c[key].(type) {
	case bool:
		return v
	case string:
		return v != "" && v != "0" && !strings.EqualFold(v, "false")
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	default:
		return v != nil
	}
}

// Strings is the value of key as a list of strings; a single string is a list of one.
func (c Config) Strings(key string) []string {
	switch v := c[key].(type) {
	case string:
		if v == "" {
			return nil
		}
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// Object is the value of key as a configuration of its own; empty, never nil, when it isn't an object.
func (c Config) Object(key string) Config {
	if m, ok := c[key].(map[string]any); ok {
		return m
	}
	return Config{}
}

func wholeNumber(v any) (int64, bool) {
	var text string
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case json.Number, string, int, int64, float64: // the last three in a configuration made in Go
		text = strings.TrimSpace(fmt.Sprint(v))
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// overlaid is c with the keys of over on top, as Python's dict.update does: shallow, and null is a value too.
func (c Config) overlaid(over Config) Config {
	merged := make(Config, len(c)+len(over))
	maps.Copy(merged, c)
	maps.Copy(merged, over)
	return merged
}

// ConfigError is a configuration file that can't be read as one.
type ConfigError struct {
	File         string
	Line, Column int // from 1; 0 when the whole file is meant
	Problem      string
	Fix          string
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Problem)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// readConfig reads one JSON file. A file that isn't there is an os.ErrNotExist.
func readConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parseConfig(path, text)
}

const (
	jsonSpace  = " \t\r\n"
	wantObject = "the file must hold one JSON object {…}"
)

func parseConfig(path string, text []byte) (Config, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &ConfigError{File: path, Problem: "the file is empty", Fix: "write at least {}"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var c Config
	err := dec.Decode(&c)
	syntax, broken := errors.AsType[*json.SyntaxError](err)
	kind, other := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case broken:
		at := max(int(syntax.Offset)-1, 0)
		return nil, problemAt(path, text, at, "broken JSON: "+err.Error(), hint(text, at))
	case other:
		return nil, problemAt(path, text, 0, "the value is not an object but "+kind.Value, wantObject)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, problemAt(path, text, len(bytes.TrimRight(text, jsonSpace)),
			"broken JSON: the file ends in the middle", "a closing brace, bracket or quote is missing")
	case err != nil:
		return nil, &ConfigError{File: path, Problem: "broken JSON: " + err.Error()}
	case c == nil:
		return nil, problemAt(path, text, 0, "the value is null", wantObject)
	}
	if rest := bytes.TrimLeft(text[dec.InputOffset():], jsonSpace); len(rest) > 0 {
		return c, problemAt(path, text, len(text)-len(rest),
			"there is text after the end of the JSON object", "remove it, or a closing brace too many before it")
	}
	return c, nil
}

func hint(text []byte, at int) string {
	before := bytes.TrimRight(text[:at], jsonSpace)
	switch c := text[at]; {
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return "remove the comma before it: JSON allows none after the last entry"
	case c == '"' && len(before) > 0 && strings.ContainsRune("\"}]0123456789el", rune(before[len(before)-1])):
		return "a comma is missing before it"
	case c == '\'':
		return `use double quotes`
	case c == '#' || c == '/':
		return "JSON has no comments: remove it"
	case c == 'T' || c == 'F' || c == 'N':
		return "JSON spells these true, false and null"
	}
	return "correct the file at this place"
}

// problemAt names the place as an editor counts: lines, and columns in characters, from 1.
func problemAt(path string, text []byte, at int, problem, fix string) *ConfigError {
	head := text[:at]
	line := head[bytes.LastIndexByte(head, '\n')+1:]
	return &ConfigError{File: path, Line: bytes.Count(head, []byte("\n")) + 1, Column: utf8.RuneCount(line) + 1, Problem: problem, Fix: fix}
}

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
