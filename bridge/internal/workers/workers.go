// Package workers shows this process to RQ: a worker record for each slot that works, since a record has a single
// current_job, by which RQ's own tools find, show and kill a running job.
package workers

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Prefix starts the name of every worker record of a bridge; Python's workers are named by UUIDs.
const Prefix = "bridge-"

// IsOurs reports whether a worker is a bridge's.
func IsOurs(worker string) bool { return strings.HasPrefix(worker, Prefix) }

// ProcessOf names the process that a worker of a bridge belongs to, as Slots.Process does.
func ProcessOf(worker string) string { return worker[:max(strings.LastIndexByte(worker, '-'), 0)] }

// Slot is a place where one job runs.
type Slot struct {
	Worker     *rqcompat.Worker
	Registered bool // its record is in Redis
	// Ended is called once when the slot is given back; nil calls nothing.
	Ended     func()
	idleSince time.Time
}

// Slots hands out the slots of a process. A slot gets its worker record with its first claim and loses it after a while
// without work, so that a quiet bridge shows one idle worker and not a hundred.
type Slots struct {
	prefix   string // of all worker names of this process, unique per boot
	template rqcompat.Worker
	// Freed is raised when a slot comes back.
	Freed wait.Flag

	mu    sync.Mutex
	named int     // how many names were given out
	idle  []*Slot // last in, first out: few slots stay warm
	left  int     // slots that don't exist yet
}

// NewSlots makes n slots for workers of the given queues.
func NewSlots(n int, queues []string) *Slots {
	return &Slots{
		prefix:   Prefix + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] + "-",
		template: *rqcompat.NewWorker("", queues...),
		left:     n,
		Freed:    wait.NewFlag(),
	}
}

// Process is what the names of all workers of this process start with.
func (s *Slots) Process() string { return strings.TrimSuffix(s.prefix, "-") }

// NamePattern matches the names of all workers of this process.
func (s *Slots) NamePattern() string { return s.prefix + "*" }

// Take removes up to n slots from those that are free.
func (s *Slots) Take(n int) []*Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	warm := max(len(s.idle)-n, 0)
	out := slices.Clone(s.idle[warm:])
	slices.Reverse(out)
	s.idle = s.idle[:warm]
	for len(out) < n && s.left > 0 {
		s.left--
		out = append(out, &Slot{Worker: s.name()})
	}
	return out
}

// name makes a worker record under a new name. mu is held.
func (s *Slots) name() *rqcompat.Worker {
	w := s.template // its strings are shared by all records
	w.Name = s.prefix + strconv.Itoa(s.named)
	s.named++
	return &w
}

// GiveBack returns slots that are free again.
func (s *Slots) GiveBack(free ...*Slot) {
	if len(free) == 0 {
		return
	}
	now := time.Now()
	var ended []func()
	for _, f := range free {
		if f.Ended != nil {
			ended = append(ended, f.Ended)
		}
		f.Ended, f.idleSince = nil, now
	}
	s.mu.Lock()
	s.idle = append(s.idle, free...)
	s.mu.Unlock()
	// A slot must be there when somebody is told that he may have it.
	for _, tell := range ended {
		tell()
	}
	s.Freed.Raise()
}

// PutBack returns slots as if they had never been taken: the same one is the next again, and idle for as long.
func (s *Slots) PutBack(unused []*Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(unused) {
		s.idle = append(s.idle, f)
	}
}

// Rename gives a slot a new worker name, when nobody knows what its old record says.
func (s *Slots) Rename(f *Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Worker, f.Registered = s.name(), false
}

// retire lists the registered idle slots; cold are those idle since before limit, but for keep: their records can go.
func (s *Slots) retire(limit time.Time, keep int) (warm, cold []*rqcompat.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.idle {
		if !f.Registered {
			continue
		}
		if f.idleSince.Before(limit) && len(warm) >= keep {
			cold = append(cold, f.Worker)
			s.idle[i] = &Slot{Worker: s.name(), idleSince: f.idleSince}
			continue
		}
		warm = append(warm, f.Worker)
	}
	return warm, cold
}

const (
	// Interval is how often records get a heartbeat; RQ expects one within recordTTL.
	Interval  = 15 * time.Second
	recordTTL = 90 * time.Second
	// slotIdle is how long a slot keeps its worker record without work: what comes in bursts needs no new ones, and RQ's lists
	// of workers aren't full of a hundred idle ones for long.
	slotIdle = 5 * time.Second
)

// Records is what a heartbeat does in Redis.
type Records interface {
	Heartbeat(ctx context.Context, ws []*rqcompat.Worker, ttl time.Duration) error
	Deregister(ctx context.Context, ws []*rqcompat.Worker) error
}

// Heartbeat keeps the records of idle slots alive. One stays even if none has worked, so that RQ's tools see that the queues
// are worked; busy tells that a running job shows that already.
func (s *Slots) Heartbeat(ctx context.Context, rq Records, busy bool, log *slog.Logger) {
	warm, _ := s.retire(time.Time{}, 0)
	if len(warm) == 0 && !busy {
		for _, first := range s.Take(1) {
			first.Registered = true
			s.GiveBack(first)
			warm = append(warm, first.Worker)
		}
	}
	if err := rq.Heartbeat(ctx, warm, recordTTL); err != nil {
		log.Warn("worker records not renewed", "error", err)
	}
}

// Retire removes the records of slots that have been idle for a while, but for one.
func (s *Slots) Retire(ctx context.Context, rq Records, log *slog.Logger) {
	_, cold := s.retire(time.Now().Add(-slotIdle), 1)
	if err := rq.Deregister(ctx, cold); err != nil {
		log.Warn("idle worker records not removed", "error", err)
	}
}

// Leave takes this process out of RQ's view.
func (s *Slots) Leave(ctx context.Context, rq Records) error {
	registered, _ := s.retire(time.Time{}, 0)
	return rq.Deregister(ctx, registered)
}
