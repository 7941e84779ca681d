package bridge

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/rs/zerolog"
)

// slot is a place where one job runs. RQ knows it as a worker of its own, since
// a worker record has a single current_job.
type slot struct {
	worker     *rqcompat.Worker
	registered bool // its record is in Redis
	idleSince  time.Time
}

// slots hands out the engine's slots. A slot gets its worker record with its
// first claim and loses it after a while without work, so that a quiet engine
// shows one idle worker and not a hundred.
type slots struct {
	prefix   string // of all worker names of this process, unique per boot
	template rqcompat.Worker

	mu    sync.Mutex
	named int     // how many names were given out
	idle  []*slot // last in, first out: few slots stay warm
	left  int     // slots that don't exist yet
	// freed gets a token when a slot comes back.
	freed chan struct{}
}

// WorkerPrefix starts the name of every worker record of a bridge; Python's
// workers are named by UUIDs.
const WorkerPrefix = "bridge-"

func newSlots(n int, queues []string) *slots {
	return &slots{
		prefix:   WorkerPrefix + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] + "-",
		template: *rqcompat.NewWorker("", queues...),
		left:     n,
		freed:    make(chan struct{}, 1),
	}
}

// take removes up to n slots from those that are free.
func (s *slots) take(n int) []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*slot
	for len(out) < n && len(s.idle) > 0 {
		last := len(s.idle) - 1
		out = append(out, s.idle[last])
		s.idle = s.idle[:last]
	}
	for len(out) < n && s.left > 0 {
		s.left--
		out = append(out, &slot{worker: s.name()})
	}
	return out
}

// name makes a worker record under a new name. mu is held.
func (s *slots) name() *rqcompat.Worker {
	w := s.template // its texts are shared by all records
	w.Name = s.prefix + strconv.Itoa(s.named)
	s.named++
	return &w
}

// giveBack returns slots that are free again.
func (s *slots) giveBack(free ...*slot) {
	if len(free) == 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	for _, f := range free {
		f.idleSince = now
	}
	s.idle = append(s.idle, free...)
	s.mu.Unlock()
	signal(s.freed)
}

// putBack returns slots that were taken and not needed, as if they had never
// been taken: the same one is the next again, and idle for as long.
func (s *slots) putBack(unused []*slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(unused) {
		s.idle = append(s.idle, f)
	}
}

// rename gives a slot a new worker name, when nobody knows what its old record
// says.
func (s *slots) rename(f *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.worker, f.registered = s.name(), false
}

// idleRecords lists the registered slots that are idle, and takes out those
// idle since before limit, but for keep of them: their records can go.
func (s *slots) idleRecords(limit time.Time, keep int) (warm, cold []*rqcompat.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.idle {
		if !f.registered {
			continue
		}
		if f.idleSince.Before(limit) && len(warm) >= keep {
			cold = append(cold, f.worker)
			s.idle[i] = &slot{worker: s.name(), idleSince: f.idleSince}
			continue
		}
		warm = append(warm, f.worker)
	}
	return warm, cold
}

// firstRecord registers a slot on an engine that has had nothing to do yet.
func (s *slots) firstRecord() []*rqcompat.Worker {
	first := s.take(1)
	if len(first) == 0 {
		return nil
	}
	first[0].registered = true
	s.giveBack(first...)
	return []*rqcompat.Worker{first[0].worker}
}

// records lists the worker records of all slots that are free.
func (s *slots) records() (ws []*rqcompat.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.idle {
		if f.registered {
			ws = append(ws, f.worker)
		}
	}
	return ws
}

// backoff slows down what fails again and again, and says so once.
type backoff struct {
	log   zerolog.Logger
	what  string
	pause time.Duration
}

func (b *backoff) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if b.pause == 0 {
		b.log.Error().Err(err).Msg(b.what)
	}
	b.pause = min(max(2*b.pause, 50*time.Millisecond), 5*time.Second)
	sleep(ctx, b.pause)
}

func (b *backoff) succeeded() {
	if b.pause > 0 {
		b.log.Info().Msg(b.what + ": over")
	}
	b.pause = 0
}
