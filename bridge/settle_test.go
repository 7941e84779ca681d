package bridge

import (
	"context"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// One job whose outcome Redis refuses must not keep those that end with it.
func TestAnOutcomeThatRedisRefusesKeepsNobodyElse(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	var ids []string
	for range 20 {
		ids = append(ids, b.enqueue("go.noop", nil))
	}
	odd := ids[7]
	if err := b.rdb.Set(t.Context(), "rq:results:"+odd, "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := b.start(func(e *Engine) {
		Register(e, "go.noop", func(context.Context, *Job[any]) (any, error) { return 1, nil })
	})
	for _, id := range ids {
		if id != odd {
			b.waitJob(id, rqcompat.StatusFinished)
		}
	}
	b.eventually("its slot is free again", func() bool { return r.Stats().Running == 0 }, func() string { return "" })
}
