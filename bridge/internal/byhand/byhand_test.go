package byhand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"pgregory.net/rapid"
)

var all = []rows.Status{
	rows.StatusPending, rows.StatusQueued, rows.StatusRunning, rows.StatusCompleted,
	rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter, rows.StatusCanceled,
}

// TestWhatASaveComesTo holds, for each state that the engine left a row in and each that somebody gave it then, the state
// that it ends in and what RQ has to do.
func TestWhatASaveComesTo(t *testing.T) {
	const (
		pending, queued, running, completed, failed, timedOut, dead, canceled = rows.StatusPending, rows.StatusQueued, rows.StatusRunning,
			rows.StatusCompleted, rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter, rows.StatusCanceled
	)
	type end struct {
		status rows.Status
		done   string
	}
	wants := map[[2]rows.Status]end{
		{"", pending}: {queued, "deliver"}, {"", queued}: {queued, "deliver"}, {"", canceled}: {canceled, "stop "},
		{pending, pending}: {queued, "deliver"}, {pending, queued}: {queued, "deliver"}, {pending, canceled}: {canceled, "stop Pending"},
		{queued, canceled}: {canceled, "stop Queued"}, {running, canceled}: {canceled, "stop Running"},
		{failed, queued}: {queued, "redeliver"}, {timedOut, queued}: {queued, "redeliver"}, {dead, queued}: {queued, "redeliver"},
	}
	for _, is := range all {
		if is != pending && is != queued && is != canceled {
			wants[[2]rows.Status{"", is}] = end{dead, ""} // inserted so
			wants[[2]rows.Status{pending, is}] = end{queued, "deliver"}
		}
	}
	for _, was := range append([]rows.Status{""}, all...) {
		for _, is := range all {
			b := newBench(t)
			if was == "" {
				j := submission("jane")
				j.Status = is
				b.insert("JOB-1", j)
			} else {
				b.left("JOB-1", was)
				b.save("JOB-1", "jane", func(j *rows.BackgroundJob) { j.Status = is })
			}
			want, ok := wants[[2]rows.Status{was, is}]
			if !ok {
				want = end{status: was} // undone, or nothing
				if was == queued && is != queued {
					want.done = "redeliver" // its delivery may have been dropped meanwhile
				}
			}
			b.settle(t)
			row := b.row("JOB-1")
			done := strings.TrimSuffix(strings.Join(b.done, ", "), " JOB-1")
			if row.Status != want.status || done != want.done {
				t.Errorf("%q, set to %s, ends as %s with %q, want %s with %q; log:\n%s", was, is, row.Status, done, want.status, want.done, strings.Join(b.path("JOB-1"), "\n"))
			}
			if path := b.path("JOB-1"); was != is && (len(path) < 2 && was != "" || !strings.Contains(strings.Join(path, "\n"), "jane")) {
				t.Errorf("%q, set to %s: the log names nobody: %q", was, is, path)
			}
			if was != "" && !ok && was != is && !strings.Contains(b.path("JOB-1")[1], fmt.Sprintf("Undone: jane had set the status from %s to %s", was, is)) {
				t.Errorf("%q, set to %s: the log %q doesn't say that this was undone", was, is, b.path("JOB-1"))
			}
		}
	}
}

// settle deals with all rows until nothing is left to do.
func (b *bench) settle(t testing.TB) {
	t.Helper()
	for range 5 {
		before := b.clock
		for name := range b.rows {
			if err := b.some(t.Context(), site, []string{name}); err != nil {
				t.Fatal(err)
			}
		}
		if b.clock == before {
			return
		}
	}
	t.Errorf("five rounds, and rows still move: %v", b.log)
}

