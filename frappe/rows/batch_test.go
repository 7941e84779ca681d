package rows

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

func newBatch(t testing.TB, d *DB) *Batch {
	t.Helper()
	b := &Batch{Organization: newJob("").Organization, OwnerUser: "jane@example.com"}
	if err := d.CreateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func inBatch(b *Batch) NewJob {
	n := newJob(StatusQueued)
	n.Batch = b.Name
	return n
}

// TestBatch is counted by its own jobs, and ends once, when it is closed and none is left.
func TestBatch(t *testing.T) {
	_, d := installed(t, testMajor)
	b := newBatch(t, d)
	jobs, err := d.CreateJobs(t.Context(), []NewJob{inBatch(b), inBatch(b), inBatch(b), newJob(StatusQueued)})
	if err != nil || row(t, d, jobs[0].Name).Batch != b.Name {
		t.Fatal(jobs, err)
	}
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,status,organization,batch) VALUES ('JOB-FOREIGN','Queued','ORG-X',?)", b.Name)
	ends := func() bool {
		t.Helper()
		ended, err := d.EndBatch(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return ended
	}
	if ended := ends(); ended {
		t.Error("an open batch ends")
	}
	if closed, err := d.CloseBatch(t.Context(), b.Name, ""); err != nil || !closed {
		t.Fatal(closed, err)
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Completed' WHERE name IN (?,?)", jobs[0].Name, jobs[1].Name)
	if ends() {
		t.Error("a batch ends while one of its jobs hasn't")
	}
	mustExec(t, d, "UPDATE `tabBackground Job` SET status='Dead Letter' WHERE name=?", jobs[2].Name)
	if err := d.CountBatch(t.Context(), b); err != nil || b.Total != 3 || b.Done != 2 || b.Failed != 1 || b.Progress != 100 || b.Left() != 0 {
		t.Errorf("%+v, %v", b, err)
	}
	b.Status = BatchFailed
	if first, second := ends(), ends(); !first || second {
		t.Errorf("it ends: %v and %v", first, second)
	}
	got, err := d.Batch(t.Context(), b.Name)
	if err != nil || got.Status != BatchFailed || got.Open() || got.Total != 3 || got.ModifiedRaw != b.ModifiedRaw {
		t.Errorf("%+v, %v", got, err)
	}
	if open, err := d.OpenBatches(t.Context(), "", 10); err != nil || len(open) > 0 {
		t.Errorf("open are %v, %v", open, err)
	}
	if _, err := d.Batch(t.Context(), "BATCH-none"); !errors.Is(err, ErrNoSuchBatch) {
		t.Error(err)
	}
	var key string
	if err := d.x.QueryRow("SELECT 1 FROM information_schema.statistics WHERE table_schema=DATABASE() AND table_name='tabBackground Job' AND index_name='batch_status_organization_index' LIMIT 1").Scan(&key); err != nil {
		t.Errorf("the index of what is counted: %v", err)
	}
}

// TestABatchThatIsClosedWhileJobsAreAdded has each of them, or refuses it.
func TestABatchThatIsClosedWhileJobsAreAdded(t *testing.T) {
	_, d := installed(t, testMajor)
	made, refused := 0, 0
	for range 100 {
		b := newBatch(t, d)
		var both sync.WaitGroup
		var err error
		ended := false
		both.Go(func() { _, err = d.CreateJobs(context.Background(), []NewJob{inBatch(b)}) })
		both.Go(func() {
			if _, err := d.CloseBatch(context.Background(), b.Name, ""); err != nil {
				t.Error(err)
			}
			b.Status = BatchCompleted
			var e error
			if ended, e = d.EndBatch(context.Background(), b); e != nil {
				t.Error(e)
			}
		})
		both.Wait()
		switch {
		case err == nil && !ended:
			made++
		case errors.Is(err, ErrBatch) && strings.Contains(err.Error(), "is closed") && ended:
			refused++
		default:
			t.Fatalf("the job: %v; the batch has ended: %v", err, ended)
		}
	}
	t.Logf("%d were added, %d refused", made, refused)
	if made == 0 || refused == 0 {
		t.Error("there was no race")
	}
}

// TestCountingABatchCostsLittle: it reads the entries of an index, of its own jobs only.
func TestCountingABatchCostsLittle(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,creation,modified,status,organization,batch) SELECT CONCAT('JOB-',seq),NOW(6),NOW(6),'Completed','ORG-1',CONCAT('BATCH-',seq DIV 100) FROM seq_1_to_20000")
	mustExec(t, d, "ANALYZE TABLE `tabBackground Job`")
	for _, query := range []string{
		"SELECT `status`,COUNT(*) AS jobs FROM `tabBackground Job` WHERE `batch`='BATCH-7' AND `organization`='ORG-1' GROUP BY `status`",
		"SELECT 1 FROM `tabBackground Job` j WHERE j.`batch`='BATCH-7' AND j.`organization`='ORG-1' AND j.`status` IN " + unended,
	} {
		var step struct {
			Key   string `db:"key"`
			Rows  int    `db:"rows"`
			Extra string `db:"Extra"`
		}
		if err := d.x.Unsafe().Get(&step, "EXPLAIN "+query); err != nil || step.Key != "batch_status_organization_index" || step.Rows > 200 || !strings.Contains(step.Extra, "Using index") {
			t.Errorf("%s: %+v, %v", query, step, err)
		}
	}
}
