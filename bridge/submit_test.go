package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// echoHash is what Python makes of the parameters: sha256 of "echo_job:ORG-A:" and frappe.as_json of them.
const echoHash = "6e33a2185fbf7c16"

// machines are n clients of a bed, each with connections of its own, as on machines of their own.
func (b *bed) machines(n int) []*Client {
	b.t.Helper()
	all := make([]*Client, n)
	for i := range all {
		c, err := NewClient(b.t.Context(), b.cfg)
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = c.Close() })
		all[i] = c
	}
	return all
}

// counted are how many rows a site has, how many different deliveries wait, and how many rows have no log.
func (b *bed) counted() (made, waiting, bare int) {
	b.t.Helper()
	for query, into := range map[string]*int{
		"SELECT COUNT(*) FROM `tabBackground Job`": &made,
		"SELECT COUNT(*) FROM `tabBackground Job` j WHERE 2<>(SELECT COUNT(*) FROM `tabJob Execution Log` l WHERE l.background_job=j.name)": &bare,
	} {
		if err := b.sql.Get(into, query); err != nil {
			b.t.Fatal(err)
		}
	}
	ids := b.rdb.LRange(b.t.Context(), rqcompat.QueueKey(b.bench.QueueName("go")), 0, -1).Val()
	slices.Sort(ids)
	return made, len(slices.Compact(ids)), bare
}

// TestAThousandKeysOfAHundredSubmitters make a thousand jobs: half of the submitters on another machine, one by one and many
// at a time, each in an order of its own. By default each has a tenth of the keys, so that ten want the same one;
// BRIDGE_TEST_KEYS=1000 gives all keys to each.
func TestAThousandKeysOfAHundredSubmitters(t *testing.T) {
	b := newBed(t, nil)
	const submitters, keys = 100, 1000
	each := 40
	if n, err := strconv.Atoi(os.Getenv("BRIDGE_TEST_KEYS")); err == nil {
		each = n
	}
	clients := b.machines(2)
	var all sync.WaitGroup
	names := make([][]string, submitters)
	for s := range submitters {
		c := clients[s%2]
		all.Go(func() {
			names[s] = make([]string, keys)
			var rs []SubmitRequest
			var of []int
			for i := range each {
				k := (i*7 + s*310) % keys
				of = append(of, k)
				rs = append(rs, SubmitRequest{Site: testSite, JobType: "echo_job", Organization: "ORG-A", User: "jane@example.com", Key: fmt.Sprint("key ", k)})
			}
			for n := range 3 { // the first alone
				row, err := c.Submit(t.Context(), rs[n])
				if err != nil {
					t.Error(err)
					return
				}
				names[s][of[n]] = row.Name
			}
			results, err := c.SubmitMany(t.Context(), rs)
			if err != nil {
				t.Error(err)
				return
			}
			for n, r := range results {
				if r.Err != nil {
					t.Error(r.Err)
					continue
				}
				names[s][of[n]] = r.Row.Name
			}
		})
	}
	began := time.Now()
	all.Wait()
	t.Logf("%d submitters of %d keys took %s", submitters, keys, time.Since(began))
	for k := range keys {
		one := ""
		for s := range names {
			if one = cmp.Or(one, names[s][k]); names[s][k] != "" && names[s][k] != one {
				t.Fatalf("key %d is %s and %s", k, one, names[s][k])
			}
		}
	}
	if made, waiting, bare := b.counted(); made != keys || waiting != keys || bare > 0 {
		t.Errorf("%d rows, %d deliveries, %d rows with another log than two lines; want %d of both", made, waiting, bare, keys)
	}
}

