package bridge

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// One job whose outcome Redis refuses must not keep those that end with it.
func TestAnOutcomeThatRedisRefusesKeepsNobodyElse(t *testing.T) {
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
	b.eventually("its slot is free again", func() bool { return r.running.count() == 0 }, func() string { return "" })
}

func TestEventsCarryBriefErrors(t *testing.T) {
	long := recovered(errors.New(strings.Repeat("ä", 600))).Error()
	if got := brief(long); strings.Contains(got, "\n") || len([]rune(got)) != 500 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d runes: %q", len([]rune(got)), got)
	}
	if got := brief("short"); got != "short" {
		t.Errorf("%q", got)
	}
}

func TestParametersMayBeANilMap(t *testing.T) {
	var none map[string]any
	if got, err := objectOf(none); string(got) != "{}" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := objectOf([]int{1}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("error %v, want ErrBadRequest", err)
	}
}
