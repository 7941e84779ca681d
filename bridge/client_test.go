package bridge

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestLostEventsAreNoErrorOfASubmission: what was submitted or canceled must
// not be reported as failed, or its caller does it again.
func TestLostEventsAreNoErrorOfASubmission(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	c := b.client()
	if err := c.realtime.Close(); err != nil {
		t.Fatal(err)
	}
	row, err := c.Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A"})
	if err != nil {
		t.Fatalf("submitted %v, and yet: %v", row, err)
	}
	if row, err = c.Cancel(t.Context(), testSite, row.Name, "admin@example.com"); err != nil || row.Status != rows.StatusCanceled {
		t.Errorf("canceled %v, and yet: %v", row, err)
	}
}
