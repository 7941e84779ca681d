package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// besidePatience is how long the healthy jobs may take in all before they count as lost.
	besidePatience = 30 * time.Second
	besideMB       = 400
	mostDelay      = time.Second
)

// besideBadJobs works healthy jobs first alone and then beside every bad one, on an own and on a shared queue.
func besideBadJobs(ctx context.Context, o *options) (all []figure, err error) {
	payloads := hostilePayloads(o.every)
	for _, version := range o.versions {
		err := func() error {
			b, err := newBed(ctx, o, version, 100)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.close()) }()
			for _, kind := range o.kinds {
				figures, err := b.besideBad(ctx, kind, payloads)
				all = append(all, figures...)
				if err != nil {
					return err
				}
			}
			return nil
		}()
		if err != nil {
			return all, fmt.Errorf("RQ %s: %w", version, err)
		}
	}
	return all, nil
}

// trial is how the healthy jobs of one round fared.
type trial struct {
	bad, done int
	waits     []time.Duration // by number of the healthy job; those that never started have waited besidePatience
	peakMB    float64
	stop      time.Duration
	foreign   []string // rows in the victim's name that the attacker's jobs made
	ended     string
	lost      string // what RQ says of the healthy jobs that aren't done
}

func (b *bed) besideBad(ctx context.Context, kind string, payloads []payload) ([]figure, error) {
	alone, err := b.try(ctx, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("without bad jobs: %w", err)
	}
	beside, err := b.try(ctx, kind, payloads)
	if err != nil {
		return nil, fmt.Errorf("beside bad jobs: %w", err)
	}
	var delay time.Duration
	for i, wait := range beside.waits {
		delay = max(delay, wait-alone.waits[i])
	}
	queue := "own queue"
	if kind == shared {
		queue = "shared queue"
	}
	where := fmt.Sprintf("RQ %s, %s, beside %d: ", b.version, queue, beside.bad)
	return []figure{
		atMost("beside", where+"healthy jobs that didn't finish", float64(healthyJobs-beside.done), 0, "jobs", beside.lost).unless(beside.ended),
		b.o.inTime("beside", where+"longest additional wait", delay, mostDelay,
			fmt.Sprintf("alone they wait up to %.2f s", slices.Max(alone.waits).Seconds())),
		atMost("beside", where+"peak memory", beside.peakMB, besideMB, "MB", fmt.Sprintf("alone %.0f MB", alone.peakMB)),
		b.o.inTime("beside", where+"stop", beside.stop, stopLimit, ""),
		atMost("beside", where+"rows in the victim's name", float64(len(beside.foreign)), 0, "rows", strings.Join(beside.foreign, "; ")),
	}, nil
}

// try works the healthy jobs, beside all bad ones unless payloads is nil.
func (b *bed) try(ctx context.Context, kind string, payloads []payload) (t trial, err error) {
	b.rdb.FlushAll(ctx)
	b.forget()
	ids, err := b.enqueueHealthy(ctx, kind)
	if err != nil {
		return t, err
	}
	before := b.completed(ctx)
	if payloads != nil {
		if t.bad, err = b.enqueueBad(ctx, kind, "", payloads); err != nil {
			return t, err
		}
	}
	give, err := b.stage(ctx, kind, func(all []string) []any { return mixed(all, ids) })
	if err != nil {
		return t, err
	}
	w, err := b.startWorker(ctx)
	if err != nil {
		return t, err
	}
	given, err := give()
	until(ctx, besidePatience, func() bool {
		t.done = b.completed(ctx) - before
		return t.done == healthyJobs || w.ended() != ""
	})
	if t.done < healthyJobs {
		t.lost = b.standing(ctx, ids)
	}
	for _, id := range ids {
		wait := besidePatience
		if at, ok := b.startedAt(id); ok {
			wait = at.Sub(given)
		}
		t.waits = append(t.waits, wait)
	}
	if payloads != nil {
		// What is hostile is still being worked: memory and stop are looked at under that.
		until(ctx, 3*time.Second, func() bool { return w.ended() != "" })
	}
	t.ended, t.peakMB = w.ended(), w.peakMB()
	t.stop, _ = w.stop() // how long it took tells
	var failed error
	t.foreign, failed = b.foreignRows(ctx)
	return t, errors.Join(err, failed)
}

// standing counts the statuses that RQ has for jobs, with an error of one that failed.
func (b *bed) standing(ctx context.Context, ids []string) string {
	count := map[rqcompat.Status]int{}
	failure := ""
	for _, id := range ids {
		job, err := b.rq.Fetch(ctx, id)
		if err != nil {
			return err.Error()
		}
		count[job.Status]++
		if results, err := b.rq.Results(ctx, id); job.Status == rqcompat.StatusFailed && err == nil && len(results) > 0 {
			failure = "; one of those that failed: " + strings.Join(strings.Fields(results[0].ExcString), " ")
		}
	}
	return fmt.Sprint(count, failure)
}

// completed counts the victim's rows that are Completed.
func (b *bed) completed(ctx context.Context) int {
	_, n, _ := b.db.ListJobs(ctx, rows.ListFilter{JobType: healthy, Statuses: []rows.Status{rows.StatusCompleted}, Limit: 1})
	return n // 0 after an error, which whoever waits for more says in time
}

// foreignRows are the rows in the victim's name that aren't its user's, by whom they are and what they are for.
func (b *bed) foreignRows(ctx context.Context) ([]string, error) {
	return b.db.Strings(ctx, "read foreign rows", "SELECT CONCAT_WS(' ', j.owner_user, 'for', QUOTE(j.organization), LEFT(l.message, 100)) FROM `tabBackground Job` j"+
		" LEFT JOIN `tabJob Execution Log` l ON l.background_job=j.name AND l.to_status='Pending' WHERE j.organization=? AND j.owner_user NOT IN (?, 'Administrator')", victim, victimUser)
}
