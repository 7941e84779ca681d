package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// OpenBench opens the bench that flags, environment or working directory name.
func (a *App) OpenBench() (*frappe.Bench, error) {
	dir := cmp.Or(a.bench, os.Getenv("BRIDGE_BENCH"), os.Getenv("FRAPPE_BENCH_ROOT"))
	if dir == "" {
		var err error
		if dir, err = benchAround(); err != nil {
			return nil, err
		}
	}
	b, err := benchconfig.Open(dir, a.Log)
	if err != nil {
		return nil, exitcode.With(exitcode.Config, err)
	}
	return b, nil
}

// benchAround finds the nearest directory at or above the working directory that is a bench.
func benchAround() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the bench: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "sites", "common_site_config.json")); err == nil && info.Mode().IsRegular() {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%w: there is no sites/common_site_config.json in %s or above it; name the bench with --bench DIR or $BRIDGE_BENCH", frappe.ErrNotABench, start)
		}
	}
}

// SiteName chooses the site that a command is about.
func (a *App) SiteName(b *frappe.Bench) (string, error) {
	name := cmp.Or(a.Site, os.Getenv("FRAPPE_SITE"), b.Config().String("default_site", ""))
	var unknown error
	if name != "" {
		if _, unknown = b.Site(name); !errors.Is(unknown, frappe.ErrNoSuchSite) {
			return name, unknown
		}
	}
	all, err := b.Sites()
	switch {
	case unknown != nil && len(all) > 0:
		return "", fmt.Errorf("%w (sites of this bench: %s)", unknown, strings.Join(all, ", "))
	case unknown != nil:
		return "", unknown
	case err != nil:
		return "", err
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return "", fmt.Errorf("%w: %s has none; run: bench new-site", frappe.ErrNoSuchSite, b.SitesDir)
	}
	return "", exitcode.Usagef("which site? Name one with --site: %s", strings.Join(all, ", "))
}

// OnBench runs do with the opened bench and its configuration.
func (a *App) OnBench(do func(b *frappe.Bench, cfg bridge.Config) error) error {
	b, err := a.OpenBench()
	if err != nil {
		return err
	}
	cfg, err := benchconfig.Load(b)
	if err != nil {
		return exitcode.With(exitcode.Config, err)
	}
	cfg.Log = a.Log
	return do(b, cfg)
}

// Session is what most commands need: a client and the site they are about.
type Session struct {
	Bench  *frappe.Bench
	Client *bridge.Client
	Site   string
}

// WithClient runs do with a connected client.
func (a *App) WithClient(ctx context.Context, do func(s Session) error) error {
	return a.OnBench(func(b *frappe.Bench, cfg bridge.Config) error {
		site, err := a.SiteName(b)
		if err != nil {
			return err
		}
		client, err := bridge.NewClient(ctx, cfg)
		if err != nil {
			return err
		}
		return errors.Join(do(Session{Bench: b, Client: client, Site: site}), client.Close())
	})
}
