package rqcompat

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// RQ's defaults, rq/defaults.py and rq/queue.py.
const (
	defaultTimeout         = 180 // seconds a job may run when nothing else is said
	defaultCallbackTimeout = 60  // seconds a callback may run
)

// Request is a job to enqueue. Only Queue and Call (or Data) are needed.
type Request struct {
	Queue       string
	ID          string // the job's id. Default a new UUID.
	Call        Call   // what to run
	Data        []byte // an already encoded call (EncodeCall), instead of Call
	Description string // for people. Default RQ's text of the call.

	// Timeout in seconds, -1 for none. Default 180, RQ's own; it is never left out, because Python workers need it.
	Timeout *int64
	// ResultTTL and FailureTTL in seconds, -1 forever, 0 deletes at once. Default what the worker uses.
	ResultTTL, FailureTTL *int64
	TTL                   *int64 // how many seconds the job may wait in its queue before it disappears. Default forever.

	// AtFront puts the job to the head of the queue, also when it is scheduled or deferred and gets there later.
	AtFront bool
	At      time.Time // schedules the job; some scheduler must serve the queue. Default now.

	DependsOn               []string // jobs that must finish first. Ones that don't exist (any more) count as finished.
	AllowDependencyFailures bool     // takes failed dependencies for finished ones

	RetryMax       int     // how often RQ shall run the job again after a failure. Default never.
	RetryIntervals []int64 // the pauses before, in seconds; the last one repeats. Default none.

	Meta map[string]any // the job's meta dict
	// SuccessCallback, FailureCallback and StoppedCallback name functions that every Python process which may
	// clean the queue must be able to import. A nil timeout is RQ's 60 s.
	SuccessCallback, FailureCallback, StoppedCallback Callback
	// Extra are further fields of the hash; no field that RQ or this package knows.
	Extra map[string]string

	// Deduplicate refuses the job with a *DuplicateJobError when one of this id is queued, started, scheduled or
	// deferred, and replaces a job of this id in any other state. Without it the hash of an existing job is
	// overwritten and its id pushed once more, as RQ does.
	Deduplicate bool
}

