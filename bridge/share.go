package bridge

import (
	"context"

	"github.com/opensoft/dartwing-bridge/bridge/internal/waits"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ShareMost is up to how many jobs a Share counts: what costs more to count than to know.
const ShareMost = 10_000

// Share is what an organization has beside the others of its site: of turns and slots each gets as much as its weight says.
type Share struct {
	Organization string `json:"organization"`
	Weight       int    `json:"weight"`
	// Waiting and Running count the organization's jobs, AllWaiting and AllRunning those of all organizations of the site, up
	// to ShareMost each.
	Waiting    int `json:"waiting"`
	Running    int `json:"running"`
	AllWaiting int `json:"all_waiting"`
	AllRunning int `json:"all_running"`
	// Slots is how many jobs the bridges on the job's queue run at once, Free how many slots nobody has; 0 for a job without a
	// delivery.
	Slots int `json:"slots"`
	Free  int `json:"free"`
}

// share counts what the organization of a job has.
func (c *Client) share(ctx context.Context, site string, a waits.Around, in Inspection) (*Share, error) {
	if in.Row == nil {
		return nil, nil
	}
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	organization := in.Row.Organization
	s := &Share{Organization: organization, Weight: max(c.cfg.Weights[organization], 1)}
	waiting, running := []rows.Status{rows.StatusPending, rows.StatusQueued}, []rows.Status{rows.StatusRunning}
	for _, count := range []struct {
		n        *int
		of       string
		statuses []rows.Status
	}{{&s.Waiting, organization, waiting}, {&s.Running, organization, running}, {&s.AllWaiting, "", waiting}, {&s.AllRunning, "", running}} {
		if *count.n, err = db.Count(ctx, count.of, count.statuses, ShareMost); err != nil {
			return nil, err
		}
	}
	if in.Job != nil {
		for _, p := range a.Bridges(in.Job.Origin) {
			s.Slots += p.Slots
			s.Free += p.Slots - p.Running
		}
	}
	return s, nil
}
