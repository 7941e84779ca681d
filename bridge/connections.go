package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/byhand"
	"github.com/opensoft/dartwing-bridge/bridge/internal/desk"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/outage"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/submit"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/waits"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// lastSteps is how long each part of a stop, other than running jobs, may take: somewhat more than a server that doesn't
// answer is waited for.
const lastSteps = 5 * time.Second

var errNoBench = errors.New("bridge: Config.Bench is required: open one with frappe.OpenBench")

// eventsSource signs the events of all bridges and clients: what they did themselves no bridge takes for somebody's.
const eventsSource = "dartwing-bridge"

// connections are the servers of a bench, and what an Engine and a Client both do with them.
type connections struct {
	rdb, realtime, cache redis.UniversalClient
	pool                 *rows.Pool
	detection            rqcompat.Detection
	rq                   *rqcompat.Client
	sites                *sites.Sites
	policy               policy.Chain
	limits               *policy.Limits
	deliveries           byhand.Deliveries
	submitter            *submit.Submitter
	desk                 *desk.Desk
	outage               *outage.Redis
	// log is the configuration's, in which nobody repeats that a server is away.
	log *slog.Logger
}

// connect waits for a Redis that is away.
func connect(ctx context.Context, cfg Config) (*connections, error) {
	pause := wait.Backoff{Log: cfg.Log, What: "Redis (redis_queue) can't be reached; waiting for it"}
	for {
		c, err := connectNow(ctx, cfg)
		if err == nil || !passes(err) {
			return c, err
		}
		if pause.Failed(ctx, err); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// connectNow reaches Redis and finds out which RQ is spoken there.
func connectNow(ctx context.Context, cfg Config) (*connections, error) {
	queue, err1 := cfg.Bench.RedisQueue()
	live, err2 := cfg.Bench.RedisRealtime()
	cache, err3 := cfg.Bench.RedisCache()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	c := &connections{
		rdb: queue.Open(), realtime: live.Open(), cache: cache.Open(), pool: rows.NewPool(cfg.Bench),
	}
	c.pool.SetMaxConnections(cfg.DBConnections)
	// Detect doesn't ask Redis when the version is configured.
	err := c.rdb.Ping(ctx).Err()
	if err == nil {
		c.detection, err = rqcompat.Detect(ctx, c.rdb, cfg.RQVersion, cfg.Bench.RQVersion())
	}
	if err != nil {
		_ = c.Close() // the error that matters is Redis's
		return nil, explainRedis(queue.Where, err)
	}
	c.outage = outage.NewRedis(cfg.Log)
	c.rdb.AddHook(c.outage)
	c.realtime.AddHook(c.outage) // the same server
	c.log = outage.Quiet(cfg.Log, c.isTold)
	c.rq = rqcompat.NewClient(c.rdb, c.detection.Dialect)
	c.sites = sites.New(sites.Params{
		Bench: cfg.Bench, Pool: c.pool, Cache: c.cache, Log: cfg.Log,
		Schedule: &sites.Schedule{Redis: c.rdb, Now: c.rq.Now},
	})
	c.policy = policy.New(facts{c.sites, c.rq}, policy.Options{
		TrustEnqueuer: cfg.TrustEnqueuer, Open: []string{cfg.DefaultOrganization}, NoBreakers: cfg.Breaker.Off,
	})
	c.deliveries = byhand.Deliveries{Redis: c.rdb, Courier: sites.NewCourier(sites.CourierParams{
		Bench: cfg.Bench, RQ: c.rq, OwnQueues: cfg.Queues, Arrivals: c.sites.Arrivals, Names: route.RowOf,
	})}
	c.limits = &policy.Limits{Places: c.rq, IsManager: c.sites.IsManager, Count: c.sites.CountWaiting, QueueLimit: cfg.QueueLimit}
	c.submitter = submit.New(submit.Params{
		Rows: c.sites, Ask: c.policy.Ask, Limits: c.limits, Ready: c.deliveries.Ready, Deliver: c.deliveries.DeliverMany,
		DefaultOrganization: cfg.DefaultOrganization,
	})
	publisher := realtime.NewPublisher(c.realtime, c.log)
	publisher.Source = eventsSource
	c.desk = desk.New(desk.Params{Publisher: publisher, Members: c.sites.Members, Tenant: c.sites.Tenant, Now: c.sites.Now, Log: c.log})
	c.sites.Observe(c.desk)
	return c, nil
}

// isTold reports whether an error is of a server of which the log says already that it can't be used. Of Redis it says so now, if it
// was a waiter that met it first, or a subscription.
func (c *connections) isTold(err error) bool {
	switch {
	case rows.SiteOf(err) != "" || errors.Is(err, rows.ErrUnavailable):
		return c.sites.IsAbsence(err)
	case rqcompat.OfServer(err) || errors.Is(err, realtime.ErrAway):
		c.outage.Met(err)
		return true
	}
	_, out := c.outage.Out()
	return out != nil && rqcompat.Judge(err) == rqcompat.Refusing // of a transaction Redis doesn't say why
}

// facts are what policy wants to know: of sites, and of what runs.
type facts struct {
	*sites.Sites
	*rqcompat.Client
}

// explainRedis says which server an error is about and, if that refuses us, what to look at.
func explainRedis(where string, err error) error {
	switch rqcompat.Judge(err) {
	case rqcompat.Denied:
		return fmt.Errorf("redis_queue at %s refuses the connection: %w; check user and password in redis_queue, or rq_username and rq_password with use_rq_auth, in common_site_config.json", where, err)
	case rqcompat.Away:
		return fmt.Errorf("redis_queue at %s: %w; start it (bench start), or correct redis_queue in common_site_config.json", where, err)
	case rqcompat.Final:
		return err
	}
	return fmt.Errorf("redis_queue at %s: %w", where, err)
}

// passes reports whether a server that can't be used now may be so without anybody doing something about it.
func passes(err error) bool {
	j := rqcompat.Judge(err)
	return j != rqcompat.Final && j != rqcompat.Denied
}

// Close closes the connections; the bench stays open.
func (c *connections) Close() error {
	for _, r := range slices.Backward([]redis.UniversalClient{c.rdb, c.realtime, c.cache}) {
		_ = r.Close() // nothing is left to be written
	}
	return c.pool.Close()
}

// newRouter prepares a router for a process of that name, which no other one ever had.
func (c *connections) newRouter(cfg Config, handlers job.Handlers, process string) *route.Router {
	return route.NewRouter(route.Params{
		Handlers: handlers, Sites: c.sites, RQ: c.rq, Policy: c.policy, Caps: cfg.caps(), DefaultOrganization: cfg.DefaultOrganization,
		TrustEnqueuer: cfg.TrustEnqueuer, RowGrace: cfg.RowGrace,
		Decode: cfg.decode, Patience: cfg.pace.patience, Process: process, MaxKills: cfg.MaxKills, Log: cfg.Log,
	})
}

// newExplainer prepares an explainer for a process of that name, which no other one ever had.
func (c *connections) newExplainer(cfg Config, process string) waits.Explainer {
	return waits.Explainer{
		RQ: c.rq, Every: c.policy.Every, JobTypes: c.sites.JobTypes,
		Router: func(handlers job.Handlers) *route.Router { return c.newRouter(cfg, handlers, process) },
		Kind:   func(queue string) string { return cmp.Or(cfg.Bench.QueueTypeOf(queue), queue) },
	}
}
