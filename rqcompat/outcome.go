package rqcompat

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// defaultResultTTL is how long results stay when the job does not say: rq/defaults.py DEFAULT_RESULT_TTL, seconds.
const defaultResultTTL = 500

// OutcomeKind is how an execution ended.
type OutcomeKind int

// The ways an execution ends.
const (
	OutcomeFinished  OutcomeKind = iota + 1 // success
	OutcomeFailed                           // failure; the job's own retries are spent first, unless Outcome.NoRQRetry
	OutcomeStopped                          // the end by a stop-job command; no retry
	OutcomeGivenBack                        // unfinished, back to the head of its queue as if it had not been claimed
	OutcomeRetried                          // failed, and to run again: scheduled until Outcome.RetryAt, no result, no dependent released
)

// Outcome is the end of one execution. The Lease in it names the execution: one of a lost job is refused.
type Outcome struct {
	Lease
	Kind        OutcomeKind
	ReturnValue string // what EncodeResult returned; "" is None, which RQ does not store
	Exc         string // the error text of a failed or stopped job, best with a last line like "module.Type: message"
	// EndedAt becomes ended_at. The time worked is Working or, when that is 0, EndedAt − StartedAt.
	EndedAt   time.Time
	NoRQRetry bool // ignores retries_left
	// RetryIn schedules a failed job for which its producer asked for no retries again after this long, in whole seconds,
	// unless that was done RetryLimit times before (Job.Retried); 0 is never.
	RetryIn    time.Duration
	RetryLimit int
	// RetryAt is from when RQ's schedulers queue a job that is OutcomeRetried, by this machine's clock; Retry does so
	// earlier. Rounded up to seconds.
	RetryAt time.Time
	// HandOver has the job's callback for this end called in Python, if the job ends now rather than to run again; nil for
	// none. It goes in the same step.
	HandOver *HandOver
}

// OutcomeResult says whether an outcome was taken.
type OutcomeResult int

// The results of settling.
const (
	NotOwner        OutcomeResult = 0 // the job belongs to somebody else or ended already: nothing was written
	Settled         OutcomeResult = 1
	JobDeleted      OutcomeResult = 2 // the hash is gone: the execution's leftovers were removed, nothing else
	SettledCanceled OutcomeResult = 3 // canceled while it ran: it stays canceled, without result; the worker is free
	// SettledHandedOver is Settled or SettledCanceled, and a callback was handed over.
	SettledHandedOver OutcomeResult = 4
)

var settleScript = newScript("settle.lua")

// Settle ends executions, each in one atomic step: status, result, registries, counters, released dependents,
// retry or repeat, and the worker's record, which is idle afterwards. All follow what the job's hash asks for
// (result_ttl, failure_ttl, retries_left, repeats_left) at that moment. There is one answer per outcome, in order;
// jobs given back in one call stand in their queue in that order. Of an outcome with an error of its own nothing was
// written, unless that is about its dependents, which then go on waiting. After an error it is safe to call Settle again
// with the same outcomes: what was settled answers NotOwner.
//
// Stands for rq/worker.py handle_job_success and handle_job_failure, 1.15.1–2.10.
func (c *Client) Settle(ctx context.Context, os []Outcome) ([]Answer[OutcomeResult], error) {
	return c.settle(ctx, os, c.d.endFlags())
}

// SettleBare ends an execution for which Settle's error was Final, since its result is too large, or what stands in the
// place of its result or of its dependents is something else: neither is touched. Status, registries and counters are as Settle writes them. Its callback is handed
// over without the result, if its queue takes jobs.
func (c *Client) SettleBare(ctx context.Context, o Outcome) (OutcomeResult, error) {
	o.ReturnValue, o.Exc = "", ""
	answers, err := c.settle(ctx, []Outcome{o}, c.d.endFlags()+bit(true))
	if err != nil {
		return 0, err
	}
	return answers[0].Result, answers[0].Err
}

