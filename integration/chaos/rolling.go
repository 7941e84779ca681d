package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// Handlers that are a program and a service: Job Types, and methods without a row.
	execType, httpType     = "chaos_exec", "chaos_http"
	execMethod, httpMethod = "chaos.exec", "chaos.http"
	// rollingStop is how long a stop lets jobs run on, in seconds, and stopSlack what it may take beside that.
	rollingStop = 2
	stopSlack   = time.Second
)

// program is what an exec handler runs: it writes into the ledger what the other handlers do.
const program = `ledger=$1
read -r given
key=$(printf %s "$given" | sed 's/.*"key": *"\([^"]*\)".*/\1/')
ms=$(printf %s "$given" | sed 's/.*"ms": *\([0-9]*\).*/\1/')
say() { echo "$1 $key $$ $(date +%s%N)" >> "$ledger"; }
trap 'say returned; trap - TERM; kill -TERM $$' TERM
say began
sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))" &
wait $!
say ended
`

// rolling restarts three bridges, one after the other, while jobs of all kinds come and run.
func rolling(ctx context.Context, o *options) (r report, err error) {
	l := &roller{}
	service, err := l.serve()
	if err != nil {
		return r, err
	}
	defer service.Close()
	file := filepath.Join(os.TempDir(), fmt.Sprintf("bridge-chaos-%d.sh", os.Getpid()))
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		return r, err
	}
	defer os.Remove(file)
	run := func(ledger string) map[string]any {
		exec := map[string]any{"exec": map[string]any{"command": []string{"/bin/sh", file, ledger}, "kill_grace": 0.5}}
		call := map[string]any{"http": map[string]any{"url": "http://" + service.Addr}}
		return map[string]any{execType: exec, execMethod: exec, httpType: call, httpMethod: call}
	}
	ledger := filepath.Join(os.TempDir(), fmt.Sprintf("bridge-chaos-%d.ledger", os.Getpid()))
	defer os.Remove(ledger)
	b, err := newBed(ctx, o, o.versions[0], bedOptions{settings: map[string]any{
		"stop_timeout": rollingStop, "cancel_grace": 1, "retry": map[string]any{"base": 1}, "handlers": run(ledger),
	}})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := l.prepare(ctx, b, ledger); err != nil {
		return r, err
	}
	if _, err := b.startPython("simple", shared, first); err != nil {
		return r, err
	}
	return l.roll(ctx, o, r)
}

// roller is a run of it.
type roller struct {
	soaking
	http  *ledger
	stops durations
	wrong []string
}

