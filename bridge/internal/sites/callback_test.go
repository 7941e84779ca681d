package sites

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestCallBack: a callback goes to the first queue that isn't the bridge's own, under an id that says which end of which job it
// is about; why one can't be handed over is said.
func TestCallBack(t *testing.T) {
	b, _ := benchDir(t)
	end := End{Site: site, ID: "a", When: "now", Kind: rqcompat.CallbackSuccess, Callback: rqcompat.Callback{Name: "app.done"}}
	one, said := NewCourier(CourierParams{Bench: b}).CallBack(end)
	if one == nil || one.Queue != "b:default" || one.Name != "app.done" || *one.ResultTTL != 600 || one.FailureCallback.Name == "" ||
		said != "handed the success callback app.done to Python as job "+one.ID+" on queue b:default" {
		t.Fatalf("%+v, %q", one, said)
	}
	if again, _ := NewCourier(CourierParams{Bench: b, OwnQueues: []string{"go", "default"}}).CallBack(end); again.Queue != "b:short" || again.ID != one.ID {
		t.Errorf("the same end where default is an own queue: %+v, want queue short and the same id", again)
	}
	for what, other := range map[string]func(*End){"job": func(e *End) { e.ID = "b" }, "time": func(e *End) { e.When = "then" }} {
		differs := end
		other(&differs)
		if h, _ := NewCourier(CourierParams{Bench: b}).CallBack(differs); h.ID == one.ID {
			t.Errorf("the end of another %s has the same id", what)
		}
	}
	plain := end
	plain.Site = ""
	if h, said := NewCourier(CourierParams{Bench: b}).CallBack(plain); h == nil {
		t.Errorf("a job without a site: %s", said)
	}
	for want, e := range map[string]func(*End, *Courier){
		"all queues of the bench are the bridge's own": func(_ *End, c *Courier) { c.OwnQueues = queueNames(b.QueueTypes()) },
		"not UTF-8":            func(e *End, _ *Courier) { e.Callback.Name = "\xff" },
		"more than 1024 bytes": func(e *End, _ *Courier) { e.Callback.Name = strings.Repeat("x", 2048) },
		"no such site":         func(e *End, _ *Courier) { e.Site = "elsewhere" },
	} {
		bad, c := end, NewCourier(CourierParams{Bench: b})
		e(&bad, &c)
		if h, said := c.CallBack(bad); h != nil || !strings.Contains(said, want) || !strings.Contains(said, "isn't called") || len(said) > 500 {
			t.Errorf("%+v, %q, want none and %q", h, said, want)
		}
	}
	end.Callback.Name = ""
	if h, said := NewCourier(CourierParams{Bench: b}).CallBack(end); h != nil || said != "" {
		t.Errorf("an end that nobody asks about: %+v, %q", h, said)
	}
}
