package bridge

import (
	"database/sql"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestAmongManyJobs: what people and programs ask of a bridge makes its site's database read as much whether ten thousand jobs
// have ended there or a million, and so does a bridge that has nothing to do.
func TestAmongManyJobs(t *testing.T) {
	if os.Getenv("BRIDGE_TEST_JOBS") == "" {
		t.Skip("it takes a minute to make the rows: make million asks for it; TestHotQueries is always run")
	}
	t.Parallel()
	n, measured := servertest.ManyJobs(t)
	few, many := among(t, 10_000, measured), among(t, n, measured)
	for _, name := range slices.Sorted(maps.Keys(few)) {
		small, large := few[name], many[name]
		t.Logf("%-45s %6d and %6d rows read, %6.1f and %6.1f ms, %.1f times as long", name, small.Read, large.Read,
			small.Took.Seconds()*1000, large.Took.Seconds()*1000, large.Took.Seconds()/small.Took.Seconds())
		if small.Grows(large) {
			t.Errorf("%s: %d rows are read among 10,000 jobs, %d among %d", name, small.Read, large.Read, n)
		}
	}
}

// crowd is a bed among whose jobs many have ended.
type crowd struct {
	*bed
	root  *sql.DB
	turns int // how often each thing is measured
	costs map[string]servertest.Cost
	made  int
}

// among says what things cost on a site where n jobs have ended.
func among(t *testing.T, n int, measured bool) map[string]servertest.Cost {
	t.Helper()
	c, m := &crowd{turns: 3, costs: map[string]servertest.Cost{}}, servertest.PrivateMariaDB(t, "--innodb-buffer-pool-size=2G")
	if measured {
		c.turns = 31
	}
	if err := m.CreateDatabase(t.Context(), "site", "site", "secret"); err != nil {
		t.Fatal(err)
	}
	site := servers.BenchSite{Name: testSite, DBName: "site", DBPassword: "secret", DBHost: m.Host, DBPort: m.Port}
	c.bed = newBedOn(t, servertest.Redis(t), map[string]any{"queues": []string{"go"}}, servers.BenchConfig{Sites: []servers.BenchSite{site}})
	var err error
	if c.root, err = sql.Open("mysql", m.DSN("site")); err != nil {
		t.Fatal(err)
	}
	defer c.root.Close()
	servertest.MakeJobs(t, c.root, n)
	c.exec("DELETE FROM `tabBackground Job` WHERE `status` NOT IN ('Completed','Dead Letter','Canceled')") // nobody handles them
	c.exec("UPDATE `tabJob Type` SET `deduplication_window`=300, `rate_limit`=100000")
	c.addMember("joe@example.com", "ORG-A")
	c.cfg.Retention = Retention{Days: -1}
	c.askAndDelete()
	c.run(measured)
	return c.costs
}

// fresh is a request like no other.
func (c *crowd) fresh() SubmitRequest {
	c.made++
	return SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", User: "joe@example.com", Parameters: map[string]any{"n": c.made}}
}

func (c *crowd) submit(r SubmitRequest) (name string) {
	c.t.Helper()
	row, err := c.client().Submit(c.t.Context(), r)
	if err != nil {
		c.t.Fatal(err)
	}
	return row.Name
}

// askAndDelete measures what is done without a bridge that runs.
func (c *crowd) askAndDelete() {
	c.t.Helper()
	ctx, client := c.t.Context(), c.client()
	c.cost("submit a job", func() { c.submit(c.fresh()) })
	twice, keyed := c.fresh(), c.fresh()
	keyed.Key = "one"
	waiting := c.submit(twice)
	c.cost("submit it again", func() {
		if _, err := client.Submit(ctx, twice); !errors.Is(err, ErrDuplicate) {
			c.t.Fatal(err)
		}
	})
	c.cost("submit one under a key", func() { c.submit(keyed) })
	dead, _, err := c.db.ListChanged(ctx, rows.ListFilter{Statuses: []rows.Status{rows.StatusDeadLetter}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.cost("explain why a job waits", func() { c.standing(waiting) })
	c.cost("explain a dead letter", func() { c.standing(dead[0].Name) })
	c.cost("ask for a job that nobody knows", func() {
		if _, err := client.Inspect(ctx, testSite, "nobody's"); !errors.Is(err, rows.ErrNoSuchJob) {
			c.t.Fatal(err)
		}
	})
	c.cost("cancel a job", func() {
		if _, err := client.Cancel(ctx, testSite, c.submit(c.fresh()), "joe@example.com"); err != nil {
			c.t.Fatal(err)
		}
	})
	c.cost("delete a hundred old jobs", func() {
		c.exec("UPDATE `tabBackground Job` SET `modified`='2001-01-01' WHERE `status`='Completed' AND `modified`>'2002-01-01' ORDER BY `modified` LIMIT 100")
		if done, err := client.Cleanup(ctx, testSite, Retention{Days: 3650}, nil); err != nil || done.Sum() != 100 {
			c.t.Fatal(done, err)
		}
	})
}

// run measures what a bridge that runs does.
func (c *crowd) run(measured bool) {
	c.t.Helper()
	ended := make(chan string, 1000)
	e := c.start(func(e *Engine) { e.OnEnd(func(end End) { ended <- end.Name }) })
	c.cost("submit a job, claim it and run it to its end", func() {
		for name, ran := c.submit(c.fresh()), ""; ran != name; {
			select {
			case ran = <-ended:
			case <-time.After(time.Minute):
				c.t.Fatalf("%s hasn't run for a minute", name)
			}
		}
	})
	if measured {
		c.turns = 1
		c.cost("half a minute of a bridge", func() { time.Sleep(30 * time.Second) })
	}
	if err := e.stop(); err != nil {
		c.t.Error(err)
	}
}

// cost measures something.
func (c *crowd) cost(name string, do func()) {
	c.t.Helper()
	c.costs[name] = servertest.CostOf(c.t, c.root, c.turns, func() int { do(); return 0 })
}
