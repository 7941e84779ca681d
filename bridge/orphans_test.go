package bridge

import (
	"context"
	"github.com/opensoft/dartwing-bridge/bridge/internal/maintenance"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestRowThatEndedMeanwhileIsNoOrphan: between the look at the rows and the
// look at the queues a job can run and end.
func TestRowThatEndedMeanwhileIsNoOrphan(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	stale := b.row(name)
	b.start(nil)
	b.waitRow(name, rows.StatusCompleted)
	id := b.bench.JobID(testSite, name)
	b.waitJob(id, rqcompat.StatusFinished)
	c := b.client()
	orphans := maintenance.NewOrphans(maintenance.OrphansParams{
		Rows: readBefore{c.sites, stale}, Deliver: c.courier.Deliver, JobID: b.bench.JobID, Log: c.cfg.Log,
		Alive:   func(context.Context) (*maintenance.Alive, error) { return &maintenance.Alive{}, nil },
		Handles: func(*rows.JobType) bool { return true },
	})
	if err := orphans.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	results, err := b.client().RQ().Results(t.Context(), id)
	if err != nil || len(results) != 1 {
		t.Errorf("the result of a completed job is %v, %v", results, err)
	}
}

// readBefore are sites whose stale rows were read a while ago.
type readBefore struct {
	*sites.Sites
	row *rows.BackgroundJob
}

func (r readBefore) Stale(context.Context, string, time.Time, time.Duration, int) ([]*rows.BackgroundJob, error) {
	return []*rows.BackgroundJob{r.row}, nil
}
