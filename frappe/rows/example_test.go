package rows_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Starting a job, progress, and its end: each step counts only while the row still belongs to this attempt.
func ExampleDB_Transition() {
	ctx := context.Background()
	bench, err := frappe.OpenBench("/home/frappe/frappe-bench", frappe.Options{})
	if err != nil {
		return
	}
	pool := rows.NewPool(bench)
	defer pool.Close()
	db, err := pool.DB(ctx, "site1.localhost")
	if errors.Is(err, rows.ErrUnavailable) {
		return // and again later
	}
	results, err := db.Transition(ctx, []rows.Transition{
		{Name: "JOB-2026-00001", From: rows.StatusQueued, To: rows.StatusRunning, StartedAt: db.Now(), Message: "Started"},
	})
	if err != nil || !results[0].Applied {
		return // somebody else was first: results[0].Current says what it is now
	}
	fence := results[0].StartedRaw
	running, err := db.SetProgress(ctx, []rows.Progress{{Name: "JOB-2026-00001", Fence: fence, Percent: 50, Message: "half"}})
	if err != nil || !running[0] {
		return
	}
	results, err = db.Transition(ctx, []rows.Transition{{
		Name: "JOB-2026-00001", From: rows.StatusRunning, To: rows.StatusCompleted, Fence: fence, Message: "Done",
		Set: []rows.Value{rows.Job.Progress.To(100), rows.Job.CompletedAt.To(db.Now())},
	}})
	fmt.Println(results, err)
}

func ExampleColumn_To() {
	job := rows.BackgroundJob{Name: "JOB-2026-00001", NextRetryAt: time.Now()}
	for _, v := range []rows.Value{rows.Job.Progress.To(100), rows.Job.NextRetryAt.To(time.Time{}), rows.Job.ProgressMessage.To("done")} {
		v.Apply(&job)
		fmt.Println(v.Column())
	}
	fmt.Println(job.Progress, job.NextRetryAt.IsZero(), job.ProgressMessage)
	// Output:
	// progress
	// next_retry_at
	// progress_message
	// 100 true done
}

func ExampleStatus_Terminal() {
	for _, s := range []rows.Status{rows.StatusFailed, rows.StatusTimedOut, rows.StatusCompleted, rows.StatusDeadLetter, rows.StatusCanceled} {
		fmt.Println(s, s.Terminal())
	}
	// Output:
	// Failed false
	// Timed Out false
	// Completed true
	// Dead Letter true
	// Canceled true
}
