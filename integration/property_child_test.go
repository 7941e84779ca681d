package integration

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// childDoes says what a child does, if it doesn't only run jobs that never end.
	childDoes = "BRIDGE_TEST_CHILD_DOES"
	// childSeed is that of its random numbers, childDSN the site's database.
	childSeed = "BRIDGE_TEST_CHILD_SEED"
	childDSN  = "BRIDGE_TEST_CHILD_DSN"
)

// open opens the bench of a child, and a context that ends when its parent closes the child's stdin, or dies.
func open(dir string) (context.Context, bridge.Config, error) {
	bench, err := benchconfig.Open(dir, nil)
	if err != nil {
		return nil, bridge.Config{}, err
	}
	cfg, err := benchconfig.Load(bench)
	cfg.Retry.Base = 200 * time.Millisecond
	// It opens, and a trial soon ends that; two of three attempts fail by the nature of these jobs.
	cfg.Breaker.Failures, cfg.Breaker.Window, cfg.Breaker.Open = 0.8, 3*time.Second, 500*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		cancel()
	}()
	return ctx, cfg, err
}

// wanted are the parameters of a job: how it ends.
type wanted struct {
	End string `json:"end"`
}

// ends are the ways in which jobs end.
var ends = []string{"well", "well", "well", "transient", "permanent", "panic", "slow", "again", "snores", "hangs", "snoozes"}

// anything is the handler of jobs that end in every way.
func anything(ctx context.Context, job *bridge.Job[wanted]) (any, error) {
	job.Progress(50, "half way")
	switch job.Params.End {
	case "transient":
		return nil, errors.New("connection reset")
	case "permanent":
		return nil, bridge.Permanent(errors.New("no such file"))
	case "panic":
		panic("no")
	case "again":
		if job.Attempt < 3 {
			return nil, bridge.RetryAfter(100*time.Millisecond, errors.New("not yet"))
		}
	case "hangs":
		<-ctx.Done()
		return nil, ctx.Err()
	case "snoozes":
		if rand.IntN(3) > 0 {
			return nil, bridge.Snooze(200 * time.Millisecond)
		}
	case "slow":
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	case "snores": // ignores for a while that it was told to end
		time.Sleep(300 * time.Millisecond)
	}
	return "done", nil
}

// worksAnything is a bridge that is killed sooner or later.
func worksAnything(dir string) error {
	ctx, cfg, err := open(dir)
	if err != nil {
		return err
	}
	e, err := bridge.New(cfg)
	if err != nil {
		return err
	}
	bridge.Register(e, "go.work", anything)
	bridge.Register(e, "go.hasty", anything)
	return e.Run(ctx)
}

// disturber does to jobs what users, administrators and other programs do.
type disturber struct {
	*rand.Rand
	client *bridge.Client
	db     *sql.DB
	rows   *rows.DB
	seed   uint64
	made   int
}

// disturbs does random things until its parent says that it is enough.
func disturbs(dir string) error {
	ctx, cfg, err := open(dir)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
	if err != nil {
		return err
	}
	d := &disturber{Rand: rand.New(rand.NewPCG(seed, 1)), seed: seed}
	if d.client, err = bridge.NewClient(ctx, cfg); err != nil {
		return err
	}
	defer d.client.Close()
	if d.db, err = sql.Open("mysql", os.Getenv(childDSN)); err != nil {
		return err
	}
	defer d.db.Close()
	pool := rows.NewPool(cfg.Bench)
	defer pool.Close()
	if d.rows, err = pool.DB(ctx, site); err != nil {
		return err
	}
	queue := cfg.Bench.QueueName("go")
	for ctx.Err() == nil {
		if err := d.disturb(ctx, queue); err != nil && ctx.Err() == nil {
			fmt.Printf("seed %d: %v\n", seed, err)
		}
		time.Sleep(time.Duration(d.IntN(15)) * time.Millisecond)
	}
	return nil
}

var (
	organizations = []string{"ORG-A", "ORG-B", "ORG-C"}
	jobTypes      = []string{"work", "hasty"}
)

