package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// gates are jobs that end when and as they are told; they note in which order they began.
type gates struct {
	mu    sync.Mutex
	open  map[string]chan error
	order []string
}

func (g *gates) of(name string) chan error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[string]chan error{}
	}
	if g.open[name] == nil {
		g.open[name] = make(chan error, 10)
	}
	return g.open[name]
}

// newGatedBed is a bed whose jobs of the type count are gates, with one engine.
func newGatedBed(t *testing.T) (*bed, *gates) {
	t.Helper()
	b := newBed(t, nil)
	b.countTypes()
	g := new(gates)
	b.start(g.register)
	b.hears()
	return b, g
}

func (g *gates) began() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.order)
}

// register makes jobs of the type count gates.
func (g *gates) register(e *Engine) {
	Register(e, "count", func(ctx context.Context, job *Job[any]) (any, error) {
		g.mu.Lock()
		g.order = append(g.order, job.Name)
		g.mu.Unlock()
		select {
		case err := <-g.of(job.Name):
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// child submits a job of ORG-A that depends on others.
func (b *bed) child(jobType string, parents ...string) *rows.BackgroundJob {
	b.t.Helper()
	row, err := b.client().Submit(b.t.Context(), SubmitRequest{Site: testSite, JobType: jobType, Organization: "ORG-A", User: "jane@example.com", DependsOn: parents})
	if err != nil {
		b.t.Fatal(err)
	}
	return row
}

// insertChild inserts a row that depends on others, as the desk does: the first in depends_on, unless all stand in the table only.
func (b *bed) insertChild(name, jobType string, inTable bool, parents ...string) {
	b.t.Helper()
	set := map[string]any{}
	if !inTable {
		set["depends_on"] = parents[0]
	}
	if inTable || len(parents) > 1 {
		for i, p := range parents {
			b.exec("INSERT INTO `tabBackground Job Dependency` (name,creation,modified,parent,parenttype,parentfield,idx,background_job) VALUES (UUID(),NOW(6),NOW(6),?,'Background Job','dependencies',?,?)", name, i+1, p)
		}
	}
	b.insert(name, "jane@example.com", jobType, "{}", set)
}

// TestAChildStartsWhenAllItsParentsHaveCompleted, of a chain and of several, submitted and inserted; a parent between retries
// doesn't end it.
func TestAChildStartsWhenAllItsParentsHaveCompleted(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 0.2}})
	b.countTypes()
	g := new(gates)
	b.start(g.register)
	b.start(g.register)
	b.hears()
	first, second := b.submit("count", nil), b.submit("count", nil)
	child := b.child("count", first, second)
	if child.Status != rows.StatusPending || child.DependsOn != first {
		t.Errorf("the child of two that run is %s and depends on %s", child.Status, child.DependsOn)
	}
	grandchild := b.child("count", child.Name).Name
	b.insertChild("JOB-DESK-1", "count", false, child.Name)
	b.insertChild("JOB-DESK-2", "count", true, second, grandchild)
	b.tell("JOB-DESK-1")
	b.tell("JOB-DESK-2")
	b.eventually("they are looked at", func() bool { return len(b.history("JOB-DESK-1"))+len(b.history("JOB-DESK-2")) == 2 }, func() string { return "" })
	if got := b.row("JOB-DESK-2").DependsOn; got != second {
		t.Errorf("depends_on of one that names two in the table only: %q", got)
	}
	g.of(first) <- nil
	b.waitRow(first, rows.StatusCompleted)
	g.of(second) <- errors.New("it fails at first")
	b.eventually("it is tried again", func() bool { return b.row(second).RetryCount == 1 && b.row(second).Status == rows.StatusRunning }, func() string { return b.path(second) })
	if got := b.row(child.Name).Status; got != rows.StatusPending {
		t.Errorf("while a parent is between retries the child is %s", got)
	}
	b.within(15*time.Second, "it says what it waits for", func() bool {
		return strings.HasPrefix(b.row(child.Name).WaitingFor, "it waits for "+second+", which is ")
	}, func() string { return b.row(child.Name).WaitingFor })
	begin := time.Now()
	g.of(second) <- nil
	b.waitRow(child.Name, rows.StatusRunning)
	t.Logf("the child runs %s after its last parent was let go", time.Since(begin))
	g.of(child.Name) <- nil
	b.waitRow("JOB-DESK-1", rows.StatusRunning)
	g.of(grandchild) <- nil
	g.of("JOB-DESK-1") <- nil
	g.of("JOB-DESK-2") <- nil
	for _, name := range []string{grandchild, "JOB-DESK-1", "JOB-DESK-2"} {
		row := b.waitRow(name, rows.StatusCompleted)
		if row.WaitingFor != "" || b.path(name) != "Pending Queued Running Completed" {
			t.Errorf("%s waits for %q after %s", name, row.WaitingFor, b.path(name))
		}
	}
	if got := b.child("count", child.Name, first); got.Status != rows.StatusQueued {
		t.Errorf("a child of jobs that have completed is %s", got.Status)
	} else {
		g.of(got.Name) <- nil
	}
	if began := g.began(); began[len(began)-2] != "JOB-DESK-2" && began[len(began)-1] != "JOB-DESK-2" {
		t.Errorf("they began in the order %q", began)
	}
}

// TestAParentThatWontComplete ends who waits for it, and who waits for that one, with a message that names it.
func TestAParentThatWontComplete(t *testing.T) {
	t.Parallel()
	b, g := newGatedBed(t)
	dies, canceled, byHand, lives := b.submit("count", nil), b.submit("count", nil), b.submit("count", nil), b.submit("count", nil)
	wants := map[string]string{}
	family := func(parent, ends string) {
		t.Helper()
		child := b.child("count", lives, parent).Name
		b.insertChild("JOB-OF-"+parent, "count", false, parent)
		b.tell("JOB-OF-" + parent)
		grandchild := b.child("count", child).Name
		wants[child], wants["JOB-OF-"+parent] = "it depends on "+parent+", which is "+ends, "it depends on "+parent+", which is "+ends
		wants[grandchild] = "it depends on " + child + ", which is Dead Letter"
	}
	family(dies, "Dead Letter")
	family(canceled, "Canceled")
	family(byHand, "Canceled")
	g.of(dies) <- Permanent(errors.New("no more"))
	if _, err := b.client().Cancel(t.Context(), testSite, canceled, "jane@example.com"); err != nil {
		t.Fatal(err)
	}
	b.waitRow(byHand, rows.StatusRunning)
	b.save(byHand, "jane@example.com", "status='Canceled'")
	b.tell(byHand)
	for name, want := range wants {
		row := b.waitRow(name, rows.StatusDeadLetter)
		if !strings.Contains(row.ErrorMessage, want) || row.ErrorType != rows.ErrorPermanent || b.path(name) != "Pending Queued Dead Letter" {
			t.Errorf("%s: %q (%s) after %s, want %q", name, row.ErrorMessage, row.ErrorType, b.path(name), want)
		}
	}
	g.of(lives) <- nil
	for _, parent := range []string{dies, canceled} {
		_, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", DependsOn: []string{parent}})
		if !errors.Is(err, rows.ErrDependency) || !strings.Contains(err.Error(), parent) {
			t.Errorf("a job that depends on one that won't complete: %v", err)
		}
	}
	if began := g.began(); len(began) > 4 {
		t.Errorf("ran: %q", began)
	}
}

// TestAChildThatIsRetriedByHand waits for what it depends on, or is a dead letter again as long as that won't complete.
func TestAChildThatIsRetriedByHand(t *testing.T) {
	t.Parallel()
	b, g := newGatedBed(t)
	parent := b.submit("count", nil)
	child := b.child("count", parent).Name
	g.of(parent) <- Permanent(errors.New("no more"))
	b.waitRow(child, rows.StatusDeadLetter)
	retry := func(name string) {
		t.Helper()
		if _, err := b.client().Retry(t.Context(), testSite, name, "jane@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	retry(child)
	b.eventually("it is refused again", func() bool { return b.path(child) == "Pending Queued Dead Letter Queued Dead Letter" }, func() string { return b.path(child) })
	retry(parent)
	b.waitRow(parent, rows.StatusRunning)
	retry(child)
	b.within(20*time.Second, "it says what it waits for", func() bool {
		return b.row(child).WaitingFor == "it waits for "+parent+", which is Running"
	}, func() string { return fmt.Sprintf("%+v", b.row(child)) })
	g.of(parent) <- nil
	g.of(child) <- nil
	b.waitRow(child, rows.StatusCompleted)
	if began := g.began(); !slices.Equal(began, []string{parent, parent, child}) {
		t.Errorf("ran: %q", began)
	}
}

// TestDependenciesThatCantBe: of another organization, which is told from a job that doesn't exist by nothing; on oneself; in
// a circle.
func TestDependenciesThatCantBe(t *testing.T) {
	t.Parallel()
	b, _ := newGatedBed(t)
	foreign, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-B"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{foreign.Name, "JOB-2020-00001"} {
		_, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", DependsOn: []string{name}})
		if want := "it depends on " + name + ", which doesn't exist"; !errors.Is(err, rows.ErrDependency) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	wants := map[string]string{
		"JOB-HAND-1": "it depends on " + foreign.Name + ", which doesn't exist",
		"JOB-HAND-2": "it depends on JOB-2020-00001, which doesn't exist",
		"JOB-HAND-3": "it waits for itself: JOB-HAND-3 depends on JOB-HAND-3",
	}
	b.insertChild("JOB-HAND-1", "count", false, foreign.Name)
	b.insertChild("JOB-HAND-2", "count", false, "JOB-2020-00001")
	b.insertChild("JOB-HAND-3", "count", false, "JOB-HAND-3")
	parent := b.submit("count", nil)
	b.insertChild("JOB-HAND-4", "count", false, parent)
	b.insertChild("JOB-HAND-5", "count", false, "JOB-HAND-4")
	b.insertChild("JOB-HAND-6", "count", false, "JOB-HAND-5")
	for i := range 6 {
		b.tell(fmt.Sprint("JOB-HAND-", i+1))
	}
	for name, want := range wants {
		if row := b.waitRow(name, rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, want) {
			t.Errorf("%s: %q, want %q", name, row.ErrorMessage, want)
		}
	}
	b.eventually("they wait", func() bool {
		return b.path("JOB-HAND-4")+b.path("JOB-HAND-5")+b.path("JOB-HAND-6") == "PendingPendingPending"
	}, func() string { return "" })
	b.save("JOB-HAND-4", "jane@example.com", "depends_on='JOB-HAND-6'")
	b.tell("JOB-HAND-4")
	circle := "it waits for itself: JOB-HAND-4 depends on JOB-HAND-6 depends on JOB-HAND-5 depends on JOB-HAND-4"
	if row := b.waitRow("JOB-HAND-4", rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, circle) {
		t.Errorf("of a circle: %q", row.ErrorMessage)
	}
	b.waitRow("JOB-HAND-6", rows.StatusDeadLetter)
}

// TestAParentWhoseEndNobodySaw: its bridge died between the commit and the look. Others may wait by the thousand.
func TestAParentWhoseEndNobodySaw(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	c := newCounter()
	parent, never := b.submit("count", nil), b.submitFine(1, time.Now().Add(time.Hour))[0]
	child, second := b.child("count", parent).Name, b.child("count", parent, parent).Name
	b.exec("INSERT INTO `tabBackground Job` (name,creation,modified,owner,modified_by,owner_user,job_type,organization,status,depends_on,input_parameters) "+
		"SELECT CONCAT('JOB-WAITS-',seq),?,?,'jane@example.com','jane@example.com','jane@example.com','holds','ORG-A','Pending',?,'{}' FROM seq_1_to_5000", b.now(), b.db.Now().Add(-time.Hour).Format("2006-01-02 15:04:05.000000"), never)
	b.exec("INSERT INTO `tabJob Execution Log` (name,background_job,to_status,`timestamp`,creation,modified) SELECT CONCAT('L',seq),CONCAT('JOB-WAITS-',seq),'Pending',NOW(6)+INTERVAL 1 DAY,NOW(6),NOW(6) FROM seq_1_to_5000")
	for _, move := range []rows.Transition{
		{Name: parent, From: rows.StatusQueued, To: rows.StatusRunning, StartedAt: time.Now()}, {Name: parent, From: rows.StatusRunning, To: rows.StatusCompleted},
	} {
		if r, err := b.db.Transition(t.Context(), []rows.Transition{move}); err != nil || !r[0].Applied {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	b.start(c.register)
	begin := time.Now()
	b.waitRow(child, rows.StatusCompleted)
	b.waitRow(second, rows.StatusCompleted)
	t.Logf("found after %s, with 5000 that wait for another one", time.Since(begin))
}

// amount is how many of something a test makes: more where an environment variable says so.
func amount(t *testing.T, variable string, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return usual
}

// TestParentsThatEndWhileChildrenAreAdded: none is stuck, none runs twice. BRIDGE_TEST_RACES=10000 has that many.
func TestParentsThatEndWhileChildrenAreAdded(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 32})
	b.countTypes()
	c := newCounter()
	c.pause = 500 * time.Millisecond // so that some parents end before their child is made, and some after
	b.start(c.register)
	b.start(c.register)
	b.hears()
	b.client() // opened before they race for it
	n := amount(t, "BRIDGE_TEST_RACES", 250)
	const atOnce = 24
	children := make([]string, n)
	made := make([]int, atOnce) // Pending
	begin := time.Now()
	var racing sync.WaitGroup
	for w := range atOnce {
		racing.Go(func() {
			for i := w; i < n; i += atOnce {
				parent := b.submit("count", nil)
				time.Sleep(rand.N(20 * time.Millisecond))
				if i%4 == 3 { // as the desk does
					children[i] = fmt.Sprintf("JOB-CHILD-%05d", i)
					b.insertChild(children[i], "count", i%8 == 3, parent)
					b.tell(children[i])
					continue
				}
				row := b.child("count", parent)
				if children[i] = row.Name; row.Status == rows.StatusPending {
					made[w]++
				}
			}
		})
	}
	racing.Wait()
	added := time.Since(begin)
	b.within(60*time.Second, "all complete", func() bool {
		var left int
		if err := b.sql.Get(&left, "SELECT COUNT(*) FROM `tabBackground Job` WHERE status<>'Completed'"); err != nil {
			t.Fatal(err)
		}
		return left == 0
	}, func() string {
		var left []string
		_ = b.sql.Select(&left, "SELECT CONCAT_WS(' ',name,status,depends_on) FROM `tabBackground Job` WHERE status<>'Completed' LIMIT 10")
		return strings.Join(left, "; ")
	})
	pending, queued := 0, 0
	for _, n := range made {
		pending += n
	}
	double := 0
	for _, name := range children {
		if c.of(b.bench.JobID(testSite, name)) != 1 {
			double++
		}
	}
	queued = n - n/4 - pending
	t.Logf("%d races in %s and %s: %d children were made Pending, %d Queued, %d inserted; %d didn't run once", n, added, time.Since(begin)-added, pending, queued, n/4, double)
	if double > 0 || pending == 0 || queued == 0 {
		t.Error("want each once, and races")
	}
}

// TestFanOut of many children, which leaves room for others, and fan-in of many parents.
func TestFanOutAndFanIn(t *testing.T) {
	b := newBed(t, map[string]any{"concurrency": 16})
	b.countTypes()
	c := newCounter()
	b.start(c.register)
	n := amount(t, "BRIDGE_TEST_CHILDREN", 1100)
	parent := b.submit("holds", nil)
	requests := make([]SubmitRequest, n)
	for i := range requests {
		requests[i] = SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", User: "jane@example.com", DependsOn: []string{parent}}
	}
	children := make([]string, n)
	for i, r := range requests {
		row, err := b.client().Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		children[i] = row.Name
	}
	last := b.child("count", children[:1000]...).Name
	begin := time.Now()
	close(c.open)
	b.waitRow(parent, rows.StatusCompleted)
	foreign, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-B"})
	if err != nil {
		t.Fatal(err)
	}
	b.waitRow(foreign.Name, rows.StatusCompleted)
	other := time.Since(begin)
	b.within(60*time.Second, "the last starts", func() bool { return b.row(last).Status == rows.StatusCompleted }, func() string { return b.path(last) })
	b.within(60*time.Second, "all complete", func() bool {
		var left int
		if err := b.sql.Get(&left, "SELECT COUNT(*) FROM `tabBackground Job` WHERE status<>'Completed'"); err != nil {
			t.Fatal(err)
		}
		return left == 0
	}, func() string { return "" })
	for _, name := range append(children, last) {
		if got := c.of(b.bench.JobID(testSite, name)); got != 1 {
			t.Errorf("%s ran %d times", name, got)
		}
	}
	t.Logf("%d children of one job have run after %s, a job of somebody else's after %s", n, time.Since(begin), other)
}
