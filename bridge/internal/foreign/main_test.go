package foreign

import (
	"bytes"
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
