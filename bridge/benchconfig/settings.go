package benchconfig

import (
	"cmp"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// settings are a bridge.Config and what files write in another form.
type settings struct {
	*bridge.Config
	retry    retry
	handlers map[string]handler
	samples  bool
}

// whole is a whole number of which zero makes no sense, and what it wants. Zero would mean the default in silence.
type whole struct {
	into *int
	want string
}

// elsewhere is a key that package frappe reads from the file when it opens a bench.
type elsewhere struct{}

// keys are the known ones and where their values go.
func (s *settings) keys() map[string]any {
	return map[string]any{
		"queues": &s.Queues, "shared_queues": &s.SharedQueues, "weights": &s.Weights,
		"concurrency": whole{&s.Concurrency, "1 to 100000"}, "max_kills": whole{&s.MaxKills, "at least 1"},
		"rq_version": &s.RQVersion, "default_organization": &s.DefaultOrganization,
		"stop_timeout": (*seconds)(&s.StopTimeout), "cancel_grace": (*seconds)(&s.CancelGrace),
		"lease": (*seconds)(&s.Lease), "row_grace": (*seconds)(&s.RowGrace),
		"retry": &s.retry, "handlers": &s.handlers, "builtins": &s.samples,
		"frappe_version": elsewhere{}, "job_id_separator": elsewhere{}, "db_connections": elsewhere{},
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
}

func foreign(handlers map[string]handler) map[string]bridge.ForeignHandler {
	if len(handlers) == 0 {
		return nil
	}
	all := make(map[string]bridge.ForeignHandler, len(handlers))
	for name, h := range handlers {
		var f bridge.ForeignHandler
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