// TestAnyWritesEndLegally: whatever several people write into a row one after the other, in the end its log has its state,
// each line of the log goes on from the one before, and each step of it is one of the state machine's.
func TestAnyWritesEndLegally(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(t)
		states := rapid.SampledFrom(all)
		if rapid.Bool().Draw(r, "is new") {
			j := submission("jane")
			j.Status = states.Draw(r, "inserted as")
			b.insert("JOB-1", j)
		} else {
			b.left("JOB-1", states.Draw(r, "left as"))
		}
		for range rapid.IntRange(1, 6).Draw(r, "saves") {
			b.save("JOB-1", rapid.SampledFrom([]string{"jane", "joe"}).Draw(r, "user"), func(j *rows.BackgroundJob) { j.Status = states.Draw(r, "status") })
			if rapid.Bool().Draw(r, "heard at once") {
				b.settle(t)
			}
		}
		b.settle(t)
		entries := b.log["JOB-1"]
		if got := b.row("JOB-1").Status; len(entries) == 0 || entries[len(entries)-1].ToStatus != got {
			r.Fatalf("the row is %s, its log %q", got, b.path("JOB-1"))
		}
		for i, e := range entries[1:] {
			if e.FromStatus != entries[i].ToStatus {
				r.Fatalf("line %d of the log doesn't go on from the one before: %q", i+1, b.path("JOB-1"))
			}
			step := moves.Move{Transition: rows.Transition{From: e.FromStatus, To: e.ToStatus}}
			if err := step.Check(); err != nil && e.FromStatus != e.ToStatus {
				r.Fatalf("line %d of the log: %v", i+1, err)
			}
		}
	})
}

// TestWhatASubmissionGets is what its inserter left out, and nothing that he wrote.
func TestWhatASubmissionGets(t *testing.T) {
	b := newBench(t)
	b.insert("JOB-1", submission("jane"))
	own := submission("jane")
	own.Priority, own.TimeoutSeconds, own.MaxRetries, own.OwnerUser, own.JobHash, own.Progress = "Low", 7, 1, "", strings.Repeat("a", 32), 50
	own.CreatedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b.insert("JOB-2", own)
	b.settle(t)
	one, two := b.row("JOB-1"), b.row("JOB-2")
	if one.Priority != "High" || one.TimeoutSeconds != 60 || one.MaxRetries != 2 || one.OwnerUser != "jane" || one.CreatedAt != one.Creation {
		t.Errorf("a plain submission: %+v, want the Job Type's defaults", one)
	}
	if two.Priority != "Low" || two.TimeoutSeconds != 7 || two.MaxRetries != 1 || two.OwnerUser != "jane" || two.JobHash != "" || two.Progress != 0 || two.CreatedAt != own.CreatedAt {
		t.Errorf("one with values of its own: %+v, want them kept, but for what isn't its inserter's to say", two)
	}
	if diff := cmp.Diff([]string{">Pending jane Job created", "Pending>Queued jane Job enqueued"}, b.path("JOB-1")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestRefusedSubmissions are dead letters that say why.
func TestRefusedSubmissions(t *testing.T) {
	for name, tc := range map[string]struct {
		with func(b *bench, j *rows.BackgroundJob)
		why  string // "" is that it runs
	}{
		"unknown Job Type":         {func(_ *bench, j *rows.BackgroundJob) { j.JobType = "none" }, `no such Job Type: "none"`},
		"disabled Job Type":        {func(b *bench, _ *rows.BackgroundJob) { b.types["export"].Enabled = false }, "the Job Type is disabled"},
		"no organization":          {func(_ *bench, j *rows.BackgroundJob) { j.Organization = "" }, "needs an organization"},
		"the usual organization":   {func(b *bench, j *rows.BackgroundJob) { j.Organization, b.DefaultOrganization = "", "ORG-B" }, ""},
		"unknown organization":     {func(_ *bench, j *rows.BackgroundJob) { j.Organization = "ORG-X" }, "no such organization"},
		"another's organization":   {func(_ *bench, j *rows.BackgroundJob) { j.Organization = "ORG-B" }, "jane doesn't belong to organization ORG-B"},
		"of a manager":             {func(_ *bench, j *rows.BackgroundJob) { j.Owner, j.OwnerUser = "sue", "sue" }, ""},
		"for another":              {func(_ *bench, j *rows.BackgroundJob) { j.Owner = "joe" }, "joe inserted it for jane"},
		"for another by a manager": {func(_ *bench, j *rows.BackgroundJob) { j.Owner = "sue" }, ""},
		"for another, trusted":     {func(b *bench, j *rows.BackgroundJob) { j.Owner, b.TrustEnqueuer = "joe", true }, ""},
		"for nobody":               {func(_ *bench, j *rows.BackgroundJob) { j.Owner, j.OwnerUser = "sue", "nobody" }, `User not found: site a.example.com has no user "nobody"`},
		"without its permission":   {func(b *bench, _ *rows.BackgroundJob) { b.types["export"].RequiresPermission = "Invoice" }, "jane may not create Invoice, which export requires"},
		"no object":                {func(b *bench, _ *rows.BackgroundJob) { b.noObject = true }, "input_parameters is not a JSON object"},
		"unknown priority":         {func(_ *bench, j *rows.BackgroundJob) { j.Priority = "Urgent" }, `priority "Urgent" is not one of`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			j := submission("jane")
			tc.with(b, &j)
			b.insert("JOB-1", j)
			b.settle(t)
			row := b.row("JOB-1")
			if tc.why == "" {
				if row.Status != rows.StatusQueued || !slices.Equal(b.done, []string{"deliver JOB-1"}) {
					t.Errorf("it is %s (%s), %q, want it on its way", row.Status, row.ErrorMessage, b.done)
				}
				return
			}
			if row.Status != rows.StatusDeadLetter || !strings.Contains(row.ErrorMessage, tc.why) || row.ErrorType != "Permanent" || len(b.done) > 0 {
				t.Errorf("it is %s because of %q, %q, want a dead letter because %s", row.Status, row.ErrorMessage, b.done, tc.why)
			}
			if path := b.path("JOB-1"); len(path) != 3 || !strings.Contains(path[2], "Job refused: ") || !strings.Contains(path[2], tc.why) {
				t.Errorf("log %q, want the reason in its last line", path)
			}
		})
	}
}

// TestRowsBeyondALimit are refused as any other submission is, by name: which of the two comes second in a lane.
func TestRowsBeyondALimit(t *testing.T) {
	for name, tc := range map[string]struct {
		with func(b *bench)
		why  string // of the second row; "" is that it runs
	}{
		"none": {func(*bench) {}, ""},
		"of the user": {func(b *bench) { b.types["export"].RateLimit, b.types["export"].RateLimitWindow = 1, 60 },
			"rate limit reached: jane may submit 1 jobs of Job Type export within 1m0s; try again in 1m0s"},
		"of duplicates":       {func(b *bench) { b.types["export"].DeduplicationWindow = 60 }, "the same job is on its way already: JOB-1 is "},
		"of an app's own":     {func(b *bench) { b.types["export"].DeduplicationWindow, b.ofApp = 60, true }, ""},
		"of the organization": {func(b *bench) { b.limits.QueueLimit = 1 }, "queue full: 1 jobs of organization ORG-A wait already"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				tc.with(b)
				for _, row := range []string{"JOB-1", "JOB-2"} {
					j := submission("jane")
					j.JobHash = "forged"
					b.insert(row, j)
					time.Sleep(2 * time.Second) // the queue is counted anew
					b.settle(t)
				}
				time.Sleep(2 * ofAppGrace)
				b.settle(t)
				first, second := b.row("JOB-1"), b.row("JOB-2")
				if first.Status != rows.StatusQueued || !b.ofApp && first.JobHash == "forged" {
					t.Errorf("the first is %s (%s), its hash %q", first.Status, first.ErrorMessage, first.JobHash)
				}
				if tc.why == "" && second.Status != rows.StatusQueued || tc.why != "" && second.Status != rows.StatusDeadLetter || !strings.Contains(second.ErrorMessage, tc.why) {
					t.Errorf("the second is %s: %q, want %q", second.Status, second.ErrorMessage, tc.why)
				}
			})
		})
	}
}

