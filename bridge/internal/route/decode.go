package route

import (
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// decode reads the call and the envelope of frappe.enqueue around it, if any.
func decode(q *job.Queued, j *rqcompat.Job) error {
	call, err := j.Call()
	if err != nil {
		return fmt.Errorf("decode the call: %w", err)
	}
	q.Method, q.Arguments = call.Func, job.Arguments{Kwargs: call.Kwargs, Args: call.Args}
	envelope, err := frappe.ParseCall(call.Func, call.Kwargs)
	if errors.Is(err, frappe.ErrNotFrappe) {
		return refuseCallback(j)
	}
	if err != nil {
		return err
	}
	q.Site, q.User, q.Method = envelope.Site, envelope.User, envelope.Target()
	kwargs, _ := envelope.Kwargs.(*pickle.Dict)
	if kwargs == nil {
		kwargs = &pickle.Dict{}
	}
	q.Arguments = job.Arguments{Kwargs: kwargs}
	if err := refuseCallback(j); err != nil {
		return err
	}
	name, isExecutor := envelope.BackgroundJobID()
	if isExecutor && name == "" {
		return errors.New("the executor was called without background_job_id")
	}
	q.RowName = name
	return nil
}

// RowOf gives the row that a job names in its call; ok is false if it names none or can't be read.
func RowOf(j *rqcompat.Job) (site, name string, ok bool) {
	q := &job.Queued{}
	err := decode(q, j)
	return q.Site, q.RowName, err == nil && q.RowName != ""
}

// refuseCallback refuses a job with a Python callback after it; Frappe's house-keeping one the bridge does itself.
func refuseCallback(j *rqcompat.Job) error {
	for _, cb := range []rqcompat.Callback{j.SuccessCallback, j.FailureCallback, j.StoppedCallback} {
		if cb.Name != "" && !frappe.IsFrappeCallback(cb.Name) {
			return fmt.Errorf("the job names the Python callback %q, which the bridge can't run: drop its callbacks, or enqueue it on a queue of Python's", cb.Name)
		}
	}
	return nil
}

// timeoutOf is the job's own timeout, zero for unlimited; nil if it has none.
func timeoutOf(j *rqcompat.Job) *time.Duration {
	if j.Timeout == nil {
		return nil
	}
	timeout := time.Duration(max(*j.Timeout, 0)) * time.Second
	return &timeout
}
