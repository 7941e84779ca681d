// Package benchconfig reads a bridge's configuration from the bench that it works for: the key "bridge" of
// common_site_config.json, overlaid by BRIDGE_… environment variables.
//
//	{"bridge": {"concurrency": 200, "stop_timeout": "2m", "retry": {"base": 30}}}
//
// The keys, each a field of bridge.Config of the same name but for the last ones:
//
//	queues, shared_queues, first    lists of queue types
//	concurrency, max_kills,         whole numbers
//	db_connections, queue_limit,
//	running_per_organization
//	running_memory                  a whole number of MiB
//	weights, running_of             objects: organization → whole number
//	rq_version                      a string
//	default_organization            a string
//	trust_enqueuer                  true or false
//	stop_timeout, cancel_grace,     durations: seconds as a number, or a string such as "90s" or "2m"
//	lease, row_grace, ageing        an ageing of 0 means none
//	retry                           {"base": duration, "max": duration, "jitter": number}; a jitter of 0 means none
//	retention                       {"days": number, "dead_letter_days": number}; 0 means never
//	dead_letter_alert               {"threshold": number, "role": a string}; a threshold of 0 means never
//	retry_intervals                 a list of durations; an empty one means no retry
//	breaker                         {"failures": number, "at_least": whole number, "window": duration, "open": duration}; false opens none
//	handlers                        Config.Foreign, an object: name → {"exec": {"command": […], "dir", "env", "kill_grace"}}
//	                                or {"http": {"url", "method", "headers", "timeout"}}, each with "retry_intervals" beside it
//	builtins                        false sets Config.NoSamples
//	frappe_version,                 read by package frappe when it opens the bench, from the file alone
//	job_id_separator
//
// null stands for the default. A zero where zero makes no sense is an error; in bridge.Config it would mean the default.
//
// A variable is BRIDGE_ and the key in capitals, BRIDGE_CONCURRENCY=50 for instance, and wins over the file. Lists are
// written with commas or as JSON, objects as JSON; an empty variable counts as unset.
package benchconfig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// settings are a bridge.Config and what files write in another form.
type settings struct {
	*bridge.Config
	retry     retry
	retention retention
	alert     alert
	intervals intervals
	breaker   breaker
	handlers  map[string]handler
	samples   bool
}

// whole is a whole number of which zero makes no sense, and what it wants. Zero would mean the default in silence.
type whole struct {
	into *int
	want string
}

func (w *whole) UnmarshalJSON(b []byte) error {
	err := json.Unmarshal(b, w.into)
	if err == nil && *w.into == 0 {
		return fmt.Errorf("0 where %s is wanted", w.want)
	}
	return err
}

// mebibytes is a whole number of MiB.
type mebibytes struct{ whole }

func (m *mebibytes) UnmarshalJSON(b []byte) error {
	err := m.whole.UnmarshalJSON(b)
	*m.into = min(max(*m.into, -1), 1<<30) << 20
	return err
}

// elsewhere is a key that package frappe reads from the file when it opens a bench.
type elsewhere struct{}

// keys are the known ones and where their values go.
func (s *settings) keys() map[string]any {
	return map[string]any{
		"queues": &s.Queues, "shared_queues": &s.SharedQueues, "first": &s.First, "weights": &s.Weights,
		"running_per_organization": &s.RunningPerOrganization, "running_of": &s.RunningOf, "ageing": (*orNone)(&s.Ageing),
		"concurrency": &whole{&s.Concurrency, "1 to 100000"}, "max_kills": &whole{&s.MaxKills, "at least 1"},
		"db_connections": &whole{&s.DBConnections, "at least 1"}, "queue_limit": &whole{&s.QueueLimit, "a number, or a negative one for no limit,"},
		"running_memory": &mebibytes{whole{&s.RunningMemory, "at least 16"}},
		"rq_version":     &s.RQVersion, "default_organization": &s.DefaultOrganization, "trust_enqueuer": &s.TrustEnqueuer,
		"stop_timeout": (*seconds)(&s.StopTimeout), "cancel_grace": (*seconds)(&s.CancelGrace),
		"lease": (*seconds)(&s.Lease), "row_grace": (*seconds)(&s.RowGrace),
		"retry": &s.retry, "retention": &s.retention, "dead_letter_alert": &s.alert, "retry_intervals": &s.intervals, "breaker": &s.breaker,
		"handlers": &s.handlers, "builtins": &s.samples,
		"frappe_version": elsewhere{}, "job_id_separator": elsewhere{},
	}
}

// retry is bridge.RetryPolicy as files write it.
type retry struct {
	Base   seconds  `json:"base"`
	Max    seconds  `json:"max"`
	Jitter *float64 `json:"jitter"`
}

func (r retry) policy() bridge.RetryPolicy {
	p := bridge.RetryPolicy{Base: time.Duration(r.Base), Max: time.Duration(r.Max)}
	if r.Jitter != nil {
		p.Jitter = cmp.Or(*r.Jitter, -1) // none is what zero says in a file
	}
	return p
}

// retention is bridge.Retention as files write it.
type retention struct {
	Days           *int `json:"days"`
	DeadLetterDays *int `json:"dead_letter_days"`
}

func (r *retention) UnmarshalJSON(b []byte) error {
	type plain retention
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(r)); err != nil {
		return err
	}
	for _, days := range []*int{r.Days, r.DeadLetterDays} {
		if days != nil && (*days < 0 || *days > mostDays) {
			return fmt.Errorf("%d where days from 0 (never) to %d are wanted", *days, mostDays)
		}
	}
	return nil
}

// mostDays is a hundred years.
const mostDays = 36_500

