package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/spf13/cobra"
)

// paused are flags that choose what is paused on one site.
type paused struct{ organization, jobType string }

func (p *paused) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&p.organization, "organization", "", "an organization of the site")
	c.Flags().StringVar(&p.jobType, "job-type", "", "a Job Type of the site")
}

// ofSite are the pauses of one site that flags and queue types choose; none for what is the whole bench's.
func (p *paused) ofSite(a *cli.App, kinds []string) (all []rows.Pause, err error) {
	if p.organization != "" {
		all = append(all, rows.Pause{Kind: rows.PauseOrganization, Organization: p.organization})
	}
	if p.jobType != "" {
		all = append(all, rows.Pause{Kind: rows.PauseJobType, JobType: p.jobType})
	}
	if a.Site == "" {
		if len(all) > 0 && len(kinds) > 0 {
			err = exitcode.Usagef("queues are the whole bench's without --site: pause them by themselves, or name the site")
		}
		return all, err
	}
	for _, kind := range kinds {
		all = append(all, rows.Pause{Kind: rows.PauseQueue, Queue: kind})
	}
	if len(all) == 0 {
		err = exitcode.Usagef("name what of the site is meant: --organization, --job-type, or queues")
	}
	return all, err
}

// pauseOnSite pauses, or resumes, on one site.
func pauseOnSite(a *cli.App, c *cobra.Command, all []rows.Pause, by, reason string, resume bool) error {
	ctx := c.Context()
	return a.WithClient(ctx, func(s cli.Session) error {
		for _, p := range all {
			if p.Kind == rows.PauseQueue {
				if err := checkQueue(s.Bench, p.Queue); err != nil {
					return err
				}
			}
			p.PausedBy, p.Reason = by, reason
			what := strings.ToLower(p.Kind) + " " + p.Of()
			if !resume {
				if err := s.Client.Pause(ctx, s.Site, p); err != nil {
					return err
				}
				a.Say("%s: paused %s", s.Site, what)
				continue
			}
			switch n, err := s.Client.Resume(ctx, s.Site, p); {
			case err != nil:
				return err
			case n == 0:
				a.Say("%s: %s wasn't paused", s.Site, what)
			default:
				a.Say("%s: resumed %s", s.Site, what)
			}
		}
		if !a.JSON {
			return nil
		}
		left, err := s.Client.Pauses(ctx, s.Site)
		if err != nil {
			return err
		}
		return a.PrintJSON(map[string]any{"pauses": pauseViews(left)})
	})
}

// pauseView is a pause as --json prints it.
type pauseView struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Reason   string    `json:"reason,omitempty"`
	PausedBy string    `json:"paused_by"`
	Since    time.Time `json:"since"`
}

func pauseViews(all []*rows.Pause) []pauseView {
	views := make([]pauseView, len(all))
	for i, p := range all {
		views[i] = pauseView{p.Kind, p.Of(), p.Reason, p.PausedBy, p.Since}
	}
	return views
}

func pausesCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "pauses",
		Short: "List what is paused on a site: organizations, Job Types, its share of queues",
		Long: `List what is paused on a site: organizations, Job Types and its share of queues.
Each is a Background Job Pause, made by bridge pause or in the desk. Queues that
are paused for the whole bench are among those of bridge queues.`,
		Example: `  bridge pauses --site site1.localhost
  bridge pauses --json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				all, err := s.Client.Pauses(c.Context(), s.Site)
				switch {
				case err != nil:
					return err
				case a.JSON:
					return a.PrintJSON(pauseViews(all))
				}
				var cells [][]string
				for _, p := range all {
					cells = append(cells, []string{p.Kind, p.Of(), p.PausedBy, output.Clock(p.Since), p.Reason})
				}
				return output.Table(a.Out, []string{"KIND", "NAME", "PAUSED BY", "SINCE", "REASON"}, cells)
			})
		},
	}
}

// breakerView is a circuit breaker as --json prints it.
type breakerView struct {
	JobType      string    `json:"job_type"`
	Organization string    `json:"organization"`
	Status       string    `json:"status"`
	OpenedAt     time.Time `json:"opened_at,omitzero"`
	NextTrialAt  time.Time `json:"next_trial_at,omitzero"`
	TrialJob     string    `json:"trial_job,omitempty"`
	Failures     int       `json:"failures"`
	Attempts     int       `json:"attempts"`
	LastError    string    `json:"last_error,omitempty"`
}

// breakersMost is how many circuit breakers are listed.
const breakersMost = 200

func breakersCommand(a *cli.App) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "breakers",
		Short: "List the circuit breakers that are open, or close one",
		Long: `List the circuit breakers of a site that are open. One opens for a Job Type and an
organization when half of at least ten attempts within half an hour have failed:
their jobs wait then, and one is tried after 15 min, unless bridge.breaker says
otherwise. LAST ERROR is that of the attempt which opened it.`,
		Example: `  bridge breakers
  bridge breakers close export_invoices ORG-2026-00001`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				found, err := s.Client.Breakers(c.Context(), s.Site, breakersMost)
				if err != nil {
					return err
				}
				views, cells := []breakerView{}, [][]string{}
				for _, b := range found {
					if b.Status == rows.BreakerClosed && !all {
						continue
					}
					views = append(views, breakerView{b.JobType, b.Organization, b.Status, b.OpenedAt, b.NextTrialAt, b.TrialJob, b.Failures, b.Attempts, b.LastError})
					next := "-"
					if b.Status == rows.BreakerOpen {
						next = output.Clock(b.NextTrialAt)
					} else if b.Status == rows.BreakerTrial {
						next = b.TrialJob
					}
					cells = append(cells, []string{
						b.JobType, b.Organization, b.Status, output.Clock(b.OpenedAt), next, fmt.Sprintf("%d of %d", b.Failures, b.Attempts), output.Clip(output.OneLine(b.LastError), 80),
					})
				}
				if a.JSON {
					return a.PrintJSON(views)
				}
				return output.Table(a.Out, []string{"JOB TYPE", "ORGANIZATION", "STATUS", "OPENED", "TRIAL", "FAILED", "LAST ERROR"}, cells)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that are closed by now")
	c.AddCommand(breakersCloseCommand(a))
	return c
}

func breakersCloseCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "close JOB_TYPE ORGANIZATION",
		Short: "Close a circuit breaker: the jobs that wait go on within seconds",
		Long: `Close the circuit breaker of a Job Type and an organization by hand: the jobs that
wait go on within seconds, and what failed before doesn't count any more. In the
desk it is done by setting the status of the Job Circuit Breaker to Closed.`,
		Example: `  bridge breakers close export_invoices ORG-2026-00001 --user jane@example.com`,
		Args:    cobra.ExactArgs(2),
	}
	actor := c.Flags().String("user", "Administrator", "who closes it")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.WithClient(c.Context(), func(s cli.Session) error {
			closed, err := s.Client.CloseBreaker(c.Context(), s.Site, args[0], args[1], *actor)
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.PrintJSON(map[string]bool{"closed": closed})
			case !closed:
				a.Say("%s: no circuit breaker of %s for %s is open", s.Site, args[0], args[1])
			default:
				a.Say("%s: closed the circuit breaker of %s for %s", s.Site, args[0], args[1])
			}
			return nil
		})
	}
	return c
}
