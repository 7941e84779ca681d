package policy

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ofBatch is what is known of a job's batch.
type ofBatch struct {
	batch    *rows.Batch
	batchErr error
}

func (f *facts) Batch(context.Context, string, string) (*rows.Batch, error) {
	return f.batch, f.batchErr
}

func TestBatch(t *testing.T) {
	const ended, missing = "refuse batch: batch BATCH-1 is ", "refuse batch: batch BATCH-1 doesn't exist"
	batch := func(status string, ended bool) ofBatch {
		b := &rows.Batch{Name: "BATCH-1", Organization: "ORG-A", Status: status, Closed: true}
		if ended {
			b.CompletedAt = time.Now()
		}
		return ofBatch{batch: b}
	}
	foreign := batch(rows.BatchRunning, false)
	foreign.batch.Organization = "ORG-B"
	for name, tc := range map[string]struct {
		ofBatch
		want string
	}{
		"running":    {batch(rows.BatchRunning, false), ""},
		"completed":  {batch(rows.BatchCompleted, true), ended + "Completed: it takes no more jobs"},
		"canceled":   {batch(rows.BatchCanceled, false), ended + "Canceled: it takes no more jobs"},
		"foreign":    {foreign, missing},
		"missing":    {ofBatch{batchErr: rows.ErrNoSuchBatch}, missing},
		"unreadable": {ofBatch{batchErr: errors.New("away")}, "wait 3s batch: its batch can't be read"},
	} {
		for moment, at := range moments {
			f := fine()
			f.ofBatch = tc.ofBatch
			a := New(f, Options{TrustEnqueuer: true}).Ask(t.Context(), Question{Moment: moment, Site: "a", JobType: "export", Organization: "ORG-A",
				Row: &rows.BackgroundJob{Name: "JOB-1", Organization: "ORG-A", Batch: "BATCH-1", Status: rows.StatusPending}})
			want := map[Moment]string{AtDelivery: tc.want}[moment]
			if got := say(a); got != want {
				t.Errorf("%s %s: %q, want %q", name, at, got, want)
			}
		}
	}
}
