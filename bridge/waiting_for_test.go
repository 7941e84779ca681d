package bridge

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestARowSaysWhatItWaitsFor while it waits for more than its turn, and nothing once it runs.
func TestARowSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 60}})
	queue := b.bench.QueueName("go")
	if err := b.client().RQ().Pause(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	name := b.submit("sample_job", map[string]any{"duration": 0.2, "fail_type": "transient", "fail_attempts": 1})
	other := b.submit("echo_job", nil)
	waits := func(want string) {
		t.Helper()
		b.within(20*time.Second, "the row waits for "+want, func() bool { return b.row(name).WaitingFor == want }, func() string { return b.row(name).WaitingFor })
	}
	waits("queue go is paused for bridges (bridge resume go ends that)")
	b.exec("UPDATE tabOrganization SET status='Inactive'")
	time.Sleep(3100 * time.Millisecond) // an organization is remembered for so long
	if err := b.client().RQ().Unpause(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	waits("organization ORG-A is suspended: its status is Inactive")
	b.exec("UPDATE tabOrganization SET status='Active'")
	failed := b.waitRow(name, rows.StatusFailed)
	if want := "retry 1 of 3 is due at " + failed.NextRetryAt.Format("2006-01-02 15:04:05 MST"); failed.WaitingFor != want {
		t.Errorf("a row that waits for its retry says %q, want %q", failed.WaitingFor, want)
	}
	if done := b.waitRow(other, rows.StatusCompleted); done.WaitingFor != "" {
		t.Errorf("a completed row waits for %q", done.WaitingFor)
	}
}
