package doctor

import (
	"testing"
	"time"
)

func TestClocksThatDiffer(t *testing.T) {
	for _, tc := range []struct {
		skew time.Duration
		want Level
	}{
		{0, OK}, {1999 * time.Millisecond, OK}, {-2001 * time.Millisecond, Warning}, {9 * time.Second, Warning}, {-10 * time.Second, Error}, {time.Hour, Error},
	} {
		r := &report{}
		r.clock(tc.skew)
		if f := r.findings[0]; len(r.findings) != 1 || f.Level != tc.want || (f.Fix == "") != (tc.want == OK) {
			t.Errorf("a clock that is %s off is reported as %+v, want the level %s", tc.skew, f, tc.want)
		}
	}
}

func TestRedisVersions(t *testing.T) {
	for version, want := range map[string]bool{"6.2.0": true, "6.10.1": true, "7.0.15": true, "6.0.16": false, "5.9.9": false, "unknown": true} {
		if got := atLeast(version, 6, 2); got != want {
			t.Errorf("is Redis %s at least 6.2? %v, want %v", version, got, want)
		}
	}
}
