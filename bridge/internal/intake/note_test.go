package intake

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// largeJob is a waiting job as it is decoded: its names are parts of a block that all of its arguments are in, too.
func largeJob(i int) *job.Queued {
	block := fmt.Sprintf("site1.localhost|ORG-A|app.export|JOB-%07d|", i) + strings.Repeat("x", 100<<10)
	names := strings.SplitN(block, "|", 5)
	return &job.Queued{
		Queue: job.Queue{Name: "b:q", Kind: "q", Own: true}, ID: fmt.Sprintf("site1.localhost::%036d", i), Site: names[0], Organization: names[1],
		Method: names[2], RowName: names[3], Priority: 1, Memory: 100 << 10, Row: &rows.BackgroundJob{Name: names[3]},
		Kwargs: &pickle.Dict{Items: []pickle.Pair{{Key: "text", Value: names[4]}}},
	}
}

// TestAWaitingJobCostsANote: some hundred bytes with its id and its place in the queue, whatever it asks for.
func TestAWaitingJobCostsANote(t *testing.T) {
	const jobs, each = 5000, 600
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	f.Add(largeJob(0)) // what all have in common is there
	for i := range mostKept / (100 << 10) {
		f.Add(largeJob(1_000_000 + i))
	}
	before := heapAlloc()
	for i := range jobs {
		f.Add(largeJob(1 + i))
	}
	if took := (heapAlloc() - before) / jobs; took > each {
		t.Errorf("a job of 100 KB that waits takes %d bytes, want at most %d", took, each)
	}
	if f.kept > mostKept {
		t.Errorf("%d bytes of decoded jobs are kept, want at most %d", f.kept, mostKept)
	}
	runtime.KeepAlive(f)
}

func heapAlloc() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestWhatIsKeptIsCounted: small jobs are kept as they are within the bound, and make room when they go.
func TestWhatIsKeptIsCounted(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	sized := func(id string, memory int) *job.Queued {
		q := waitingJob("s", "o", id, "Normal")
		q.Memory = memory
		return q
	}
	f.Add(sized("a", mostKept/2), sized("b", mostKept), sized("c", mostKept/2), sized("d", 1))
	f.drop("q", "c")
	f.Add(sized("e", mostKept/2))
	got := map[string]bool{}
	for _, n := range f.deal(10) {
		got[n.ID] = n.kept != nil
		if n.kept != nil && n.kept.ID != n.ID {
			t.Errorf("%s has the job %s", n.ID, n.kept.ID)
		}
	}
	if want := map[string]bool{"a": true, "b": false, "d": false, "e": true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("kept are %v, want %v", got, want)
	}
	if f.kept != 0 {
		t.Errorf("%d bytes count as kept of an empty queue", f.kept)
	}
}

// TestAHostileNameIsCut: it may be millions of letters, in a kilobyte of Redis.
func TestAHostileNameIsCut(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	n := noteOf(&job.Queued{Site: long, Organization: long, Method: long, RowName: long})
	if size := len(n.Tenant().Site) + len(n.Tenant().Organization) + len(n.Method()) + len(n.RowName); size > 4*nameLength {
		t.Errorf("the names of a note take %d bytes", size)
	}
}
