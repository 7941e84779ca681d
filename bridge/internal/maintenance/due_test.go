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

func (b *bench) newDue() *Due {
	return NewDue(DueParams{
		Rows: b, Deliver: b.deliver, Release: func(site, name string, _ time.Time) { b.tell("release %s %s", site, name) }, Log: b.logger(),
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
		b.add("JOB-1", rows.StatusFailed, func(r *rows.BackgroundJob) { r.RetryCount, r.ErrorType = 1, rows.ErrorTransient }), b.add("JOB-2", rows.StatusTimedOut),
		b.add("JOB-3", rows.StatusFailed),
	}
	b.rows["JOB-3"].Status = rows.StatusQueued // somebody else was faster, and delivers it
	b.pending[site] = map[string]time.Time{"JOB-4": time.Now()}
	if more, err := b.newDue().moveDue(t.Context(), site, false); err != nil || !more {
		t.Fatalf("there may be more: %t, error %v", more, err)
	}
	slices.Sort(b.story) // they are moved side by side
	b.wantStory(t, "due rows",
		"deliver "+site+" JOB-1 which is Queued", "deliver "+site+" JOB-2 which is Queued", "observers Queued", "observers Queued", "release "+site+" JOB-4",
		"row JOB-1 Failed > Queued", "row JOB-2 Timed Out > Queued")
	if slices.Sort(b.dealt); !slices.Equal(b.dealt, []string{"JOB-1", "JOB-2", "JOB-4"}) {
		t.Errorf("dealt with are %v, want those that don't wait any more", b.dealt)
	}
	if got := b.rows["JOB-1"].RetryCount; got != 2 {
		t.Errorf("retry %d is spent, want the second", got)
	}
	if want := []string{site + " [export] false"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %v, want %v", b.asked, want)
	}
}

// TestAStopJustAsARetryIsDue: the row that was moved is delivered all the same.
func TestAStopJustAsARetryIsDue(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusFailed)}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := b.newDue().moveDue(stopped, site, false); err != nil {
		t.Fatal(err)
	}
	b.wantStory(t, "a row that was due", "row JOB-1 Failed > Queued", "deliver "+site+" JOB-1 which is Queued", "observers Queued")
}

func TestDueRowsThatCantBeMoved(t *testing.T) {
	b := newBench()
	b.due[site] = []*rows.BackgroundJob{b.add("JOB-1", rows.StatusFailed), b.add("JOB-2", rows.StatusFailed)}
	b.applyErr["JOB-1"] = errBroken
	s := b.newDue()
	if _, err := s.moveDue(t.Context(), site, false); err == nil {
		t.Error("a row that can't be moved: no error")
	}
	b.errs[site] = errBroken
	s.work(t.Context(), site, []dueAsk{{due: true}})
	b.wantLog(t, "rows that are due can't be moved now")
	b.log.Reset()
	b.noted[site] = true
	s.work(t.Context(), site, []dueAsk{{due: true}})
	b.errs[site] = rows.ErrTableMissing // a site without the app
	b.noted[site] = false
	s.work(t.Context(), site, []dueAsk{{due: true}})
	if b.log.Len() > 0 {
		t.Errorf("what the log has already, or a site without tables, is logged:\n%s", b.log.String())
	}
}

// TestWhatIsDueIsMovedInTime: at its very time if this process planned it or heard of it in time, else within a tick.
func TestWhatIsDueIsMovedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		s := b.newDue()
		begin := time.Now()
		stop := background(t, s.Run)
		var asked []string
		look := func(until time.Duration) {
			for time.Since(begin) < until {
				time.Sleep(5 * time.Millisecond)
				synctest.Wait()
				b.mu.Lock()
				for _, text := range b.asked {
					if strings.HasSuffix(text, "false") { // not by the texts
						asked = append(asked, fmt.Sprint(time.Since(begin)))
					}
				}
				b.asked = nil
				b.mu.Unlock()
			}
		}
		plan := func(in time.Duration) {
			b.mu.Lock()
			b.soonest[site] = begin.Add(in)
			b.mu.Unlock()
		}
		look(100 * time.Millisecond)
		plan(350 * time.Millisecond) // by another process
		look(600 * time.Millisecond)
		plan(5 * time.Second)
		look(2 * time.Second)
		plan(2015 * time.Millisecond)
		s.Moved(scheduled(begin.Add(2015 * time.Millisecond)))
		s.Moved(scheduled(begin.Add(time.Hour)))
		s.Moved(sites.Moved{}) // plans nothing
		s.Progressed(sites.Progressed{})
		look(2100 * time.Millisecond)
		if want := []string{"350ms", "2.015s"}; !slices.Equal(asked, want) {
			t.Errorf("sites were asked after %v, want %v", asked, want)
		}
		look(4 * time.Second) // nothing could be moved
		if len(asked) != 3 {
			t.Errorf("a site whose due rows can't be moved is asked after %v, want once a second", asked)
		}
		stop()
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
			s := b.newDue()
			stop := background(t, s.Run)
			b.mu.Lock()
			b.soonest[site] = time.Now()
			b.mu.Unlock()
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

// TestASlowSiteDelaysItselfOnly: what is due elsewhere is moved meanwhile.
func TestASlowSiteDelaysItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.names = []string{site, "slow.example.com"}
		s := b.newDue()
		s.Rows = slowly{b}
		stop := background(t, s.Run)
		time.Sleep(time.Second)
		b.mu.Lock()
		b.soonest[site], b.soonest["slow.example.com"] = time.Now(), time.Now()
		b.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		times := len(b.asked)
		b.mu.Unlock()
		if times < 5 {
			t.Errorf("while another site is slow this one was asked %d times in 5 s, want each second", times)
		}
		stop()
	})
}

// slowly is a bench of whose sites one doesn't answer for a minute.
type slowly struct{ *bench }

func (b slowly) Due(ctx context.Context, site string, handled func(map[string]*rows.JobType) []string, text bool) (sites.Due, error) {
	if strings.HasPrefix(site, "slow") {
		time.Sleep(time.Minute)
		return sites.Due{}, nil
	}
	return b.bench.Due(ctx, site, handled, text)
}

// TestQuietSitesAreAskedSeldom: a thousand sites that have nothing to do must not be asked every second, nor all at once.
func TestQuietSitesAreAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.names = []string{site}
		for i := range 59 {
			b.names = append(b.names, fmt.Sprintf("quiet%02d.example.com", i))
		}
		s := b.newDue()
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
		quiet := times["quiet01.example.com [export] true"]
		if n := times[site+" [export] true"]; n < 35 || n > 46 || quiet < 2 || quiet > 3 || len(times) != 60 {
			t.Errorf("in 45 s the sites were asked %v, want the one in use each second and the quiet ones 3 times", times)
		}
		if most > 6 {
			t.Errorf("%d of 60 sites were asked at one moment, want the 4 whose turn it is, and the one in use", most)
		}
		b.mu.Lock()
		b.asked, b.soonest["quiet07.example.com"] = nil, time.Now() // planned by a bridge that is gone
		b.mu.Unlock()
		time.Sleep(dueTick)
		synctest.Wait()
		b.mu.Lock()
		if !slices.Contains(b.asked, "quiet07.example.com [export] false") {
			t.Errorf("asked are %v, want the quiet site of which the schedule says that something is due", b.asked)
		}
		b.mu.Unlock()
		stop()
	})
}
