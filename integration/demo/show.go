package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// show is one performance of the parts.
type show struct {
	stage *stage
	view  watch.Display
	parts []*part
	heard []map[string]bool // per person, the jobs whose events came

	mu       sync.Mutex // guards ids and names until the producer has ended, and heard
	firstErr error
}

func (s *show) failed() bool {
	for _, p := range s.parts {
		if len(p.problems) > 0 {
			return true
		}
	}
	return false
}

func (s *show) part(key string) *part {
	for _, p := range s.parts {
		if p.key == key {
			return p
		}
	}
	return nil
}

// perform runs the jobs and returns when all have ended, or time is up.
func (d *demo) perform(ctx context.Context, st *stage) (*show, error) {
	s := &show{stage: st, parts: allParts(), view: watch.NewDisplay(d.out, false)}
	if d.json {
		s.view = watch.NewLines(d.err) // stdout gets one document
	}
	defer s.view.Close()
	leave, err := s.seat(ctx, d.log)
	defer leave()
	if err != nil {
		return s, err
	}
	producer, err := servers.StartChild("Python producer", st.scripts, st.pythonEnv(), &lines{take: s.produced}, st.python, "producer.py")
	if err != nil {
		return s, err
	}
	defer producer.Stop(childStop)
	if err := s.enqueueFromGo(ctx); err != nil {
		return s, err
	}
	if err := s.follow(ctx, producer); err != nil {
		return s, err
	}
	// The last events are on their way.
	select {
	case <-ctx.Done():
		return s, ctx.Err()
	case <-time.After(500 * time.Millisecond):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		s.judge(p)
	}
	return s, s.firstErr
}

// seat has everybody watch, and returns when all do; leave ends that.
func (s *show) seat(ctx context.Context, log *slog.Logger) (leave func(), err error) {
	audience, cancel := context.WithCancel(ctx)
	var seats sync.WaitGroup
	seated := make(chan struct{}, len(people))
	for range people {
		s.heard = append(s.heard, map[string]bool{})
	}
	for i := range people {
		var once sync.Once
		sit := func() { once.Do(func() { seated <- struct{}{} }) }
		seats.Go(func() {
			s.attend(audience, log, i, sit)
			sit() // nobody waits for one who was refused
		})
	}
	for range people {
		<-seated
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return func() { cancel(); seats.Wait() }, s.firstErr
}

// attend watches as one person, as the desk would.
func (s *show) attend(ctx context.Context, log *slog.Logger, person int, connected func()) {
	who := people[person]
	socket, err := watch.Connection{URL: s.stage.realtime.URL, Key: who.key, Secret: "secret"}.Config(s.stage.bench, siteName)
	if err == nil {
		w := watch.Follower{
			Socket: socket, What: watch.Subject{Organization: who.Organization}, View: s.view, Log: log,
			Rows:  func(ctx context.Context) (watch.Rows, error) { return s.stage.pool.DB(ctx, siteName) },
			Title: s.title, Connected: connected,
			Heard: func(id string) {
				s.mu.Lock()
				s.heard[person][id] = true
				s.mu.Unlock()
			},
		}
		_, err = w.Run(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.mu.Lock()
		s.firstErr = errors.Join(s.firstErr, fmt.Errorf("watch as %s: %w", who.User, err))
		s.mu.Unlock()
	}
}

// title names a job that has no row.
func (s *show) title(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.id == id && p.status == "" {
			return p.key
		}
	}
	return ""
}

// lines hands each line that is written to take.
type lines struct {
	take func(line []byte)
	rest []byte
}

// Write never fails.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			return len(b), nil
		}
		l.take(line)
		l.rest = rest
	}
}

// produced notes what the Python producer enqueued.
func (s *show) produced(line []byte) {
	var told struct{ Key, ID, Name string }
	if json.Unmarshal(line, &told) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.part(told.Key); p != nil {
		p.id, p.name = told.ID, told.Name
	}
}

// enqueueFromGo emits the jobs of the demo that don't come from Python.
func (s *show) enqueueFromGo(ctx context.Context) error {
	c, people := s.stage.client, people
	for key, r := range map[string]bridge.SubmitRequest{
		"submit": {JobType: "sample_job", Organization: people[1].Organization, User: people[1].User, Parameters: map[string]any{"duration": 7}},
		"echo":   {JobType: "echo_job", Organization: people[0].Organization, User: people[0].User, Priority: rows.PriorityHigh, Parameters: map[string]any{"from": inGo}},
	} {
		r.Site = siteName
		row, err := c.Submit(ctx, r)
		if err != nil {
			return err
		}
		s.name(key, s.stage.bench.JobID(siteName, row.Name), row.Name)
	}
	job, err := c.Enqueue(ctx, bridge.EnqueueRequest{
		Site: siteName, User: people[1].User, Method: "demo_tasks.checksum", Queue: "default",
		Kwargs: map[string]any{"text": checksumText, "rounds": checksumRounds},
	})
	if err != nil {
		return err
	}
	s.name("checksum", job.ID, "")
	return nil
}

func (s *show) name(key, id, row string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.part(key)
	p.id, p.name = id, row
}
