package main

import (
	"context"
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	poll = 150 * time.Millisecond
	// limitOfAll is how long the jobs may take together.
	limitOfAll = 50 * time.Second
	// cancelAfter is how long the job that is to be canceled runs.
	cancelAfter = 3 * time.Second
)

// follow looks at rows and at RQ until every part has ended.
func (s *show) follow(ctx context.Context, producer *servers.Child) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	limit := time.Now().Add(limitOfAll)
	for {
		over := true
		for _, p := range s.parts {
			done, err := s.look(ctx, p)
			if err != nil {
				return err
			}
			over = over && done
		}
		if over {
			return producer.Wait()
		}
		if time.Now().After(limit) {
			return nil // judge says what is missing
		}
		for _, c := range []*servers.Child{s.stage.worker, s.stage.pythonWorker} {
			if err := c.Ended(); err != nil {
				return err
			}
		}
		select {
		case <-producer.Done():
			if err := producer.Wait(); err != nil {
				return err
			}
		default:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look reads what the row and RQ say of a part, and whether it has ended.
func (s *show) look(ctx context.Context, p *part) (over bool, err error) {
	s.mu.Lock()
	name := orElse(p.name, p.id)
	s.mu.Unlock()
	if name == "" {
		return false, nil
	}
	in, err := s.stage.client.Inspect(ctx, siteName, name)
	if errors.Is(err, rows.ErrNoSuchJob) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.row, p.job, p.results = in.Row, in.Job, in.Results
	if p.row != nil && p.name == "" {
		// By its row's name the newest delivery is found, which of a retried job isn't the one that was enqueued.
		s.name(p.key, p.id, p.row.Name)
		return false, nil
	}
	switch {
	case p.job == nil:
		return false, nil
	case p.status == "":
		s.showPlain(p)
		return p.job.Status.Ended(), nil
	case p.row == nil:
		return false, nil
	}
	return p.row.Status.Terminal() && p.job.Status.Ended(), s.cancel(ctx, p)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// cancel cancels the job that is there for it, once it has run for a while.
func (s *show) cancel(ctx context.Context, p *part) error {
	if p.key != "cancel" || p.canceled || p.row.Status != rows.StatusRunning || time.Since(p.row.StartedAt) < cancelAfter {
		return nil
	}
	p.canceled = true
	_, err := s.stage.client.Cancel(ctx, siteName, p.row.Name, p.row.OwnerUser)
	return err
}

// showPlain shows a job of which only RQ knows.
func (s *show) showPlain(p *part) {
	if p.job.Status == p.shown {
		return
	}
	p.shown = p.job.Status
	state := watch.State{ID: p.job.ID, Title: p.key, Organization: "", Message: "run by " + p.ranBy()}
	switch p.job.Status {
	case rqcompat.StatusFinished:
		state.Status, state.Progress = string(rows.StatusCompleted), 100
	case rqcompat.StatusStarted:
		state.Status = string(rows.StatusRunning)
	case rqcompat.StatusQueued:
		state.Status, state.Message = string(rows.StatusQueued), ""
	default:
		state.Status = string(rows.StatusDeadLetter)
	}
	s.view.Show(state)
}
