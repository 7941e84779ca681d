package attempt

import (
	"context"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Rows is what attempts do with rows; *sites.Sites does it.
type Rows interface {
	Arrive(ctx context.Context, site string, j rows.NewJob) (*rows.BackgroundJob, error)
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
	WriteProgress(ctx context.Context, site string, reports []sites.Report) error
	Statuses(ctx context.Context, site string, names []string) (map[string]rows.Status, error)
}

// RQ is what attempts do in Redis; *rqcompat.Client does it.
type RQ interface {
	Settle(ctx context.Context, os []rqcompat.Outcome) ([]rqcompat.OutcomeResult, error)
	SettleBare(ctx context.Context, o rqcompat.Outcome) (rqcompat.OutcomeResult, error)
	Renew(ctx context.Context, ls []rqcompat.Lease, lease time.Duration, full bool) ([]rqcompat.LeaseState, error)
	Listen(ctx context.Context, namePattern string, f func(worker string, cmd rqcompat.Command)) error
	workers.Records
}

// Ended is told how an attempt, or a job that was refused before, ended, when row and RQ know of it.
type Ended func(info job.Info, outcome string, err error, took time.Duration)

// Params are what a Runner needs.
type Params struct {
	Rows   Rows
	RQ     RQ
	Ask    func(ctx context.Context, q policy.Question) policy.Answer
	Slots  *workers.Slots
	Retry  job.RetryPolicy
	Logger *slog.Logger
	// CancelGrace is how long a handler may take to return once its context has ended.
	CancelGrace time.Duration
	// Lease is how long a claim holds without renewal, and Slack how much longer its entry in RQ's started registry
	// lasts: whoever reads that registry through RQ fails what has lapsed there, and a rescue must come first.
	Lease, Slack time.Duration
	// PlainProgress takes the reports of jobs without a row.
	PlainProgress func(site, user, id string, percent float64, message string)
	// Failed is told of each queue whose failed registry grew.
	Failed func(queue string)
	// RowOfJob splits a canonical job id into site and row; RQ's commands name jobs by it.
	RowOfJob func(id string) (site, name string, ok bool)
	Ended    Ended
}