// TestWhatWasMadeAMomentBefore: a Job Type that isn't known yet is asked for anew before a job of it is refused.
func TestWhatWasMadeAMomentBefore(t *testing.T) {
	b := newBench(t)
	b.stale = true
	b.insert("JOB-1", submission("jane"))
	b.settle(t)
	if row := b.row("JOB-1"); row.Status != rows.StatusQueued {
		t.Errorf("it is %s: %s", row.Status, row.ErrorMessage)
	}
}

// TestWithoutAHandler: a job waits for the process that has one, and is refused where none has.
func TestWithoutAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Handled = func(map[string]*rows.JobType) []string { return nil }
		b.elsewhere = []string{"app.export"}
		b.types["export"].HandlerMethod = "app.export"
		b.insert("JOB-1", submission("jane"))
		b.settle(t)
		time.Sleep(time.Hour)
		b.settle(t)
		if row := b.row("JOB-1"); row.Status != rows.StatusPending {
			t.Errorf("it is %s though another process has a handler", row.Status)
		}
		b.elsewhere = nil
		b.insert("JOB-2", submission("jane"))
		for range 9 {
			b.settle(t)
			time.Sleep(time.Second)
		}
		if row := b.row("JOB-2"); row.Status != rows.StatusPending {
			t.Errorf("it is %s before the process that is started anew can be back", row.Status)
		}
		time.Sleep(2 * time.Second)
		b.settle(t)
		if row := b.row("JOB-2"); row.Status != rows.StatusDeadLetter || !strings.Contains(row.ErrorMessage, `no running bridge has a handler for Job Type "export"`) {
			t.Errorf("where nobody has a handler it is %s: %s", row.Status, row.ErrorMessage)
		}
	})
}

