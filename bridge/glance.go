package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"golang.org/x/sync/errgroup"
)

// Some loops serve all sites of a bench: the scouts, the chores, the schedule.
// A database that is away must not keep them from the other sites, least of all
// one that takes connections and answers nothing. Jobs themselves may wait for
// their own site's database as long as it takes.

const (
	// glanceTime is how long such a loop waits for one site.
	glanceTime = 2 * time.Second
	// absence is how long it leaves the site alone then.
	absence = 3 * time.Second
	// glances is how many sites are looked at at once.
	glances = 32
)

// absent is a site whose database can't be used now.
type absent struct {
	until time.Time
	err   error
}

// glance looks at the rows of one site, unless it is known to be away.
func (s *sites) glance(ctx context.Context, name string, look func(context.Context, *siteRowsWriter) error) error {
	if err := s.away(name); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	w, err := s.of(short, name)
	if err == nil {
		err = look(short, w)
	}
	if ctx.Err() != nil {
		return err
	}
	if err != nil && short.Err() != nil {
		err = fmt.Errorf("site %s: %w: no answer within %s", name, frappe.ErrUnavailable, glanceTime)
	}
	s.note(name, err)
	return err
}

// away says why a site is left alone. One caller at a time is let through to
// see whether it is back.
func (s *sites) away(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.absent[name]
	now := time.Now()
	if ok && now.Before(a.until) {
		return a.err
	}
	if ok {
		a.until = now.Add(glanceTime)
		s.absent[name] = a
	}
	return nil
}

// note remembers whether a site can be used, and tells when that changes.
func (s *sites) note(name string, err error) {
	gone := errors.Is(err, frappe.ErrUnavailable) || errors.Is(err, frappe.ErrAccessDenied) || errors.Is(err, frappe.ErrNoDatabase)
	s.mu.Lock()
	_, was := s.absent[name]
	if gone {
		s.absent[name] = absent{until: time.Now().Add(absence), err: err}
	} else {
		delete(s.absent, name)
	}
	s.mu.Unlock()
	switch {
	case gone && !was:
		s.log.Error().Err(err).Str("site", name).Msg("the site's database can't be used; its jobs wait, others go on")
	case was && !gone:
		s.log.Info().Str("site", name).Msg("the site's database can be used again")
	}
}

// isNoted reports whether err has been logged as the absence of a site.
func (s *sites) isNoted(name string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.absent[name]
	return ok && errors.Is(err, a.err)
}

// atOnce calls do for several sites at the same time and waits for all.
func atOnce(sites iter.Seq[string], do func(site string)) {
	var g errgroup.Group
	g.SetLimit(glances)
	for site := range sites {
		g.Go(func() error {
			do(site)
			return nil
		})
	}
	_ = g.Wait() // do returns nothing
}