// check reports everything that is wrong with r, so that one attempt is enough to mend it.
func (c *Client) check(r Request) error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	switch q := r.Queue; {
	case q == "":
		bad("no queue")
	case strings.Contains(q, ",") || strings.HasSuffix(q, intermediateSuffix) || !utf8.ValidString(q):
		bad("queue name %q has a comma, ends in %s or is not UTF-8", clip(q), intermediateSuffix)
	}
	if r.ID != "" {
		if why := c.d.idProblem(r.ID); why != "" {
			bad("job id %q %s, which RQ %s can't read", clip(r.ID), why, c.d.Version)
		} else if !utf8.ValidString(r.ID) {
			bad("job id %q is not UTF-8", clip(r.ID))
		}
	} else if r.Deduplicate {
		bad("Deduplicate needs an ID")
	}
	if !utf8.ValidString(r.Description) {
		bad("description is not UTF-8")
	}
	checkTimes(r, bad)
	checkDependencies(r, bad)
	for name := range r.Extra {
		if jobFieldByName[name] != nil || name == "dependency_id" || !utf8.ValidString(name) {
			bad("extra field %q has a field of its own in the request or belongs to RQ", clip(name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrBadRequest, strings.Join(problems, "; "))
}

func checkTimes(r Request, bad func(string, ...any)) {
	for _, s := range []struct {
		name  string
		value *int64
		least int64 // or -1, if it may be unlimited
		most  string
	}{
		{"timeout", r.Timeout, 1, ", or -1 for none"},
		{"result ttl", r.ResultTTL, 0, ", or -1 forever"},
		{"failure ttl", r.FailureTTL, 0, ", or -1 forever"},
		{"ttl", r.TTL, 1, ""},
		{"callback timeout", r.SuccessCallback.Timeout, 1, ", or -1 for none"},
		{"callback timeout", r.FailureCallback.Timeout, 1, ", or -1 for none"},
		{"callback timeout", r.StoppedCallback.Timeout, 1, ", or -1 for none"},
	} {
		if s.value != nil && *s.value < s.least && (s.most == "" || *s.value != -1) {
			bad("%s is %d, want seconds from %d on%s", s.name, *s.value, s.least, s.most)
		}
	}
	if r.TTL != nil && *r.TTL > 0 && !r.At.IsZero() && time.Until(r.At) >= time.Duration(*r.TTL)*time.Second {
		bad("ttl of %d s ends before the job is due", *r.TTL)
	}
	if r.RetryMax < 0 {
		bad("retry max is %d, want 0 or more", r.RetryMax)
	}
	if r.RetryMax == 0 && len(r.RetryIntervals) > 0 {
		bad("retry intervals without retries")
	}
	for _, n := range r.RetryIntervals {
		if n < 0 {
			bad("retry interval is %d, want seconds from 0 on", n)
		}
	}
	for _, cb := range []Callback{r.SuccessCallback, r.FailureCallback, r.StoppedCallback} {
		if !utf8.ValidString(cb.Name) {
			bad("callback name is not UTF-8")
		}
	}
}

func checkDependencies(r Request, bad func(string, ...any)) {
	if len(r.DependsOn) > 0 && !r.At.IsZero() {
		bad("a job can be scheduled or depend on others, not both")
	}
	for _, d := range r.DependsOn {
		if d == "" || d == r.ID || !utf8.ValidString(d) {
			bad("dependency %q is empty, the job itself or not UTF-8", clip(d))
		}
	}
}

// idProblem says why the peers of this dialect could not use an id; "" when they can.
func (d Dialect) idProblem(id string) string {
	switch {
	case id == "":
		return "is empty"
	case strings.HasSuffix(id, dependentsSuffix):
		return "ends in " + dependentsSuffix + ", which is another job's key"
	case d.IDCharset && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "":
		return "has characters other than A-Z a-z 0-9 _ -"
	case d.CompositeWip && strings.Contains(id, ":"):
		return `contains ":"`
	}
	return ""
}

// newJob is rq/queue.py Queue.create_job: the job as it will be stored, with status and enqueued_at left to the script.
func (c *Client) newJob(r Request, now time.Time) (*Job, error) {
	if err := c.check(r); err != nil {
		return nil, err
	}
	j := &Job{
		ID: r.ID, Origin: r.Queue, Data: r.Data, Description: r.Description,
		CreatedAt: now.UTC().Truncate(time.Microsecond),
		Timeout:   r.Timeout, ResultTTL: r.ResultTTL, FailureTTL: r.FailureTTL, TTL: r.TTL,
		SuccessCallback: withTimeout(r.SuccessCallback), FailureCallback: withTimeout(r.FailureCallback),
		StoppedCallback: withTimeout(r.StoppedCallback),
		DependencyIDs:   slices.Clone(r.DependsOn), Extra: maps.Clone(r.Extra),
	}
	if j.ID == "" {
		j.ID = uuid.NewString()
	}
	if j.Timeout == nil {
		j.Timeout = new(int64(defaultTimeout))
	}
	if r.RetryMax > 0 {
		j.RetriesLeft = new(int64(r.RetryMax))
		j.RetryIntervals = r.RetryIntervals
		if len(j.RetryIntervals) == 0 {
			j.RetryIntervals = []int64{0} // what Retry(max=n) writes
		}
	}
	if r.AllowDependencyFailures && len(r.DependsOn) > 0 {
		j.AllowDependencyFailures = new(true)
	}
	if later := len(r.DependsOn) > 0 || !r.At.IsZero(); later && r.AtFront {
		j.EnqueueAtFront = new(true)
	}
	return j, j.encode(r)
}

// encode fills in what has to be serialized.
func (j *Job) encode(r Request) (err error) {
	if len(j.Data) == 0 {
		if j.Data, err = EncodeCall(r.Call); err != nil {
			return err
		}
		if j.Description == "" {
			j.Description = r.Call.Description()
		}
	} else if j.Description == "" {
		if call, err := j.Call(); err == nil {
			j.Description = call.Description()
		}
	}
	if len(r.Meta) > 0 {
		if j.Meta, err = r.Call.Serializer.encode(r.Meta); err != nil {
			return fmt.Errorf("encode meta: %w", err)
		}
	}
	return nil
}

func withTimeout(cb Callback) Callback {
	switch {
	case cb.Name == "":
		cb.Timeout = nil
	case cb.Timeout == nil:
		cb.Timeout = new(int64(defaultCallbackTimeout))
	}
	return cb
}
