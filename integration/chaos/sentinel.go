package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// sentinel replaces the master of a Redis that has sentinels, under load: killed, silent, and as its operator does.
func sentinel(ctx context.Context, o *options) (r report, err error) {
	for _, fault := range []struct {
		what  string
		begin func(context.Context, *servers.Sentinel, *servers.Redis) error
	}{
		{"killed", func(_ context.Context, _ *servers.Sentinel, m *servers.Redis) error { m.Kill(); return nil }},
		{"silent", func(_ context.Context, _ *servers.Sentinel, m *servers.Redis) error { return m.Pause() }},
		{"replaced by its operator", func(ctx context.Context, s *servers.Sentinel, _ *servers.Redis) error { return s.Failover(ctx) }},
	} {
		if err := failOver(ctx, o, &r, "master "+fault.what, fault.begin); err != nil {
			return r, fmt.Errorf("%s: %w", fault.what, err)
		}
		if o.short {
			break
		}
	}
	return r, nil
}

// failOver puts a bridge behind sentinels under load, has the master replaced, and adds to the report what became of the jobs.
func failOver(ctx context.Context, o *options, r *report, what string, begin func(context.Context, *servers.Sentinel, *servers.Redis) error) error {
	s, err := servers.StartSentinel(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	former := s.Servers[0]
	b, err := newBed(ctx, o, o.versions[0], bedOptions{redisServer: former, common: s.Config()})
	if err != nil {
		return err
	}
	defer b.close()
	w, err := b.startBridge(workerOptions{})
	if err == nil {
		err = w.working(ctx)
	}
	if err != nil {
		return err
	}
	var submitted []string
	loading, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		for i := 0; loading.Err() == nil; i++ {
			row, err := b.client.Submit(ctx, bridge.SubmitRequest{Site: site, JobType: jobType, Organization: organization, Parameters: params{fmt.Sprint("job-", i), 100 + i%5*50}})
			if err == nil { // else it was refused, and is nobody's
				submitted = append(submitted, row.Name)
			}
			pause(loading, 50*time.Millisecond)
		}
	}()
	pause(ctx, 2*time.Second)
	if err := begin(ctx, s, former); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err = s.NextMaster(limited, former)
	replaced := time.Now()
	pause(ctx, 3*time.Second)
	stop()
	<-loaded
	if err != nil {
		return err
	}
	var left int
	until(ctx, time.Minute, func() bool {
		left = 0
		statuses, err := b.db.Statuses(ctx, submitted)
		for _, name := range submitted {
			if err != nil || statuses[name] != rows.StatusCompleted {
				left++
			}
		}
		return left == 0
	})
	took := time.Since(replaced)
	wrong, err := b.faultyLogs(ctx)
	for _, text := range wrong {
		o.say("%s: %s", what, text)
	}
	h, err2 := b.ledger.history()
	twice := 0
	for _, runs := range h.runs {
		if len(runs) > 1 {
			twice++
		}
	}
	r.Lines = append(r.Lines, line{Who: what, Version: b.version, Jobs: len(submitted), Stuck: left, Twice: twice})
	r.Figures = append(r.Figures,
		atMost(what+": jobs with a row that weren't done", float64(left), 0, "", "of those that were accepted"),
		atMost(what+": logs that aren't as they should be", float64(len(wrong)), 0, "", ""),
		o.inTime(what+": all done after there was another", took, returnLimit, "jobs of 0.1 to 0.3 s, for 3 s of which more came"))
	return errors.Join(err, err2, w.Ended())
}
