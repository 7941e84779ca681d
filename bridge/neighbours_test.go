package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// TestABadArrivalIsAlone: jobs whose row can't be written arrive among 200 others, whose rows share transactions.
func TestABadArrivalIsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 100})
	long := strings.Repeat("x", 200)
	from := func(user any, organization string) map[string]any {
		call := envelope(testSite, "echo_job", map[string]any{"organization": organization})
		call["user"] = user
		return call
	}
	var requests []rqcompat.Request
	says := map[string]string{} // what a bad one's error says, by its id
	add := func(envelope map[string]any, timeout int64, why string) {
		id := b.bench.JobID(testSite, fmt.Sprint("job-", len(requests)))
		requests = append(requests, rqcompat.Request{
			Queue: b.bench.QueueName("go"), ID: id, Data: call(t, frappe.ExecuteJob, envelope), Timeout: &timeout,
		})
		if why != "" {
			says[id] = why
		}
	}
	for i := range 200 {
		add(from("jane@example.com", "ORG-A"), 60, "")
		if i%50 == 10 {
			add(from("jane@example.com", long), 60, "organization")
			add(from(long, "ORG-A"), 60, "user")
			add(from(nil, "ORG-A"), 60, "user")
			add(from("jane@example.com", "ORG-A"), 1e13, "timeout")
		}
	}
	if _, err := b.client().RQ().EnqueueMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	for _, r := range requests {
		if why := says[r.ID]; why != "" {
			b.waitJob(r.ID, rqcompat.StatusFailed)
			if exc := b.lastExc(r.ID); !strings.Contains(exc, why) || strings.Contains(exc, "xxxxx") {
				t.Errorf("a job with a bad %s fails with %q, want that named and no value", why, exc)
			}
			continue
		}
		b.waitJob(r.ID, rqcompat.StatusFinished)
		if row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(r.ID)); err != nil || row.Status != rows.StatusCompleted {
			t.Fatalf("healthy job %s: row %+v, %v", r.ID, row, err)
		}
	}
}

// together is a handler that returns when n jobs have come to it, so that they end in the same batches.
func together(n int, each func(*Job[map[string]any]) (any, error)) func(context.Context, *Job[map[string]any]) (any, error) {
	var all sync.WaitGroup
	all.Add(n)
	return func(_ context.Context, job *Job[map[string]any]) (any, error) {
		result, err := each(job)
		all.Done()
		all.Wait()
		return result, err
	}
}

// TestWhatARowRefusesIsItsOwnMatter: rows that refuse the progress, the end or the log of their jobs share transactions
// with others.
func TestWhatARowRefusesIsItsOwnMatter(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 100})
	b.exec("ALTER TABLE `tabBackground Job` ADD CONSTRAINT progress CHECK (progress_message <> 'forbidden')")
	b.exec("ALTER TABLE `tabJob Execution Log` ADD CONSTRAINT message CHECK (message NOT LIKE '%forbidden%')")
	const n = 40
	var ids []string
	for i := range n {
		what := []string{"fine", "forbidden", "fine", "fine", "wrong"}[i%5]
		ids = append(ids, b.enqueue("echo_job", map[string]any{"organization": "ORG-A", "what": what}))
	}
	b.cfg.NoSamples = true
	seen := make(chan struct{})
	see := sync.OnceFunc(func() { close(seen) })
	t.Cleanup(see) // before the engine is stopped
	b.start(func(e *Engine) {
		Register(e, "echo_job", together(n, func(job *Job[map[string]any]) (any, error) {
			what, _ := job.Params["what"].(string)
			job.Progress(50, what)
			<-seen
			if what == "wrong" {
				return nil, Permanent(errors.New("a forbidden error"))
			}
			return nil, nil
		}))
	})
	row := func(id string) *rows.BackgroundJob {
		found, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id))
		if err != nil {
			return &rows.BackgroundJob{}
		}
		return found
	}
	for i, id := range ids {
		if i%5 != 1 {
			b.eventually("progress is written", func() bool { return row(id).Progress == 50 }, func() string { return fmt.Sprintf("job %d: %+v", i, row(id)) })
		}
	}
	see()
	for i, id := range ids {
		want, message := rows.StatusCompleted, "fine"
		switch i % 5 {
		case 1:
			message = "" // the row takes none of its texts
		case 4:
			want = rows.StatusDeadLetter
		}
		b.eventually("the job's row ends", func() bool {
			r := row(id)
			return r.Status == want && (r.ProgressMessage == message || i%5 == 4)
		}, func() string { return fmt.Sprintf("job %d: %+v", i, row(id)) })
	}
}

// TestAnIdIsNobodyElsesKey: the hash of a job whose id is chosen for that stands where RQ keeps another job's dependents.
func TestAnIdIsNobodyElsesKey(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 100})
	const n = 40
	queue := b.bench.QueueName("go")
	var ids []string
	for i := range n / 2 {
		victim := b.bench.JobID(testSite, fmt.Sprint("job-", i))
		for _, id := range []string{victim, fmt.Sprint("other-", i)} {
			b.raw("go", id, call(t, frappe.ExecuteJob, envelope(testSite, "go.together", nil)), nil)
		}
		// As a Python producer may call it.
		other, chosen := fmt.Sprint("other-", i), victim+":dependents"
		_, err := b.rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			p.Rename(t.Context(), rqcompat.JobKey(other), rqcompat.JobKey(chosen))
			p.LRem(t.Context(), rqcompat.QueueKey(queue), 0, other)
			p.RPush(t.Context(), rqcompat.QueueKey(queue), chosen)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, victim, chosen)
	}
	b.start(func(e *Engine) {
		Register(e, "go.together", together(n, func(*Job[map[string]any]) (any, error) { return nil, nil }))
	})
	for _, id := range ids {
		b.waitJob(id, rqcompat.StatusFinished)
		if _, ok, err := b.client().RQ().Score(t.Context(), rqcompat.Finished, queue, id); !ok || err != nil {
			t.Errorf("%s is finished and not in that registry, %v", id, err)
		}
	}
	b.wantNothingRunning()
}
