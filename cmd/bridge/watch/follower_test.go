package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

// storedRows is a table of rows.
type storedRows map[string]*rows.BackgroundJob

func (r storedRows) BackgroundJobs(context.Context, []string) (map[string]*rows.BackgroundJob, error) {
	return r, nil
}

func (r storedRows) ListJobs(context.Context, rows.ListFilter) ([]*rows.BackgroundJob, int, error) {
	return nil, 0, nil
}

func (r storedRows) Tenant(context.Context) (string, error) { return "Company", nil }

func (r storedRows) open(context.Context) (Rows, error) { return r, nil }

// follower watches a job where there is no realtime server.
func follower(stored storedRows, log *slog.Logger) Follower {
	return Follower{Socket: socketio.Config{URL: "http://127.0.0.1:1", Site: "s"}, What: Subject{Job: "J"}, Rows: stored.open, View: &shown{}, Log: log}
}

func TestJobThatIsNotThereCannotBeWatched(t *testing.T) {
	if _, err := follower(storedRows{}, slog.New(slog.DiscardHandler)).Run(t.Context()); !errors.Is(err, rows.ErrNoSuchJob) {
		t.Errorf("error %v, want %v", err, rows.ErrNoSuchJob)
	}
}

func TestRowIsTheTruthWhileTheRealtimeServerIsAway(t *testing.T) {
	var out strings.Builder
	stored := storedRows{"J": {Name: "J", Status: rows.StatusRunning}}
	f := follower(stored, slog.New(slog.NewTextHandler(&endsJob{&out, stored}, nil)))
	last, err := f.Run(t.Context())
	if err != nil || last.Status != string(rows.StatusCompleted) {
		t.Errorf("the job ended while the server was away, and the watching with %+v (%v)", last, err)
	}
	if n := strings.Count(out.String(), "connecting again"); n != 1 {
		t.Errorf("the loss of the server is logged %d times, want once:\n%s", n, out.String())
	}
	stored["J"] = &rows.BackgroundJob{Name: "J", Status: rows.StatusRunning}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// endsJob has the job end when the loss of the server is logged.
type endsJob struct {
	to     *strings.Builder
	stored storedRows
}

func (e *endsJob) Write(b []byte) (int, error) {
	e.stored["J"] = &rows.BackgroundJob{Name: "J", Status: rows.StatusCompleted}
	return e.to.Write(b)
}

// busySocket has an event every 50 ms and keeps what was asked for.
type busySocket struct{ emitted []string }

func (s *busySocket) Emit(_ context.Context, name string, args ...any) error {
	s.emitted = append(s.emitted, fmt.Sprint(append([]any{name}, args...)...))
	return nil
}

func (s *busySocket) Next(ctx context.Context) (string, []json.RawMessage, error) {
	select {
	case <-ctx.Done():
		return "", nil, ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return "list_update", []json.RawMessage{json.RawMessage(`{"doctype":"Background Job","name":"J"}`)}, nil
	}
}

func TestRowsAreReadSoonHoweverMuchHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := storedRows{"J": {Name: "J", Organization: "A", Status: rows.StatusRunning}}
		view, s := &shown{}, &busySocket{}
		w := &watcher{
			board: board{
				Follower: Follower{What: Subject{All: true}, Rows: rows.open, View: view},
				jobs:     map[string]*State{}, changed: map[string]bool{},
			},
			rooms: map[string]bool{}, reread: time.Now().Add(rereadEvery),
		}
		began := time.Now()
		for len(view.states) == 0 && time.Since(began) < time.Second {
			if err := w.next(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		// The first event comes after 50 ms and asks for a look 100 ms later.
		if took := time.Since(began); took != 150*time.Millisecond {
			t.Errorf("a changed row was read after %s, want 150ms", took)
		}
		if want := []string{"doc_subscribeCompanyA"}; !slices.Equal(s.emitted, want) {
			t.Errorf("asked for %q, want %q: the organization's room, once it is known", s.emitted, want)
		}
	})
}
