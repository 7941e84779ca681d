package watch

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// storedRows is a table of rows.
type storedRows map[string]*frappe.BackgroundJob

func (r storedRows) Named(context.Context, []string) (map[string]*frappe.BackgroundJob, error) {
	return r, nil
}

func (r storedRows) Open(context.Context, string, int) ([]*frappe.BackgroundJob, error) {
	return nil, nil
}

// follower watches a job where there is no realtime server.
func follower(rows Rows, log *slog.Logger) Follower {
	return Follower{Socket: frappe.SocketIOConfig{URL: "http://127.0.0.1:1", Site: "s"}, What: Subject{Job: "J"}, Rows: rows, View: &shown{}, Log: log}
}

func TestJobThatIsNotThereCannotBeWatched(t *testing.T) {
	if _, err := follower(storedRows{}, slog.New(slog.DiscardHandler)).Run(t.Context()); !errors.Is(err, frappe.ErrNoSuchJob) {
		t.Errorf("error %v, want %v", err, frappe.ErrNoSuchJob)
	}
}

func TestRowIsTheTruthWhileTheRealtimeServerIsAway(t *testing.T) {
	var out strings.Builder
	rows := storedRows{"J": {Name: "J", Status: frappe.StatusRunning}}
	f := follower(rows, slog.New(slog.NewTextHandler(&endsJob{&out, rows}, nil)))
	last, err := f.Run(t.Context())
	if err != nil || last.Status != string(frappe.StatusCompleted) {
		t.Errorf("the job ended while the server was away, and the watching with %+v (%v)", last, err)
	}
	if n := strings.Count(out.String(), "connecting again"); n != 1 {
		t.Errorf("the loss of the server is logged %d times, want once:\n%s", n, out.String())
	}
	rows["J"] = &frappe.BackgroundJob{Name: "J", Status: frappe.StatusRunning}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// endsJob has the job end when the loss of the server is logged.
type endsJob struct {
	to   *strings.Builder
	rows storedRows
}

func (e *endsJob) Write(b []byte) (int, error) {
	e.rows["J"] = &frappe.BackgroundJob{Name: "J", Status: frappe.StatusCompleted}
	return e.to.Write(b)
}
