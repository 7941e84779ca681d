package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Engine works the jobs of one bench. Make it with New, give it handlers (Register) and middleware (Use), Run it once.
type Engine struct {
	cfg        Config
	handlers   map[string]*registration
	middleware []Middleware
	onEnd      []func(End)
	classify   []Classifier
	started    atomic.Bool

	// connected is closed once client and rooms are there; stopped once they are gone.
	connected, stopped chan struct{}
	client             *Client
	rooms              *rooms
}

// New prepares an engine and reports everything that is wrong with cfg at once. Servers are first contacted by Run.
func New(cfg Config) (*Engine, error) {
	if cfg.Bench == nil {
		return nil, errNoBench
	}
	e := &Engine{
		cfg: cfg.WithDefaults(), handlers: map[string]*registration{},
		connected: make(chan struct{}), stopped: make(chan struct{}),
	}
	err := e.cfg.validate()
	if err == nil {
		err = e.registerForeign()
	}
	if err != nil {
		return nil, fmt.Errorf("configuration of the bridge:\n%w", err)
	}
	if !cfg.NoSamples {
		registerSamples(e)
	}
	return e, nil
}

// Run works jobs until ctx ends or a shutdown command arrives, and then stops in order: nothing new is claimed; running
// jobs get StopTimeout to end; then their contexts are canceled with ErrShutdown, and what returns an error goes back to
// its queue without spending a retry. Run returns nil after an orderly stop. It waits for a Redis that is away; a
// configuration that the servers refuse (a wrong password, an RQ version nobody knows) is an error.
func (e *Engine) Run(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return errors.New("bridge: Run was called twice")
	}
	defer close(e.stopped)
	c, err := connect(ctx, e.cfg)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // stopped while it waited for Redis
	case err != nil:
		return err
	}
	e.client = &Client{cfg: e.cfg, connections: c}
	e.rooms = furnish(e.cfg, c, e.wrapped(e), e.ended)
	close(e.connected)
	e.sayIfSkewed(ctx)
	e.rooms.work(ctx)
	return c.Close()
}

// Connected is closed once Run has reached the bench's Redis and works its jobs.
func (e *Engine) Connected() <-chan struct{} { return e.connected }

// sayIfSkewed tells of a machine whose clock is wrong, or Redis's.
func (e *Engine) sayIfSkewed(ctx context.Context) {
	if skew, err := e.client.rq.Skew(ctx); err == nil && skew.Abs() > rqcompat.MostSkew {
		e.cfg.Log.Warn("this machine's clock is not Redis's: the bridge's leases and retries go by Redis's, times in rows and logs by this machine's; run a time service on both",
			"redis_is_ahead", skew.Round(time.Millisecond))
	}
}

// await gives the engine's client once Run has connected.
func (e *Engine) await(ctx context.Context) (*Client, error) {
	select {
	case <-e.connected:
	case <-e.stopped:
	case <-ctx.Done():
		return nil, fmt.Errorf("bridge: the engine doesn't run yet: %w", context.Cause(ctx))
	}
	select {
	case <-e.stopped:
		return nil, errors.New("bridge: the engine has stopped")
	default:
		return e.client, nil
	}
}

// Submit is Client.Submit over the engine's connections. It waits for Run to connect; after Run it is an error.
func (e *Engine) Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error) {
	c, err := e.await(ctx)
	if err != nil {
		return nil, err
	}
	return c.Submit(ctx, r)
}

// SubmitMany is Client.SubmitMany over the engine's connections. It waits as Submit does.
func (e *Engine) SubmitMany(ctx context.Context, rs []SubmitRequest, options ...SubmitOption) ([]SubmitResult, error) {
	c, err := e.await(ctx)
	if err != nil {
		return nil, err
	}
	return c.SubmitMany(ctx, rs, options...)
}

// SubmitTx is Client.SubmitTx over the engine's connections. It waits as Submit does.
func (e *Engine) SubmitTx(ctx context.Context, tx *sql.Tx, r SubmitRequest) (*rows.BackgroundJob, error) {
	c, err := e.await(ctx)
	if err != nil {
		return nil, err
	}
	return c.SubmitTx(ctx, tx, r)
}

// Enqueue is Client.Enqueue over the engine's connections. It waits as Submit does.
func (e *Engine) Enqueue(ctx context.Context, r EnqueueRequest) (*rqcompat.Job, error) {
	c, err := e.await(ctx)
	if err != nil {
		return nil, err
	}
	return c.Enqueue(ctx, r)
}

// Stuck names what the engine does that has made no step for longer than most: looking at a queue, claiming jobs, renewing leases.
// Some seconds are usual, as a queue is looked at every five when nothing waits there; a server that is away makes nothing stuck,
// as it is asked again and again. Nothing is before Run has connected, and after a stop.
func (e *Engine) Stuck(most time.Duration) []string {
	select {
	case <-e.connected:
		return e.rooms.stuck(most)
	default:
		return nil
	}
}

// Stats are counts of one moment.
type Stats struct {
	// Waiting jobs only lack a free slot; Running ones have one, the Abandoned too, whose handler ignores its context.
	Waiting, Running, Abandoned int
}

// Stats counts what the engine has to do; all zero before Run has connected.
func (e *Engine) Stats() Stats {
	select {
	case <-e.connected:
		running, abandoned := e.rooms.runner.Running()
		return Stats{Waiting: e.rooms.waiting(), Running: running, Abandoned: abandoned}
	default:
		return Stats{}
	}
}

// End is how an attempt ended.
type End struct {
	JobInfo
	// Outcome is RQ's word, finished, failed, stopped or given back, or snoozed.
	Outcome string
	// Err is why it failed; nil if it didn't.
	Err error
	// Took is the time since the job was claimed.
	Took time.Duration
}

// OnEnd calls f after each attempt of any handler, and after each job that was refused before its handler was called,
// when row and RQ know of it. f runs on the job's goroutine, whose slot is taken meanwhile, and should not block; a panic is
// logged. It must be called before Run.
func (e *Engine) OnEnd(f func(End)) {
	e.mustNotRun("OnEnd")
	e.onEnd = append(e.onEnd, f)
}

// Classify has f asked about the errors of all handlers that didn't say themselves what they are (Permanent, Transient,
// RetryAfter); what WithClassify gave a handler is asked first. A panic in f is the attempt's. It must be called before Run.
func (e *Engine) Classify(f Classifier) {
	e.mustNotRun("Classify")
	e.classify = append(e.classify, f)
}

// mustNotRun panics once Run was called.
func (e *Engine) mustNotRun(method string) {
	if e.started.Load() {
		panic("bridge: " + method + " is called after Run")
	}
}

func (e *Engine) ended(info JobInfo, outcome string, err *job.Failure, took time.Duration) {
	for _, f := range e.onEnd {
		_, panicked := job.Protect(func() (any, error) {
			f(End{JobInfo: info, Outcome: outcome, Err: err.Returned(), Took: took})
			return nil, nil
		})
		if panicked != nil {
			e.cfg.Log.Error("a function given to OnEnd panicked", "error", panicked, "job_id", info.ID)
		}
	}
}

// Troubles says in words which servers can't be used now, one text each: Redis, without which nothing is claimed, and databases, whose
// sites' jobs wait. What runs goes on. nil is none, and before Run has connected it is Redis.
func (e *Engine) Troubles() []string {
	select {
	case <-e.connected:
		return e.rooms.troubles()
	default:
		return []string{"not connected to Redis (redis_queue) yet"}
	}
}