// TestAnAppsRows have some seconds for the app's own delivery; those of Job Types that run in Python are the app's alone.
func TestAnAppsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.ofApp = true
		python := submission("jane")
		python.JobType = "pythons"
		b.insert("JOB-1", submission("jane"))
		b.insert("JOB-2", submission("jane"))
		b.insert("JOB-3", python)
		b.insert("JOB-4", submission("jane"))
		b.rows["JOB-4"].Modified = time.Now().Add(-time.Minute) // it waited for another, or for its time
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			b.Run(ctx)
			close(ended)
		}()
		for name := range b.rows {
			b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: name})
		}
		time.Sleep(time.Second)
		b.save("JOB-2", "jane", func(j *rows.BackgroundJob) { j.Status = rows.StatusQueued }) // by the app, with its log
		b.log["JOB-2"] = []rows.LogEntry{{ToStatus: rows.StatusQueued}}
		time.Sleep(time.Second)
		if row, old := b.row("JOB-1"), b.row("JOB-4"); row.Status != rows.StatusPending || old.Status != rows.StatusQueued {
			t.Errorf("after 2 s it is %s, and what was written long ago is %s", row.Status, old.Status)
		}
		time.Sleep(1100 * time.Millisecond)
		if row := b.row("JOB-1"); row.Status != rows.StatusQueued {
			t.Errorf("after 3 s it is %s", row.Status)
		}
		if row := b.row("JOB-3"); row.Status != rows.StatusPending || !slices.Equal(b.done, []string{"deliver JOB-4", "deliver JOB-1"}) {
			t.Errorf("Python's is %s; RQ got %q", row.Status, b.done)
		}
		// What the app's code writes when somebody cancels: its own log as well, and no canceled_at.
		b.save("JOB-1", "joe", func(j *rows.BackgroundJob) { j.Status = rows.StatusCanceled })
		b.log["JOB-1"] = append(b.log["JOB-1"], rows.LogEntry{FromStatus: rows.StatusQueued, ToStatus: rows.StatusCanceled})
		b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: "JOB-1"})
		synctest.Wait()
		if row := b.row("JOB-1"); row.CanceledBy != "joe" || row.CanceledAt.IsZero() || b.done[2] != "stop Queued JOB-1" {
			t.Errorf("canceled by %q at %s; RQ got %q", row.CanceledBy, row.CanceledAt, b.done)
		}
		// And when somebody has a dead letter tried again: after the app's own delivery had its time it gets one, once.
		b.left("JOB-5", rows.StatusDeadLetter)
		b.save("JOB-5", "joe", func(j *rows.BackgroundJob) { j.Status, j.ErrorMessage, j.RetryCount = rows.StatusQueued, "boom", 2 })
		b.log["JOB-5"] = append(b.log["JOB-5"], rows.LogEntry{FromStatus: rows.StatusDeadLetter, ToStatus: rows.StatusQueued, Actor: "joe"})
		for range 2 {
			b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: "JOB-5"})
			time.Sleep(4 * time.Second)
		}
		if row := b.row("JOB-5"); row.RetryCount != 0 || row.ErrorMessage != "" || len(b.done) != 4 || b.done[3] != "redeliver JOB-5" {
			t.Errorf("tried again: %d retries, error %q; RQ got %q", row.RetryCount, row.ErrorMessage, b.done)
		}
		cancel()
		<-ended
	})
}

