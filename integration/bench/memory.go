package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// childArgument makes this program run an engine of its own process, so that
// its memory can be told from the measuring one's.
const childArgument = "run-engine"

// measureMemory looks at the resident memory of a process that runs an engine
// with n jobs that all sleep.
func measureMemory(ctx context.Context, b *bed) ([]figure, error) {
	var figures []figure
	for _, m := range []struct {
		jobs int
		goal string
	}{{100, "<= 40"}, {10_000, "<= 200"}} {
		mb, err := b.memoryWith(ctx, m.jobs)
		if err != nil {
			return figures, err
		}
		figures = append(figures, figure{Scenario: "memory", Who: fmt.Sprintf("%d sleeping jobs", m.jobs), Value: mb, Unit: "MB", Goal: m.goal})
	}
	return figures, nil
}

func (b *bed) memoryWith(ctx context.Context, jobs int) (float64, error) {
	b.rdb.FlushAll(ctx)
	names, err := b.newRows(ctx, jobs)
	if err != nil {
		return 0, err
	}
	if err := b.enqueueExecutor(ctx, b.queue(), names); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, childArgument, b.dir, strconv.Itoa(jobs))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for b.rdb.ZCard(ctx, rqcompat.WipKey(b.queue())).Val() < int64(jobs) {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%d jobs don't all run", jobs)
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(12 * time.Second) // renewals and heartbeats included
	return residentMB(cmd.Process.Pid)
}

// residentMB reads how much memory a process has in RAM now.
func residentMB(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 64)
			return kb / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// child is the measured process: an engine whose jobs sleep.
func child(arguments []string) {
	err := func() error {
		bench, err := benchconfig.Open(arguments[0], nil)
		if err != nil {
			return err
		}
		concurrency, err := strconv.Atoi(arguments[1])
		if err != nil {
			return err
		}
		e, err := bridge.New(bridge.Config{Bench: bench, Concurrency: concurrency})
		if err != nil {
			return err
		}
		bridge.Register(e, jobType, func(ctx context.Context, _ *bridge.Job[struct{}]) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		return e.Run(context.Background())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench child:", err)
		os.Exit(1)
	}
}
