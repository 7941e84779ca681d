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

// CallError says which argument of a Frappe job is missing or has the wrong type. It never shows the value: arguments
// may be confidential.
type CallError struct {
	// Key is the argument of execute_job.
	Key string
	// Want says what execute_job takes.
	Want string
	// Got is the type found, or "nothing" for a missing argument.
	Got string
}

func (e *CallError) Error() string {
	return fmt.Sprintf("argument %q of %s: want %s, got %s", e.Key, ExecuteJob, e.Want, e.Got)
}

// Call is one call of frappe.enqueue: what ExecuteJob gets as its keyword arguments (15.41 to 17).
type Call struct {
	// Site is the site's directory name.
	Site string
	// User is the session user at enqueue time; "" runs as Administrator.
	User string
	// Method is the dotted path of what to run, also when Python pickled a function object.
	Method string
	// Event is a legacy tag, "" for none.
	Event string
	// JobName is the label given by the caller, else the dotted path.
	JobName string
	// IsAsync is true for everything that went through Redis.
	IsAsync bool
	// Kwargs are the arguments for Method, as the caller of ParseCall decoded them: a Getter or a map[string]any. nil
	// is written as an empty dict.
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
		return nil, &CallError{Key: "site", Want: "str", Got: "nothing"}
	}
	c := &Call{IsAsync: true}
	var err error
	if c.Site, err = requiredText(kwargs, "site", "str"); err != nil {
		return nil, err
	}
	if c.Method, err = requiredText(kwargs, "method", "str or function"); err != nil {
		return nil, err
	}
	if c.User, err = optionalUser(kwargs); err != nil {
		return nil, err
	}
	if c.IsAsync, err = truth(kwargs, "is_async", true); err != nil {
		return nil, err
	}
	inner, found := kwargs.Get("kwargs")
	if !found || getterOf(inner) == nil {
		return nil, callError("kwargs", "dict", inner, found)
	}
	c.Kwargs = inner
	c.Event = label(kwargs, "event", "")
	c.JobName = label(kwargs, "job_name", c.Method)
	return c, nil
}

// Arguments returns the seven keyword arguments of execute_job for writing. All of them are always there: bench doctor,
// show-pending-jobs and purge-jobs index them directly. The method is a string, since unpickling a function would
// import its module in every process that looks at the job.
func (c *Call) Arguments() map[string]any {
	args := map[string]any{
		"site":     c.Site,
		"user":     nil,
		"method":   c.Method,
		"event":    nil,
		"job_name": c.JobName,
		"is_async": c.IsAsync,
		"kwargs":   c.Kwargs,
	}
	if c.User != "" {
		args["user"] = c.User
	}
	if c.Event != "" {
		args["event"] = c.Event
	}
	if c.JobName == "" {
		args["job_name"] = c.Method
	}
	if c.Kwargs == nil {
		args["kwargs"] = map[string]any{}
	}
	return args
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

// BackgroundJobID returns the name of the Background Job row that a call of the Dartwing executor is for: its argument
// background_job_id, or the alias job_id. ok says whether the call is one of the executor at all, which is known by its
// last three names, wherever the surrounding app keeps it; name is "" when it has neither argument.
func (c *Call) BackgroundJobID() (name string, ok bool) {
	if !strings.HasSuffix(c.Target(), executorSuffix) {
		return "", false
	}
	kwargs := getterOf(c.Kwargs)
	if kwargs == nil {
		return "", true
	}
	for _, key := range []string{"background_job_id", "job_id"} {
		v, _ := kwargs.Get(key)
		if name, _ := v.(string); name != "" {
			return name, true
		}
	}
	return "", true
}

// text returns an inner argument that is a string or a function, else "".
func (c *Call) text(key string) string {
	kwargs := getterOf(c.Kwargs)
	if kwargs == nil {
		return ""
	}
	v, _ := kwargs.Get(key)
	s, _ := textOf(v)
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

func requiredText(kwargs Getter, key, want string) (string, error) {
	v, found := kwargs.Get(key)
	s, ok := v.(string)
	if key == "method" {
		s, ok = textOf(v)
	}
	if !ok {
		return "", callError(key, want, v, found)
	}
	if s == "" {
		return "", &CallError{Key: key, Want: want, Got: "an empty string"}
	}
	return s, nil
}

func optionalUser(kwargs Getter) (string, error) {
	v, found := kwargs.Get("user")
	if v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", callError("user", "str or None", v, found)
	}
	return s, nil
}

// truth reads a flag the way Python's "if" would, for the types a flag has.
func truth(kwargs Getter, key string, missing bool) (bool, error) {
	v, found := kwargs.Get(key)
	if !found {
		return missing, nil
	}
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case int64:
		return v != 0, nil
	}
	return false, callError(key, "bool", v, found)
}

// label reads a string that only describes the job. Python takes any value there, so a strange one must not fail the job.
func label(kwargs Getter, key, missing string) string {
	v, _ := kwargs.Get(key)
	if s, ok := textOf(v); ok && s != "" {
		return s
	}
	return missing
}

func callError(key, want string, v any, found bool) error {
	e := &CallError{Key: key, Want: want, Got: "nothing"}
	if found {
		e.Got = pythonType(v)
	}
	return e
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
