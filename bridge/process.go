package bridge

import (
	"context"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// publishing is how often a process tells about itself.
const publishing = 2 * time.Second

// describe is what stays the same in the record of this process.
func (w *rooms) describe(handlers job.Handlers) rqcompat.Process {
	p := rqcompat.NewProcess(w.slots.Process(), version())
	queues, names := w.cfg.watched()
	p.Queues, p.Handlers, p.Slots = names, slices.Sorted(maps.Keys(handlers)), w.cfg.Concurrency
	for _, q := range queues {
		if !q.Own {
			p.Shared = append(p.Shared, q.Name)
		}
	}
	return p
}

// publish tells what this process does now, so that an operator sees what RQ's records can't say.
func (w *rooms) publish(ctx context.Context) error {
	p := w.process
	p.Running, _ = w.runner.Running()
	p.Memory, p.MemoryMost = w.room.Used()
	p.Waiting, p.Abandoned = w.waiting(), w.runner.Abandoned()
	p.Repairs, p.Troubles = w.repairs.Counts(), w.troubles()
	return w.rq.Publish(ctx, p)
}

// modulePath is this module's, as the build knows it.
const modulePath = "github.com/opensoft/dartwing-bridge"

// version is that of this module in the running program; "" or "(devel)" in one that was built from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if info.Main.Path == modulePath {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			return dep.Version
		}
	}
	return ""
}
