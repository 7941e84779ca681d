package rqcompat

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// CallbackKind is the end of a job after which one of its callbacks is called.
type CallbackKind string

// The callbacks of RQ. rq/job.py Job.execute_success_callback, execute_failure_callback, execute_stopped_callback.
const (
	CallbackSuccess CallbackKind = "success" // (job, connection, result)
	CallbackFailure CallbackKind = "failure" // (job, connection, type, value, traceback)
	CallbackStopped CallbackKind = "stopped" // (job, connection)
)

// HandOver has a Python worker call a callback of a job that ends in a worker which can't: in a job of its own, which the
// script that ends the job enqueues in the same step. That job carries what the ended one was, so that it may be gone by then.
type HandOver struct {
	ID    string // of the new job. By one that exists, or that the ended job was handed over by before, nothing is.
	Queue string // on which Python workers listen
	Kind  CallbackKind
	Callback
	// Class and Message are what a failure callback gets as its exception: one of RQ's own classes by its dotted name, or
	// any name, of which a subclass of RuntimeError is made.
	Class, Message string
	// Serializer is that of the ended job, and of its result.
	Serializer            Serializer
	ResultTTL, FailureTTL *int64   // of the new job
	FailureCallback       Callback // if the callback itself fails
}

// Check says why a callback can't be handed over.
func (h HandOver) Check() error {
	switch {
	case len(h.Name) > maxFunc:
		return fmt.Errorf("%w: the name of the %s callback has more than %d bytes", ErrBadRequest, h.Kind, maxFunc)
	case !utf8.ValidString(h.Name):
		return fmt.Errorf("%w: the name of the %s callback is not UTF-8", ErrBadRequest, h.Kind)
	case h.Queue == "":
		return fmt.Errorf("%w: no queue for the %s callback", ErrBadRequest, h.Kind)
	}
	return nil
}

//go:embed callback.py
var callbackSource string

// job is the new job, beside what the script copies into it. Its call is the same for every callback, in plain values: whoever
// lists jobs reads it, and what it works on stands in its hash.
func (c *Client) handOverJob(h HandOver, of string) (*Job, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	timeout := int64(-1)
	switch t := h.Timeout; {
	case t == nil:
		timeout = defaultCallbackTimeout
	case *t > 0:
		timeout = *t
	}
	extra := map[string]string{"bridge_callback": string(h.Kind)}
	if h.Kind == CallbackFailure {
		extra["bridge_class"], extra["bridge_message"] = h.Class, h.Message
	}
	return c.newJob(Request{
		Queue: h.Queue, ID: h.ID, Timeout: &timeout, ResultTTL: h.ResultTTL, FailureTTL: h.FailureTTL, FailureCallback: h.FailureCallback,
		Call:        Call{Func: "builtins.exec", Args: []any{callbackSource, &pickle.Dict{}}, Serializer: h.Serializer},
		Description: strings.ToValidUTF8(fmt.Sprintf("%s callback %s of job %s", h.Kind, h.Name, clip(of)), "?"),
		Extra:       extra,
	}, time.Now())
}

// appendHandOver appends the job as lua/hand_over.lua takes it.
func (c *Client) appendHandOver(args []any, h HandOver, of string) ([]any, error) {
	j, err := c.handOverJob(h, of)
	if err != nil {
		return nil, fmt.Errorf("hand the %s callback of job %q over: %w", h.Kind, clip(of), err)
	}
	hash := j.Hash()
	args = append(args, j.ID, j.Origin, 2*len(hash))
	for name, value := range hash {
		args = append(args, name, value)
	}
	return args, nil
}
