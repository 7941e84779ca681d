package wait

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start = time.Now() // this bubble's
		var p Pulse
		if got := p.Round(); got != 0 {
			t.Errorf("a loop that never ran is in a round of %s", got)
		}
		p.Beat()
		time.Sleep(time.Second)
		if got := p.Round(); got != time.Second {
			t.Errorf("after a second its round has taken %s", got)
		}
		p.Beat()
		if got := p.Round(); got != 0 {
			t.Errorf("a new round has taken %s", got)
		}
		time.Sleep(time.Second)
		p.Rest()
		if got := p.Round(); got != 0 {
			t.Errorf("at rest a round takes %s", got)
		}
		var none *Pulse
		none.Beat()
		none.Rest()
		if none.Round() != 0 {
			t.Error("none has a pulse")
		}
	})
}