func (c *Client) settle(ctx context.Context, os []Outcome, flags string) ([]Answer[OutcomeResult], error) {
	now, at := c.Now(ctx), time.Now()
	script := batched[Outcome]{script: settleScript, refuse: checkOutcome, size: Outcome.Size, args: func(some []Outcome) ([]any, error) {
		args := make([]any, 0, headValues+outcomeValues*len(some))
		args = append(args, flags, now.Unix(), FormatTime(at), defaultResultTTL, len(some), 0)
		for i := range some {
			args = appendOutcome(args, &some[i], now.Sub(at))
		}
		args, err := c.appendHandOvers(args, some)
		if err != nil {
			return nil, err
		}
		args[headValues-1] = len(args) + 1
		for i := range some {
			for _, limit := range some[i].Limits {
				switch {
				case limit.Window == 0:
					args = append(args, limit.Key, some[i].Worker)
				case some[i].Kind == OutcomeGivenBack: // as if it had not started
					args = append(args, limit.Key, some[i].ExecutionID)
				}
			}
		}
		return args, nil
	}}
	answers, err := inBatches[OutcomeResult](ctx, c, script, os)
	return answers, wrap(err, "settle %d jobs", len(os))
}

// headValues are before those of the first outcome, of which each has outcomeValues, the last being where its HandOver stands.
const headValues, outcomeValues = 6, 12

// appendHandOvers appends the jobs that call callbacks, and says in their outcomes' values where they stand, counted from 1.
func (c *Client) appendHandOvers(args []any, os []Outcome) (_ []any, err error) {
	for i := range os {
		if os[i].HandOver == nil {
			continue
		}
		args[headValues+outcomeValues*(i+1)-1] = len(args) + 1
		if args, err = c.appendHandOver(args, *os[i].HandOver, os[i].ID); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// maxOutcome is how large a return value or an error text may be, in bytes. A server closes the connection, without a word
// that could be read, at 512 MB (proto-max-bulk-len).
const maxOutcome = 64 << 20

// Size is how many bytes of the handler's the outcome has: its return value or its error text.
func (o Outcome) Size() int { return len(o.ReturnValue) + len(o.Exc) }

func checkOutcome(o Outcome) error {
	switch n := o.Size(); {
	case o.Kind < OutcomeFinished || o.Kind > OutcomeRetried:
		return fmt.Errorf("%w: job %q: unknown kind of outcome %d", ErrBadRequest, clip(o.ID), o.Kind)
	case o.HandOver != nil && o.HandOver.Check() != nil:
		return o.HandOver.Check()
	case n > maxOutcome:
		return fmt.Errorf("%w: job %q: its return value or error has %d bytes, at most %d are written", ErrBadRequest, clip(o.ID), n, maxOutcome)
	}
	return nil
}

// appendOutcome is for a Redis whose clock is ahead by skew.
func appendOutcome(args []any, o *Outcome, skew time.Duration) []any {
	var kind, payload string
	switch o.Kind {
	case OutcomeFinished:
		kind, payload = "finished", o.ReturnValue
	case OutcomeFailed:
		kind, payload = "failed", EncodeExc(o.Exc)
		switch {
		case o.NoRQRetry:
			kind = "failed!"
		case o.RetryIn > 0:
			kind = fmt.Sprintf("failed %.0f %d", math.Ceil(o.RetryIn.Seconds()), o.RetryLimit)
		}
	case OutcomeStopped:
		kind, payload = "stopped", EncodeExc(o.Exc)
	case OutcomeGivenBack:
		kind = "back"
	case OutcomeRetried:
		kind, payload = "retry", strconv.FormatInt(o.RetryAt.Add(skew+time.Second-time.Nanosecond).Unix(), 10)
	}
	working := o.Working
	if working == 0 {
		working = o.EndedAt.Sub(o.StartedAt)
	}
	return append(args, kind, o.Queue, o.ID, o.Worker, o.ExecutionID, FormatTime(o.StartedAt), FormatTime(o.EndedAt),
		floatTime(o.StartedAt), floatTime(o.EndedAt), secondsText(working), payload, 0)
}

// endFlags is how job_end.lua takes what differs between versions at the end of a job.
func (d Dialect) endFlags() string {
	return bit(d.CompositeWip) + bit(d.ResultWorkerName) + bit(d.ResultExecution) + bit(d.Repeat)
}
