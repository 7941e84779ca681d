package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// pause waits, but not past the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// until looks every 50 ms until ok says yes or time is up.
func (b *bed) until(ctx context.Context, limit time.Duration, what string, ok func() (bool, error)) error {
	late := time.After(limit)
	for {
		yes, err := ok()
		switch {
		case err != nil:
			return err
		case yes:
			return nil
		}
		select {
		case <-late:
			return fmt.Errorf("waited %s in vain until %s", limit, what)
		default:
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		}
	}
}

// ended is a job as RQ has it after its end.
type ended struct {
	*rqcompat.Job
	results []rqcompat.Result
}

const (
	// takeBack is how long a job that Python failed may stay so, before Go has it back.
	takeBack = 10 * time.Second
	// awaitLimit is how long a job may take that is soon over.
	awaitLimit = 45 * time.Second
)

// await waits until a job has ended; one that failed may still be taken back from Python.
func (b *bed) await(ctx context.Context, id string) (ended, error) {
	var e ended
	var failed, since time.Time // when it ended as failed, and since when it is seen so
	err := b.until(ctx, awaitLimit, "job "+id+" has ended", func() (bool, error) {
		job, err := b.rq().Fetch(ctx, id)
		if errors.Is(err, rqcompat.ErrNoSuchJob) {
			return false, fmt.Errorf("RQ has no job %s", id)
		}
		if err != nil {
			return false, err
		}
		e.Job = job
		switch job.Status {
		case rqcompat.StatusFinished, rqcompat.StatusStopped, rqcompat.StatusCanceled:
			return true, nil
		case rqcompat.StatusFailed:
			if !job.EndedAt.Equal(failed) {
				failed, since = job.EndedAt, time.Now()
			}
			return time.Since(since) > takeBack || strings.HasPrefix(job.WorkerName, bridge.WorkerPrefix), nil
		}
		return false, nil
	})
	results, lost := b.rq().Results(context.WithoutCancel(ctx), id)
	e.results = results
	if err != nil && e.Job != nil {
		err = fmt.Errorf("%w; it is %s, and failed %s", err, e.Status, output.Plural(e.failures(), "time"))
	}
	return e, cmp.Or(err, lost)
}

// value is what the job returned, or why it did not finish.
func (e ended) value() (any, error) {
	if e.Status != rqcompat.StatusFinished {
		text := ""
		if len(e.results) > 0 {
			text = strings.TrimSpace(e.results[0].ExcString)
		}
		return nil, fmt.Errorf("job %s is %s: %s", e.ID, e.Status, text[max(0, len(text)-400):])
	}
	if len(e.results) == 0 {
		return nil, fmt.Errorf("job %s has no result", e.ID)
	}
	v, err := e.results[0].Value()
	if err != nil {
		return nil, err
	}
	plain, _ := pickle.Plain(v)
	return plain, nil
}

// failures counts how often it failed before it ended.
func (e ended) failures() (n int) {
	for _, r := range e.results {
		if r.Type == rqcompat.ResultFailed {
			n++
		}
	}
	return n
}

// echoOf waits for an echo and returns what it was called with, after making sure that Go ran it.
func (b *bed) echoOf(ctx context.Context, id string) (echoed, error) {
	var back echoed
	e, err := b.await(ctx, id)
	if err != nil {
		return back, err
	}
	v, err := e.value()
	if err != nil {
		return back, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return back, err
	}
	if err := json.Unmarshal(text, &back); err != nil {
		return back, fmt.Errorf("job %s returned %s: %w", id, text, err)
	}
	if worker := e.results[0].WorkerName; worker != "" && !strings.HasPrefix(worker, bridge.WorkerPrefix) {
		return back, fmt.Errorf("job %s was run by %s, want a bridge", id, worker)
	}
	return back, nil
}

// sameJSON compares two values as JSON has them, numbers of any length included.
func sameJSON(got, want any) error {
	if g, w := asJSON(got), asJSON(want); !reflect.DeepEqual(g, w) {
		return fmt.Errorf("got %v, want %v", g, w)
	}
	return nil
}

func asJSON(v any) (out any) {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&out) != nil {
		return string(text)
	}
	return out
}

// want compares a value with the right one.
func want[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

// awaitRow waits until a row has one of the statuses.
func (b *bed) awaitRow(ctx context.Context, row string, limit time.Duration, statuses ...rows.Status) (*rows.BackgroundJob, error) {
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return nil, err
	}
	var found *rows.BackgroundJob
	err = b.until(ctx, limit, fmt.Sprintf("%s is %v", row, statuses), func() (bool, error) {
		if found, err = db.BackgroundJob(ctx, row); err != nil {
			return false, err
		}
		return slices.Contains(statuses, found.Status), nil
	})
	if err != nil && found != nil {
		err = fmt.Errorf("%w; it is %s (%s)", err, found.Status, found.ErrorMessage)
	}
	return found, err
}

// submit submits a job through the program that is tried, as the owner, and returns its row's name.
func (b *bed) submit(ctx context.Context, jobType string, t task) (string, error) {
	params, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	out, err := b.bridge(ctx, nil, "submit", jobType, "--organization", organization, "--user", b.owner.name, "--params", string(params))
	return strings.TrimSpace(out), err
}
