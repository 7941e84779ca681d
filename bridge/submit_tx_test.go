package bridge

import (
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestSubmitTx: a job is there with what else its transaction wrote, or not at all, and on its way within 200 ms of the commit.
func TestSubmitTx(t *testing.T) {
	b := newBed(t, nil)
	c := b.client()
	begin := func(level sql.IsolationLevel) *sql.Tx {
		t.Helper()
		tx, err := b.sql.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		return tx
	}
	request := SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", User: "jane@example.com"}
	queue := rqcompat.QueueKey(b.bench.QueueName("go"))
	submit := func(tx *sql.Tx, r SubmitRequest) *rows.BackgroundJob {
		t.Helper()
		row, err := c.SubmitTx(t.Context(), tx, r)
		if err != nil {
			t.Fatal(err)
		}
		return row
	}

	var late []time.Duration
	for range 20 {
		tx := begin(sql.LevelDefault)
		row := submit(tx, request)
		if row.Status != rows.StatusPending {
			t.Errorf("before the commit it is %s", row.Status)
		}
		time.Sleep(30 * time.Millisecond)
		if n := b.rdb.Exists(t.Context(), rqcompat.JobKey(b.bench.JobID(testSite, row.Name))).Val(); n != 0 {
			t.Error("it is on its way before the commit")
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		committed := time.Now()
		b.eventually("it is on its way", func() bool {
			return b.rdb.Exists(t.Context(), rqcompat.JobKey(b.bench.JobID(testSite, row.Name))).Val() == 1
		}, func() string { return row.Name })
		late = append(late, time.Since(committed))
		if log := b.history(row.Name); len(log) != 2 {
			t.Errorf("log %q, want its creation and its delivery", log)
		}
	}
	slices.Sort(late)
	t.Logf("from commit to delivery: half within %s, all within %s", late[len(late)/2], late[len(late)-1])
	if median := late[len(late)/2]; median > 200*time.Millisecond {
		t.Errorf("half of the jobs are on their way after %s, want 200 ms", median)
	}

	// Rolled back: nothing.
	before := b.rdb.LLen(t.Context(), queue).Val()
	tx := begin(sql.LevelDefault)
	gone := submit(tx, request)
	if _, err := c.Submit(t.Context(), request); err != nil {
		t.Errorf("while a transaction is open: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := b.db.BackgroundJob(t.Context(), gone.Name); !errors.Is(err, rows.ErrNoSuchJob) || b.rdb.LLen(t.Context(), queue).Val() != before+1 {
		t.Errorf("after a rollback: %v", err)
	}

	// A key, which has to see what others have committed.
	keyed := request
	keyed.Key = "k"
	old := begin(sql.LevelRepeatableRead)
	var n int
	if err := old.QueryRow("SELECT COUNT(*) FROM `tabBackground Job`").Scan(&n); err != nil { // from now on it sees no commit
		t.Fatal(err)
	}
	tx = begin(sql.LevelReadCommitted)
	first := submit(tx, keyed)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if again := submit(old, keyed); again.Name != first.Name {
		t.Errorf("one key is %s and %s, in a transaction that began before", first.Name, again.Name)
	}
	_ = old.Rollback()
	b.exec("UPDATE `tabJob Type` SET deduplication_window=300 WHERE name='sample_job'")
	same := request
	same.JobType = "sample_job"
	old = begin(sql.LevelRepeatableRead)
	if err := old.QueryRow("SELECT COUNT(*) FROM `tabBackground Job`").Scan(&n); err != nil {
		t.Fatal(err)
	}
	d := b.machines(1)[0] // which has read the Job Types by now
	if _, err := d.Submit(t.Context(), same); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SubmitTx(t.Context(), old, same); !errors.Is(err, ErrDuplicate) {
		t.Errorf("the same job in a transaction that began before: %v", err)
	}
	_ = old.Rollback()
	if again := submit(begin(sql.LevelReadCommitted), keyed); again.Name != first.Name {
		t.Errorf("one key is %s and %s", first.Name, again.Name)
	}
}

// TestSubmitTxOfAClientThatEnds: what is committed after its end an engine brings on its way.
func TestSubmitTxOfAClientThatEnds(t *testing.T) {
	b := newBed(t, nil)
	c := b.machines(1)[0]
	tx, err := b.sql.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	row, err := c.SubmitTx(t.Context(), tx, SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", User: "jane@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	b.waitRow(row.Name, rows.StatusCompleted)
}
