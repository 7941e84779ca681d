package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// lethalMB is when a bridge is killed before it takes the machine down. It has failed long before.
const lethalMB = 3000

// stopLimit is what an orderly stop may take: stop_timeout and cancel_grace of the bench are a second each.
const stopLimit = 10 * time.Second

// worker is a running `bridge worker` whose memory is watched.
type worker struct {
	child *servers.Child

	mu      sync.Mutex
	peak    float64 // MB
	watcher sync.WaitGroup
	stopped chan struct{}
}

// startWorker starts the program and waits until it works its queues.
func (b *bed) startWorker(ctx context.Context) (*worker, error) {
	before, err := b.rq.Processes(ctx)
	if err != nil {
		return nil, err
	}
	child, err := servers.StartChild("bridge worker", b.dir, nil, nil, b.o.bridge, "worker", "--bench", b.dir, "--log-level", "error")
	if err != nil {
		return nil, err
	}
	w := &worker{child: child, stopped: make(chan struct{})}
	w.watcher.Go(w.watch)
	working := until(ctx, 30*time.Second, func() bool {
		now, _ := b.rq.Processes(ctx)
		return child.Ended() != nil || slices.ContainsFunc(now, func(p rqcompat.Process) bool {
			return !slices.ContainsFunc(before, func(other rqcompat.Process) bool { return p.Name == other.Name })
		})
	})
	if !working || child.Ended() != nil {
		_, err := w.stop()
		return nil, errors.Join(errors.New("the bridge doesn't start to work"), child.Ended(), err)
	}
	return w, nil
}

// watch notes the largest memory until the worker is stopped or has ended.
func (w *worker) watch() {
	for {
		select {
		case <-w.stopped:
			return
		case <-w.child.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		_, highest, err := memory(w.child.PID())
		if err != nil {
			continue // it has just ended
		}
		w.mu.Lock()
		w.peak = max(w.peak, highest)
		w.mu.Unlock()
		if highest > lethalMB {
			w.child.Kill()
		}
	}
}

// peakMB is the most memory that it had in RAM so far.
func (w *worker) peakMB() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak
}

// residentMB is what it has in RAM now, 0 when it has ended.
func (w *worker) residentMB() float64 {
	now, _, err := memory(w.child.PID())
	if err != nil {
		return 0
	}
	return now
}

// ended tells why it ended by itself, or of what it was killed; "" while it runs.
func (w *worker) ended() string {
	switch err := w.child.Ended(); {
	case err == nil:
		return ""
	case w.peakMB() > lethalMB:
		return fmt.Sprintf("killed at %.0f MB", w.peakMB())
	default:
		return strings.ReplaceAll(err.Error(), "\n", " | ")
	}
}

// stop ends it and tells how long that took. What doesn't end within stopLimit is killed.
func (w *worker) stop() (took time.Duration, err error) {
	began := time.Now()
	close(w.stopped)
	err = w.child.Stop(stopLimit)
	w.watcher.Wait()
	return time.Since(began), err
}

// memory reads how much a process has in RAM, and the most it ever had, in MB.
func memory(pid int) (now, highest float64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
		switch name {
		case "VmRSS":
			now = kb / 1000
		case "VmHWM":
			highest = kb / 1000
		}
	}
	if highest == 0 {
		return 0, 0, fmt.Errorf("process %d has no memory", pid)
	}
	return now, highest, nil
}
