package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jmoiron/sqlx"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// resetting is the address of a server that resets each connection.
func resetting(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// deadlock has two transactions wait for each other, and is what the server says to one of them.
func deadlock(ctx context.Context, db *sql.DB, pair int) error {
	var (
		both   sync.WaitGroup
		errs   [2]error
		locked = make(chan struct{}, 2)
	)
	for i := range 2 {
		both.Go(func() {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				locked <- struct{}{}
				errs[i] = err
				return
			}
			defer func() { _ = tx.Rollback() }()
			_, errs[i] = tx.ExecContext(ctx, "UPDATE pairs SET n=n+1 WHERE pair=? AND half=?", pair, i)
			locked <- struct{}{}
			for len(locked) < 2 {
				time.Sleep(time.Millisecond)
			}
			if errs[i] == nil {
				_, errs[i] = tx.ExecContext(ctx, "UPDATE pairs SET n=n+1 WHERE pair=? AND half=?", pair, 1-i)
			}
		})
	}
	both.Wait()
	return errors.Join(errs[0], errs[1])
}

// TestTransientFaultsMendThemselves: jobs that meet connections that are reset, a service that is overloaded, deadlocks and a
// name server that is away recover without a person, and remain their user's and organization's.
func TestTransientFaultsMendThemselves(t *testing.T) {
	if testing.Short() {
		t.Skip("runs 300 jobs with their retries")
	}
	t.Parallel()
	const jobs, longest = 300, 4 // the last attempts of some are their fourth
	fails := func(n, attempt int) bool { return attempt <= n%longest }

	b := newBed(t, map[string]any{"queues": []string{"go"}, "retry": map[string]any{"base": 0.05}})
	b.cfg.Breaker.Off = true // most attempts fail
	db := sqlx.MustOpen("mysql", servertest.Database(t))
	t.Cleanup(func() { _ = db.Close() })
	db.MustExec("CREATE TABLE pairs (pair int, half int, n int, PRIMARY KEY (pair, half)) ENGINE=InnoDB")
	db.MustExec("INSERT INTO pairs SELECT seq, half, 0 FROM seq_1_to_300, (SELECT 0 AS half UNION SELECT 1) AS halves")
	reset := resetting(t)
	var tries sync.Map
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := tries.LoadOrStore(r.URL.Path, new(atomic.Int64))
		if fails(longest-1, int(n.(*atomic.Int64).Add(1))) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(service.Close)
	away := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no name server") }}
	faults := []func(ctx context.Context, n int) error{
		func(ctx context.Context, n int) error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", reset)
			if err == nil {
				defer c.Close()
				_, err = io.ReadAll(c)
			}
			return err
		},
		func(ctx context.Context, n int) error { return deadlock(ctx, db.DB, 1+n) },
		func(ctx context.Context, n int) error {
			_, err := away.LookupHost(ctx, "service.invalid")
			return err
		},
		func(ctx context.Context, n int) error {
			answer, err := http.Get(fmt.Sprintf("%s/%d", service.URL, n))
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return &HTTPError{Status: answer.StatusCode}
			}
			return nil
		},
	}
	b.start(func(e *Engine) {
		Register(e, "echo_flaky", func(ctx context.Context, job *Job[struct{ N int }]) (any, error) {
			if job.User != "jane@example.com" || job.Organization != "ORG-A" {
				return nil, Permanent(fmt.Errorf("attempt %d is %s's, of %s", job.Attempt, job.User, job.Organization))
			}
			n := job.Params.N
			if n%4 == 3 { // the service itself counts
				return nil, faults[3](ctx, n)
			}
			if !fails(n/4, job.Attempt) {
				return nil, nil
			}
			err := faults[n%4](ctx, n)
			if err == nil {
				return nil, Permanent(errors.New("the fault didn't happen"))
			}
			if number := new(mysql.MySQLError); n%4 == 1 && (!errors.As(err, &number) || number.Number != 1213) {
				return nil, Permanent(fmt.Errorf("no deadlock: %w", err))
			}
			return nil, err
		})
	})
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, type_name, is_enabled, max_retries) VALUES ('echo_flaky', NOW(6), NOW(6), 'echo_flaky', 1, 5)")
	names := make([]string, jobs)
	for n := range names {
		names[n] = b.submit("echo_flaky", map[string]any{"n": n})
	}
	var ended map[string]rows.Status
	b.within(2*time.Minute, "all jobs end", func() bool {
		statuses, err := b.db.Statuses(t.Context(), names)
		ended = statuses
		for _, s := range statuses {
			if !s.Terminal() {
				return false
			}
		}
		return err == nil && len(statuses) == jobs
	}, func() string { return fmt.Sprint(ended) })
	recovered, retried := 0, 0
	for n, name := range names {
		row := b.row(name)
		if row.Status == rows.StatusCompleted {
			recovered++
		} else {
			t.Logf("job %d is %s: %s", n, row.Status, row.ErrorMessage)
		}
		if row.RetryCount > 0 {
			retried++
		}
	}
	t.Logf("%d of %d jobs recovered by themselves, %d after retries", recovered, jobs, retried)
	if recovered*100 < jobs*99 || retried < jobs/2 {
		t.Errorf("%d of %d recovered, %d after retries", recovered, jobs, retried)
	}
}

// TestAClassificationOfOnesOwn decides about errors that say nothing themselves: a handler's own before the engine's.
func TestAClassificationOfOnesOwn(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"queues": []string{"go"}, "retry": map[string]any{"base": 0.05}})
	errQuota := errors.New("quota")
	for _, jobType := range []string{"by_engine", "by_handler"} {
		b.exec("INSERT INTO `tabJob Type` (name, creation, modified, type_name, is_enabled, max_retries) VALUES (?, NOW(6), NOW(6), ?, 1, 1)", jobType, jobType)
	}
	b.start(func(e *Engine) {
		e.Classify(func(err error) (ErrorType, bool) { return ErrorPermanent, errors.Is(err, errQuota) })
		fail := func(context.Context, *RawJob) (any, error) { return nil, fmt.Errorf("call: %w", errQuota) }
		Register(e, "by_engine", fail)
		Register(e, "by_handler", fail, WithClassify(func(error) (ErrorType, bool) { return ErrorTransient, true }))
	})
	for jobType, want := range map[string]string{
		"by_engine":  "Pending Queued Running Dead Letter",
		"by_handler": "Pending Queued Running Failed Queued Running Failed Dead Letter",
	} {
		name := b.submit(jobType, nil)
		b.waitRow(name, rows.StatusDeadLetter)
		if got := b.path(name); got != want {
			t.Errorf("%s: %s, want %s", jobType, got, want)
		}
	}
}
