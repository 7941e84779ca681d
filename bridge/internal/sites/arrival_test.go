package sites

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestArrivals: what tells an enqueueing from another one is found again in any later delivery of it.
func TestArrivals(t *testing.T) {
	made := time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)
	first := Arrival{"id", made}
	if h := first.Hash(); len(h) != 32 || h[:16] != ArrivalsHash("id") || h != ArrivalOf(&rqcompat.Job{ID: "id", CreatedAt: made.In(time.FixedZone("", 3600))}).Hash() {
		t.Errorf("hash %s, want 32 digits that begin with those of the id, in any zone", h)
	}
	for what, other := range map[string]Arrival{
		"a later one of the same id": {"id", made.Add(time.Microsecond)}, "another id": {"other", made}, "one whose time nobody wrote": {ID: "id"},
	} {
		if other.Hash() == first.Hash() {
			t.Errorf("%s has the same hash", what)
		}
	}
	for want, row := range map[string]*rows.BackgroundJob{
		ArrivalsHash("id"): {JobHash: first.Hash()}, "": {JobHash: ArrivalsHash("id")},
	} {
		if got := ArrivalsOf(row); got != want {
			t.Errorf("a row with hash %q was made for %q, want %q", row.JobHash, got, want)
		}
	}
	history := []rows.LogEntry{{Message: first.Message()}, {Message: "Worker started execution"}}
	for want, h := range map[string][]rows.LogEntry{"id": history, "": history[1:]} {
		if got := ArrivalID(h); got != want {
			t.Errorf("the row was made for %q, want %q", got, want)
		}
	}
}
