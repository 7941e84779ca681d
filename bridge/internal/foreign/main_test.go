package foreign

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is what a handler reported.
type heard struct {
	mu       sync.Mutex
	progress []string
	outputs  []string
	log      bytes.Buffer
	// submitted are the jobs asked for, call by call; refuse says of one why not, and away of all.
	submitted [][]Child
	refuse    func(Child) error
	away      error
}

func (h *heard) Submit(_ context.Context, children []Child) ([]Submitted, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.submitted = append(h.submitted, children)
	results := make([]Submitted, len(children))
	for i, c := range children {
		results[i] = Submitted{Name: fmt.Sprintf("JOB-%d", i+1), Created: c.Key == "", Err: h.away}
		if h.refuse != nil && h.away == nil {
			results[i].Err = h.refuse(c)
		}
	}
	return results, h.away
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(b)
}

func (h *heard) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *heard) Progress(percent float64, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.progress = append(h.progress, fmt.Sprintf("%g %s", percent, message))
}

func (h *heard) SetOutput(reference string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outputs = append(h.outputs, reference)
}

func (h *heard) Log() *slog.Logger { return slog.New(slog.NewTextHandler(h, nil)) }

// attempt is the attempt that the tests make.
var attempt = job.Info{
	ID: "site1||1", Name: "JOB-2025-00001", JobType: "report", Site: "site1.localhost",
	User: "jane@example.com", Organization: "ORG-1", Attempt: 2, Timeout: 90 * time.Second,
}
