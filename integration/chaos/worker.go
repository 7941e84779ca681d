package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

const (
	// workerVariable makes this program a bridge that works the bench in the directory that it names, until it is killed or told to stop.
	workerVariable = "CHAOS_WORKS"
	// ledgerVariable names the ledger, for handlers of both languages.
	ledgerVariable = "CHAOS_LEDGER"
	// logsVariable names the directory for the logs of bridges, if somebody wants them.
	logsVariable = "CHAOS_LOGS"
)

// childMain doesn't return in a process that is to be a worker, also of the test program.
func childMain() {
	if dir := os.Getenv(workerVariable); dir != "" {
		os.Exit(workerMain(dir))
	}
	if addr := os.Getenv(asynqVariable); addr != "" {
		os.Exit(asynqMain(addr))
	}
}

// params are those of every job's call.
type params struct {
	// Key names the job in the ledger.
	Key string `json:"key"`
	// MS is how long its handler takes.
	MS int `json:"ms"`
}

// workerMain is the bridge that is killed: the engine of the product with handlers that write down what they do.
func workerMain(dir string) int {
	err := func() error {
		bench, err := benchconfig.Open(dir, nil)
		if err != nil {
			return err
		}
		cfg, err := benchconfig.Load(bench)
		if err != nil {
			return err
		}
		l, err := newLedger(os.Getenv(ledgerVariable))
		if err != nil {
			return err
		}
		if logs := os.Getenv(logsVariable); logs != "" {
			f, err := os.Create(filepath.Join(logs, fmt.Sprintf("bridge-%d.log", os.Getpid())))
			if err != nil {
				return err
			}
			cfg.Log = slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		e, err := bridge.New(cfg)
		if err != nil {
			return err
		}
		for _, method := range []bridge.JobType[params]{rowMethod, plainMethod} {
			bridge.Register(e, method, func(ctx context.Context, job *bridge.Job[params]) (any, error) { return work(ctx, l, job) })
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		go countWhenAsked(l)
		return e.Run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos worker:", err)
		return 1
	}
	return 0
}

// countWhenAsked writes down how many goroutines there are, at each SIGUSR1.
func countWhenAsked(l *ledger) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for range asked {
		_ = l.add(goroutines, fmt.Sprint(runtime.NumGoroutine()), os.Getpid()) // who asked will miss it
	}
}

func work(ctx context.Context, l *ledger, job *bridge.Job[params]) (any, error) {
	if err := l.add(began, job.Params.Key, os.Getpid()); err != nil {
		return nil, err
	}
	job.Progress(50, "half way")
	select {
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), bridge.ErrShutdown) {
			return nil, errors.Join(context.Cause(ctx), l.add(returned, job.Params.Key, os.Getpid()))
		}
		return nil, context.Cause(ctx)
	case <-time.After(time.Duration(job.Params.MS) * time.Millisecond):
	}
	return job.Params.Key, l.add(ended, job.Params.Key, os.Getpid())
}

// worker is a process with handlers, of the bridge or of Python.
type worker struct {
	*servers.Child
	b *bed
}

// workerOptions are what a bridge may have otherwise.
type workerOptions struct {
	dir   string   // a view of the bench. Default: the bed's own
	under []string // program and arguments that run it, such as ip netns exec
	env   []string
}

// startBridge starts a bridge; it works a few hundred milliseconds later. The bed kills it when it is closed.
func (b *bed) startBridge(opts workerOptions) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if opts.dir == "" {
		opts.dir = b.dir
	}
	command := append(opts.under[:len(opts.under):len(opts.under)], self)
	env := append([]string{workerVariable + "=" + opts.dir, ledgerVariable + "=" + b.ledger.path}, opts.env...)
	return b.start("bridge", "", env, command...)
}

// startPython starts one of RQ's workers, which keeps running until it is killed: see testdata/python/victim.py for the kinds.
func (b *bed) startPython(kind string, queueTypes ...string) (*worker, error) {
	command := []string{b.peer.Python, filepath.Join(b.peer.Dir, "victim.py"), kind}
	for _, q := range queueTypes {
		command = append(command, b.queue(q))
	}
	return b.start("worker of RQ "+b.version, b.peer.Dir, append(b.peer.Env(), ledgerVariable+"="+b.ledger.path), command...)
}

func (b *bed) start(name, dir string, env []string, command ...string) (*worker, error) {
	child, err := servers.StartChild(name, dir, env, nil, command[0], command[1:]...)
	if err != nil {
		return nil, err
	}
	w := &worker{Child: child, b: b}
	b.onClose(func() error { child.Kill(); return nil })
	return w, nil
}

// kill kills it as kill -9 does, with its children, and writes that down. One that has ended already is not killed.
func (w *worker) kill() error {
	if w.Ended() != nil {
		return w.Ended()
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", w.PID())) // RQ's have groups of their own
	err := w.b.ledger.add(killed, "-", w.PID())
	w.Kill()
	for _, text := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(text); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
	return err
}

// working waits until a bridge takes jobs.
func (w *worker) working(ctx context.Context) error {
	ok := until(ctx, time.Minute, func() bool {
		all, _ := w.b.rq.Processes(ctx) // one that can't be read is not this one
		for _, p := range all {
			if p.PID == w.PID() {
				return true
			}
		}
		return w.Ended() != nil
	})
	if err := w.Ended(); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the bridge doesn't start to work; the end of its output:\n%s", w.Output())
	}
	return nil
}
