package commands

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestBatches: one that was inserted is shown and closed once; an unknown one isn't found.
func TestBatches(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	if got := bridgeCommand(t, "batch", "BATCH-none"); got.code != exitcode.NotFound {
		t.Errorf("an unknown batch: %+v", got)
	}
	b.exec("INSERT INTO `tabBackground Job Batch` (name,creation,modified,owner,organization,owner_user,status,title) VALUES ('BATCH-1',NOW(6),NOW(6),'Administrator','ORG-1','Administrator','Running','Invoices')")
	wantLines(t, "batches", must(t, "batches"), "NAME ORGANIZATION STATUS PROGRESS COMPLETED FAILED JOBS TITLE", "BATCH-1 ORG-1 Running 0% 0 0 0 Invoices")
	wantLines(t, "batch", must(t, "batch", "BATCH-1", "--close"), "status Running, takes no more jobs")
	if got := bridgeCommand(t, "batch", "BATCH-1", "--close"); got.code != exitcode.Refused {
		t.Errorf("closed twice: %+v", got)
	}
	if got := decode[rows.Batch](t, must(t, "batch", "BATCH-1", "--cancel", "--json")); got.Status != rows.BatchCanceled || !got.Closed {
		t.Errorf("canceled: %+v", got)
	}
}
