package byhand

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge/internal/attempt"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Deliveries is what a move by hand does in RQ, also one that a Client makes.
type Deliveries struct {
	sites.Courier
	Redis redis.UniversalClient
	// Process is the name of this one among those that tell about themselves.
	Process string
}

// Ready implements RQ.
func (d Deliveries) Ready(ctx context.Context) error { return d.Redis.Ping(ctx).Err() }

// Stop implements RQ. If the command to whoever runs the row gets lost, that one sees the row within a second or so.
func (d Deliveries) Stop(ctx context.Context, site string, row *rows.BackgroundJob, was rows.Status) error {
	if was == rows.StatusRunning {
		_, err := d.RQ.SendCommand(ctx, attempt.EveryBridge, rqcompat.Command{Name: attempt.CommandCancel, JobID: d.Bench.JobID(site, row.Name)})
		return err
	}
	jobs, err := d.Deliveries(ctx, site, row)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		// One that has ended stays what it is, and so does another job that bears the same id by now.
		if j.Status.Ended() {
			continue
		}
		if err := d.RQ.Cancel(ctx, j.ID, false); err != nil && !errors.Is(err, rqcompat.ErrNoSuchJob) && !errors.Is(err, rqcompat.ErrCanceled) {
			return err // whoever claims it meanwhile finds the row canceled
		}
	}
	return nil
}

// Started implements RQ.
func (d Deliveries) Started(ctx context.Context, site string, row *rows.BackgroundJob) (starts []time.Time, err error) {
	jobs, err := d.Deliveries(ctx, site, row)
	for _, j := range jobs {
		if j.Status == rqcompat.StatusStarted {
			starts = append(starts, j.StartedAt)
		}
	}
	return starts, err
}

// Elsewhere implements RQ.
func (d Deliveries) Elsewhere(ctx context.Context, names ...string) (bool, error) {
	processes, err := d.RQ.Processes(ctx)
	for _, p := range processes {
		if p.Name != d.Process && p.Handles(names...) {
			return true, nil
		}
	}
	return false, err
}
