package bridge

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestRowThatEndedMeanwhileIsNoOrphan: between the look at the rows and the
// look at the queues a job can run and end.
func TestRowThatEndedMeanwhileIsNoOrphan(t *testing.T) {
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	stale := b.row(name)
	r := b.start(nil)
	b.waitRow(name, frappe.StatusCompleted)
	id := b.bench.JobID(testSite, name)
	b.waitJob(id, rqcompat.StatusFinished)
	if err := r.chores.adopt(t.Context(), testSite, stale, map[string]bool{}); err != nil {
		t.Fatal(err)
	}
	results, err := b.client().RQ().Results(t.Context(), id)
	if err != nil || len(results) != 1 {
		t.Errorf("the result of a completed job is %v, %v", results, err)
	}
}