// disturb does one thing. What the state of a job doesn't allow is no error.
func (d *disturber) disturb(ctx context.Context, queue string) error {
	name, err := d.someJob(ctx)
	if err != nil {
		return err
	}
	what := d.IntN(24)
	if name == "" {
		what = 0
	}
	switch {
	case what < 9:
		return d.submit(ctx)
	case what < 11:
		return d.insert(ctx)
	case what < 13:
		_, err = d.client.Cancel(ctx, site, name, "Administrator")
	case what < 16:
		_, err = d.client.Retry(ctx, site, name, "Administrator")
	case what == 16: // in the desk
		_, err = d.db.ExecContext(ctx, "UPDATE `tabBackground Job` SET status='Canceled', modified=?, modified_by='Administrator' WHERE name=? AND status IN ('Pending','Queued')", d.now(), name)
	case what == 17:
		status := []string{"Active", "Active", "Inactive"}[d.IntN(3)]
		_, err = d.db.ExecContext(ctx, "UPDATE tabOrganization SET status=? WHERE name=?", status, organizations[d.IntN(3)])
	case what == 18:
		_, err = d.db.ExecContext(ctx, "UPDATE `tabJob Type` SET is_enabled=? WHERE name=?", d.IntN(4) > 0, jobTypes[d.IntN(2)])
	case what < 21:
		return d.submitBatch(ctx)
	case what == 21:
		err = d.client.Pause(ctx, site, d.pause())
	case what == 22:
		_, err = d.client.Resume(ctx, site, d.pause())
	case d.IntN(2) == 0:
		err = d.client.RQ().Pause(ctx, queue)
	default:
		err = d.client.RQ().Unpause(ctx, queue)
	}
	if illegal := (*bridge.TransitionError)(nil); errors.As(err, &illegal) || errors.Is(err, rows.ErrNoSuchJob) {
		return nil
	}
	return err
}

// pause is one of an organization, of a Job Type or of the queue.
func (d *disturber) pause() rows.Pause {
	return []rows.Pause{
		{Kind: rows.PauseOrganization, Organization: organizations[d.IntN(3)]},
		{Kind: rows.PauseJobType, JobType: jobTypes[d.IntN(2)]},
		{Kind: rows.PauseQueue, Queue: "go"},
	}[d.IntN(3)]
}

// someJob is one of the last hundred, "" if there is none.
func (d *disturber) someJob(ctx context.Context) (name string, err error) {
	err = d.db.QueryRowContext(ctx, "SELECT name FROM (SELECT name FROM `tabBackground Job` ORDER BY creation DESC LIMIT 100) newest ORDER BY RAND() LIMIT 1").Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return name, err
}

// request is of any job: some hang, until their timeout of a second, and some wait for a time, or for another job.
func (d *disturber) request() bridge.SubmitRequest {
	r := bridge.SubmitRequest{
		Site: site, JobType: jobTypes[d.IntN(2)], Organization: organizations[d.IntN(3)], Parameters: wanted{ends[d.IntN(len(ends))]},
		Priority: []string{"", "Low", "High", "Critical"}[d.IntN(4)],
	}
	if d.IntN(5) == 0 {
		r.RunAfter = time.Now().Add(time.Duration(d.IntN(2000)) * time.Millisecond)
	}
	return r
}

func (d *disturber) submit(ctx context.Context) error {
	r := d.request()
	if d.IntN(4) == 0 {
		parent, err := d.someJob(ctx)
		if err != nil {
			return err
		}
		if parent != "" {
			r.DependsOn = []string{parent}
		}
	}
	_, err := d.client.Submit(ctx, r)
	return refusable(err)
}

func (d *disturber) submitBatch(ctx context.Context) error {
	r := bridge.BatchRequest{Site: site, Organization: organizations[d.IntN(3)], Callback: &bridge.SubmitRequest{JobType: "work"}}
	for range 1 + d.IntN(3) {
		r.Jobs = append(r.Jobs, d.request())
	}
	b, errs, err := d.client.SubmitBatch(ctx, r)
	if d.IntN(4) == 0 && err == nil {
		_, err = d.client.CancelBatch(ctx, site, b.Name, "Administrator")
	}
	for _, of := range errs {
		err = errors.Join(err, refusable(of))
	}
	return err
}

// refusable leaves out what a submission may be refused for here: its Job Type is disabled, its parent of another organization,
// or over without success.
func refusable(err error) error {
	if errors.Is(err, bridge.ErrJobTypeDisabled) || errors.Is(err, rows.ErrDependency) {
		return nil
	}
	return err
}

// insert makes a document, as programs of the site do.
func (d *disturber) insert(ctx context.Context) error {
	d.made++
	_, err := d.db.ExecContext(ctx, "INSERT INTO `tabBackground Job` (name, creation, modified, owner, modified_by, job_type, organization, status, timeout_seconds, input_parameters) "+
		"VALUES (?, ?, ?, 'Administrator', 'Administrator', 'work', ?, 'Pending', 1, ?)",
		fmt.Sprintf("JOB-BY-HAND-%d-%d", d.seed, d.made), d.now(), d.now(), organizations[d.IntN(3)], fmt.Sprintf(`{"end": %q}`, ends[d.IntN(len(ends))]))
	return err
}

// now is the site's time as Frappe writes it.
func (d *disturber) now() string { return d.rows.Now().Format("2006-01-02 15:04:05.000000") }