func (r retention) kept() bridge.Retention {
	return bridge.Retention{Days: never(r.Days), DeadLetterDays: never(r.DeadLetterDays)}
}

// never is a number of a file's, in which 0 means never.
func never(n *int) int {
	if n == nil {
		return 0
	}
	return cmp.Or(*n, -1)
}

// breaker is bridge.BreakerPolicy as files write it: false for none.
type breaker bridge.BreakerPolicy

func (b *breaker) UnmarshalJSON(text []byte) error {
	if string(text) == "false" {
		b.Off = true
		return nil
	}
	var written struct {
		Failures *float64 `json:"failures"`
		AtLeast  *int     `json:"at_least"`
		Window   seconds  `json:"window"`
		Open     seconds  `json:"open"`
	}
	if err := decode(text, &written); err != nil {
		return err
	}
	if written.Failures != nil {
		b.Failures = cmp.Or(*written.Failures, -1) // zero makes no sense, and isn't the default
	}
	if written.AtLeast != nil {
		b.AtLeast = cmp.Or(*written.AtLeast, -1)
	}
	b.Window, b.Open = time.Duration(written.Window), time.Duration(written.Open)
	return nil
}

// alert is bridge.DeadLetterAlert as files write it.
type alert struct {
	Threshold *int   `json:"threshold"`
	Role      string `json:"role"`
}

func (a alert) told() bridge.DeadLetterAlert {
	return bridge.DeadLetterAlert{Threshold: never(a.Threshold), Role: a.Role}
}

// intervals are pauses as files write them; nil means the default.
type intervals []seconds

func (i intervals) pauses() (pauses []time.Duration) {
	if i != nil {
		pauses = make([]time.Duration, 0, len(i))
	}
	for _, s := range i {
		pauses = append(pauses, time.Duration(s))
	}
	return pauses
}

// handler is bridge.ForeignHandler as files write it.
type handler struct {
	Exec *struct {
		Command   []string          `json:"command"`
		Dir       string            `json:"dir"`
		Env       map[string]string `json:"env"`
		KillGrace seconds           `json:"kill_grace"`
	} `json:"exec"`
	HTTP *struct {
		URL     string            `json:"url"`
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
		Timeout limit             `json:"timeout"`
	} `json:"http"`
	RetryIntervals intervals `json:"retry_intervals"`
}

func foreign(handlers map[string]handler) map[string]bridge.ForeignHandler {
	if len(handlers) == 0 {
		return nil
	}
	all := make(map[string]bridge.ForeignHandler, len(handlers))
	for name, h := range handlers {
		f := bridge.ForeignHandler{RetryIntervals: h.RetryIntervals.pauses()}
		if e := h.Exec; e != nil {
			f.Exec = &bridge.ExecConfig{Command: e.Command, Dir: e.Dir, Env: e.Env, KillGrace: time.Duration(e.KillGrace)}
		}
		if e := h.HTTP; e != nil {
			f.HTTP = &bridge.HTTPConfig{URL: e.URL, Method: e.Method, Headers: e.Headers, Timeout: time.Duration(e.Timeout)}
		}
		all[name] = f
	}
	return all
}

// decode sets a key's value. null leaves the default.
func decode(text json.RawMessage, into any) error {
	if into == (elsewhere{}) || string(text) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return mistyped(d.Decode(into), text)
}

// wanted names the types of values other than objects.
var wanted = map[reflect.Kind]string{
	reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Bool: "true or false",
	reflect.String: "a string", reflect.Slice: "a list",
}

// mistyped says in the words of configuration files that a value is of another type than its key. Nothing is shown that
// stands inside a list or an object, or in the place of one: it may be a credential.
func mistyped(err error, text json.RawMessage) error {
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	if !isWrong {
		return err
	}
	want, shown := wanted[wrong.Type.Kind()]
	if !shown {
		want = "an object"
	}
	kind, _, _ := strings.Cut(wrong.Value, " ") // "number 12.5" shows the number
	switch {
	case wrong.Field != "":
		return fmt.Errorf("%s at %q where %s is wanted", kind, wrong.Field, want)
	case !shown || bytes.ContainsAny(text, "{["):
		return fmt.Errorf("%s where %s is wanted", kind, want)
	}
	return fmt.Errorf("%.60s where %s is wanted", text, want)
}

// seconds is a duration above zero, written as a number of seconds or as Go writes durations.
type seconds time.Duration

func (s *seconds) UnmarshalJSON(b []byte) (err error) {
	*s, err = duration[seconds](b, 1, "a duration above zero")
	return err
}

// limit is a duration, or zero for none.
type limit time.Duration

func (l *limit) UnmarshalJSON(b []byte) (err error) {
	*l, err = duration[limit](b, 0, "a duration")
	return err
}

// orNone is a duration, or zero for none, which a negative one says in bridge.Config.
type orNone time.Duration

func (d *orNone) UnmarshalJSON(b []byte) error {
	read, err := duration[orNone](b, 0, "a duration")
	*d = cmp.Or(read, -1)
	return err
}

// duration reads one of at least least.
func duration[D ~int64](b []byte, least D, want string) (D, error) {
	text := strings.Trim(string(b), `"`)
	d, err := time.ParseDuration(text)
	if err != nil {
		var n float64
		if n, err = strconv.ParseFloat(text, 64); !(n <= 1e9) { // NaN too
			err = strconv.ErrRange
		}
		d = time.Duration(n * float64(time.Second))
	}
	if err == nil && D(d) >= least {
		return D(d), nil
	}
	if bytes.ContainsAny(b, "{[") {
		b = []byte("a list or an object")
	}
	return 0, fmt.Errorf(`%.60s is not %s: write seconds (30) or a string ("30s", "2m")`, b, want)
}
