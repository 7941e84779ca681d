package byhand

import (
	"context"
	"errors"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Moved implements sites.Observer: who waits for a job that has ended is looked at. Whoever makes a job that depends on it
// holds it by a lock, or commits before this looks.
func (h *Hands) Moved(m sites.Moved) {
	if m.To.Terminal() {
		h.ended.Add(m.Site, m.Name)
	}
}

// Progressed implements sites.Observer.
func (h *Hands) Progressed(sites.Progressed) {}

// release deals with the jobs that depend on some that have ended: beside what people write, which needn't wait for a
// thousand children of one job.
func (h *Hands) release(ctx context.Context, site string, parents []string) {
	slices.Sort(parents)
	for some := range slices.Chunk(slices.Compact(parents), together) {
		err := h.Rows.EachDependents(ctx, site, some, func(names []string) { h.work(ctx, site, names) })
		if err != nil && !errors.Is(err, rows.ErrTableMissing) && ctx.Err() == nil && !h.Rows.IsNoted(site, err) {
			h.said.Warn(h.Log, "jobs that depend on others can't be looked at now; it is tried again", site, "error", err, "site", site)
		}
	}
}
