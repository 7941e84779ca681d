package sites

import (
	"fmt"
	"testing"
	"time"
)

// TestRota: each site has its turn once in its time, and no two at the same moment.
func TestRota(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for spread, want := range map[time.Duration]string{
		0:               "0:a 1:b 2:c 3:d 4:a 5:b 6:c 7:d 8:a 9:b ",
		8 * time.Second: "0:a 2:b 4:a 4:c 6:b 6:d 8:a 8:c ",
	} {
		r, got, start := Rota{Spread: spread}, "", time.Now()
		for i := range 10 {
			for _, site := range r.Due(start.Add(time.Duration(i)*time.Second), all, func(string) time.Duration { return 4 * time.Second }) {
				got += fmt.Sprintf("%d:%s ", i, site)
			}
		}
		if got != want {
			t.Errorf("spread over %s: %s, want %s", spread, got, want)
		}
	}
}
