package frappe

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Dotted paths that Frappe and the Dartwing app put into jobs.
const (
	// ExecuteJob is the function of every job that frappe.enqueue makes (frappe/utils/background_jobs.py).
	ExecuteJob = "frappe.utils.background_jobs.execute_job"
	// Executor is the method the Dartwing app enqueues for a Background Job row.
	Executor = "dartwing.dartwing_core.background_jobs.executor.execute_job"

	runDocMethod      = "frappe.utils.background_jobs.run_doc_method"
	runScheduledJob   = "frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job"
	executorSuffix    = ".background_jobs.executor.execute_job"
	callWhitelisted   = "frappe.utils.safe_exec.call_whitelisted_function"
	truncateFailedJob = "frappe.utils.background_jobs.truncate_failed_registry"
)

// ErrNotFrappe says that an RQ job wasn't made by frappe.enqueue: its function is not ExecuteJob.
var ErrNotFrappe = errors.New("not a job of frappe.enqueue")

// CallError says which argument of a job is missing or of the wrong type, never its value, which may be confidential.
type CallError struct {
	Key  string // the argument of execute_job
	Want string // what execute_job takes
	Got  string // the type found, or "nothing" for a missing argument
}

func (e *CallError) Error() string {
	return fmt.Sprintf("argument %q of %s: want %s, got %s", e.Key, ExecuteJob, e.Want, e.Got)
}

// Call is one call of frappe.enqueue: what ExecuteJob gets as its keyword arguments (15.41 to 17).
type Call struct {
	Site    string // the site's directory name
	User    string // the session user at enqueue time; "" runs as Administrator
	Method  string // the dotted path of what to run, also when Python pickled a function object
	Event   string // a legacy tag, "" for none
	JobName string // the label given by the caller, else the dotted path
	IsAsync bool   // true for everything that went through Redis
	// Kwargs are the arguments for Method, as ParseCall got them: a Getter or a map[string]any; nil is an empty dict.
	Kwargs any
}

// Getter is a decoded Python dict with string keys.
type Getter interface {
	Get(key string) (any, bool)
}

type dottedNamer interface {
	DottedName() string
}

// ParseCall reads the keyword arguments of an RQ job whose function is named function. As in execute_job's signature,
// user and is_async may be missing; beyond that event and job_name may be, which only label the job. Everything else is
// a *CallError; another function is ErrNotFrappe.
func ParseCall(function string, kwargs Getter) (*Call, error) {
	if function != ExecuteJob {
		return nil, fmt.Errorf("function %q: %w", function, ErrNotFrappe)
	}
	if kwargs == nil {
		kwargs = plainDict(nil)
	}
	a := arguments{Getter: kwargs}
	c := &Call{
		Site:    a.text("site", "str", stringOf),
		Method:  a.text("method", "str or function", textOf),
		User:    a.user(),
		IsAsync: a.truth("is_async"),
		Event:   a.label("event"),
	}
	c.JobName = cmp.Or(a.label("job_name"), c.Method)
	if c.Kwargs, _ = a.Get("kwargs"); getterOf(c.Kwargs) == nil {
		a.refuse("kwargs", "dict")
	}
	if a.err != nil {
		return nil, a.err
	}
	return c, nil
}

// Arguments returns the seven keyword arguments of execute_job for writing. All of them are always there: bench doctor,
// show-pending-jobs and purge-jobs index them directly. The method is a string, since unpickling a function would
// import its module in every process that looks at the job.
func (c *Call) Arguments() map[string]any {
	kwargs := c.Kwargs
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	return map[string]any{
		"site":     c.Site,
		"user":     orNone(c.User),
		"method":   c.Method,
		"event":    orNone(c.Event),
		"job_name": cmp.Or(c.JobName, c.Method),
		"is_async": c.IsAsync,
		"kwargs":   kwargs,
	}
}

