package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestAJobTypeSaysWhoHandlesIt, of all processes that do.
func TestAJobTypeSaysWhoHandlesIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	says := func(want string) {
		t.Helper()
		var got string
		b.within(20*time.Second, want, func() bool {
			query := "SELECT CONCAT(name,' ',IF(handled_at IS NULL,'never',handled_at > ? - INTERVAL 1 MINUTE),' ',COALESCE(handled_by,'nobody'),' ',modified) FROM `tabJob Type` WHERE name=?"
			if err := b.sql.Get(&got, query, b.db.Now().Format(time.DateTime), "echo_job"); err != nil {
				t.Fatal(err)
			}
			return strings.HasPrefix(got, want) && strings.Count(got, "\n") == strings.Count(want, "\n")
		}, func() string { return got })
	}
	says("echo_job never nobody")
	b.start(nil)
	says("echo_job 1 bridge-")
	modified := b.count("SELECT COUNT(*) FROM `tabJob Type` WHERE modified>creation")
	b.start(nil)
	b.eventually("both are named", func() bool {
		return b.count("SELECT COUNT(*) FROM `tabJob Type` WHERE name='echo_job' AND handled_by LIKE '%since%\nbridge-%since%'") == 1
	}, func() string { return "" })
	if n := b.count("SELECT COUNT(*) FROM `tabJob Type` WHERE modified>creation"); n != modified {
		t.Error("modified moved")
	}
}

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