// TestDuplicatesOfManySubmitters: of one job that a hundred submit at the same time, on two machines, one is made, and the
// others are told its name; when it has ended, there may be another.
func TestDuplicatesOfManySubmitters(t *testing.T) {
	b := newBed(t, nil)
	b.exec("UPDATE `tabJob Type` SET deduplication_window=300 WHERE name='echo_job'")
	clients := b.machines(2)
	request := func(n int, organization string) SubmitRequest {
		return SubmitRequest{Site: testSite, JobType: "echo_job", Organization: organization, Parameters: map[string]any{"n": n, "ü": 1.5}}
	}
	const jobs, submitters = 50, 20
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		made  = map[int]string{}
		first = map[int]string{} // as the losers were told
	)
	for s := range submitters {
		all.Go(func() {
			for i := range jobs {
				n := (i*3 + s*7) % jobs
				row, err := clients[s%2].Submit(t.Context(), request(n, "ORG-A"))
				var duplicate *DuplicateError
				mu.Lock()
				switch {
				case err == nil && made[n] == "":
					made[n] = row.Name
				case err == nil:
					t.Errorf("job %d is %s and %s", n, made[n], row.Name)
				case errors.Is(err, ErrDuplicate) && errors.As(err, &duplicate):
					first[n] = duplicate.Name
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for n := range jobs {
		if made[n] == "" || made[n] != first[n] {
			t.Errorf("job %d was made as %q, and the others were told of %q", n, made[n], first[n])
		}
	}
	if made, waiting, bare := b.counted(); made != jobs || waiting != jobs || bare > 0 {
		t.Errorf("%d rows, %d deliveries, %d with an odd log; want %d", made, waiting, bare, jobs)
	}
	// The row's hash is Python's.
	var hash string
	if err := b.sql.Get(&hash, "SELECT job_hash FROM `tabBackground Job` WHERE name=?", made[0]); err != nil || hash != echoHash {
		t.Errorf("job_hash %s, %v, want %s", hash, err, echoHash)
	}
	c := clients[0]
	if _, err := c.Submit(t.Context(), request(0, "ORG-B")); err != nil {
		t.Errorf("the same job of another organization: %v", err)
	}
	results, err := c.SubmitMany(t.Context(), []SubmitRequest{request(77, "ORG-A"), request(77, "ORG-A")})
	if err != nil || results[0].Err != nil || !errors.Is(results[1].Err, ErrDuplicate) || !strings.Contains(results[1].Err.Error(), results[0].Row.Name) {
		t.Errorf("twice the same at once: %+v, %v", results, err)
	}
	b.exec("UPDATE `tabBackground Job` SET status='Completed' WHERE name=?", made[0])
	if _, err := c.Submit(t.Context(), request(0, "ORG-A")); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	b.exec("UPDATE `tabBackground Job` SET creation=creation - INTERVAL 301 SECOND WHERE name=?", made[1])
	if _, err := c.Submit(t.Context(), request(1, "ORG-A")); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// TestSubmissionsBeyondALimit are refused, and give back what they took; so do rows that are inserted.
func TestSubmissionsBeyondALimit(t *testing.T) {
	b := newBed(t, nil)
	b.cfg.QueueLimit = 25
	b.addUser("joe@example.com")
	b.exec("INSERT INTO `tabPerson` (name,frappe_user,primary_email) VALUES ('P1','joe@example.com','joe@example.com')")
	b.exec("INSERT INTO `tabOrg Member` (name,person,organization,status) VALUES ('M1','P1','ORG-A','Active')")
	b.exec("UPDATE `tabJob Type` SET rate_limit=10, rate_limit_window=60 WHERE name='echo_job'")
	clients := b.machines(2)
	many := func(c *Client, user, organization string, n int) (made int, why error) {
		t.Helper()
		rs := slices.Repeat([]SubmitRequest{{Site: testSite, JobType: "echo_job", Organization: organization, User: user}}, n)
		results, err := c.SubmitMany(t.Context(), rs)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if why = r.Err; why == nil {
				made++
			}
		}
		return made, why
	}
	if made, err := many(clients[0], "joe@example.com", "ORG-B", 3); made != 0 || !errors.Is(err, ErrNotMember) {
		t.Errorf("for an organization that isn't his: %d, %v", made, err)
	}
	if made, err := many(clients[0], "joe@example.com", "ORG-A", 4); made != 4 {
		t.Errorf("four of ten: %d, %v", made, err)
	}
	made, err := many(clients[1], "joe@example.com", "ORG-A", 20)
	var limit *RateLimitError
	if made != 6 || !errors.As(err, &limit) || limit.RetryAfter <= 0 || limit.RetryAfter > time.Minute {
		t.Errorf("on another machine: %d, want the six that are left, and when to try again: %v", made, err)
	}
	if made, err := many(clients[1], "jane@example.com", "ORG-A", 20); made != 15 || !errors.Is(err, ErrQueueFull) {
		t.Errorf("a System Manager, where 15 of 25 may still wait: %d, %v", made, err)
	}
	b.exec("UPDATE `tabBackground Job` SET status='Completed'")
	time.Sleep(200 * time.Millisecond)
	if made, err := many(clients[1], "jane@example.com", "ORG-A", 1); made != 1 {
		t.Errorf("after all have run: %v", err)
	}
	b.start(nil)
	b.exec("INSERT INTO `tabBackground Job` (name,creation,modified,modified_by,owner,owner_user,job_type,organization,status,priority) VALUES" +
		" ('JOB-X',NOW(6),NOW(6),'joe@example.com','joe@example.com','joe@example.com','echo_job','ORG-A','Pending','Normal')")
	if row := b.waitRow("JOB-X", rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, "rate limit reached: joe@example.com may submit 10 jobs") {
		t.Errorf("a row beyond the limit: %s", row.ErrorMessage)
	}
}

// TestSubmissionsWithoutServers are refused at once or after what was tried, and leave nothing half-written.
func TestSubmissionsWithoutServers(t *testing.T) {
	b := newBed(t, nil)
	c := b.client()
	rs := slices.Repeat([]SubmitRequest{{Site: testSite, JobType: "echo_job", Organization: "ORG-A"}}, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// Redis goes away after the first few hundred.
	results, err := c.SubmitMany(ctx, rs, OnSubmitted(func(n int) {
		if n == 400 {
			if err := b.redis.Stop(); err != nil {
				t.Error(err)
			}
		}
	}))
	if err == nil || !strings.Contains(err.Error(), "nothing was submitted") {
		t.Errorf("without Redis: %v", err)
	}
	made := 0
	for i, r := range results {
		if (r.Err == nil) != (i < 400) || (r.Row == nil) == (r.Err == nil) {
			t.Fatalf("result %d of 1000, Redis being away from the 401st on: %+v", i, r)
		}
		if r.Err == nil {
			made++
		}
	}
	var there int
	if err := b.sql.Get(&there, "SELECT COUNT(*) FROM `tabBackground Job`"); err != nil || there != made {
		t.Errorf("%d rows, %v, want the %d that were submitted", there, err, made)
	}
}

// TestADatabaseThatGoesAwayWhileManyAreSubmitted refuses what is left.
func TestADatabaseThatGoesAwayWhileManyAreSubmitted(t *testing.T) {
	m := servertest.PrivateMariaDB(t)
	if err := m.CreateDatabase(t.Context(), "away", "away", "secret"); err != nil {
		t.Fatal(err)
	}
	b := newBedOn(t, servertest.Redis(t), nil, servers.BenchConfig{Sites: []servers.BenchSite{
		{Name: testSite, DBHost: m.Host, DBPort: m.Port, DBName: "away", DBPassword: "secret"},
	}})
	rs := slices.Repeat([]SubmitRequest{{Site: testSite, JobType: "echo_job", Organization: "ORG-A"}}, 600)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	results, err := b.client().SubmitMany(ctx, rs, OnSubmitted(func(n int) {
		if n == 200 {
			if err := m.Stop(); err != nil {
				t.Error(err)
			}
		}
	}))
	if !errors.Is(err, rows.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	waiting := b.rdb.LLen(t.Context(), rqcompat.QueueKey(b.bench.QueueName("go"))).Val()
	if results[199].Err != nil || results[200].Err == nil || results[599].Err == nil || waiting != 200 {
		t.Errorf("%d deliveries wait, want 200; results %v, %v", waiting, results[199].Err, results[200].Err)
	}
}