func orNone(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Target looks through Frappe's wrappers and returns what the call is really about: for a method of one document
// (enqueue_doc, queue_action) "<doctype>.<method>", as RQ Job shows it, for a Scheduled Job Type its method, and for a
// Server Script the function that it named. A wrapper without the argument that names its target is its own target.
func (c *Call) Target() string {
	target := ""
	switch c.Method {
	case runDocMethod:
		if doctype, method := c.text("doctype"), c.text("doc_method"); doctype != "" && method != "" {
			target = doctype + "." + method
		}
	case runScheduledJob:
		target = c.text("job_type")
	case callWhitelisted:
		target = c.text("function")
	}
	return cmp.Or(target, c.Method)
}

// WrapperArgument names the argument that is Frappe's wrapper's alone: that of a Server Script, which names the target
// and is not passed on to it. "" for a call without such a wrapper.
func (c *Call) WrapperArgument() string {
	if c.Method == callWhitelisted && c.text("function") != "" {
		return "function"
	}
	return ""
}

// BackgroundJobID returns the name of the Background Job row that a call of the Dartwing executor is for: its argument
// background_job_id, or the alias job_id. ok says whether the call is one of the executor at all, which is known by its
// last three names, wherever the surrounding app keeps it; name is "" when it has neither argument.
func (c *Call) BackgroundJobID() (name string, ok bool) {
	if !strings.HasSuffix(c.Target(), executorSuffix) {
		return "", false
	}
	for _, key := range []string{"background_job_id", "job_id"} {
		if name, _ := c.argument(key).(string); name != "" {
			return name, true
		}
	}
	return "", true
}

// argument is one of the arguments for Method, nil when it isn't there.
func (c *Call) argument(key string) any {
	kwargs := getterOf(c.Kwargs)
	if kwargs == nil {
		return nil
	}
	v, _ := kwargs.Get(key)
	return v
}

// text returns an inner argument that is a string or a function, else "".
func (c *Call) text(key string) string {
	s, _ := textOf(c.argument(key))
	return s
}

// plainDict lets a map stand for a decoded dict.
type plainDict map[string]any

func (m plainDict) Get(key string) (any, bool) {
	v, ok := m[key]
	return v, ok
}

func getterOf(v any) Getter {
	switch v := v.(type) {
	case Getter:
		return v
	case map[string]any:
		return plainDict(v)
	}
	return nil
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case dottedNamer:
		return v.DottedName(), true
	}
	return "", false
}

func stringOf(v any) (string, bool) {
	s, ok := v.(string)
	return s, ok
}

// arguments reads the keyword arguments of execute_job. err is about the first one that it can't take.
type arguments struct {
	Getter
	err error
}

func (a *arguments) refuse(key, want string) {
	if a.err != nil {
		return
	}
	e := &CallError{Key: key, Want: want, Got: "nothing"}
	if v, found := a.Get(key); found {
		e.Got = pythonType(v)
	}
	a.err = e
}

func (a *arguments) text(key, want string, of func(any) (string, bool)) string {
	v, _ := a.Get(key)
	s, _ := of(v)
	if s == "" {
		a.refuse(key, want)
	}
	return s
}

func (a *arguments) user() string {
	v, _ := a.Get("user")
	s, ok := v.(string)
	if !ok && v != nil {
		a.refuse("user", "str or None")
	}
	return s
}

// truth reads a flag the way Python's "if" would, for the types a flag has. A missing one is true.
func (a *arguments) truth(key string) bool {
	v, found := a.Get(key)
	switch v := v.(type) {
	case nil:
		return !found
	case bool:
		return v
	case int64:
		return v != 0
	}
	a.refuse(key, "bool")
	return false
}

// label reads a string that only describes the job. Python takes any value there, so a strange one fails no job.
func (a *arguments) label(key string) string {
	v, _ := a.Get(key)
	s, _ := textOf(v)
	return s
}

func pythonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int, int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		if v == "" {
			return "an empty string"
		}
		return "str"
	case []any:
		return "list"
	case Getter, map[string]any:
		return "dict"
	case dottedNamer:
		return "function or class"
	default:
		return fmt.Sprintf("%T", v)
	}
}

// EnqueueDefaults are what frappe.enqueue sets beside the call (background_jobs.py enqueue, 15.41 to 17), in seconds.
type EnqueueDefaults struct {
	ResultTTL  int64 // how long a finished job is kept
	FailureTTL int64 // how long a failed job is kept
	// FailureCallback is the function RQ calls after a failure if the caller named none: it trims the failed registry.
	FailureCallback        string
	FailureCallbackTimeout int64 // bounds that call
}

// NewEnqueueDefaults reads rq_results_ttl and rq_job_failure_ttl from a site's configuration. Zero means the default.
func NewEnqueueDefaults(config Config) EnqueueDefaults {
	return EnqueueDefaults{
		ResultTTL:              int64(cmp.Or(config.Int("rq_results_ttl", 0), 10*60)),
		FailureTTL:             int64(cmp.Or(config.Int("rq_job_failure_ttl", 0), 7*24*60*60)),
		FailureCallback:        truncateFailedJob,
		FailureCallbackTimeout: 60,
	}
}

// Timeout returns the job's time limit: what the caller asked for, else the queue's, else 300 s.
func (EnqueueDefaults) Timeout(asked, queue int64) int64 {
	return cmp.Or(asked, queue, DefaultTimeout)
}

// IsFrappeCallback reports whether a callback named in a job hash is Frappe's own bookkeeping, which a Go worker does
// itself by other means. Any other name is a Python function of the job's caller: only a Python worker can run it.
func IsFrappeCallback(name string) bool { return name == truncateFailedJob }
