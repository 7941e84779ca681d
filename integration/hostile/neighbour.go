package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// neighbourPlaces is the concurrency of the bridge: few, so that who gets the next one matters.
	neighbourPlaces = 20
	// victimEvery is how often the victim enqueues a job.
	victimEvery = 50 * time.Millisecond
	calmLeast   = 3 * time.Second
	calmMost    = 10 * time.Second
	// grace is how long jobs may still start when an attack is over; those that didn't have waited at least so long.
	grace       = 5 * time.Second
	mostGrowth  = 100 * time.Millisecond
	neighbourMB = 600
)

// besideAnAttacker measures how long the victim's jobs wait in calm and while the other tenant attacks, each means for
// itself and then all together.
func besideAnAttacker(ctx context.Context, o *options) (all []figure, err error) {
	payloads := hostilePayloads(o.every)
	b, err := newBed(ctx, o, o.versions[len(o.versions)-1], neighbourPlaces)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var chosen []attack
	for _, a := range attacks {
		if o.means == nil || slices.Contains(o.means, a.name) {
			chosen = append(chosen, a)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no attack is named %s", strings.Join(o.means, ", "))
	}
	try := func(name string, attacks []attack, lasts time.Duration) error {
		figures, err := b.attacked(ctx, name, attacks, payloads, lasts)
		all = append(all, figures...)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	for _, a := range chosen {
		if err := try(a.name, []attack{a}, o.each); err != nil {
			return all, err
		}
	}
	if o.all > 0 {
		return all, try("all together", chosen, o.all)
	}
	return all, nil
}

// attacked runs a bridge, measures the victim in calm, then under the attacks.
func (b *bed) attacked(ctx context.Context, name string, attacks []attack, payloads []payload, lasts time.Duration) ([]figure, error) {
	fmt.Fprintf(b.o.out, "  %s ...\n", name)
	b.rdb.FlushAll(ctx)
	b.forget()
	w, err := b.startWorker(ctx)
	if err != nil {
		return nil, err
	}
	calm := b.measure(ctx, w, min(max(lasts/2, calmLeast), calmMost))
	attacking, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	var under sync.WaitGroup
	errs := make([]error, len(attacks))
	for i, a := range attacks {
		under.Go(func() {
			if errs[i] = a.run(attacking, b, payloads); attacking.Err() != nil {
				errs[i] = nil // its last write was cut off
			}
		})
	}
	attacked := b.measure(ctx, w, lasts)
	stop()
	under.Wait()
	ended, peak := w.ended(), w.peakMB()
	took, _ := w.stop() // how long it took tells
	note := fmt.Sprintf("p99 %.0f ms calm, %.0f ms attacked; median %.0f, %.0f; %d of %d started", ms(calm.at(99)), ms(attacked.at(99)),
		ms(calm.at(50)), ms(attacked.at(50)), attacked.began, len(attacked.waits))
	return []figure{
		b.o.inTime("neighbour", name+": p99 grows by", attacked.at(99)-calm.at(99), mostGrowth, note).unless(ended),
		atMost("neighbour", name+": peak memory", peak, neighbourMB, "MB", ""),
		b.o.inTime("neighbour", name+": stop", took, stopLimit, ""),
	}, errors.Join(errs...)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// waits is how long the victim's jobs waited from enqueue to start.
type waits struct {
	waits []time.Duration
	began int
}

// at is the nearest rank.
func (w waits) at(percent int) time.Duration {
	if len(w.waits) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(w.waits))
	return sorted[min(len(sorted)-1, (len(sorted)*percent+99)/100-1)]
}

// measure enqueues jobs of the victim's at a steady pace, whatever became of the earlier ones.
func (b *bed) measure(ctx context.Context, w *worker, lasts time.Duration) (found waits) {
	var ids []string
	var at []time.Time
	pace := time.NewTicker(victimEvery)
	defer pace.Stop()
	for end := time.Now().Add(lasts); time.Now().Before(end) && ctx.Err() == nil && w.ended() == ""; <-pace.C {
		r := b.request(ownKind, "", call(victimUser, "hostile.healthy", map[string]any{"organization": victim}))
		r.ID = b.bench.JobID(site, fmt.Sprint("victim-", time.Now().UnixNano()))
		began := time.Now()
		if _, err := b.rq.Enqueue(ctx, r); err != nil {
			break // the context has ended, or Redis, which the attack then shows
		}
		ids, at = append(ids, r.ID), append(at, began)
	}
	until(ctx, grace, func() bool { return w.ended() != "" || b.count(ids) == len(ids) })
	now := time.Now()
	for i, id := range ids {
		started, ok := b.startedAt(id)
		if ok {
			found.began++
		} else {
			started = now
		}
		found.waits = append(found.waits, started.Sub(at[i]))
	}
	return found
}
