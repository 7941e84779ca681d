package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"
)

func TestSeries(t *testing.T) {
	now := time.Date(2026, 3, 7, 1, 2, 3, 0, time.UTC)
	for _, tc := range []struct {
		name    string
		counter int64
	}{
		{"JOB-2026-00001", 1},
		{"JOB-2026-100000", 100000},
	} {
		if k, n := jobSeries(now), jobName(now, tc.counter); k != "JOB-2026-" || n != tc.name {
			t.Errorf("%s for %d: key %q, name %q, want JOB-2026- and %q", jobSeriesOption, tc.counter, k, n, tc.name)
		}
	}
}

func TestHashNames(t *testing.T) {
	valid := regexp.MustCompile(`^[0-9a-v]{10}$`)
	seen := map[string]bool{}
	for range 20 {
		for _, n := range hashNames(time.Now(), 500) {
			if !valid.MatchString(n) || seen[n] {
				t.Fatalf("bad or repeated name %q", n)
			}
			seen[n] = true
		}
	}
}

// frappeName draws a number the way Frappe does: two statements in the request's transaction (model/naming.py
// getseries).
func frappeName(ctx context.Context, d *DB, key string) (int64, error) {
	tx, err := d.x.DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var current int64
	err = tx.QueryRowContext(ctx, "SELECT `current` FROM `tabSeries` WHERE `name`=? FOR UPDATE", key).Scan(&current)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		current = 1
		_, err = tx.ExecContext(ctx, "INSERT INTO `tabSeries` (`name`,`current`) VALUES (?,1)", key)
	case err == nil:
		current++
		_, err = tx.ExecContext(ctx, "UPDATE `tabSeries` SET `current`=`current`+1 WHERE `name`=?", key)
	}
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO `tabBackground Job` (name,status) VALUES (?,'Pending')", jobName(d.Now(), current))
	return current, errors.Join(err, tx.Commit())
}

// Frappe and several of us draw names of one series at once: none is drawn twice, none is left out.
func TestNamingBesideFrappe(t *testing.T) {
	_, d := installed(t, testMajor)
	key := jobSeries(d.Now())
	const rounds = 15
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range rounds {
				var err error
				if w%2 == 0 {
					_, err = d.CreateJobs(context.Background(), []NewJob{newJob(StatusQueued), newJob("")})
				} else if _, err = frappeName(context.Background(), d, key); errorNumber(err) == errDeadlock {
					_, err = frappeName(context.Background(), d, key)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var rows, number int64
	if err := errors.Join(d.x.Get(&rows, "SELECT COUNT(*) FROM `tabBackground Job`"), d.x.Get(&number, "SELECT current FROM tabSeries WHERE name=?", key)); err != nil {
		t.Fatal(err)
	}
	if want := int64(4*rounds*2 + 4*rounds); rows != want || number != want {
		t.Errorf("%d rows, the series stands at %d, want %d both", rows, number, want)
	}
}

// A new key that everybody wants at once: Frappe's own way deadlocks there, one statement doesn't.
func TestNamingOfANewKey(t *testing.T) {
	_, d := installed(t, testMajor)
	for round := range 5 {
		key := fmt.Sprintf("NEW-%d-", round)
		var wg sync.WaitGroup
		var mu sync.Mutex
		drawn := map[int64]bool{}
		for range 8 {
			wg.Go(func() {
				var first int64
				err := d.inTx(context.Background(), func(ctx context.Context, tx *sql.Tx) (err error) {
					first, err = nextNumbers(ctx, tx, key, 3)
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil || drawn[first] {
					t.Errorf("%s: %d, %v", key, first, err)
				}
				drawn[first] = true
			})
		}
		wg.Wait()
	}
}

// After a restored backup the counter may be behind the rows.
func TestSeriesBehindItsRows(t *testing.T) {
	_, d := installed(t, testMajor)
	newJobs(t, d, 3, StatusQueued)
	mustExec(t, d, "UPDATE tabSeries SET current=0")
	if got := newJobs(t, d, 1, StatusQueued)[0].Name; got[len(got)-5:] != "00004" {
		t.Errorf("got %s", got)
	}
	newJobs(t, d, 30, StatusQueued)
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name) SELECT REPLACE(name,'-00034','-100001') FROM `tabBackground Job` WHERE name LIKE '%-00034'")
	mustExec(t, d, "UPDATE tabSeries SET current=7")
	if got := newJobs(t, d, 2, StatusQueued)[1].Name; got[len(got)-7:] != "-100003" {
		t.Errorf("far behind: got %s", got)
	}
}
