package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Methods that every Frappe has.
const (
	pythonEcho = "frappe.utils.cint"           // returns s as a number
	pythonUser = "frappe.auth.get_logged_user" // returns the session's user
)

// pythonCases let Go enqueue what Python runs.
func pythonCases() []Case {
	cases := []Case{
		{Name: "result", Means: "bridge enqueue --wait prints what a Python method returned", Run: pythonResult},
		{Name: "user", Means: "Python runs the job as the user it was enqueued for", Run: pythonSession},
		{Name: "failure", Means: "a failure in Python ends bridge enqueue --wait with exit code 1", Run: pythonFailure},
		{Name: "--at", Means: "a job that is due later comes later", Needs: []need{ownWorker}, Run: pythonLater},
		{Name: "on_success", Means: "the callback of a job that Go ran is called by a Python worker", Needs: []need{ownWorker, ownQueue}, Run: pythonCallback},
	}
	for i := range cases {
		cases[i].Name = "Go to Python: " + cases[i].Name
		cases[i].Needs = append([]need{pythonWorker}, cases[i].Needs...)
		cases[i].Fix = "look at the job (bridge job ID), and whether Python workers and the bridge mean the same queues (bridge doctor)"
	}
	return cases
}

// enqueueAndWait runs a method in Python and returns what the program printed.
func (b *bed) enqueueAndWait(ctx context.Context, method string, args ...string) (any, error) {
	args = append([]string{"enqueue", method, "--queue", b.shared, "--id", newID("python"), "--wait", "--wait-timeout", "30s"}, args...)
	out, err := b.bridge(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return nil, fmt.Errorf("bridge %s printed %q: %w", strings.Join(args, " "), out, err)
	}
	return v, nil
}

func pythonResult(ctx context.Context, b *bed) error {
	v, err := b.enqueueAndWait(ctx, pythonEcho, `s="42"`)
	if err != nil {
		return err
	}
	return sameJSON(v, 42)
}

func pythonSession(ctx context.Context, b *bed) error {
	v, err := b.enqueueAndWait(ctx, pythonUser, "--user", b.caller())
	if err != nil {
		return err
	}
	return sameJSON(v, b.caller())
}

func pythonFailure(ctx context.Context, b *bed) error {
	out, err := b.bridge(ctx, nil, "enqueue", pythonEcho, "bridge_acceptance=1", "--queue", b.shared, "--id", newID("python"), "--wait", "--wait-timeout", "30s")
	switch {
	case err == nil:
		return fmt.Errorf("it ended well and printed %q", out)
	case exitCode(err) != exitcode.Failure || !strings.Contains(err.Error(), "TypeError"):
		return fmt.Errorf("want exit code %d and Python's TypeError, got: %w", exitcode.Failure, err)
	}
	return nil
}

func pythonLater(ctx context.Context, b *bed) error {
	const pause = 3 * time.Second
	id := newID("later")
	if _, err := b.bridge(ctx, nil, "enqueue", pythonEcho, "s=7", "--queue", b.shared, "--id", id, "--at", pause.String()); err != nil {
		return err
	}
	e, err := b.await(ctx, b.frappe.JobID(b.site, id))
	if err != nil {
		return err
	}
	if _, err := e.value(); err != nil {
		return err
	}
	// RQ keeps the time in whole seconds.
	if waited := e.EndedAt.Sub(e.CreatedAt); waited < pause-time.Second || waited > pause+5*time.Second {
		return fmt.Errorf("it ended %s after it was enqueued, want %s and a few", waited, pause)
	}
	return nil
}

func pythonCallback(ctx context.Context, b *bed) error {
	rqID, err := way{b.own}.call(ctx, b, echoMethod, newID("callback"), values{"on_success": "builtins.print"}, nil)
	if err != nil {
		return err
	}
	if _, err := b.await(ctx, rqID); err != nil {
		return err
	}
	j, err := b.rq().Fetch(ctx, rqID)
	if err != nil {
		return err
	}
	callback, err := b.rq().Fetch(ctx, j.Extra["bridge_handed"])
	if err != nil {
		return fmt.Errorf("the job that calls the callback: %w", err)
	}
	workers, err := b.rq().Workers(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(workers, func(w *rqcompat.Worker) bool {
		return slices.Contains(w.Queues, callback.Origin) && !strings.HasPrefix(w.Name, bridge.WorkerPrefix)
	}) {
		return missing("no Python worker works the queue %s", callback.Origin)
	}
	e, err := b.await(ctx, callback.ID)
	if err != nil {
		return err
	}
	_, err = e.value()
	return err
}

// exitCode is the code with which the program ended, -1 if it isn't that.
func exitCode(err error) int {
	var ended interface{ ExitCode() int }
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	return -1
}

// startedInGo reports whether a bridge runs the job.
func (b *bed) startedInGo(ctx context.Context, id string) (bool, error) {
	job, err := b.rq().Fetch(ctx, id)
	if err != nil {
		return false, err
	}
	return job.Status == rqcompat.StatusStarted && strings.HasPrefix(job.WorkerName, bridge.WorkerPrefix), nil
}
