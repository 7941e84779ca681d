package route

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// reading is what a call asks for.
type reading struct {
	q *job.Queued
	// fault is why it can't be read; unfit why its arguments can't be handed on, which counts if the job is ours.
	fault, unfit error
	// heavy says that this was too much to do among others, and means nothing else.
	heavy bool
}

// unread is what is known of a job whose call wasn't read.
func unread(queue job.Queue, f Found, fault error) reading {
	return reading{fault: fault, heavy: tooMuch(fault), q: &job.Queued{
		Queue: queue, ID: f.Job.ID, CreatedAt: f.Job.CreatedAt, EnqueuedAt: f.Job.EnqueuedAt, Priority: job.PriorityOfQueue(queue.Kind), Timeout: timeoutOf(f.Job),
		Attempt: 1 + f.Job.Retried(), Callbacks: callbacksOf(f.Job), Kills: f.Job.Kills(), Seen: f.Seen, Memory: leastMemory,
	}}
}

// leastMemory is what a job takes that has no arguments.
const leastMemory = 1 << 10

// read decodes a call within limits.
func (r *Router) read(queue job.Queue, f Found, l pickle.Limits) (got reading) {
	if got = unread(queue, f, f.Fault); got.fault != nil {
		return got
	}
	defer func() {
		if recover() != nil {
			got.fault = errors.New("decode the call: the decoder panicked")
		}
	}()
	call, err := r.Decode(f.Job, l)
	if err != nil {
		return unread(queue, f, fmt.Errorf("decode the call: %w", err))
	}
	q := got.q
	if got.fault = unwrap(q, call); got.fault == nil {
		got.fault = pythonsOwn(q)
	}
	if got.fault != nil || f.Whole {
		return got
	}
	q.Memory += call.Memory
	if q.RowName == "" {
		l.Work *= measuring
		size, err := q.MeasureParams(l)
		q.Memory += 2 * size // as JSON, and as the handler reads that
		got.unfit, got.heavy = err, tooMuch(err)
	}
	if q.Memory > wait.LargeItem {
		dropArguments(q)
	}
	return got
}

// measuring is how much more work may be charged to measure parameters than to decode them: half is left for writing them,
// which comes later, and a unit of it takes half as long.
const measuring = 4

// dropArguments leaves of a job's arguments what routing may ask for, and nothing that keeps the others in memory.
func dropArguments(q *job.Queued) {
	organization, _ := q.Kwargs.Get("organization")
	most := skimMost
	q.Kwargs, q.Args, q.Partly = skim(q.Kwargs, skimDepth, &most), nil, true
	if name, ok := pickle.Base(organization).(string); ok {
		q.Kwargs.Set("organization", strings.Clone(name[:min(len(name), wait.LargeItem)]))
	}
	for _, s := range []*string{&q.Site, &q.User, &q.Method, &q.RowName} {
		*s = strings.Clone(*s)
	}
}

// unwrap takes what a call asks for out of the envelope of frappe.enqueue around it, if any.
func unwrap(q *job.Queued, call *rqcompat.Call) error {
	q.Method, q.Kwargs, q.Args, q.Serializer = call.Func, call.Kwargs, call.Args, call.Serializer
	envelope, err := frappe.ParseCall(call.Func, based{call.Kwargs})
	if errors.Is(err, frappe.ErrNotFrappe) {
		return nil
	}
	if err != nil {
		return err
	}
	q.Site, q.User, q.Method = envelope.Site, envelope.User, envelope.Target()
	q.Args = nil
	q.Kwargs = envelope.Kwargs.(based).Dict // ParseCall takes nothing else
	if own := envelope.WrapperArgument(); own != "" {
		q.Kwargs = &pickle.Dict{Items: slices.DeleteFunc(slices.Clone(q.Kwargs.Items), func(p pickle.Pair) bool { return p.Key == any(own) })}
	}
	name, isExecutor := envelope.BackgroundJobID()
	if isExecutor && name == "" {
		return errors.New("the executor was called without background_job_id")
	}
	q.RowName = name
	return nil
}

// based are the arguments of execute_job, or those inside, as Python's code takes them: a frappe._dict as a dict, a
// subclass's text as str.
type based struct{ *pickle.Dict }

// Get implements frappe.Getter.
func (b based) Get(key string) (any, bool) {
	v, ok := b.Dict.Get(key)
	if key == "kwargs" {
		if d, isMapping := pickle.Keywords(v); isMapping {
			return based{d}, ok
		}
	}
	return pickle.Base(v), ok
}

// RowOf gives the row that a job names in its call; ok is false if it names none or can't be read.
func RowOf(j *rqcompat.Job) (named sites.RowCall, ok bool) {
	call, err := j.Call()
	if err != nil {
		return sites.RowCall{}, false
	}
	q := &job.Queued{}
	err = unwrap(q, call)
	return sites.RowCall{Site: q.Site, Name: q.RowName, User: q.User}, err == nil && q.RowName != ""
}

// callbackName is how much of a callback's name is kept: a longer one names no function.
const callbackName = 2048

// callbacksOf reads the callbacks that a job names; nil for none.
func callbacksOf(j *rqcompat.Job) (c job.Callbacks) {
	for i, callback := range [...]rqcompat.Callback{j.SuccessCallback, j.FailureCallback, j.StoppedCallback} {
		if callback.Name == "" || frappe.IsFrappeCallback(callback.Name) {
			continue
		}
		if c == nil {
			c = job.Callbacks{}
		}
		callback.Name = strings.Clone(callback.Name[:min(len(callback.Name), callbackName)])
		c[job.CallbackKinds[i]] = callback
	}
	return c
}

// pythonsOwn says why a job on a shared queue is left to Python whatever it asks for: who takes it there can call its callbacks
// itself. On an own queue they are handed over to Python when it has ended.
func pythonsOwn(q *job.Queued) error {
	if name := q.Callbacks.Any(); name != "" && !q.Queue.Own {
		return fmt.Errorf("the job names the Python callback %q, so it is left to Python on a queue that is shared", name)
	}
	return nil
}

// longest is the most seconds that a time.Duration holds: 292 years.
const longest = int64(math.MaxInt64 / time.Second)

// timeoutOf is the job's own timeout, zero for unlimited; nil if it has none.
func timeoutOf(j *rqcompat.Job) *time.Duration {
	if j.Timeout == nil {
		return nil
	}
	timeout := time.Duration(min(max(*j.Timeout, 0), longest)) * time.Second
	return &timeout
}
