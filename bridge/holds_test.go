package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestResultsOfASuspendedOrganizationAreWithheld: its jobs that run finish, but what they came to is shown, and told, once it is
// active again.
func TestResultsOfASuspendedOrganizationAreWithheld(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("CREATE TABLE `tabNotification Log` (`name` varchar(140) NOT NULL PRIMARY KEY, `creation` datetime(6), `modified` datetime(6), `modified_by` varchar(140), " +
		"`owner` varchar(140), `subject` text, `for_user` varchar(140), `type` varchar(140), `document_type` varchar(140), `read` int(1) NOT NULL DEFAULT 0, " +
		"`document_name` varchar(140), `from_user` varchar(140), `link` varchar(140))")
	b.addType("reports", 0)
	b.exec("UPDATE `tabJob Type` SET notify_on_completion=1 WHERE name='reports'")
	goOn := make(chan struct{})
	for range 2 {
		b.start(func(e *Engine) {
			Register(e, "reports", func(_ context.Context, j *Job[any]) (any, error) {
				<-goOn
				j.SetOutput("/files/secret.pdf")
				return map[string]string{"result": "secret"}, nil
			})
		})
	}
	e := b.listenToEvents()
	name := b.submit("reports", nil)
	b.waitRow(name, rows.StatusRunning)
	b.exec("UPDATE tabOrganization SET status='Suspended' WHERE name='ORG-A'")
	time.Sleep(3100 * time.Millisecond) // an organization is remembered for so long
	close(goOn)
	row := b.waitRow(name, rows.StatusCompleted)
	history := strings.Join(b.history(name), "\n")
	if row.OutputReference != "" || !strings.Contains(history, "Running>Completed Job completed successfully; its result is withheld until organization ORG-A is active again") {
		t.Errorf("output %q; history:\n%s", row.OutputReference, history)
	}
	in, err := b.client().Inspect(t.Context(), testSite, name)
	if err != nil || !in.Withheld || len(in.Results) > 0 {
		t.Errorf("inspected: withheld %v, results %v, %v", in.Withheld, in.Results, err)
	}
	notes := func() int { return b.count("SELECT COUNT(*) FROM `tabNotification Log` WHERE document_name=?", name) }
	time.Sleep(3 * time.Second)
	if b.row(name).OutputReference != "" || notes() > 0 || strings.Contains(fmt.Sprint(e.of(EventStatusChanged, "")), "secret") {
		t.Errorf("while it is suspended: output %q, %d notifications, events %v", b.row(name).OutputReference, notes(), e.of(EventStatusChanged, ""))
	}

	b.exec("UPDATE tabOrganization SET status='Active' WHERE name='ORG-A'")
	b.eventually("the result is shown", func() bool { return b.row(name).OutputReference == "/files/secret.pdf" && notes() == 1 }, func() string { return fmt.Sprint(b.row(name), notes()) })
	b.eventually("it is told", func() bool { return strings.Contains(fmt.Sprint(e.of(EventStatusChanged, "")), "/files/secret.pdf") }, func() string { return fmt.Sprint(e.of(EventStatusChanged, "")) })
	b.eventually("nothing is withheld any more", func() bool { return b.count("SELECT COUNT(*) FROM `tabWithheld Job Result`") == 0 }, func() string { return "" })
	time.Sleep(2500 * time.Millisecond)
	if history := b.history(name); !strings.HasSuffix(strings.Join(history, "\n"), "Completed>Completed Result shown: organization ORG-A is active again") || notes() != 1 ||
		strings.Count(strings.Join(history, "\n"), "Result shown") != 1 {
		t.Errorf("%d notifications; history:\n%s", notes(), strings.Join(history, "\n"))
	}
	if in, err := b.client().Inspect(t.Context(), testSite, name); err != nil || in.Withheld || len(in.Results) != 1 {
		t.Errorf("inspected: %+v, %v", in, err)
	}
}

