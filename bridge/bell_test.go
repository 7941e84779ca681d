package bridge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestTheBellRingsOnce for an end, however often its job is delivered again and however many bridges there are; and again
// for the end of a retry by hand.
func TestTheBellRingsOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("CREATE TABLE `tabNotification Log` (`name` varchar(140) NOT NULL PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), " +
		"`owner` varchar(140), `subject` text, `for_user` varchar(140), `type` varchar(140), `document_type` varchar(140), `read` int(1) NOT NULL DEFAULT 0, " +
		"`document_name` varchar(140), `from_user` varchar(140), `link` varchar(140))")
	b.start(nil)
	b.start(nil)
	e := b.listenToEvents()
	name := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "permanent"})
	rung := func(n int) {
		t.Helper()
		count := func() int {
			return b.count("SELECT COUNT(*) FROM `tabNotification Log` WHERE for_user='jane@example.com' AND document_name=? AND subject LIKE '%failed for good: Simulated permanent failure%'", name)
		}
		b.eventually("the bell rings", func() bool { return count() >= n }, func() string { return "" })
		time.Sleep(300 * time.Millisecond)
		if got := count(); got != n {
			t.Errorf("the bell has %d entries, want %d", got, n)
		}
	}
	b.waitRow(name, rows.StatusDeadLetter)
	rung(1)
	id := b.bench.JobID(testSite, name)
	b.waitJob(id, rqcompat.StatusFailed)
	if err := b.client().RQ().Requeue(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	b.waitJob(id, rqcompat.StatusFailed)
	rung(1)
	if _, err := b.client().Retry(t.Context(), testSite, name, "jane@example.com"); err != nil {
		t.Fatal(err)
	}
	rung(2)
	if n := len(e.of("notification", "user:jane@example.com")); n != 2 {
		t.Errorf("the desk hears %d times of a notification, want 2", n)
	}
	e.check(t)
}

// TestManyDeadLettersAreCounted where they are: of an organization of a site.
func TestManyDeadLettersAreCounted(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"queues": []string{"go"}})
	b.cfg.DeadLetterAlert.Threshold = 2
	b.start(func(e *Engine) {
		Register(e, "dies", func(context.Context, *RawJob) (any, error) { return nil, Permanent(errors.New("no")) })
	})
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, type_name, is_enabled) VALUES ('dies', NOW(6), NOW(6), 'dies', 1)")
	const key = "rq:bridge:dead-letters-told"
	b.waitRow(b.submit("dies", nil), rows.StatusDeadLetter)
	if n := b.rdb.HLen(t.Context(), key).Val(); n != 0 {
		t.Error("one dead letter is told of")
	}
	b.waitRow(b.submit("dies", nil), rows.StatusDeadLetter)
	b.eventually("two are told of", func() bool { return b.rdb.HLen(t.Context(), key).Val() == 1 }, func() string { return "" })
}
