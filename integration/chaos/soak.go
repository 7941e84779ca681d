package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	soakPerSecond = 20              // jobs
	soakWindow    = 3 * time.Minute // over which a figure at the start, in the middle, at the end is taken
)

// soak is an hour of mixed load with a kill every ten seconds, and what it leaves in the bridge that isn't killed and in its servers.
func soak(ctx context.Context, o *options) (r report, err error) {
	b, err := newBed(ctx, o, o.versions[0], bedOptions{settings: map[string]any{"retry": map[string]any{"base": 5}}})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if _, err := b.startPython("simple", shared, first); err != nil {
		return r, err
	}
	survivor, err := b.startBridge(workerOptions{})
	if err != nil {
		return r, err
	}
	if err := survivor.working(ctx); err != nil {
		return r, err
	}
	s := &soaking{bed: b, survivor: survivor, lasts: o.lasting(time.Hour, 8*time.Second), killEvery: o.lasting(10*time.Second, 2*time.Second), lookEvery: o.lasting(5*time.Second, time.Second)}
	if s.db, err = sql.Open("mysql", b.mariadb.DSN(b.database)); err != nil {
		return r, err
	}
	defer s.db.Close()
	if err := s.run(ctx); err != nil {
		return r, err
	}
	open, err := s.others(ctx)
	if err != nil {
		return r, err
	}
	f, err := b.audit(ctx, &s.jobs, 3*time.Minute)
	f.Who, f.wrong = "bridge", append(f.wrong, open...)
	for _, text := range f.wrong {
		o.say("%s", text)
	}
	r.Lines = []line{f.line}
	if !o.short { // whose windows are shorter than the beginning of what is looked at
		r.Figures = s.flat()
	}
	r.Figures = append(r.Figures, atMost("what is wrong with jobs, rows, logs and lists", float64(len(f.wrong)), 0, "", ""),
		atMost("other jobs that didn't end: retried, timed, dependent, canceled ones", float64(len(open)), 0, "", fmt.Sprintf("of %d", len(s.names))))
	return r, err
}

// soaking is one run of it.
type soaking struct {
	*bed
	survivor *worker
	lasts    time.Duration
	// killEvery is when one of two bridges is killed; a third goes on.
	killEvery, lookEvery time.Duration
	db                   *sql.DB
	jobs                 jobs
	names                []string // of the rows of other jobs
	looks                []vitals
	began                time.Time
}

// vitals are what may grow.
type vitals struct {
	at time.Duration
	// of the bridge that isn't killed
	memory, goroutines float64
	// of the servers: connections of everybody; keys but for those of jobs that ended; row locks that were waited for, so far
	redis, mariadb, keys, waits float64
	// kinds are those keys by the beginning of their names.
	kinds map[string]int
}

// run loads, kills and looks for as long as it lasts.
func (s *soaking) run(ctx context.Context) error {
	s.began = time.Now()
	victims, err := s.victims(ctx)
	if err != nil {
		return err
	}
	loaded := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { loaded <- s.load(ctx) }()
	kill, look := time.NewTicker(s.killEvery), time.NewTicker(s.lookEvery)
	defer kill.Stop()
	defer look.Stop()
	for n := 0; ; {
		select {
		case err := <-loaded:
			return err
		case <-kill.C:
			if err := victims[n%2].kill(); err != nil {
				return err
			}
			if victims[n%2], err = s.startBridge(workerOptions{}); err != nil {
				return err
			}
			if n++; n%30 == 0 {
				s.o.say("%d jobs, %d kills in %s", s.jobs.len(), n, time.Since(s.began).Round(time.Second))
			}
		case <-look.C:
			v, err := s.look(ctx)
			if err != nil {
				return err
			}
			s.looks = append(s.looks, v)
		}
	}
}

func (s *soaking) victims(ctx context.Context) (two [2]*worker, err error) {
	for i := range two {
		if two[i], err = s.startBridge(workerOptions{}); err != nil {
			return two, err
		}
		if err := two[i].working(ctx); err != nil {
			return two, err
		}
	}
	return two, nil
}

