package maintenance

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

func (b *bench) retries() *Retries {
	return NewRetries(RetriesParams{
		Rows: b, Deliver: b.deliver, Log: b.logger(),
		Handled: func(types map[string]*rows.JobType) (names []string) {
			if types["export"] != nil {
				names = append(names, "export")
			}
			return names
		},
	})
}

// scheduled tells of a row whose retry is due at t.
func scheduled(t time.Time) sites.Moved {
	return sites.Moved{Written: rows.BackgroundJob{NextRetryAt: t}}
}

// TestDueRowsAreQueued and delivered, whatever their status.
func TestDueRowsAreQueued(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{
		b.add("JOB-1", rows.StatusFailed, func(r *rows.BackgroundJob) { r.RetryCount = 1 }), b.add("JOB-2", rows.StatusTimedOut),
		b.add("JOB-3", rows.StatusFailed),
	}
	b.rows["JOB-3"].Status = rows.StatusQueued // somebody else was faster, and delivers it
	if err := b.retries().moveDue(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	b.wantStory(t, "due rows",
		"row JOB-1 Failed > Queued", "deliver "+site+" JOB-1 which is Queued", "observers Queued",
		"row JOB-2 Timed Out > Queued", "deliver "+site+" JOB-2 which is Queued", "observers Queued")
	if got := b.rows["JOB-1"].RetryCount; got != 2 {
		t.Errorf("retry %d is spent, want the second", got)
	}
	if want := []string{site + " [export] 100"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %v, want %v", b.asked, want)
	}
}

func TestDueRowsThatCantBeMoved(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusFailed), b.add("JOB-2", rows.StatusFailed)}
	b.applyErr["JOB-1"] = errBroken
	s := b.retries()
	if err := s.moveDue(t.Context(), site); err == nil {
		t.Error("a row that can't be moved: no error")
	}
	b.errs[site] = errBroken
	s.look(t.Context())
	b.wantLog(t, "retries that are due can't be moved now")
	b.log.Reset()
	b.noted[site] = true
	s.look(t.Context())
	b.errs[site] = rows.ErrTableMissing // a site without the app
	b.noted[site] = false
	s.look(t.Context())
	if b.log.Len() > 0 {
		t.Errorf("what the log has already, or a site without tables, is logged:\n%s", b.log.String())
	}
}

// TestARetryIsDueInTime: at its very time if this process scheduled it, else within a second.
func TestARetryIsDueInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		s := b.retries()
		begin := time.Now()
		stop := background(t, s.Run)
		time.Sleep(100 * time.Millisecond)
		s.Moved(scheduled(begin.Add(1234 * time.Millisecond)))
		s.Moved(scheduled(begin.Add(1345 * time.Millisecond)))
		s.Moved(scheduled(begin.Add(555 * time.Millisecond)))
		s.Moved(sites.Moved{}) // schedules nothing
		s.Progressed(sites.Progressed{})
		for range 400 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			b.mu.Lock()
			for len(b.asked) > len(b.story) {
				b.story = append(b.story, fmt.Sprint(time.Since(begin)))
			}
			b.mu.Unlock()
		}
		stop()
		// Due at 555 ms; what was known before to be due later is found by the look that comes every second.
		if len(b.story) < 4 || b.story[0] != "560ms" || b.story[1] != "1.56s" {
			t.Errorf("sites were asked after %v, want at 555 ms and every second from then on", b.story)
		}
	})
}

// TestASoonerRetryWakes the loop; one that is due already is looked for at once.
func TestASoonerRetryWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		s := b.retries()
		stop := background(t, s.Run)
		time.Sleep(time.Millisecond)
		s.Moved(scheduled(time.Now().Add(time.Hour)))
		synctest.Wait()
		if len(b.asked) > 0 {
			t.Errorf("asked %v for a retry in an hour", b.asked)
		}
		s.Moved(scheduled(time.Now().Add(-time.Hour)))
		synctest.Wait()
		if len(b.asked) != 1 {
			t.Errorf("asked %v for a retry that is due, want once, at once", b.asked)
		}
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if len(b.asked) != 1 {
			t.Errorf("asked %d times within a second", len(b.asked))
		}
		stop()
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBench().retries()
		if got := s.pause(); got != time.Second {
			t.Errorf("without a known retry the pause is %s, want 1s", got)
		}
		for _, tc := range []struct{ in, want time.Duration }{{time.Hour, time.Second}, {300 * time.Millisecond, 300 * time.Millisecond}, {400 * time.Millisecond, 300 * time.Millisecond}, {-time.Hour, 0}} {
			s.wakeAt(time.Now().Add(tc.in))
			if got := s.pause(); got != tc.want {
				t.Errorf("a retry in %s: the pause is %s, want %s", tc.in, got, tc.want)
			}
		}
		s.look(t.Context())
		if got := s.pause(); got != time.Second {
			t.Errorf("after the look the pause is %s, want 1s", got)
		}
		s.wakeAt(time.Now().Add(time.Minute))
		s.look(t.Context())
		if got := time.Until(s.next); got != time.Minute {
			t.Errorf("a look before its time forgets a retry in %s", got)
		}
	})
}

// TestQuietSitesAreAskedSeldom: a thousand sites that have shown no job yet must not be asked every second.
func TestQuietSitesAreAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.names = []string{site, "quiet.example.com"}
		b.closed["quiet.example.com"] = true
		stop := background(t, b.retries().Run)
		time.Sleep(32*time.Second + time.Millisecond)
		synctest.Wait()
		stop()
		times := map[string]int{}
		for _, asked := range b.asked {
			times[asked]++
		}
		if times[site+" [export] 100"] != 32 || times["quiet.example.com [export] 100"] != 3 {
			t.Errorf("in 32 s the sites were asked %v, want the open one 32 times and the quiet one 3 times", times)
		}
		b.errs[""] = errBroken
		if got := b.retries().sites(time.Now()); got != nil {
			t.Errorf("a bench that can't be listed has the sites %v", got)
		}
	})
}
