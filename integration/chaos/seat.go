package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// seat is where one bridge after the other works: who dies is followed by the next, as a service manager does it.
type seat struct {
	b       *bed
	dir     string // a view of the bench in which the servers stand behind gates
	moments *moments

	mu sync.Mutex
	w  *worker
	// dying is the worker that was told to; what ended otherwise ended by itself.
	dying *worker
	armed time.Time // since when it is to die at its next moment; zero: it isn't
	// stopping is one that was asked to stop as well: it may come to its end before.
	stopping *worker
	// fell is how often a bridge ended by itself, with what it said last.
	fell []string
}

// seat makes one, with gates if its bridges are to die at moments; run fills it.
func (b *bed) seat(n int, ms *moments) (*seat, error) {
	s := &seat{b: b, dir: filepath.Join(b.dir, fmt.Sprint("seat-", n)), moments: ms}
	redis, err := openGate(b.redis.Addr, redisReader, s)
	if err != nil {
		return nil, err
	}
	b.onClose(redis.close)
	mariadb, err := openGate(b.mariadb.Addr, mysqlReader, s)
	if err != nil {
		return nil, err
	}
	b.onClose(mariadb.close)
	return s, b.view(s.dir, fmt.Sprintf("redis://127.0.0.1:%d", redis.port()), "127.0.0.1", mariadb.port())
}

// run keeps a bridge there until ctx ends, which leaves the last one running.
func (s *seat) run(ctx context.Context) error {
	for {
		w, err := s.b.startBridge(workerOptions{dir: s.dir})
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.w = w
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-w.Done():
		}
		s.mu.Lock()
		s.armed = time.Time{}
		if s.dying != w && (s.stopping != w || w.ExitCode() != 0) {
			s.fell = append(s.fell, w.Ended().Error())
		}
		s.mu.Unlock()
		pause(ctx, time.Duration(rand.IntN(200))*time.Millisecond)
	}
}

// due says whether the bridge of this seat is to die at m.
func (s *seat) due(m moment) bool {
	s.moments.see(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.armed.IsZero() || !s.moments.comes(m, time.Since(s.armed)) || !s.mayDie() {
		return false
	}
	s.armed, s.dying = time.Time{}, s.w
	return true
}

func (s *seat) die(m moment) {
	s.moments.hit(m)
	s.mu.Lock()
	w := s.dying
	s.mu.Unlock()
	_ = w.kill() // one that has just ended is gone either way
}

// arm has its bridge die at its next moment, also at one of those that come with a stop.
func (s *seat) arm(stop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed.IsZero() {
		return
	}
	s.armed = time.Now()
	if stop && s.w != nil && s.w.Ended() == nil {
		s.stopping = s.w
		_ = syscall.Kill(s.w.PID(), syscall.SIGTERM) // one that has just ended is as good
	}
}

// kill kills its bridge now, wherever it is; false says that it is not the time for it.
func (s *seat) kill() bool {
	s.mu.Lock()
	w := s.w
	if w == nil || w.Ended() != nil || !s.armed.IsZero() || !s.mayDie() {
		s.mu.Unlock()
		return false
	}
	s.dying = w
	s.mu.Unlock()
	return w.kill() == nil
}

// mayDie spares who runs a job that was hit twice: the third time is the job's last, by design. mu is held.
func (s *seat) mayDie() bool {
	if s.w == nil || s.w == s.dying {
		return false
	}
	h, err := s.b.ledger.history()
	return err == nil && !h.onLast(s.w.PID()) && !s.b.onLast()
}

// onLast says whether a job that two bridges died with is in hand, begun or not: of what was claimed and not begun nobody has written
// down whose it is.
func (b *bed) onLast() bool {
	ctx := context.Background()
	for _, q := range b.queues([]string{own, shared, first}) {
		for _, member := range b.rdb.ZRange(ctx, rqcompat.WipKey(q), 0, -1).Val() {
			id, _ := b.rq.Dialect().SplitWipMember(member)
			if b.rdb.HGet(ctx, rqcompat.JobKey(id), "bridge_kills").Val() == "2" {
				return true
			}
		}
	}
	return false
}

// stop stops the last one in order, and says what went wrong here. Call it when run has returned.
func (s *seat) stop() []string {
	s.mu.Lock()
	w, fell := s.w, s.fell
	s.mu.Unlock() // it still says goodbye through the gates
	if w != nil && w.Ended() == nil {
		if err := w.Stop(time.Minute); err != nil {
			fell = append(fell, err.Error())
		}
	}
	return fell
}
