package wait

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlag(t *testing.T) {
	f := NewFlag()
	f.Raise()
	f.Raise() // must not block
	if !f.Wait(t.Context()) {
		t.Fatal("a flag that is up: Wait says that the context ended")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if f.Wait(ended) {
		t.Error("raised twice and waited once: the flag is still up, want it down")
	}
}

func TestFlagWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFlag()
		time.AfterFunc(time.Minute, f.Raise)
		start := time.Now()
		if !f.Wait(t.Context()) || time.Since(start) != time.Minute {
			t.Errorf("woken after %s, want a minute", time.Since(start))
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		Sleep(t.Context(), 3*time.Second)
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("slept %s, want 3s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		Sleep(ctx, time.Hour)
		if got := time.Since(start); got != time.Second {
			t.Errorf("slept %s with a context of 1s, want 1s", got)
		}
	})
}

func TestBackoffSlowsDownAndSpeaksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := Backoff{Log: slog.New(slog.NewTextHandler(&log, nil)), What: "queue can't be read"}
		b.Succeeded()
		if log.Len() > 0 {
			t.Errorf("a success without a failure before it logs %q, want nothing", log.String())
		}
		for i, want := range []time.Duration{50, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			start := time.Now()
			b.Failed(t.Context(), errors.New("no route"))
			if got := time.Since(start); got != want*time.Millisecond {
				t.Errorf("failure %d waits %s, want %d ms", i+1, got, want)
			}
		}
		if got := strings.Count(log.String(), "queue can't be read"); got != 1 || !strings.Contains(log.String(), "no route") {
			t.Errorf("nine failures in a row are logged %d times, want once with the error:\n%s", got, log.String())
		}
		b.Succeeded()
		b.Succeeded()
		if got := strings.Count(log.String(), "queue can't be read: over"); got != 1 {
			t.Errorf("the end of a row of failures is logged %d times, want once:\n%s", got, log.String())
		}
		start := time.Now()
		b.Failed(t.Context(), errors.New("again"))
		if got := time.Since(start); got != 50*time.Millisecond || !strings.Contains(log.String(), "again") {
			t.Errorf("the first failure of the next row waits %s, want 50ms and a line of its own:\n%s", got, log.String())
		}
	})
}

func TestBackoffDoesNothingOnceItsContextEnded(t *testing.T) {
	var log bytes.Buffer
	b := Backoff{Log: slog.New(slog.NewTextHandler(&log, nil)), What: "x"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Failed(ctx, errors.New("canceled"))
	b.Succeeded()
	if log.Len() > 0 {
		t.Errorf("a failure after the end is logged: %q", log.String())
	}
}

// TestWhatHappensAgainAndAgainIsSaidSeldom, with how often it happened; other subjects are said at once.
func TestWhatHappensAgainAndAgainIsSaidSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var s Seldom
		logger := slog.New(slog.NewTextHandler(&log, nil))
		for range 90 {
			s.Warn(logger, "rows can't be written", "a", "site", "a")
			time.Sleep(time.Second)
		}
		s.Warn(logger, "rows can't be written", "b", "site", "b")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 || strings.Contains(lines[0], "times") || !strings.Contains(lines[1], "site=a times=60") || !strings.Contains(lines[2], "site=b") {
			t.Errorf("90 s of trouble with one site and once with another is said so:\n%s\nwant one line at once, one after a minute with its 60 times, and one of the other site", log.String())
		}
	})
}

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g sync.WaitGroup
		begin := time.Now()
		if !For(&g, time.Hour) || time.Since(begin) != 0 {
			t.Error("a group with nothing in it is waited for")
		}
		g.Go(func() { time.Sleep(time.Second) })
		if For(&g, 400*time.Millisecond) || time.Since(begin) != 400*time.Millisecond {
			t.Errorf("what ends after a second is waited for %s, want 400 ms and no end", time.Since(begin))
		}
		if !For(&g, time.Hour) || time.Since(begin) != time.Second {
			t.Errorf("what ends after a second was waited for %s", time.Since(begin))
		}
	})
}
