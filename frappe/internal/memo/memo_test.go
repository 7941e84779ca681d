package memo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counter loads the number of its loads, each in a second.
type counter struct {
	memo  Memo[int]
	loads int
	fails error
}

func (c *counter) get(ctx context.Context, key string) (int, error) {
	return c.memo.Get(ctx, key, time.Minute, func() (int, error) {
		time.Sleep(time.Second)
		c.loads++
		return c.loads, c.fails
	})
}

func TestKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		for i, step := range []struct {
			key  string
			wait time.Duration
			want int
		}{{"a", 0, 1}, {"a", 59 * time.Second, 1}, {"b", 0, 2}, {"a", time.Second, 3}} {
			time.Sleep(step.wait)
			if got, err := c.get(t.Context(), step.key); err != nil || got != step.want {
				t.Errorf("step %d: %d, %v, want the value of load %d", i, got, err, step.want)
			}
		}
		c.memo.Forget()
		if got, _ := c.get(t.Context(), "a"); got != 4 {
			t.Errorf("after Forget: the value of load %d, want a fourth", got)
		}
	})
}

func TestOneLoadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got, err := c.get(t.Context(), "a"); err != nil || got != 1 {
					t.Errorf("one of ten at once got %d, %v, want the value of the one load", got, err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		synctest.Wait()
		if _, err := c.get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("somebody with half a second: %v, want DeadlineExceeded", err)
		}
		wg.Wait()
	})
}

func TestFailuresAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := counter{fails: errors.New("away")}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := c.get(t.Context(), "a"); err != c.fails {
					t.Errorf("while loading fails: %v", err)
				}
			})
		}
		wg.Wait()
		c.fails = nil
		if got, err := c.get(t.Context(), "a"); err != nil || got != 3 {
			t.Errorf("after two failed loads: %d, %v, want a third", got, err)
		}
	})
}

func TestNeverTooMany(t *testing.T) {
	var m Memo[int]
	for i := range 3*most + 1 {
		if _, err := m.Get(t.Context(), fmt.Sprint(i), time.Hour, func() (int, error) { return i, nil }); err != nil {
			t.Fatal(err)
		}
		if len(m.entries) > most {
			t.Fatalf("%d entries after %d keys, want at most %d", len(m.entries), i+1, most)
		}
	}
}

// TestManyAreLoadedTogether: those that are missing, once each, and what load leaves out is asked for again.
func TestManyAreLoadedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			m     Memo[int]
			asked [][]string
			fails error
		)
		get := func(keys ...string) map[string]int {
			t.Helper()
			got, err := m.GetMany(keys, time.Minute, func(missing []string) (map[string]int, error) {
				asked = append(asked, missing)
				values := map[string]int{}
				for _, key := range missing {
					if key != "none" {
						values[key] = len(asked)
					}
				}
				return values, fails
			})
			if !errors.Is(err, fails) {
				t.Errorf("error %v, want %v", err, fails)
			}
			return got
		}
		get("a", "b", "a", "none")
		time.Sleep(time.Minute - 1)
		if got := fmt.Sprint(get("b", "c", "none")); got != "map[b:1 c:2]" {
			t.Errorf("got %s, want b as it was loaded first, c, and nothing else", got)
		}
		time.Sleep(time.Nanosecond)
		if got := fmt.Sprint(get("a", "c")); got != "map[a:3 c:2]" {
			t.Errorf("got %s, want a loaded anew and c kept", got)
		}
		get("c")
		fails = errors.New("away")
		get("d")
		if got, want := fmt.Sprint(asked), "[[a b none] [c none] [a] [d]]"; got != want {
			t.Errorf("loaded %s, want %s", got, want)
		}
		fails = nil
		for i := range 3 * most {
			get(fmt.Sprint(i))
		}
		if len(m.entries) > most {
			t.Errorf("%d values are kept, want %d at most", len(m.entries), most)
		}
	})
}
