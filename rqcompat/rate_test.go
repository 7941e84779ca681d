package rqcompat

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestPlaces: a window has so many, whoever asks, and gives one back as soon as the oldest is as old as the window is long.
func TestPlaces(t *testing.T) {
	b := newBed(t, "1.15.1")
	const length = 400 * time.Millisecond
	take := func(limit int, who ...string) ([]bool, time.Duration) {
		t.Helper()
		taken, next, err := b.TakePlaces(b.ctx(), "w", length, limit, who)
		if err != nil {
			t.Fatal(err)
		}
		return taken, next
	}
	if taken, next := take(2, "a", "a", "b", "c"); !slices.Equal(taken, []bool{true, true, true, false}) || next <= 0 || next > length {
		t.Errorf("four ask for two places, one of them twice: %v, the next is free in %s", taken, next)
	}
	if taken, _ := take(2, "b"); !taken[0] {
		t.Error("who has a place loses it by asking again")
	}
	if _, next := take(3, "b"); next != 0 {
		t.Errorf("with one place free another is free in %s", next)
	}
	if err := b.LeavePlaces(b.ctx(), "w", []string{"a", "nobody"}); err != nil {
		t.Fatal(err)
	}
	if taken, _ := take(2, "c", "d"); !slices.Equal(taken, []bool{true, false}) {
		t.Errorf("after one was given back: %v", taken)
	}
	if taken, next := take(1, "z"); taken[0] || next <= 0 { // a limit that was lowered: both have to go
		t.Errorf("two have a place where there is one: the next is free in %s", next)
	}
	time.Sleep(length)
	if taken, _ := take(2, "e"); !taken[0] {
		t.Error("after the window's length no place is free")
	}
	if n := b.rdb.ZCard(b.ctx(), RateKey("w")).Val(); n != 1 {
		t.Errorf("%d are kept, want the one that counts", n)
	}
	if left := b.rdb.PTTL(b.ctx(), RateKey("w")).Val(); left <= 0 || left > length+2*time.Second {
		t.Errorf("the window lasts for %s", left)
	}
}

// TestPlacesAreExact: many at once get as many as there are.
func TestPlacesAreExact(t *testing.T) {
	b := newBed(t, "1.15.1")
	var all sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for i := range 20 {
		all.Go(func() {
			var who []string
			for n := range 300 { // more than one script takes
				who = append(who, fmt.Sprint(i, " ", n))
			}
			taken, _, err := b.TakePlaces(b.ctx(), "w", time.Minute, 1000, who)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, ok := range taken {
				if ok {
					got++
				}
			}
		})
	}
	all.Wait()
	if got != 1000 {
		t.Errorf("%d have got one of 1000 places", got)
	}
}