// load enqueues until the time is over.
func (s *soaking) load(ctx context.Context) error {
	for n := 0; time.Since(s.began) < s.lasts; n++ {
		var tasks []task
		for i := range soakPerSecond {
			t := task{way: []way{byFrappe, bySubmit, plainly, forPython}[i%4], queue: []string{own, shared, first}[(i/4+n)%3], params: params{fmt.Sprintf("job-%d-%d", n, i), 20 + 40*i}}
			if t.way == forPython {
				t.queue, t.MS = []string{shared, first}[n%2], 20
			}
			tasks = append(tasks, t)
		}
		if err := s.enqueue(ctx, &s.jobs, tasks...); err != nil {
			return err
		}
		if err := s.more(ctx, n); err != nil {
			return err
		}
		if d := time.Until(s.began.Add(time.Duration(n+1) * time.Second)); d > 0 {
			pause(ctx, d)
		}
	}
	return ctx.Err()
}

// more submits a job that fails at first, one for later, and one that waits for both; it cancels one of them now and then.
func (s *soaking) more(ctx context.Context, n int) error {
	sample := func(parameters map[string]any, r bridge.SubmitRequest) (string, error) {
		parameters["n"], parameters["duration"] = n, 0.1
		r.Site, r.JobType, r.Organization, r.Parameters = site, "sample_job", organization, parameters
		row, err := s.client.Submit(ctx, r)
		if err != nil {
			return "", err
		}
		s.names = append(s.names, row.Name)
		return row.Name, nil
	}
	failing := map[string]any{}
	if n%3 == 0 { // seldom enough for the circuit breaker
		failing = map[string]any{"fail_type": "transient", "fail_attempts": 1}
	}
	flaky, err := sample(failing, bridge.SubmitRequest{})
	if err != nil {
		return err
	}
	later, err := sample(map[string]any{}, bridge.SubmitRequest{RunAfter: time.Now().Add(2 * time.Second)})
	if err != nil {
		return err
	}
	if _, err = sample(map[string]any{}, bridge.SubmitRequest{DependsOn: []string{flaky, later}}); err == nil && n%7 == 0 {
		_, err = s.client.Cancel(ctx, site, later, owner)
	}
	return err
}

// others lists the other jobs that didn't end.
func (s *soaking) others(ctx context.Context) (open []string, err error) {
	end := []string{string(rows.StatusCompleted), string(rows.StatusCanceled), string(rows.StatusDeadLetter)} // for want of what was canceled
	query := "SELECT CONCAT(name, ' is ', status) FROM `tabBackground Job` WHERE job_type='sample_job' AND status NOT IN ('" + strings.Join(end, "','") + "')"
	ok := until(ctx, 2*time.Minute, func() bool {
		open, err = s.bed.db.Strings(ctx, "read the other jobs", query)
		return err != nil || len(open) == 0
	})
	if ok {
		return nil, err
	}
	return open, ctx.Err()
}

// look takes the vitals.
func (s *soaking) look(ctx context.Context) (v vitals, err error) {
	v.at = time.Since(s.began)
	if err := s.survivor.Ended(); err != nil {
		return v, err
	}
	if v.memory, err = residentMB(s.survivor.PID()); err != nil {
		return v, err
	}
	if v.goroutines, err = s.goroutines(ctx); err != nil {
		return v, err
	}
	if v.kinds, err = s.kinds(ctx); err != nil {
		return v, err
	}
	for _, n := range v.kinds {
		v.keys += float64(n)
	}
	clients, err := s.rdb.InfoMap(ctx, "clients").Result()
	if err != nil {
		return v, err
	}
	if v.redis, err = strconv.ParseFloat(clients["Clients"]["connected_clients"], 64); err != nil {
		return v, err
	}
	for name, into := range map[string]*float64{"THREADS_CONNECTED": &v.mariadb, "INNODB_ROW_LOCK_WAITS": &v.waits} {
		if err := s.db.QueryRowContext(ctx, "SELECT variable_value FROM information_schema.global_status WHERE variable_name=?", name).Scan(into); err != nil {
			return v, err
		}
	}
	return v, nil
}

