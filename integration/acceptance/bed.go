package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// bed is the bench with all that the cases use.
type bed struct {
	*options
	frappe *frappe.Bench
	cfg    bridge.Config
	client *bridge.Client
	rdb    redis.UniversalClient
	pool   *rows.Pool
	python *python
	http   *http.Client

	own, shared  string // queue types, "" if the bench has none
	owner, other user
	manager      user
	worker       *servers.Child

	missing map[need]string // why something is missing
	watched func() (watched, error)
	browser *servers.Browser
	undo    []func() error // in the order of the making
}

// say tells how far it is.
func (b *bed) say(format string, args ...any) {
	if !b.quiet {
		fmt.Fprintf(b.err, format+"\n", args...)
	}
}

// rq is RQ's view of the bench.
func (b *bed) rq() *rqcompat.Client { return b.client.RQ() }

// openBed connects to the bench. Nothing is changed yet.
func openBed(ctx context.Context, o *options) (b *bed, err error) {
	b = &bed{options: o, owner: o.owner, other: o.other, missing: map[need]string{}, http: &http.Client{Timeout: 30 * time.Second}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.frappe, err = benchconfig.Open(o.bench, o.log); err != nil {
		return b, err
	}
	if _, err = b.frappe.Site(o.site); err != nil {
		return b, err
	}
	if b.cfg, err = benchconfig.Load(b.frappe); err != nil {
		return b, err
	}
	b.cfg.Log = o.log
	if b.client, err = bridge.NewClient(ctx, b.cfg); err != nil {
		return b, err
	}
	b.undo = append(b.undo, b.client.Close)
	queue, err := b.frappe.RedisQueue()
	if err != nil {
		return b, err
	}
	b.rdb = queue.Open()
	b.undo = append(b.undo, b.rdb.Close)
	b.pool = rows.NewPool(b.frappe)
	b.undo = append(b.undo, b.pool.Close)
	b.python = newPython(b.frappe, o.site)
	b.undo = append(b.undo, b.python.stop)
	b.chooseQueues()
	return b, b.refuseOthers(ctx)
}

// chooseQueues takes an own queue and a shared one, by the defaults of [bridge.Config] where the bench names none.
func (b *bed) chooseQueues() {
	own, shared := b.cfg.Queues, b.cfg.SharedQueues
	declared := func(q frappe.QueueType) bool { return q.Name == "go" }
	if own == nil && slices.ContainsFunc(b.frappe.QueueTypes(), declared) {
		own = []string{"go"}
	}
	if shared == nil {
		shared = slices.DeleteFunc([]string{"short", "default", "long"}, func(q string) bool { return slices.Contains(own, q) })
	}
	if len(own) > 0 {
		b.own = own[0]
	} else {
		b.missing[ownQueue] = `the bench has no queue of the bridge's own; add "workers": {"go": {"timeout": 3600}} to common_site_config.json`
	}
	if len(shared) > 0 {
		b.shared = shared[0]
	} else {
		b.missing[sharedQueue] = "the bridge shares no queue with Python"
	}
}

// refuseOthers leaves a bench alone where a bridge of somebody else would take this program's jobs.
func (b *bed) refuseOthers(ctx context.Context) error {
	workers, err := b.rq().Workers(ctx)
	if workers == nil && err != nil {
		return err
	}
	prefix := b.frappe.QueueName("")
	for _, w := range workers {
		ours := slices.ContainsFunc(w.Queues, func(q string) bool { return strings.HasPrefix(q, prefix) })
		if ours && strings.HasPrefix(w.Name, bridge.WorkerPrefix) && alive(w) && !b.running {
			return exitcode.With(exitcode.Refused, fmt.Errorf("a bridge works this bench (worker %s): stop it for that while, or pass --running", w.Name))
		}
	}
	if !slices.ContainsFunc(workers, func(w *rqcompat.Worker) bool {
		return slices.Contains(w.Queues, b.frappe.QueueName(b.shared)) && !strings.HasPrefix(w.Name, bridge.WorkerPrefix)
	}) {
		b.missing[pythonWorker] = fmt.Sprintf("no Python worker works the queue %s", b.shared)
	}
	return nil
}

// alive leaves out what a killed worker of this machine left behind, which stays in Redis for a while.
func alive(w *rqcompat.Worker) bool {
	host, err := os.Hostname()
	return err != nil || w.Hostname != host || !errors.Is(syscall.Kill(w.PID, 0), syscall.ESRCH)
}

// prepare looks what is there, removes what an earlier run left, and makes what the cases need.
func (b *bed) prepare(ctx context.Context) error {
	if err := b.look(ctx); err != nil {
		return err
	}
	if err := b.sweep(ctx); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	b.undo = append(b.undo, func() error {
		// Also after Ctrl-C; a second one ends the process.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return b.sweep(ctx)
	})
	for _, make := range []func(context.Context) error{b.makeUsers, b.makeJobTypes, b.startWorker} {
		if err := make(ctx); err != nil {
			return err
		}
	}
	b.watched = sync.OnceValues(func() (watched, error) { return b.watch(ctx) })
	return nil
}

// close removes what was made and ends the connections, the last thing first. Once only.
func (b *bed) close() error {
	var errs []error
	for _, f := range slices.Backward(b.undo) {
		errs = append(errs, f())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// bridge runs the program that is tried, on this bench and site.
func (b *bed) bridge(ctx context.Context, env []string, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, b.program, append(args, "--bench", b.frappe.Dir, "--site", b.site)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("bridge %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// name is the mark on everything that is made.
const name = "bridge-acceptance"

// newID is the id of a job, without the site.
func newID(what string) string { return name + "-" + what + "-" + uuid.NewString()[:8] }