// TestARunningRowsStart is that of its attempt, which RQ knows, whoever writes another one into the row.
func TestARunningRowsStart(t *testing.T) {
	attempt := time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC)
	for name, tc := range map[string]struct {
		starts []time.Time
		change func(*rows.BackgroundJob)
		want   string // the message, "" for nothing
	}{
		"nothing": {[]time.Time{attempt}, func(*rows.BackgroundJob) {}, ""},
		"started_at": {[]time.Time{attempt}, func(j *rows.BackgroundJob) {
			j.StartedAt, j.StartedRaw = attempt.Add(time.Hour+time.Second), "2026-03-01 11:00:01.000001"
		}, "Undone: joe had changed started_at"},
		"nobody runs it":     {nil, func(j *rows.BackgroundJob) { j.StartedRaw = "2026-03-01 11:00:01.000001" }, ""},
		"status and started": {[]time.Time{attempt}, func(j *rows.BackgroundJob) { j.Status, j.StartedAt, j.StartedRaw = rows.StatusFailed, time.Time{}, "" }, "Undone: joe had set the status from Running to Failed"},
	} {
		b := newBench(t)
		b.left("JOB-1", rows.StatusRunning)
		b.starts = tc.starts
		b.save("JOB-1", "joe", tc.change)
		if err := b.some(t.Context(), site, []string{"JOB-1"}); err != nil {
			t.Fatal(err)
		}
		path := b.path("JOB-1")
		if got := len(path) > 1; got != (tc.want != "") || got && !strings.Contains(path[1], tc.want) {
			t.Errorf("%s: log %q, want %q", name, path, tc.want)
		}
		if row := b.row("JOB-1"); tc.want != "" && (row.Status != rows.StatusRunning || !row.StartedAt.Equal(attempt)) {
			t.Errorf("%s: %s since %s, want it Running since its attempt began", name, row.Status, row.StartedAt)
		}
	}
}

// TestAFlood of events about a few rows reads them a few times, and what bridges did themselves isn't read at all.
func TestAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for i := range 100 {
			b.insert(fmt.Sprint("JOB-", i), submission("jane"))
		}
		for range 10_000 {
			b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: "JOB-7", Source: "us"})
			b.Hear(realtime.Change{Site: site, DocType: "Job Execution Log", Name: "JOB-7"})
			b.Hear(realtime.Change{Site: "b.example.com", DocType: "Background Job", Name: "JOB-7"})
			b.Hear(realtime.Change{Site: site})
		}
		for i := range 10_000 {
			b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: fmt.Sprint("JOB-", i%200)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			b.Run(ctx)
			close(ended)
		}()
		synctest.Wait()
		if b.reads > 3 || len(b.done) != 100 {
			t.Errorf("10,000 events about 200 rows, half of them gone, were read in %d queries and made %d deliveries, want one each", b.reads, len(b.done))
		}
		cancel()
		<-ended
	})
}

// TestWhatCantBeDoneNow is done later: while the database, Redis or the site is away.
func TestWhatCantBeDoneNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			b.Run(ctx)
			close(ended)
		}()
		now := func(change func()) {
			b.mu.Lock()
			defer b.mu.Unlock()
			change()
		}
		looks := func() {
			for range 5 {
				_ = b.Look(ctx)
				time.Sleep(time.Second)
			}
		}
		now(func() { b.away, b.redisAway = errors.New("away"), errors.New("away") })
		b.insert("JOB-1", submission("jane"))
		b.Hear(realtime.Change{Site: site, DocType: "Background Job", Name: "JOB-1"})
		looks()
		now(func() { b.away = nil })
		looks()
		if row := b.row("JOB-1"); row.Status != rows.StatusPending {
			t.Errorf("without Redis it is %s", row.Status)
		}
		now(func() { b.redisAway, b.maintained = nil, true })
		looks()
		if row := b.row("JOB-1"); row.Status != rows.StatusPending {
			t.Errorf("in maintenance it is %s", row.Status)
		}
		now(func() { b.maintained = false })
		looks()
		if row := b.row("JOB-1"); row.Status != rows.StatusQueued || len(b.open) > 0 {
			t.Errorf("at last it is %s, and %v are still open", row.Status, b.open)
		}
		if b.mark.IsZero() {
			t.Error("it isn't kept up to when the site was looked at")
		}
		cancel()
		<-ended
	})
}

// TestLooksGoOn through the rows that wait, of which there may be any number.
func TestLooksGoOn(t *testing.T) {
	b := newBench(t)
	for range 3 {
		if err := b.lookAt(t.Context(), site, false); err != nil {
			t.Fatal(err)
		}
	}
	if want := []rows.Place{{}, {Name: "1"}, {Name: "2"}}; !slices.Equal(b.walked, want) {
		t.Errorf("looks begin behind %v, want each where the last one ended: %v", b.walked, want)
	}
}
