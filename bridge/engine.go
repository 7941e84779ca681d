package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Engine works the jobs of one bench. Make it with New, give it handlers with
// Register, and Run it once.
type Engine struct {
	cfg      Config
	log      zerolog.Logger
	handlers map[string]*handler
	started  atomic.Bool

	*connections
	turns    *turns
	slots    *slots
	running  runs
	reports  reports
	outbox   outbox
	schedule *schedule
	chores   *chores
	outcomes *batcher[rqcompat.Outcome, outcomeAnswer]

	// jobs counts the goroutines that run jobs; abandoned those among them that
	// were left behind.
	jobs      sync.WaitGroup
	abandoned atomic.Int64

	// workCtx is the parent of every handler's context; settleCtx lives until the
	// last write is done or given up.
	workCtx   context.Context
	settleCtx context.Context
}

// New prepares an engine: it checks the configuration and reports everything
// that is wrong with it at once. Servers are first contacted by Run.
func New(cfg Config) (*Engine, error) {
	if cfg.Bench == nil {
		return nil, errors.New("bridge: Config.Bench is required: open one with frappe.OpenBench")
	}
	cfg = cfg.withDefaults()
	e := &Engine{
		cfg:      cfg,
		log:      cfg.Log,
		handlers: map[string]*handler{},
		turns:    newTurns(cfg.Weights),
		running:  runs{byWorker: map[string]*run{}},
		reports:  reports{filled: make(chan struct{}, 1)},
		outbox:   outbox{filled: make(chan struct{}, 1)},
	}
	err := cfg.validate()
	if err == nil {
		err = e.registerForeign(cfg.Handlers)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration of the bridge:\n%w", err)
	}
	if *cfg.Builtins {
		registerBuiltins(e)
	}
	return e, nil
}

// Run works jobs until ctx ends or a shutdown command arrives, and then stops
// in order: nothing new is claimed; running jobs get StopTimeout to end; then
// their contexts are cancelled with ErrShutdown, and what returns an error goes
// back to its queue without spending a retry. Run returns nil after an orderly
// stop. It waits for a Redis that is away; a configuration that the servers
// refuse (a wrong password, an RQ version nobody knows) is an error.
func (e *Engine) Run(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return errors.New("bridge: Run was called twice")
	}
	c, err := connect(ctx, e.cfg)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped while it waited for Redis
	case err != nil:
		return err
	}
	e.connections = c
	defer c.Close()

	fetchCtx, stopFetching := context.WithCancel(ctx)
	defer stopFetching()
	// Handlers and last writes outlive ctx: they end in stop, in order.
	var stopWork context.CancelCauseFunc
	e.workCtx, stopWork = context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(ErrShutdown)
	var giveUp context.CancelFunc
	e.settleCtx, giveUp = context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	e.prepare()

	supportCtx, stopSupport := context.WithCancel(e.settleCtx)
	var fetching, support sync.WaitGroup
	for _, loop := range []func(context.Context){e.publish, e.report, e.hold, e.watchCancels, e.chores.run, e.schedule.run} {
		support.Go(func() { loop(supportCtx) })
	}
	support.Go(func() { e.listen(supportCtx, stopFetching) })
	support.Go(func() { _ = e.publisher.Run(supportCtx) })
	e.fetch(fetchCtx, &fetching)

	e.log.Info().Strs("own", e.cfg.Queues).Strs("shared", e.cfg.SharedQueues).Int("concurrency", e.cfg.Concurrency).
		Str("rq", e.detection.Dialect.Version).Str("rq_from", e.detection.Source).Msg("bridge is working")
	<-fetchCtx.Done()
	fetching.Wait()
	e.drain(stopWork)
	// Nothing produces events or needs leases any more.
	stopSupport()
	support.Wait()
	e.leave()
	return nil
}

// prepare builds what needs the connections.
func (e *Engine) prepare() {
	var queues []string
	for _, q := range e.watchedQueues() {
		queues = append(queues, q.name)
	}
	e.slots = newSlots(e.cfg.Concurrency, queues)
	e.outcomes = &batcher[rqcompat.Outcome, outcomeAnswer]{limit: 250, do: e.settleTogether}
	e.schedule = newSchedule(e)
	e.chores = newChores(e)
}

func (e *Engine) watchedQueues() (qs []watched) {
	for _, kind := range e.cfg.Queues {
		qs = append(qs, watched{name: e.cfg.Bench.QueueName(kind), kind: kind, own: true})
	}
	for _, kind := range e.cfg.SharedQueues {
		qs = append(qs, watched{name: e.cfg.Bench.QueueName(kind), kind: kind})
	}
	return qs
}

