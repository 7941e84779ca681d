package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/rs/zerolog"
)

// Config says how an Engine or a Client works. Only Bench is required; a zero
// field means its default. The tags are the keys under "bridge" in
// common_site_config.json, and in capitals behind BRIDGE_ those of the
// environment.
type Config struct {
	// Bench is the bench whose jobs are worked. Required.
	Bench *frappe.Bench `json:"-"`
	// Log receives the engine's log lines. Default: none.
	Log zerolog.Logger `json:"-"`

	// Queues are the queue types that belong to the bridge alone: a job on them
	// without a handler fails with an error that names its method. Default: "go"
	// if the bench's "workers" declares it, else none.
	Queues []string `json:"queues"`
	// SharedQueues are queue types worked together with Python: only jobs that
	// have a Go handler are taken, all others are left in place. Default: short,
	// default, long.
	SharedQueues []string `json:"shared_queues"`
	// Concurrency is how many jobs run at once, 1 to 100,000. Default: 100.
	Concurrency int `json:"concurrency"`
	// Weights are the shares of organizations in the fair turns, 1 to 100, by
	// organization name. Default: 1 each.
	Weights map[string]int `json:"weights"`
	// RQVersion overrides the detected RQ version, e.g. "1.15.1". Default: found
	// out (rqcompat.Detect).
	RQVersion string `json:"rq_version"`
	// DefaultOrganization owns the rows of jobs that name no organization.
	// Default: none; such a job of a Job Type fails.
	DefaultOrganization string `json:"default_organization"`
	// Retry is the schedule of attempts after a transient failure.
	Retry RetryConfig `json:"retry"`
	// Handlers are handlers in other languages by Job Type or method.
	Handlers map[string]HandlerConfig `json:"handlers"`
	// StopTimeout is how long a stop waits for running jobs before it cancels
	// them, in seconds. Default: 30 s.
	StopTimeout Seconds `json:"stop_timeout"`
	// CancelGrace is how long a cancelled handler may take to return before it is
	// abandoned. Default: 10 s.
	CancelGrace Seconds `json:"cancel_grace"`
	// Lease is how long a claim holds without renewal, at most 15 s, so that the
	// jobs of a worker that died are found in time. Default: 15 s.
	Lease Seconds `json:"lease"`
	// RowGrace is how long a job waits for its row to appear, since Python may
	// enqueue before it commits. Default: 10 s.
	RowGrace Seconds `json:"row_grace"`
	// MaxKills is how often a job may take its worker down before it is dead
	// lettered as poison. Default: 3.
	MaxKills int `json:"max_kills"`
	// FrappeVersion, JobIDSeparator and DBConnections are read by package frappe
	// when it opens the bench; they are listed here to be accepted.
	FrappeVersion  any `json:"frappe_version"`
	JobIDSeparator any `json:"job_id_separator"`
	DBConnections  any `json:"db_connections"`
	// Builtins offers echo_job, sample_job and long_running_job. Default: on;
	// nil means the default.
	Builtins *bool `json:"builtins"`

	// pace is how often the chores run; only tests change it.
	pace pace `json:"-"`
}

// RetryConfig is RetryPolicy in the words of the configuration.
type RetryConfig struct {
	// Base is the pause before the first retry, in seconds. Default: 60.
	Base Seconds `json:"base"`
	// Max is the longest pause, in seconds. Default: 16 × Base.
	Max Seconds `json:"max"`
	// Jitter is the random share, 0 to 1. Default: 0.2; negative means none.
	Jitter float64 `json:"jitter"`
}

func (c RetryConfig) policy() RetryPolicy {
	return RetryPolicy{Base: time.Duration(c.Base), Max: time.Duration(c.Max), Jitter: c.Jitter}.withDefaults()
}

// HandlerConfig is a handler that is not written in Go: exactly one of Exec and
// HTTP is set.
type HandlerConfig struct {
	// Exec runs a program per job.
	Exec *ExecConfig `json:"exec"`
	// HTTP calls a URL per job.
	HTTP *HTTPConfig `json:"http"`
}