// kinds counts the keys but for those of jobs that ended (hash, result, and what RQ 2 adds, which go with their TTL, longer than this).
func (s *soaking) kinds(ctx context.Context) (map[string]int, error) {
	found := map[string]int{}
	all := s.rdb.Scan(ctx, 0, "", 10_000).Iterator()
	for all.Next(ctx) {
		parts := strings.Split(all.Val(), ":")
		kind := strings.Join(parts[:min(len(parts), 2)], ":")
		if kind == "rq:bridge" {
			kind = strings.Join(parts[:min(len(parts), 3)], ":")
		}
		if kind != "rq:job" && kind != "rq:results" {
			found[kind]++
		}
	}
	return found, all.Err()
}

// goroutines asks the survivor how many it has.
func (s *soaking) goroutines(ctx context.Context) (n float64, err error) {
	asked := time.Now()
	if err := syscall.Kill(s.survivor.PID(), syscall.SIGUSR1); err != nil {
		return 0, err
	}
	ok := until(ctx, 10*time.Second, func() bool {
		entries, e := s.ledger.read()
		i := slices.IndexFunc(entries[max(0, len(entries)-1000):], func(e entry) bool { return e.what == goroutines && e.at.After(asked) })
		if err = e; i >= 0 {
			n, err = strconv.ParseFloat(entries[max(0, len(entries)-1000):][i].key, 64)
		}
		return err != nil || i >= 0
	})
	if !ok {
		err = cmp.Or(ctx.Err(), errors.New("the bridge doesn't say how many goroutines it has"))
	}
	return n, err
}

// residentMB is the memory of a process.
func residentMB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()) / 1e6, err
}

// flat compares start, middle and end. The start is when everything has been in use for a while. Of what goes up and down with the
// load the least of a window counts.
func (s *soaking) flat() (figures []figure) {
	window := min(soakWindow, s.lasts/6)
	part := func(from time.Duration, value func(vitals) float64) float64 {
		least, found := 0.0, false
		for _, v := range s.looks {
			if v.at >= from && v.at < from+window && (!found || value(v) < least) {
				least, found = value(v), true
			}
		}
		return least
	}
	starts := []time.Duration{s.lasts / 10, s.lasts/2 - window/2, s.lasts - window}
	for _, what := range []struct {
		name, unit string
		value      func(vitals) float64
		more       float64 // beyond a quarter more
	}{
		{"memory of a bridge", "MB", func(v vitals) float64 { return v.memory }, 8},
		{"goroutines of a bridge", "", func(v vitals) float64 { return v.goroutines }, 20},
		{"connections to Redis", "", func(v vitals) float64 { return v.redis }, 30}, // each of three bridges keeps what a busy moment needed
		{"connections to MariaDB", "", func(v vitals) float64 { return v.mariadb }, 5},
		{"keys in Redis, but for those of jobs that ended", "", func(v vitals) float64 { return v.keys }, 20},
	} {
		at := make([]float64, 3)
		for i, from := range starts {
			at[i] = part(from, what.value)
		}
		figures = append(figures, atMost(what.name+" at the end", at[2], at[0]*1.25+what.more, what.unit, fmt.Sprintf("start %.4g, middle %.4g", at[0], at[1])))
	}
	s.o.say("keys at the start %v, and at the end %v", s.firstLook(starts[0]).kinds, s.firstLook(starts[2]).kinds)
	return append(figures, s.lockWaits(starts, window))
}

// firstLook is the first one from then on.
func (s *soaking) firstLook(from time.Duration) vitals {
	return s.looks[max(0, slices.IndexFunc(s.looks, func(v vitals) bool { return v.at >= from }))]
}

// lockWaits compares how many row locks were waited for in each window.
func (s *soaking) lockWaits(starts []time.Duration, window time.Duration) figure {
	at := make([]float64, len(starts))
	for i, from := range starts {
		first, last := -1.0, 0.0
		for _, v := range s.looks {
			if v.at >= from && v.at < from+window {
				if last = v.waits; first < 0 {
					first = v.waits
				}
			}
		}
		at[i] = (last - max(first, 0)) / window.Minutes()
	}
	return atMost("waits for row locks a minute at the end", at[2], at[0]*1.25+30, "", fmt.Sprintf("start %.4g, middle %.4g", at[0], at[1]))
}