// serve answers the calls of http handlers.
func (l *roller) serve() (*http.Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Addr: listener.Addr().String(), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Parameters params `json:"parameters"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p := call.Parameters
		process, _ := strconv.Atoi(strings.TrimPrefix(r.RemoteAddr, "127.0.0.1:")) // a connection stands for one
		_ = l.http.add(began, p.Key, process)
		select {
		case <-r.Context().Done():
			_ = l.http.add(returned, p.Key, process)
		case <-time.After(time.Duration(p.MS) * time.Millisecond):
			_ = l.http.add(ended, p.Key, process)
			_, _ = w.Write([]byte(`{"result": "done"}`))
		}
	})}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return server, nil
}

// prepare makes the Job Types and a schedule, and has all handlers write into one ledger.
func (l *roller) prepare(ctx context.Context, b *bed, path string) (err error) {
	if b.ledger, err = newLedger(path); err != nil {
		return err
	}
	b.onClose(b.ledger.close)
	l.bed, l.http = b, b.ledger
	var types []rows.JobType
	for _, name := range []string{execType, httpType} {
		types = append(types, rows.JobType{TypeName: name, DisplayName: name, Enabled: true, DefaultTimeout: 300, MaxRetries: 3})
	}
	if _, err := b.db.InsertJobTypes(ctx, types); err != nil {
		return err
	}
	return b.mariadb.Exec(ctx, "USE `"+b.database+"`", "UPDATE `tabJob Type` SET deduplication_window=0",
		fmt.Sprintf("INSERT INTO `tabJob Schedule` (name, creation, modified, owner, modified_by, schedule_name, job_type, organization, owner_user, schedule, is_enabled, parameters) "+
			"VALUES ('often', NOW(6), NOW(6), '%s', '%[1]s', 'often', 'echo_job', '%s', '%[1]s', '* * * * *', 1, '{}')", owner, organization))
}

// roll loads, restarts and looks.
func (l *roller) roll(ctx context.Context, o *options, r report) (report, error) {
	var bridges [3]*worker
	for i := range bridges {
		w, err := l.startBridge(workerOptions{})
		if err == nil {
			err = w.working(ctx)
		}
		if err != nil {
			return r, err
		}
		bridges[i] = w
	}
	l.began = time.Now()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan error, 1)
	go func() { loaded <- l.load(loading) }()
	random, restarts := rand.New(rand.NewPCG(o.seed, 3)), o.many(50, 4)
	for n := range restarts {
		pause(ctx, time.Duration(random.IntN(600))*time.Millisecond)
		w, err := l.restart(ctx, bridges[n%3])
		if err != nil {
			return r, err
		}
		bridges[n%3] = w
		if n%10 == 9 {
			o.say("%d restarts, %d jobs", n+1, l.jobs.len())
		}
	}
	lasted := time.Since(l.began)
	stop()
	if err := <-loaded; err != nil && !errors.Is(err, context.Canceled) {
		return r, err
	}
	open, err := l.others(ctx)
	if err != nil {
		return r, err
	}
	f, err := l.audit(ctx, &l.jobs, 3*time.Minute)
	if err != nil {
		return r, err
	}
	spent, err := l.bed.db.Strings(ctx, "read the retries", "SELECT CONCAT(name, ' has spent ', retry_count, ' retries') FROM `tabBackground Job` WHERE retry_count > 0 AND job_type != 'sample_job'")
	if err != nil {
		return r, err
	}
	scheduled, err := l.bed.db.Strings(ctx, "count the schedule's jobs", "SELECT COUNT(*) FROM `tabBackground Job` WHERE job_type='echo_job'")
	if err != nil {
		return r, err
	}
	made, _ := strconv.ParseFloat(scheduled[0], 64)
	for _, text := range append(append(append(l.wrong, f.wrong...), open...), spent...) {
		o.say("%s", text)
	}
	f.Who, f.Kills = "bridge, restarted in order", restarts
	r.Lines = []line{f.line}
	r.Figures = []figure{
		o.inTime("slowest stop", l.stops.at(100), rollingStop*time.Second+stopSlack, fmt.Sprintf("of %d; half took at most %.2f s", restarts, l.stops.at(50).Seconds())),
		atMost("lost, stuck and failed jobs", float64(f.Lost+f.Stuck+f.Failed), 0, "", fmt.Sprintf("of %d; %d were given back and run again", f.Jobs, f.Twice)),
		atMost("what is wrong with jobs, rows, logs and lists", float64(len(f.wrong)), 0, "", ""),
		atMost("retries spent", float64(len(spent)), 0, "", "of jobs that don't fail by themselves"),
		atMost("bridges that did not end well", float64(len(l.wrong)), 0, "", ""),
		atMost("other jobs that didn't end: retried, timed, dependent, canceled ones", float64(len(open)), 0, "", fmt.Sprintf("of %d", len(l.names))),
		atLeast("jobs that a schedule of each minute made", made, float64(int(lasted.Minutes())), "", fmt.Sprintf("in %.1f minutes", lasted.Minutes())),
		atMost("the same, each once", made, float64(int(lasted.Minutes())+2), "", ""),
	}
	return r, nil
}

// restart stops a bridge as a deploy does, and starts another.
func (l *roller) restart(ctx context.Context, w *worker) (*worker, error) {
	begin := time.Now()
	if err := syscall.Kill(w.PID(), syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stop a bridge: %w", err)
	}
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("a bridge hasn't stopped after a minute; the end of its output:\n%s", w.Output())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.stops = append(l.stops, time.Since(begin))
	if code := w.ExitCode(); code != 0 {
		l.wrong = append(l.wrong, fmt.Sprintf("a bridge ended with %d:\n%s", code, w.Output()))
	}
	next, err := l.startBridge(workerOptions{})
	if err != nil {
		return nil, err
	}
	return next, next.working(ctx)
}

// load enqueues until ctx ends.
func (l *roller) load(ctx context.Context) error {
	ways := []task{
		{way: byFrappe}, {way: bySubmit}, {way: plainly}, {way: forPython}, {way: byFrappe, method: execType}, {way: plainly, method: execMethod},
		{way: byFrappe, method: httpType}, {way: plainly, method: httpMethod},
	}
	for n := 0; ctx.Err() == nil; n++ {
		var tasks []task
		for i, t := range ways {
			t.queue, t.params = []string{own, shared, first}[(i+n)%3], params{fmt.Sprintf("job-%d-%d", n, i), 50 + 150*((n+i)%8)}
			if n%6 == i%6 {
				t.MS = 2500 // more than a stop waits
			}
			if t.way == forPython {
				t.queue, t.MS = []string{shared, first}[n%2], 20
			}
			tasks = append(tasks, t)
		}
		if err := l.enqueue(ctx, &l.jobs, tasks...); err != nil {
			return err
		}
		if n%2 == 0 {
			if err := l.more(ctx, n/2); err != nil {
				return err
			}
		}
		pause(ctx, time.Until(l.began.Add(time.Duration(n+1)*500*time.Millisecond)))
	}
	return nil
}
