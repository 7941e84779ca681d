package rqcompat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrNoSuchJob says that there is no job of this id.
var ErrNoSuchJob = errors.New("no such job")

// ErrNoData says that a hash exists but lacks the data field. RQ treats it as no job at all, so it is an
// ErrNoSuchJob as well.
var ErrNoData = fmt.Errorf("%w: its hash has no data field", ErrNoSuchJob)

// FieldError is a field of a job hash that can't be read. A Python worker that pops such a job exits.
type FieldError struct {
	Field string
	Value string // clipped
	Want  string
}

// Error names the field, its value and what was wanted instead.
func (e *FieldError) Error() string {
	return fmt.Sprintf("job field %s is %q, want %s", e.Field, e.Value, e.Want)
}

const (
	wantTime   = "a UTC timestamp like 2026-01-02T03:04:05.000006Z"
	wantInt    = "a whole number"
	wantFlag   = "1 or 0"
	wantStatus = "a status of RQ 1.15 to 2.10"
	wantInts   = "a JSON list of whole numbers"
	wantIDs    = "a JSON list of job ids"
	wantText   = "UTF-8 text"
)

// ParseJob reads the fields of rq:job:<id>. It always returns a job with everything that could be read. The
// error joins a *FieldError per unreadable field, in field order, and ErrNoData when there is no call; fields that
// could not be read are kept in Extra, so that Hash gives them back unchanged.
// It accepts what rq/job.py Job.restore accepts, 1.15.1–2.10.
func ParseJob(id string, hash map[string]string) (*Job, error) {
	p := parser{job: &Job{ID: id}}
	for field, value := range hash {
		p.field(field, value)
	}
	if first := hash["dependency_id"]; first != "" {
		_, unread := p.job.Extra["dependency_ids"]
		switch {
		case unread:
			p.keep("dependency_id", first)
		case hash["dependency_ids"] == "": // only then does the legacy mirror count
			p.job.DependencyIDs = []string{first}
		}
	}
	if _, ok := hash["data"]; !ok {
		p.errs = append(p.errs, ErrNoData)
	}
	return p.job, p.err()
}

type parser struct {
	job  *Job
	errs []error
}

// err joins the errors in a stable order; a map has none.
func (p *parser) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	slices.SortFunc(p.errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(p.errs...)
}

func (p *parser) field(name, value string) {
	j := p.job
	switch name {
	case "data":
		j.Data = []byte(value)
	case "origin":
		p.text(name, value, &j.Origin)
	case "description":
		p.text(name, value, &j.Description)
	case "status":
		p.status(value)
	case "worker_name":
		p.text(name, value, &j.WorkerName)
	case "created_at":
		p.time(name, value, &j.CreatedAt)
	case "enqueued_at":
		p.time(name, value, &j.EnqueuedAt)
	case "started_at":
		p.time(name, value, &j.StartedAt)
	case "ended_at":
		p.time(name, value, &j.EndedAt)
	case "last_heartbeat":
		p.time(name, value, &j.LastHeartbeat)
	case "timeout":
		p.int(name, value, &j.Timeout)
	case "result_ttl":
		p.int(name, value, &j.ResultTTL)
	case "failure_ttl":
		p.int(name, value, &j.FailureTTL)
	case "ttl":
		p.int(name, value, &j.TTL)
	case "meta":
		j.Meta = optionalBytes(value)
	case "exc_info":
		j.ExcInfo = optionalBytes(value)
	case "result":
		j.Result = optionalBytes(value)
	default:
		p.rareField(name, value)
	}
}