// Seconds is a duration that configuration files write as a number of seconds
// (fractions allowed) or as Go writes durations ("90s", "2m").
type Seconds time.Duration

// UnmarshalJSON accepts a number of seconds or a duration text.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	d, err := time.ParseDuration(text)
	if err != nil {
		var n float64
		n, err = strconv.ParseFloat(text, 64)
		d = time.Duration(n * float64(time.Second))
		if !(n <= 1e9) { // NaN too
			err = strconv.ErrRange
		}
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%s is no duration: write seconds (30) or a text (\"30s\", \"2m\")", b)
	}
	*s = Seconds(d)
	return nil
}

// LoadConfig reads the key "bridge" of the bench's configuration, overlaid by
// BRIDGE_… environment variables (BRIDGE_CONCURRENCY=50, lists with commas or as
// JSON, objects as JSON). An unknown key or a value of the wrong type is an error that names it.
func LoadConfig(b *frappe.Bench) (Config, error) {
	c := Config{Bench: b, Log: zerolog.Nop()}
	section := map[string]json.RawMessage{}
	if raw, ok := b.Config()["bridge"]; ok && raw != nil {
		m, isMap := raw.(map[string]any)
		if !isMap {
			return c, fmt.Errorf(`common_site_config.json: "bridge" is %T, want an object such as {"queues": ["go"]}`, raw)
		}
		for k, v := range m {
			text, err := json.Marshal(v)
			if err != nil {
				return c, fmt.Errorf("read bridge.%s: %w", k, err)
			}
			section[k] = text
		}
	}
	overlayEnvironment(section, os.LookupEnv)
	return c, c.decode(section)
}

func overlayEnvironment(section map[string]json.RawMessage, lookup func(string) (string, bool)) {
	for i, key := range configKeys() {
		value, ok := lookup("BRIDGE_" + strings.ToUpper(key))
		if ok && value != "" {
			section[key] = environmentValue(value, reflect.TypeFor[Config]().FieldByIndex(configFields()[i]).Type.Kind())
		}
	}
}

// environmentValue makes JSON of what a person writes into a variable: a text
// as it is (2.10 is no number there), a list with commas, anything else as JSON.
func environmentValue(value string, kind reflect.Kind) json.RawMessage {
	var plain any = value
	switch {
	case kind == reflect.Slice && !strings.HasPrefix(value, "["):
		plain = strings.Split(value, ",")
	case kind != reflect.String && json.Valid([]byte(value)):
		return json.RawMessage(value)
	}
	text, _ := json.Marshal(plain) // texts always encode
	return text
}

// decode sets c's fields from section, and reports every problem at once.
func (c *Config) decode(section map[string]json.RawMessage) error {
	var errs []error
	known := configKeys()
	fields := reflect.ValueOf(c).Elem()
	for key, text := range section {
		i := slices.Index(known, key)
		if i < 0 {
			errs = append(errs, fmt.Errorf("unknown key bridge.%s%s", key, hint(key, known)))
			continue
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		field := fields.FieldByIndex(configFields()[i])
		if err := d.Decode(field.Addr().Interface()); err != nil {
			errs = append(errs, fmt.Errorf("bridge.%s: %w; it comes from common_site_config.json or, before that, from BRIDGE_%s",
				key, mistyped(err, text), strings.ToUpper(key)))
		}
	}
	return errors.Join(errs...)
}

// mistyped says in the words of configuration files that a value is of another
// type than its key. Values of several lines or fields aren't shown: they may
// hold credentials.
func mistyped(err error, text json.RawMessage) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := map[reflect.Kind]string{
		reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Bool: "true or false", reflect.String: "a text",
		reflect.Slice: "a list", reflect.Map: "an object", reflect.Struct: "an object",
	}[wrong.Type.Kind()]
	if wrong.Field != "" || bytes.ContainsAny(text, "{[") {
		return fmt.Errorf("%s at %q where %s is wanted", wrong.Value, wrong.Field, want)
	}
	return fmt.Errorf("%.60s where %s is wanted", text, want)
}

func configKeys() (keys []string) {
	for _, index := range configFields() {
		keys = append(keys, reflect.TypeFor[Config]().FieldByIndex(index).Tag.Get("json"))
	}
	return keys
}

