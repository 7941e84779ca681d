package bridge

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

type panicsInJSON struct{}

func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("no JSON of mine") }

// TestHandlersThatEndInOddWays: whatever a handler does, its attempt ends, its
// slot is free again and the process lives.
func TestHandlersThatEndInOddWays(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1, "shared_queues": []string{}})
	gone := b.raw("go", "goexit", call(t, "go.exits", nil), nil)
	panics := b.raw("go", "panics", call(t, "go.panics", nil), nil)
	after := b.raw("go", "after", call(t, "echo_job", nil), nil)
	b.start(func(e *Engine) {
		Register(e, "go.exits", func(context.Context, *Job[any]) (any, error) {
			runtime.Goexit()
			return nil, nil
		})
		Register(e, "go.panics", func(context.Context, *Job[any]) (any, error) { return panicsInJSON{}, nil })
	})
	b.waitJob(gone, rqcompat.StatusFailed)
	if exc := b.lastExc(gone); !strings.Contains(exc, "Goexit") {
		t.Errorf("exc %q", exc)
	}
	b.waitJob(panics, rqcompat.StatusFinished)
	b.waitJob(after, rqcompat.StatusFinished)
}
