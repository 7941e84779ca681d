package maintenance

import (
	"context"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
)

const (
	// revealEvery is how often it is looked whether the organizations of withheld results are active again, revealAll how often on
	// sites that aren't known to have any.
	revealEvery = 2 * time.Second
	revealAll   = 10 * time.Minute
)

// Withheld shows the results that were withheld from organizations which are active again.
type Withheld struct {
	Rows interface {
		Names() ([]string, error)
		IsNoted(site string, err error) bool
		Withholding(ctx context.Context) ([]string, error)
		Reveal(ctx context.Context, site string) error
	}

	rota sites.Rota
}

// Do looks at the sites that have some, and at those whose time has come.
func (w *Withheld) Do(ctx context.Context) error {
	names, err := w.Rows.Names()
	if err != nil {
		return err
	}
	some, err := w.Rows.Withholding(ctx)
	if err != nil {
		return err
	}
	due := w.rota.Due(time.Now(), names, func(site string) time.Duration {
		if slices.Contains(some, site) {
			return revealEvery
		}
		return sites.OfMany(len(names), revealAll)
	})
	return sites.Visit(due, w.Rows.IsNoted, func(site string) error { return w.Rows.Reveal(ctx, site) })
}
