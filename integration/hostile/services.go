package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The services that jobs call. Each is the handler "hostile.<name>" and a Job Type <name>.
const (
	healthy  = "healthy"  // answers at once, and notes when it was called
	bad      = "bad"      // answers at once
	busy     = "busy"     // takes a while
	critical = "critical" // likewise; its Job Type has the highest priority
	long     = "long"     // doesn't answer
	failing  = "failing"  // fails for good
	flood    = "flood"    // reports progress all the time
	large    = "large"    // answers with as much as it may
)

var serviceNames = []string{healthy, bad, busy, critical, long, failing, flood, large}

const (
	// busyTime is how long the service of that name takes.
	busyTime = 100 * time.Millisecond
	// floodLines is how often the service of that name reports in a millisecond, for busyTime.
	floodLines = 100
)

// services are what the jobs of a bed call, and a note of when each healthy job came.
type services struct {
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	started map[string]time.Time // first call of a healthy job, by its id
}

func (s *services) start() (err error) {
	s.started = map[string]time.Time{}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.server = &http.Server{Handler: s}
	go func() { _ = s.server.Serve(s.listener) }() // ends with stop
	return nil
}

func (s *services) stop() error { return s.server.Close() }

func (s *services) url(service string) string {
	return "http://" + s.listener.Addr().String() + "/" + service
}

// startedAt is when a healthy job was first called.
func (s *services) startedAt(id string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.started[id]
	return at, ok
}

// count is how many of the ids were called.
func (s *services) count(ids []string) (n int) {
	for _, id := range ids {
		if _, ok := s.startedAt(id); ok {
			n++
		}
	}
	return n
}

func (s *services) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.started)
}

// ServeHTTP is every service.
func (s *services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service := strings.TrimPrefix(r.URL.Path, "/")
	if service == healthy {
		s.note(r.Body)
	}
	_, _ = io.Copy(io.Discard, r.Body) // whoever breaks off has its reasons
	switch service {
	case busy, critical:
		time.Sleep(busyTime)
	case long:
		<-r.Context().Done()
	case failing:
		http.Error(w, "on purpose", http.StatusUnprocessableEntity)
		return
	case flood:
		w.Header().Set("Content-Type", "application/x-ndjson")
		report(w, r)
		return
	case large:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"result": strings.Repeat("x", 900_000)})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// note remembers when a healthy job came.
func (s *services) note(body io.Reader) {
	now := time.Now()
	var job struct {
		ID string `json:"job_id"`
	}
	if json.NewDecoder(body).Decode(&job) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.started[job.ID]; !again {
		s.started[job.ID] = now
	}
}

// report floods its caller with progress.
func report(w io.Writer, r *http.Request) {
	lines := []byte(strings.Repeat(`{"progress": 40, "message": "`+strings.Repeat("x", 100)+`"}`+"\n", floodLines))
	for end := time.Now().Add(busyTime); time.Now().Before(end) && r.Context().Err() == nil; time.Sleep(time.Millisecond) {
		if _, err := w.Write(lines); err != nil {
			return
		}
	}
}