func configFields() (indexes [][]int) {
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Tag.Get("json") != "-" {
			indexes = append(indexes, f.Index)
		}
	}
	return indexes
}

// hint names the known key that is nearest to a mistyped one.
func hint(key string, known []string) string {
	best, distance := "", 4
	for _, k := range known {
		if d := editDistance(key, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; known keys: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean bridge.%s?", best)
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

// withDefaults returns c with every zero field set to its default.
func (c Config) withDefaults() Config {
	if c.Queues == nil && slices.ContainsFunc(c.Bench.QueueTypes(), func(q frappe.QueueType) bool { return q.Name == "go" }) {
		c.Queues = []string{"go"}
	}
	if c.SharedQueues == nil {
		for _, standard := range []string{"short", "default", "long"} {
			if !slices.Contains(c.Queues, standard) {
				c.SharedQueues = append(c.SharedQueues, standard)
			}
		}
	}
	if c.Concurrency == 0 {
		c.Concurrency = 100
	}
	if c.MaxKills == 0 {
		c.MaxKills = 3
	}
	if c.pace == (pace{}) {
		c.pace = defaultPace
	}
	if c.Builtins == nil {
		c.Builtins = new(bool)
		*c.Builtins = true
	}
	for field, value := range map[*Seconds]time.Duration{
		&c.StopTimeout: 30 * time.Second,
		&c.CancelGrace: 10 * time.Second,
		&c.Lease:       15 * time.Second,
		&c.RowGrace:    10 * time.Second,
	} {
		if *field == 0 {
			*field = Seconds(value)
		}
	}
	return c
}

// validate reports every problem of a configuration whose defaults are set.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Concurrency < 1 || c.Concurrency > 100_000 {
		bad("bridge.concurrency is %d, want 1 to 100000", c.Concurrency)
	}
	if c.Lease < Seconds(time.Second) || c.Lease > Seconds(15*time.Second) {
		bad("bridge.lease is %s, want 1 s to 15 s", time.Duration(c.Lease))
	}
	if c.MaxKills < 1 {
		bad("bridge.max_kills is %d, want at least 1", c.MaxKills)
	}
	if len(c.Queues)+len(c.SharedQueues) == 0 {
		bad(`no queue to work: set bridge.queues, e.g. ["go"], or bridge.shared_queues`)
	}
	known := c.Bench.QueueTypes()
	for _, q := range slices.Concat(c.Queues, c.SharedQueues) {
		if !slices.ContainsFunc(known, func(t frappe.QueueType) bool { return t.Name == q }) {
			bad(`queue %q is not one of the bench's (%s): add it to "workers" in common_site_config.json`, q, queueNames(known))
		}
		if count(c.Queues, q) > 1 || count(c.SharedQueues, q) > 1 {
			bad("queue %q is listed twice", q)
		}
		if slices.Contains(c.Queues, q) && slices.Contains(c.SharedQueues, q) {
			bad("queue %q is in bridge.queues and in bridge.shared_queues: it can be own or shared, not both", q)
		}
	}
	for organization, weight := range c.Weights {
		if weight < 1 || weight > 100 {
			bad("bridge.weights[%q] is %d, want 1 to 100", organization, weight)
		}
	}
	for name, h := range c.Handlers {
		if (h.Exec == nil) == (h.HTTP == nil) {
			bad(`bridge.handlers[%q] needs exactly one of "exec" and "http"`, name)
		}
		// A program that is being killed in order must not count as abandoned.
		if h.Exec != nil && h.Exec.killGrace() >= time.Duration(c.CancelGrace) {
			bad("bridge.handlers[%q].exec.kill_grace is %s, want less than bridge.cancel_grace, which is %s", name, h.Exec.killGrace(), time.Duration(c.CancelGrace))
		}
	}
	if err := c.Retry.policy().validate(); err != nil {
		bad("bridge.retry: %w", err)
	}
	return errors.Join(errs...)
}

func count(list []string, s string) (n int) {
	for _, other := range list {
		if other == s {
			n++
		}
	}
	return n
}

func queueNames(types []frappe.QueueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}
