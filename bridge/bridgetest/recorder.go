package bridgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// recorder is what the job of a handler under test reports to.
type recorder struct {
	setting
	mu    sync.Mutex
	heard Result
}

// held is how many characters of a message or a reference a row holds.
const held = 140

func (r *recorder) measure(text string) {
	if utf8.RuneCountInString(text) > held {
		r.heard.Cut = append(r.heard.Cut, text)
	}
}

// Progress implements bridge.Reporter.
func (r *recorder) Progress(percent float64, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure(message)
	r.heard.Progress = append(r.heard.Progress, Progress{job.Percent(percent), message})
}

// SetOutput implements bridge.Reporter.
func (r *recorder) SetOutput(reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure(reference)
	r.heard.Output = reference
}

// Log implements bridge.Reporter.
func (r *recorder) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(logLines{r}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type logLines struct{ r *recorder }

// Write takes one line.
func (l logLines) Write(b []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.heard.Log = append(l.r.heard.Log, strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// Submit implements bridge.Reporter.
func (r *recorder) Submit(ctx context.Context, request bridge.SubmitRequest) (*rows.BackgroundJob, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.submitErr != nil {
		return nil, r.submitErr
	}
	parameters, err := json.Marshal(request.Parameters)
	if err != nil {
		return nil, fmt.Errorf("%w: encode the parameters: %w", bridge.ErrBadRequest, err)
	}
	r.heard.Submitted = append(r.heard.Submitted, request)
	return &rows.BackgroundJob{
		Name: fmt.Sprintf("JOB-TEST-%d", len(r.heard.Submitted)), JobType: request.JobType, Organization: request.Organization,
		OwnerUser: request.User, Priority: request.Priority, Status: rows.StatusQueued, InputParameters: parameters,
	}, nil
}
