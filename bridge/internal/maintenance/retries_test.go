package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	return sites.Moved{Subject: sites.Subject{Site: site}, Written: rows.BackgroundJob{NextRetryAt: t}}
}

// TestDueRowsAreQueued and delivered, whatever their status.
func TestDueRowsAreQueued(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{
		b.add("JOB-1", rows.StatusFailed, func(r *rows.BackgroundJob) { r.RetryCount = 1 }), b.add("JOB-2", rows.StatusTimedOut),
		b.add("JOB-3", rows.StatusFailed),
	}
	b.rows["JOB-3"].Status = rows.StatusQueued // somebody else was faster, and delivers it
	if more, err := b.retries().moveDue(t.Context(), site); err != nil || more {
		t.Fatalf("there are more: %t, error %v", more, err)
	}
	slices.Sort(b.story) // they are moved side by side
	b.wantStory(t, "due rows",
		"deliver "+site+" JOB-1 which is Queued", "deliver "+site+" JOB-2 which is Queued", "observers Queued", "observers Queued",
		"row JOB-1 Failed > Queued", "row JOB-2 Timed Out > Queued")
	if got := b.rows["JOB-1"].RetryCount; got != 2 {
		t.Errorf("retry %d is spent, want the second", got)
	}
	if want := []string{site + " [export] 100"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %v, want %v", b.asked, want)
	}
}

// TestAStopJustAsARetryIsDue: the row that was moved is delivered all the same.
func TestAStopJustAsARetryIsDue(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusFailed)}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := b.retries().moveDue(stopped, site); err != nil {
		t.Fatal(err)
	}
	b.wantStory(t, "a row that was due", "row JOB-1 Failed > Queued", "deliver "+site+" JOB-1 which is Queued", "observers Queued")
}

func TestDueRowsThatCantBeMoved(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusFailed), b.add("JOB-2", rows.StatusFailed)}
	b.applyErr["JOB-1"] = errBroken
	s := b.retries()
	if _, err := s.moveDue(t.Context(), site); err == nil {
		t.Error("a row that can't be moved: no error")
	}
	look := func() {
		s.Moved(scheduled(time.Now()))
		s.look(t.Context())
	}
	b.errs[site] = errBroken
	look()
	b.wantLog(t, "retries that are due can't be moved now")
	b.log.Reset()
	b.noted[site] = true
	look()
	b.errs[site] = rows.ErrTableMissing // a site without the app
	b.noted[site] = false
	look()
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
			s.Moved(scheduled(time.Now().Add(tc.in)))
			if got := s.pause(); got != tc.want {
				t.Errorf("a retry in %s: the pause is %s, want %s", tc.in, got, tc.want)
			}
		}
		s.look(t.Context())
		if got := s.pause(); got != time.Second {
			t.Errorf("after the look the pause is %s, want 1s", got)
		}
		s.Moved(scheduled(time.Now().Add(time.Minute)))
		s.look(t.Context())
		if got := time.Until(s.next); got != time.Minute {
			t.Errorf("a look before its time forgets a retry in %s", got)
		}
	})
}

// TestManyDueRowsAreMovedAtOnce, not a hundred a second; and rows that can't be moved aren't asked for in a loop.
func TestManyDueRowsAreMovedAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		refused bool
		want    int
	}{"all can be moved": {false, 1050}, "none can be moved": {true, 0}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			for i := range 1050 {
				row := b.add(fmt.Sprint("JOB-", i), rows.StatusFailed)
				b.due[site] = append(b.due[site], row)
				if tc.refused {
					b.applyErr[row.Name] = errBroken
				}
			}
			s := b.retries()
			stop := background(t, s.Run)
			s.Moved(scheduled(time.Now()))
			synctest.Wait()
			b.mu.Lock()
			moved, asked := len(b.moves), len(b.asked)
			b.mu.Unlock()
			if moved != tc.want || asked > 12 {
				t.Errorf("%s: at once %d rows are moved by %d questions, want %d", name, moved, asked, tc.want)
			}
			stop()
		})
	}
}

// TestQuietSitesAreAskedSeldom: a thousand sites that have nothing to do must not be asked every second, nor all at once.
func TestQuietSitesAreAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.names = []string{site}
		for i := range 59 {
			b.names = append(b.names, fmt.Sprintf("quiet%02d.example.com", i))
		}
		s := b.retries()
		s.Moved(sites.Moved{Subject: sites.Subject{Site: site}})
		stop := background(t, s.Run)
		times, most := map[string]int{}, 0
		for range 45 {
			time.Sleep(time.Second)
			synctest.Wait()
			b.mu.Lock()
			most = max(most, len(b.asked))
			for _, asked := range b.asked {
				times[asked]++
			}
			b.asked = nil
			b.mu.Unlock()
		}
		if times[site+" [export] 100"] < 44 || times["quiet01.example.com [export] 100"] != 3 || times["quiet58.example.com [export] 100"] != 2 || len(times) != 60 {
			t.Errorf("in 45 s the sites were asked %v, want the one in use each second and the quiet ones 3 times", times)
		}
		if most > 6 {
			t.Errorf("%d of 60 sites were asked at one moment, want the 4 whose turn it is, and the one in use", most)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		b.mu.Lock()
		b.asked = nil
		b.mu.Unlock()
		time.Sleep(quietTick)
		synctest.Wait()
		stop()
		if n := len(b.asked); n != 60 {
			t.Errorf("%d questions in 15 s when all are quiet, want one for each of 60", n)
		}
		b.asked, b.pending = nil, map[string]bool{"quiet07.example.com": true} // planned by a bridge that is gone
		s.look(t.Context())
		if len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], "quiet07") {
			t.Errorf("asked are %v, want the quiet site of which the schedule says that something is due", b.asked)
		}
		b.errs[""] = errBroken
		if got := s.toAsk(t.Context(), time.Now()); got != nil {
			t.Errorf("a bench that can't be listed has the sites %v", got)
		}
	})
}
