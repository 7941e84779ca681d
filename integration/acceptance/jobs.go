package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// jobCases are about Background Jobs: rows with retries, dead letters, cancel, timeouts, rescue.
func jobCases() []Case {
	cases := []Case{
		{Name: "samples", Means: "the sample jobs that bridge install --samples offers run", Run: sampled},
		{Name: "submit", Means: "bridge submit makes a row, and its job completes", Run: submitted},
		{Name: "frappe.enqueue", Means: "a call of a Job Type's method gets its row on arrival", Needs: []need{ownQueue}, Run: enqueuedRow},
		{Name: "retries", Means: "a job that fails now and then is tried again and recovers", Run: retried},
		{Name: "dead letter", Means: "a job that fails for good is a Dead Letter, and bridge retry starts it again", Run: deadLetter},
		{Name: "cancel", Means: "bridge cancel ends a running job at once", Run: canceled},
		{Name: "timeout", Means: "a job that takes too long is ended", Run: timedOut},
		{Name: "timeout of the Job Type", Means: "frappe.enqueue without a timeout has the Job Type's", Needs: []need{ownQueue}, Run: typeTimeout},
		{Name: "rescue", Means: "the jobs of a worker that was killed are run again by another", Run: rescued},
	}
	for i := range cases {
		cases[i].Name = "Background Job: " + cases[i].Name
		needs := []need{tables, users}
		if cases[i].Name != "Background Job: samples" { // which every bridge has handlers for
			needs = append(needs, ownWorker)
		}
		cases[i].Needs = append(needs, cases[i].Needs...)
		cases[i].Fix = "look at the row's history (bridge job NAME) and at the site's tables (bridge doctor)"
	}
	return cases
}

func sampled(ctx context.Context, b *bed) error {
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	types, err := db.JobTypes(ctx)
	switch {
	case err != nil:
		return err
	case types["sample_job"] == nil || !types["sample_job"].Enabled:
		return missing("the site has no Job Type sample_job: bridge install --samples --site %s", b.site)
	}
	out, err := b.bridge(ctx, nil, "submit", "sample_job", "duration=1", "--organization", organization, "--user", b.owner.name)
	if err != nil {
		return err
	}
	_, err = b.awaitRow(ctx, strings.TrimSpace(out), 20*time.Second, rows.StatusCompleted)
	return err
}

func submitted(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 0.1})
	if err != nil {
		return err
	}
	done, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusCompleted)
	if err != nil {
		return err
	}
	return errors.Join(want("owner", done.Owner, b.owner.name), want("progress", done.Progress, 100))
}

// history is the way of a row through its states.
func (b *bed) history(ctx context.Context, row string) (string, error) {
	in, err := b.client.Inspect(ctx, b.site, row)
	if err != nil {
		return "", err
	}
	var states []string
	for _, e := range in.History {
		states = append(states, string(e.ToStatus))
	}
	return strings.Join(states, ", "), nil
}

func enqueuedRow(ctx context.Context, b *bed) error {
	rqID, err := way{b.own}.call(ctx, b, taskType, newID("row"), nil, values{"organization": organization, "seconds": 0.1})
	if err != nil {
		return err
	}
	done, err := b.rowOf(ctx, rqID)
	if err != nil {
		return err
	}
	if done, err = b.awaitRow(ctx, done.Name, 20*time.Second, rows.StatusCompleted); err != nil {
		return err
	}
	return errors.Join(want("owner", done.Owner, b.owner.name), want("organization", done.Organization, organization))
}

// rowOf waits for the row that an RQ job gets on arrival.
func (b *bed) rowOf(ctx context.Context, rqID string) (row *rows.BackgroundJob, err error) {
	err = b.until(ctx, takeBack, "there is a row for "+rqID, func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, rqID)
		row = in.Row
		return row != nil, err
	})
	return row, err
}

func retried(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{FailAttempts: 2})
	if err != nil {
		return err
	}
	done, err := b.awaitRow(ctx, row, 40*time.Second, rows.StatusCompleted, rows.StatusDeadLetter)
	if err != nil {
		return err
	}
	return errors.Join(want("status", done.Status, rows.StatusCompleted), want("retry_count", done.RetryCount, 2))
}

func deadLetter(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Permanent: true})
	if err != nil {
		return err
	}
	dead, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusDeadLetter)
	if err != nil {
		return err
	}
	if !strings.Contains(dead.ErrorMessage, "fails for good") {
		return fmt.Errorf("its error_message is %q", dead.ErrorMessage)
	}
	if _, err := b.bridge(ctx, nil, "retry", row, "--user", b.owner.name); err != nil {
		return err
	}
	return b.until(ctx, 20*time.Second, row+" is a Dead Letter for the second time", func() (bool, error) {
		states, err := b.history(ctx, row)
		return strings.Count(states, string(rows.StatusDeadLetter)) == 2, err
	})
}

func canceled(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 50})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	if _, err := b.bridge(ctx, nil, "cancel", row, "--user", b.owner.name); err != nil {
		return err
	}
	gone, err := b.awaitRow(ctx, row, 5*time.Second, rows.StatusCanceled)
	if err != nil {
		return err
	}
	if err := want("canceled_by", gone.CanceledBy, b.owner.name); err != nil {
		return err
	}
	return b.until(ctx, 5*time.Second, "RQ has no running job for "+row, func() (bool, error) {
		in, err := b.client.Inspect(ctx, b.site, row)
		return in.Job == nil || in.Job.Status != "started", err
	})
}

func timedOut(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, shortType, task{Seconds: 50})
	if err != nil {
		return err
	}
	return b.endsInTime(ctx, row)
}

// endsInTime waits until a job of the short type was ended by its time limit.
func (b *bed) endsInTime(ctx context.Context, row string) error {
	_, err := b.awaitRow(ctx, row, (shortTimeout+8)*time.Second, rows.StatusTimedOut, rows.StatusDeadLetter)
	if err != nil {
		return err
	}
	states, err := b.history(ctx, row)
	if err == nil && !strings.Contains(states, string(rows.StatusTimedOut)) {
		err = fmt.Errorf("it was never Timed Out: %s", states)
	}
	return err
}

func typeTimeout(ctx context.Context, b *bed) error {
	rqID, err := way{b.own}.call(ctx, b, shortType, newID("short"), nil, values{"organization": organization, "seconds": 50})
	if err != nil {
		return err
	}
	row, err := b.rowOf(ctx, rqID)
	if err != nil {
		return err
	}
	err = b.endsInTime(ctx, row.Name)
	// It would be in the way of the cases after this one.
	_, _ = b.client.Cancel(ctx, b.site, row.Name, "")
	return err
}

func rescued(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 2})
	if err != nil {
		return err
	}
	if _, err := b.awaitRow(ctx, row, 20*time.Second, rows.StatusRunning); err != nil {
		return err
	}
	b.killWorker()
	if err := b.startWorker(ctx); err != nil {
		return err
	}
	done, err := b.awaitRow(ctx, row, 30*time.Second, rows.StatusCompleted, rows.StatusDeadLetter)
	if err != nil {
		return err
	}
	return errors.Join(want("status", done.Status, rows.StatusCompleted), want("retry_count", done.RetryCount, 0))
}