// TestPauseByDocument, over two engines: what is claimed already goes back unharmed, others go on, and what is resumed runs within
// seconds.
func TestPauseByDocument(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1})
	c := newCounter()
	b.countTypes()
	b.start(c.register)
	b.start(c.register)
	first, second := b.submit("holds", nil), b.submit("holds", nil)
	b.waitRow(first, rows.StatusRunning)
	b.waitRow(second, rows.StatusRunning)
	var held []string
	for range 20 {
		held = append(held, b.submit("count", nil))
	}
	other := b.submitFor("ORG-B", "count")
	time.Sleep(300 * time.Millisecond) // both know all of them
	b.exec("INSERT INTO `tabBackground Job Pause` (name, creation, owner, kind, organization, reason) VALUES ('p', NOW(6), 'sue@example.com', 'Organization', 'ORG-A', 'audit')")
	// As Frappe tells of each insert: it is heeded at once.
	event, _ := json.Marshal(map[string]any{"event": "list_update", "message": map[string]any{"doctype": "Background Job Pause", "name": "p"}, "room": "doctype:Background Job Pause", "namespace": testSite})
	if err := b.rdb.Publish(t.Context(), "events", event).Err(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	close(c.open)
	b.waitRow(first, rows.StatusCompleted)
	b.waitRow(second, rows.StatusCompleted)
	b.waitRow(other, rows.StatusCompleted)
	time.Sleep(time.Second)
	for _, name := range held {
		if row := b.row(name); row.Status != rows.StatusQueued || row.RetryCount != 0 || len(b.history(name)) > 2 {
			t.Errorf("a job of an organization that is paused: %+v, %v", row, b.history(name))
		}
	}
	b.within(15*time.Second, "the rows say why", func() bool {
		return b.count("SELECT COUNT(*) FROM `tabBackground Job` WHERE waiting_for LIKE 'organization ORG-A was paused by sue@example.com at%: audit'") == len(held)
	}, func() string { return b.row(held[0]).WaitingFor })
	b.exec("DELETE FROM `tabBackground Job Pause`")
	resumed := time.Now()
	for _, name := range held {
		b.waitRow(name, rows.StatusCompleted)
	}
	if took := time.Since(resumed); took > 15*time.Second {
		t.Errorf("what was resumed ran after %s", took)
	}
}

// processed is how often Redis has done a command, or "" for all together.
func (b *bed) processed(command string) (n int) {
	b.t.Helper()
	section, field := "commandstats", "cmdstat_"+command+":calls="
	if command == "" {
		section, field = "stats", "total_commands_processed:"
	}
	for line := range strings.Lines(b.rdb.Info(b.t.Context(), section).Val()) {
		if rest, is := strings.CutPrefix(line, field); is {
			_, _ = fmt.Sscan(rest[:strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })], &n)
		}
	}
	return n
}

// TestHeldJobsCostLittle: what a pause holds is read once, asked about again and again, and runs when the pause is over.
func TestHeldJobsCostLittle(t *testing.T) { // not parallel: the server is asked what it does
	b := newBed(t, map[string]any{"concurrency": 16})
	const jobs = 1000
	organization := rows.Pause{Kind: rows.PauseOrganization, Organization: "ORG-A"}
	if err := b.client().Pause(t.Context(), testSite, organization); err != nil {
		t.Fatal(err)
	}
	b.submitFine(jobs, time.Time{})
	var ran atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "go.fine", func(context.Context, *Job[any]) (any, error) { ran.Add(1); return nil, nil })
	})
	b.eventually("all are seen", func() bool { return b.processed("hgetall") > jobs }, func() string { return fmt.Sprint(b.processed("hgetall")) })
	time.Sleep(time.Second)
	const looks = 6 * time.Second
	read, all, began := b.processed("hgetall"), b.processed(""), time.Now()
	time.Sleep(looks)
	took := time.Since(began).Seconds()
	read, all = b.processed("hgetall")-read, b.processed("")-all
	t.Logf("%d held jobs: Redis does %.0f commands a second, and reads %.0f jobs", jobs, float64(all)/took, float64(read)/took)
	if read > jobs {
		t.Errorf("in %s %d jobs were read, want none of the held ones", looks, read)
	}
	if ran.Load() > 0 {
		t.Errorf("%d ran", ran.Load())
	}
	if _, err := b.client().Resume(t.Context(), testSite, organization); err != nil {
		t.Fatal(err)
	}
	b.eventually("all run", func() bool { return ran.Load() == jobs }, func() string { return fmt.Sprint(ran.Load()) })
}
