package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	inPython = "Python"
	inGo     = "Go"
)

// part is one job of the demo: how it is to go, and how it went.
type part struct {
	key, what string
	from, by  string        // who enqueues it, who is to run it
	person    int           // of demoPeople, who may see it
	status    frappe.Status // of its row; "" for a job that has none
	rq        rqcompat.Status
	attempts  int
	value     any // what RQ is to have as the result; nil is not compared

	id, name string // RQ's id as it was enqueued; the row's name
	row      *frappe.BackgroundJob
	job      *rqcompat.Job // the newest delivery
	results  []rqcompat.Result
	shown    rqcompat.Status
	canceled bool
	problems []string
}

const checksumText, checksumRounds = "bridge", 3

func demoParts() []*part {
	const jane, omar = 0, 1
	done, dead, canceled := frappe.StatusCompleted, frappe.StatusDeadLetter, frappe.StatusCanceled
	return []*part{
		{key: "method", what: "a Job Type's method", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "envelope", what: "a row and the executor's envelope", from: inPython, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "shared", what: "on a queue shared with Python", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1,
			value: map[string]any{"text": "Grüße", "number": 42, "organization": demoPeople[jane].Organization}},
		{key: "exec", what: "handled by a program", from: inPython, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"made": 5, "attempt": 1}},
		{key: "transient", what: "fails twice, then recovers", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 3},
		{key: "permanent", what: "fails for good", from: inPython, by: inGo, person: omar, status: dead, rq: rqcompat.StatusFailed, attempts: 1},
		{key: "cancel", what: "canceled while it runs", from: inPython, by: inGo, person: jane, status: canceled, rq: rqcompat.StatusStopped, attempts: 1},
		{key: "rowless", what: "no Job Type, no row", from: inPython, by: inGo, person: omar, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"made": 4, "attempt": 1}},
		{key: "python", what: "left to Python", from: inPython, by: inPython, person: jane, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "submit", what: "submitted from Go", from: inGo, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "echo", what: "submitted from Go, urgent", from: inGo, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"from": inGo}},
		{key: "checksum", what: "from Go, for Python", from: inGo, by: inPython, person: omar, rq: rqcompat.StatusFinished, attempts: 1, value: checksum(checksumText, checksumRounds)},
	}
}

// show is one performance of the parts.
type show struct {
	stage *stage
	view  display
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
func (a *app) perform(ctx context.Context, st *stage) (*show, error) {
	s := &show{stage: st, parts: demoParts(), view: a.newDisplay()}
	if a.json {
		s.view = &lineDisplay{out: a.err} // stdout gets one document
	}
	defer s.view.close()
	leave, err := s.seat(ctx, a)
	defer leave()
	if err != nil {
		return s, err
	}
	producer, err := startChild("Python producer", st.scripts, st.pythonEnv(), &lines{take: s.produced}, st.python, "producer.py")
	if err != nil {
		return s, err
	}
	defer producer.stop(childStop)
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
func (s *show) seat(ctx context.Context, a *app) (leave func(), err error) {
	audience, cancel := context.WithCancel(ctx)
	var seats sync.WaitGroup
	seated := make(chan struct{}, len(demoPeople))
	for range demoPeople {
		s.heard = append(s.heard, map[string]bool{})
	}
	for i := range demoPeople {
		var once sync.Once
		sit := func() { once.Do(func() { seated <- struct{}{} }) }
		seats.Go(func() {
			s.attend(audience, a, i, sit)
			sit() // nobody waits for one who was refused
		})
	}
	for range demoPeople {
		<-seated
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return func() { cancel(); seats.Wait() }, s.firstErr
}

// attend watches as one person, as the desk would.
func (s *show) attend(ctx context.Context, a *app, person int, connected func()) {
	who := demoPeople[person]
	socket, err := connection{url: s.stage.realtime.URL, key: who.key, secret: "secret"}.config(s.stage.bench, demoSite)
	if err == nil {
		w := &watcher{
			socket: socket, what: subject{organization: who.Organization}, rows: siteRows{s.stage.bench, demoSite}, view: s.view, log: a.log,
			title: s.title, connected: connected,
			heard: func(id string) {
				s.mu.Lock()
				s.heard[person][id] = true
				s.mu.Unlock()
			},
		}
		_, err = w.run(ctx)
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
	c, people := s.stage.client, demoPeople
	for key, r := range map[string]bridge.SubmitRequest{
		"submit": {JobType: "sample_job", Organization: people[1].Organization, User: people[1].User, Parameters: map[string]any{"duration": 7}},
		"echo":   {JobType: "echo_job", Organization: people[0].Organization, User: people[0].User, Priority: frappe.PriorityHigh, Parameters: map[string]any{"from": inGo}},
	} {
		r.Site = demoSite
		row, err := c.Submit(ctx, r)
		if err != nil {
			return err
		}
		s.name(key, s.stage.bench.JobID(demoSite, row.Name), row.Name)
	}
	job, err := c.Enqueue(ctx, bridge.EnqueueRequest{
		Site: demoSite, User: people[1].User, Method: "demo_tasks.checksum", Queue: "default",
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
