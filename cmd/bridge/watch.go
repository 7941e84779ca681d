package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/spf13/cobra"
)

// subject is what is watched: one job, an organization, or everything.
type subject struct {
	job, organization string
	all               bool
}

func (a *app) watchCommand() *cobra.Command {
	var to connection
	var what subject
	c := &cobra.Command{
		Use:   "watch [NAME | all]",
		Short: "Show live progress of a job, an organization or everything",
		Long: `Show live progress bars of one job, of an organization's jobs, or of all, as a
client of the site's Socket.IO server: what a desk user would be told. Where
stdout is no terminal it prints a line per change, with --json an object per line.

The credentials are those of a user who may read the jobs: an API key, or a
session's sid. What the user may not read is not shown, without a word.

Watching a job ends with it: exit code 0 if it completed, else 1.`,
		Example: `  export BRIDGE_API_KEY=... BRIDGE_API_SECRET=...
  bridge watch JOB-2026-00042
  bridge watch --organization ORG-2026-00001
  bridge watch all --url https://erp.example.com --sid 6b1c...`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && args[0] == "all":
				what.all = true
			case len(args) == 1:
				what.job = args[0]
			}
			if (what.job != "" || what.all) == (what.organization != "") {
				return usage("name one of a job, all, and --organization")
			}
			return a.onBench(func(b *frappe.Bench, _ bridge.Config) error {
				site, err := a.siteName(b)
				if err != nil {
					return err
				}
				return a.watch(c.Context(), b, site, to, what)
			})
		},
	}
	c.Flags().StringVar(&what.organization, "organization", "", "all jobs of this organization")
	to.addFlags(c.Flags())
	return c
}

// watch shows progress until the watched job has ended or a signal comes.
func (a *app) watch(ctx context.Context, b *frappe.Bench, site string, to connection, what subject) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	socket, err := to.config(b, site)
	if err != nil {
		return err
	}
	view := a.newDisplay()
	w := &watcher{socket: socket, what: what, rows: siteRows{b, site}, view: view, log: a.log}
	last, err := w.run(ctx)
	view.close()
	switch {
	case errors.Is(err, context.Canceled) && what.job == "":
		return nil // how one leaves a view that has no end
	case err != nil:
		return err
	case last.Status != string(frappe.StatusCompleted):
		return &exitError{code: exitFailure}
	}
	return nil
}
