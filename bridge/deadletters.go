package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// RetryWith is Retry with other parameters, of which change makes new ones from those that the job has: a JSON object, or
// nothing. An error of change is returned as it is; what is no JSON object is ErrBadRequest.
func (c *Client) RetryWith(ctx context.Context, site, name, actor string, change func(parameters json.RawMessage) (json.RawMessage, error)) (*rows.BackgroundJob, error) {
	return c.moveByHand(ctx, site, name, func(row *rows.BackgroundJob) (moves.Move, func(context.Context) error, error) {
		parameters, err := change(row.InputParameters)
		if object := map[string]any{}; err == nil && json.Unmarshal(parameters, &object) != nil {
			err = fmt.Errorf("%w: the parameters of %s would be no JSON object", ErrBadRequest, name)
		}
		return moves.RequeueWith(site, row, actor, parameters), c.redeliver(site, row), err
	})
}

// redeliver puts a row on its way again.
func (c *Client) redeliver(site string, row *rows.BackgroundJob) func(context.Context) error {
	return func(ctx context.Context) error { return c.deliveries.Redeliver(ctx, site, row) }
}

// DeleteDeadLetters deletes those of the named jobs that are dead letters, with their logs and their failed RQ jobs, and names
// them. A job that is locked, or on which another one depends that may still run, stays.
func (c *Client) DeleteDeadLetters(ctx context.Context, site string, names ...string) (deleted []string, err error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	found, err := db.Brief(ctx, names)
	if err != nil {
		return nil, err
	}
	deleted, err = c.sites.DeleteEnded(ctx, site, names, rows.StatusDeadLetter)
	for i, name := range deleted {
		if i == 0 {
			c.desk.Deleted(site, name)
		}
		if row := found[name]; row != nil {
			err = errors.Join(err, c.forgetDelivery(ctx, site, row))
		}
	}
	return deleted, err
}

// forgetDelivery deletes what RQ has of a row that is gone and that had ended.
func (c *Client) forgetDelivery(ctx context.Context, site string, row *rows.BackgroundJob) error {
	jobs, err := c.deliveries.Deliveries(ctx, site, row)
	for _, j := range jobs {
		if !j.Status.Ended() {
			continue
		}
		if gone := c.rq.Delete(ctx, j.ID); gone != nil && !errors.Is(gone, rqcompat.ErrNoSuchJob) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