// fetch starts the scouts and the claimer.
func (e *Engine) fetch(ctx context.Context, wg *sync.WaitGroup) {
	var scouts []*scout
	for _, q := range e.watchedQueues() {
		s := e.newScout(q)
		scouts = append(scouts, s)
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { e.claim(ctx, scouts) })
}

// drain waits for the running jobs, then cancels them, then leaves them behind.
func (e *Engine) drain(stopWork context.CancelCauseFunc) {
	done := make(chan struct{})
	go func() {
		e.jobs.Wait()
		close(done)
	}()
	if n := len(e.running.all()); n > 0 {
		e.log.Info().Int("jobs", n).Dur("timeout", time.Duration(e.cfg.StopTimeout)).Msg("stopping: waiting for running jobs")
	}
	if waitFor(done, time.Duration(e.cfg.StopTimeout)) {
		return
	}
	e.log.Warn().Int("jobs", len(e.running.all())).Msg("stopping: cancelling running jobs; they go back to their queues")
	stopWork(ErrShutdown)
	// The grace period ends in abandon, which settles; two seconds are for its
	// writes.
	limit := time.Now().Add(time.Duration(e.cfg.CancelGrace) + 2*time.Second)
	for time.Now().Before(limit) {
		if waitFor(done, 20*time.Millisecond) {
			return
		}
		if int64(e.running.count()) == e.abandoned.Load() && len(e.running.all()) == 0 {
			break
		}
	}
	e.log.Error().Int64("handlers", e.abandoned.Load()).Msg("stopping: handlers that ignore their context are left behind")
}

func waitFor(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// leave takes this process out of RQ's view and sends the last events.
func (e *Engine) leave() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.settleCtx), 2*time.Second)
	defer cancel()
	if err := e.rq.Deregister(ctx, e.slots.records()); err != nil {
		e.log.Warn().Err(err).Msg("worker records not removed; they expire by themselves")
	}
	if err := e.publisher.Close(); err != nil {
		e.log.Warn().Err(err).Msg("last realtime events not sent")
	}
	e.log.Info().Msg("bridge stopped")
}

// connections are the servers of a bench as an Engine or a Client uses them.
type connections struct {
	rdb, realtime, cache redis.UniversalClient
	detection            rqcompat.Detection
	rq                   *rqcompat.Client
	publisher            *frappe.Publisher
	sites                *sites
}

// connect waits for a Redis that is away.
func connect(ctx context.Context, cfg Config) (*connections, error) {
	pause := backoff{log: cfg.Log, what: "Redis (redis_queue) can't be reached; waiting for it"}
	for {
		c, err := connectNow(ctx, cfg)
		if err == nil || !IsAway(err) {
			return c, err
		}
		if pause.failed(ctx, err); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// connectNow reaches Redis and finds out which RQ is spoken there.
func connectNow(ctx context.Context, cfg Config) (*connections, error) {
	queue, err1 := cfg.Bench.RedisQueue()
	realtime, err2 := cfg.Bench.RedisRealtime()
	cache, err3 := cfg.Bench.RedisCache()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	c := &connections{
		rdb: redis.NewUniversalClient(queue), realtime: redis.NewUniversalClient(realtime), cache: redis.NewUniversalClient(cache),
	}
	// Detect doesn't ask Redis when the version is configured.
	err := c.rdb.Ping(ctx).Err()
	if err == nil {
		c.detection, err = rqcompat.Detect(ctx, c.rdb, cfg.RQVersion, cfg.Bench.RQVersion())
	}
	if err != nil {
		c.Close()
		return nil, explainRedis(queue.Addrs, err)
	}
	c.rq = rqcompat.NewClient(c.rdb, c.detection.Dialect)
	c.publisher = frappe.NewPublisher(c.realtime, cfg.Log)
	c.sites = &sites{bench: cfg.Bench, cache: c.cache, log: cfg.Log, open: map[string]*siteRowsWriter{}, known: map[string]lookedUp{}, absent: map[string]absent{}}
	return c, nil
}

// explainRedis says which server an error is about and, if that refuses us,
// what to look at.
func explainRedis(addrs []string, err error) error {
	for _, refusal := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR invalid password"} {
		if redis.HasErrorPrefix(err, refusal) {
			return fmt.Errorf("redis_queue at %s refuses the connection: %w; check user and password in redis_queue, or rq_username and rq_password with use_rq_auth, in common_site_config.json",
				strings.Join(addrs, ", "), err)
		}
	}
	if IsAway(err) {
		return fmt.Errorf("redis_queue at %s: %w; start it (bench start), or correct redis_queue in common_site_config.json", strings.Join(addrs, ", "), err)
	}
	return err
}

// Close closes the connections.
func (c *connections) Close() {
	for _, r := range slices.Backward([]redis.UniversalClient{c.rdb, c.realtime, c.cache}) {
		_ = r.Close() // nothing is left to be written
	}
}