// rareField has the fields most jobs lack; a second switch keeps the first one short.
func (p *parser) rareField(name, value string) {
	j := p.job
	switch name {
	case "success_callback_name":
		p.text(name, value, &j.SuccessCallback.Name)
	case "failure_callback_name":
		p.text(name, value, &j.FailureCallback.Name)
	case "stopped_callback_name":
		p.text(name, value, &j.StoppedCallback.Name)
	case "success_callback_timeout":
		p.presentInt(name, value, &j.SuccessCallback.Timeout)
	case "failure_callback_timeout":
		p.presentInt(name, value, &j.FailureCallback.Timeout)
	case "stopped_callback_timeout":
		p.presentInt(name, value, &j.StoppedCallback.Timeout)
	case "retries_left":
		p.int(name, value, &j.RetriesLeft)
	case "retry_intervals":
		p.list(name, value, &j.RetryIntervals, wantInts)
	case "number_of_retries":
		p.int(name, value, &j.NumberOfRetries)
	case "enqueue_at_front_on_retry":
		var front *bool
		p.flag(name, value, &front)
		j.EnqueueAtFrontOnRetry = front != nil && *front
	case "dependency_id": // read by ParseJob, which knows whether dependency_ids is there
	case "dependency_ids":
		if p.list(name, value, &j.DependencyIDs, wantIDs); len(j.DependencyIDs) == 0 {
			j.DependencyIDs = nil // RQ writes no empty list
		}
	case "allow_dependency_failures":
		p.flag(name, value, &j.AllowDependencyFailures)
	case "enqueue_at_front":
		if value == "" {
			p.bad(name, value, wantFlag)
			return
		}
		p.flag(name, value, &j.EnqueueAtFront)
	case "group_id":
		p.text(name, value, &j.GroupID)
	case "repeats_left":
		p.int(name, value, &j.RepeatsLeft)
	case "repeat_intervals":
		p.list(name, value, &j.RepeatIntervals, wantInts)
	case "webhooks":
		j.Webhooks = value
	default:
		p.keep(name, value)
	}
}

func (p *parser) keep(name, value string) {
	if p.job.Extra == nil {
		p.job.Extra = map[string]string{}
	}
	p.job.Extra[name] = value
}

func (p *parser) bad(name, value, want string) {
	p.errs = append(p.errs, &FieldError{Field: name, Value: clip(value), Want: want})
	p.keep(name, value)
}

func (p *parser) text(name, value string, to *string) {
	if !utf8.ValidString(value) {
		p.bad(name, value, wantText)
		return
	}
	*to = value
}

// status keeps an unknown value as it is, beside the error: the one who looks at the job wants to see it.
func (p *parser) status(value string) {
	p.job.Status = Status(value)
	if value != "" && !p.job.Status.Known() {
		p.errs = append(p.errs, &FieldError{Field: "status", Value: clip(value), Want: wantStatus})
	}
}

func (p *parser) time(name, value string, to *time.Time) {
	if value == "" {
		return
	}
	t, err := ParseTime(value)
	if err != nil {
		p.bad(name, value, wantTime)
		return
	}
	*to = t
}

// int reads a number whose empty text RQ takes as unset.
func (p *parser) int(name, value string, to **int64) {
	if value != "" {
		p.presentInt(name, value, to)
	}
}

// presentInt reads a number that RQ converts even when it is empty, which raises.
func (p *parser) presentInt(name, value string, to **int64) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		p.bad(name, value, wantInt)
		return
	}
	*to = &n
}

// flag reads bool(int(text)); empty is unset.
func (p *parser) flag(name, value string, to **bool) {
	if value == "" {
		return
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		p.bad(name, value, wantFlag)
		return
	}
	b := n != 0
	*to = &b
}

// list reads a JSON list into *[]int64 or *[]string; empty is unset.
func (p *parser) list(name, value string, to any, want string) {
	if value == "" {
		return
	}
	if err := json.Unmarshal([]byte(value), to); err != nil {
		// Unmarshal leaves what it had read; half a list is worse than none.
		switch to := to.(type) {
		case *[]int64:
			*to = nil
		case *[]string:
			*to = nil
		}
		p.bad(name, value, want)
	}
}

func optionalBytes(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
