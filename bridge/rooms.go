package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/attempt"
	"github.com/opensoft/dartwing-bridge/bridge/internal/batches"
	"github.com/opensoft/dartwing-bridge/bridge/internal/breaker"
	"github.com/opensoft/dartwing-bridge/bridge/internal/byhand"
	"github.com/opensoft/dartwing-bridge/bridge/internal/desk"
	"github.com/opensoft/dartwing-bridge/bridge/internal/intake"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/maintenance"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/waits"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// registrySlack is how much longer than its lease a job's entry in RQ's started registry lasts: 90 s in all, as RQ's
// own. Whoever reads that registry through RQ fails what has lapsed there, and a rescue must come first.
const registrySlack = 75 * time.Second

// firstWaiters is how many connections wait for a queue before idle Python workers: one is ahead while others are served.
const firstWaiters = 8

// rooms are the parts of a working engine, each with what it needs.
type rooms struct {
	cfg Config
	*connections
	slots      *workers.Slots
	suspension *policy.Suspension
	router     *route.Router
	runner     *attempt.Runner
	room       *intake.Room
	fair       *intake.FairQueue
	pollers    map[string]*intake.Poller
	firsts     []*intake.First
	claiming   wait.Pulse
	takeBack   *maintenance.TakeBack
	due        *maintenance.Due
	schedules  *maintenance.Schedules
	scheduler  *maintenance.Scheduler
	errors     *desk.ErrorLog
	bell       *desk.Bell
	breakers   *breaker.Keeper
	alert      *desk.Alert
	hands      *byhand.Hands
	batches    *batches.Batches
	repairs    maintenance.Repairs
	services   []maintenance.Service
	process    rqcompat.Process
}

// furnish builds the rooms.
func furnish(cfg Config, c *connections, handlers job.Handlers, ended attempt.Ended) *rooms {
	loud := cfg.Log
	cfg.Log = c.log
	w := &rooms{cfg: cfg, connections: c, pollers: map[string]*intake.Poller{}}
	queues, names := cfg.watched()
	w.slots = workers.NewSlots(cfg.Concurrency, names)
	w.room = intake.NewRoom(cfg.RunningMemory, cfg.Concurrency, cfg.MaxKills)
	w.fair = intake.NewFairQueue(cfg.Concurrency, cfg.Weights, w.room, cfg.Ageing)
	w.suspension = &policy.Suspension{Log: cfg.Log, Read: func(ctx context.Context) (bool, []string, error) {
		holds, err := c.rq.Holds(ctx)
		return holds.Suspended, holds.Paused, err
	}}
	w.router = c.newRouter(cfg, handlers, w.slots.Process())
	registries := &maintenance.Registries{RQ: c.rq, Queues: queues, Limit: func() int64 {
		return int64(cfg.Bench.Config().Int("rq_failed_jobs_limit", 1000))
	}}
	w.errors = desk.NewErrorLog(c.sites.LogErrors, cfg.Log)
	w.bell = desk.NewBell(desk.BellParams{
		JobTypes: c.sites.JobTypes, InRole: c.sites.InRole, Write: c.sites.Notify, Publish: c.desk.Publisher.Publish, Log: cfg.Log,
	})
	c.sites.Observe(w.bell)
	w.breakers = breaker.New(breaker.Params{
		Policy: cfg.Breaker, Rows: c.sites, Redis: c.rdb, Clock: c.sites.Clock, Log: cfg.Log,
		Changed: func(site, name string) { c.desk.Publisher.ListUpdate(site, sites.BreakerDocType, name) },
	})
	if !cfg.Breaker.Off {
		c.sites.Observe(w.breakers)
	}
	w.alert = desk.NewAlert(desk.AlertParams{
		Threshold: cfg.DeadLetterAlert.Threshold, Role: cfg.DeadLetterAlert.Role, Count: c.sites.CountDeadLetters, Told: desk.Told{Redis: c.rdb},
		InRole: c.sites.InRole, Write: c.sites.Notify, Publish: c.desk.Publisher.Publish, Tenant: c.sites.Tenant, Now: c.sites.Now, Log: cfg.Log,
	})
	c.sites.Observe(w.alert)
	w.runner = attempt.NewRunner(attempt.Params{
		Rows: c.sites, RQ: c.rq, Ask: c.policy.Ask, Trials: w.breakers, Slots: w.slots, Retry: cfg.Retry, RetryIntervals: cfg.RetryIntervals, Logger: cfg.Log, HandlerLog: loud,
		CancelGrace: cfg.CancelGrace, Lease: cfg.Lease, Slack: registrySlack,
		Ended: func(info job.Info, outcome string, err *job.Failure, took time.Duration) {
			if outcome == "failed" {
				w.errors.Failed(info, err)
			}
			ended(info, outcome, err, took)
		},
		PlainProgress: c.desk.PlainProgress, Envelope: c.deliveries.Envelope, Failed: registries.Failed, RowOfJob: cfg.Bench.SplitJobID, CallBack: c.deliveries.CallBack,
		Tidied: func() { w.repairs.Count(maintenance.Tidied) },
	})
	for _, q := range queues {
		w.pollers[q.Name] = intake.NewPoller(intake.PollerParams{
			Queue: q, List: c.rq.NewMirror(q.Name), Waiter: c.rq.NewWaiter(), Fetch: w.fetch, Router: w.router, Ask: c.policy.Ask, Fair: w.fair,
			Paused: w.suspension.Paused, Log: cfg.Log,
		})
	}
	for _, q := range queues {
		if slices.Contains(cfg.First, q.Kind) {
			w.firsts = append(w.firsts, intake.NewFirst(intake.First{
				Queue: q, Pop: c.rq.NewFirst(q.Name, firstWaiters).Run, Fetch: w.fetch, Router: w.router, Ask: c.policy.Ask, Fair: w.fair,
				Paused: w.suspension.Paused, Log: cfg.Log,
			}))
		}
	}
	w.takeBack = maintenance.NewTakeBack(maintenance.TakeBackParams{
		RQ: c.rq, Router: w.router, Queues: queues, Take: func(q *job.Queued) { w.fair.Add(q) },
		Paused: w.suspension.Paused, Log: cfg.Log,
	})
	deliveries := c.deliveries
	deliveries.Process = w.slots.Process()
	w.hands = byhand.New(byhand.Params{
		Rows: c.sites, RQ: deliveries, Ask: c.policy.Ask, Limits: c.limits, Handled: w.router.Handled, DefaultOrganization: cfg.DefaultOrganization,
		TrustEnqueuer: cfg.TrustEnqueuer, Grace: cfg.RowGrace, Source: eventsSource, Marks: byhand.Marks{Redis: c.rdb}, Log: cfg.Log,
	})
	c.sites.Observe(w.hands)
	w.batches = batches.New(batches.Params{
		Rows: c.sites, Submit: c.submitter.Submit, Stop: deliveries.Stop, Changed: c.changed, Source: eventsSource, Log: cfg.Log,
	})
	c.sites.Observe(w.batches)
	w.due = maintenance.NewDue(maintenance.DueParams{
		Rows: c.sites, Deliver: c.deliveries.Redeliver, Release: w.hands.TimeCame, Handled: w.router.Handled, Log: cfg.Log,
	})
	c.sites.Observe(w.due)
	w.schedules = maintenance.NewSchedules(maintenance.SchedulesParams{Rows: c.sites, Submit: w.submitSchedule, Away: serverAway, Log: cfg.Log})
	w.scheduler = &maintenance.Scheduler{RQ: c.rq, Queues: names, Log: cfg.Log}
	w.process = w.describe(handlers)
	w.services = w.maintenance(queues, registries)
	return w
}

// fetch reads jobs that anybody may have enqueued, but for those that are looked at alone.
func (w *rooms) fetch(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error) {
	return w.rq.FetchSmall(ctx, ids, wait.LargeItem)
}

// claimer lets handlers run until the context of handlers ends; their last writes are tried until that of writes ends.
func (w *rooms) claimer(handlers, writes context.Context) *intake.Claimer {
	return &intake.Claimer{
		Claim: w.rq.Claim, Fetch: w.fetch, Router: w.router, Suspension: w.suspension,
		Fair: w.fair, Pollers: w.pollers, Slots: w.slots, Lease: w.cfg.Lease + registrySlack, Log: w.cfg.Log, Pulse: &w.claiming,
		Start: func(q *job.Queued, again func(context.Context) *job.Queued, slot *workers.Slot, lease rqcompat.Lease) {
			w.runner.Start(handlers, writes, q, again, slot, lease)
		},
	}
}

// maintenance lists what is done again and again.
func (w *rooms) maintenance(queues []job.Queue, registries *maintenance.Registries) []maintenance.Service {
	p := w.cfg.pace
	rescue := &maintenance.Rescue{
		RQ: w.rq, Rows: w.sites, Router: w.router, Queues: queues, Process: w.slots.Process(), Every: p.rescue, Lease: w.cfg.Lease, Slack: registrySlack,
		MaxKills: w.cfg.MaxKills, Holds: w.runner.Holds, Failed: registries.Failed, CallBack: w.deliveries.CallBack, Poisoned: w.errors.Failed, Count: w.repairs.Count, Log: w.cfg.Log,
	}
	census := maintenance.Census{RQ: w.rq, Bench: w.cfg.Bench, Deliveries: w.deliveries.Deliveries, Waiting: w.fair.Rows, Far: w.far}
	emptied := &maintenance.Emptied{EmptiedParams: maintenance.EmptiedParams{
		Rows: w.sites, Deliver: w.deliveries.Redeliver, Mark: w.rq.DataMark, Deliveries: w.deliveries.DeliveriesOfAll, Handled: w.router.Handled,
		Lost: w.due.Lost, Sweeps: maintenance.Sweeps{Redis: w.rdb, Process: w.slots.Process()}, Count: w.repairs.Count, Log: w.cfg.Log,
	}}
	orphans := maintenance.NewOrphans(maintenance.OrphansParams{
		Rows: w.sites, Deliver: w.deliveries.Recover, Alive: census.Take, Finished: census.Finished, Delivers: census.Delivers,
		IDs: w.deliveries.IDs, Handled: w.router.Handled, Age: p.orphanAge, Every: p.orphans, Count: w.repairs.Count, Settled: emptied.Settled, Log: w.cfg.Log,
	})
	teller := waits.NewTeller(waits.TellerParams{
		Explainer: w.newExplainer(w.cfg, w.slots.Process()), Rows: w.sites, Deliveries: w.deliveries.DeliveriesOf, Process: w.slots.Process(),
	})
	retention := maintenance.NewRetention(maintenance.RetentionParams{
		Cleaner: w.cleaner(w.cfg), Sites: w.sites, Process: w.slots.Process(), Log: w.cfg.Log,
	})
	withheld := &maintenance.Withheld{Rows: w.sites}
	handled := &maintenance.Handled{RQ: w.rq, Rows: w.sites, Process: w.slots.Process()}
	return []maintenance.Service{
		{What: "rescue jobs of dead workers", Every: min(p.rescue, maintenance.LookForDead), Do: rescue.Do},
		{What: "deliver again what Redis has lost", Every: 500 * time.Millisecond, Do: emptied.Do},
		{What: "trim failed registries", Every: p.rescue, Do: registries.Trim},
		{What: "move scheduled jobs that are due", Every: time.Second, Do: w.scheduler.Do},
		{What: "read job schedules", Every: time.Second, Do: w.schedules.Look},
		{What: "look for what was done to jobs by hand", Every: 250 * time.Millisecond, Do: w.hands.Look},
		{What: "look at batches of jobs", Every: 250 * time.Millisecond, Do: w.batches.Do},
		{What: "deliver rows that have no delivery", Every: min(p.orphans, time.Second), Delay: p.orphans, Do: orphans.Do},
		{What: "maintain RQ's registries", Every: p.maintain, Do: registries.Maintain},
		{What: "release the dependents of jobs that have many", Every: time.Second, Do: maintenance.Dependents{RQ: w.rq}.Do},
		{What: "return what a dead bridge popped from a queue", Every: 500 * time.Millisecond, Do: maintenance.ReturnPopped{
			RQ: w.rq, Queues: queues, Count: w.repairs.Add, Log: w.cfg.Log,
		}.Do},
		{What: "tell about this process", Every: publishing, Do: w.publish},
		{What: "tell rows what they wait for", Every: time.Second, Do: teller.Do},
		{What: "show results of organizations that are active again", Every: 2 * time.Second, Delay: time.Second, Do: withheld.Do},
		{What: "tell Job Types who handles them", Every: time.Second, Delay: time.Second, Do: handled.Do},
		{What: "delete jobs that ended long ago", Every: maintenance.RetentionEvery, Delay: p.orphans, Do: retention.Do},
		{What: "return memory", Every: 10 * time.Second, Delay: 10 * time.Second, Do: maintenance.ReturnMemory},
	}
}

// far gives functions that say which rows are named by jobs of which pollers keep the place only.
func (w *rooms) far() (names []func(site, name string) bool) {
	for _, p := range w.pollers {
		names = append(names, p.Rows())
	}
	return names
}

// waiting is how many jobs are known that could start, or will.
func (w *rooms) waiting() int {
	n := w.fair.Len()
	for _, p := range w.pollers {
		n += p.Far()
	}
	return n
}

// stuck names what is in the same round for longer than most.
func (w *rooms) stuck(most time.Duration) (what []string) {
	for queue, p := range w.pollers {
		if p.Round() > most {
			what = append(what, "looking at queue "+queue)
		}
	}
	if w.claiming.Round() > most {
		what = append(what, "claiming jobs")
	}
	if w.runner.Renewing() > most {
		what = append(what, "renewing leases")
	}
	slices.Sort(what)
	return what
}

// watched are the queues that are worked, and their names.
func (c Config) watched() (queues []job.Queue, names []string) {
	timeouts := map[string]time.Duration{}
	for _, t := range c.Bench.QueueTypes() {
		timeouts[t.Name] = time.Duration(t.Timeout) * time.Second
	}
	for _, kind := range slices.Concat(c.Queues, c.SharedQueues) {
		name := c.Bench.QueueName(kind)
		queues = append(queues, job.Queue{Name: name, Kind: kind, Own: slices.Contains(c.Queues, kind), Timeout: timeouts[kind]})
		names = append(names, name)
	}
	return queues, names
}

// work runs the rooms until ctx ends or RQ's shutdown command comes, then ends claiming, handlers, watchers, events.
func (w *rooms) work(ctx context.Context) {
	claiming, stopClaiming := context.WithCancel(ctx)
	defer stopClaiming()
	background := context.WithoutCancel(ctx)
	handlers, stopHandlers := context.WithCancelCause(background)
	writes, giveUp := context.WithCancel(background)
	watching, stopWatching := context.WithCancel(writes)
	publishing, stopPublishing := context.WithCancel(writes)
	defer giveUp()

	events := loop(publishing, w.desk.Run, w.errors.Run, w.bell.Run, w.breakers.Run, w.alert.Run)
	answered := wait.NewFlag()
	watchers := loop(watching, w.runner.RenewLeases, w.runner.WatchOverdue, w.runner.WatchData, w.runner.KeepCopies, w.runner.WatchCancels, w.runner.WriteReports, w.due.Run, w.schedules.Run, w.hands.Run, w.submitter.Run, w.batches.Run, w.listen,
		func(ctx context.Context) { w.runner.Listen(ctx, stopClaiming) },
		func(ctx context.Context) {
			_ = w.rq.BeHeard(ctx, w.slots.Process(), func(err error) {
				if err == nil || rqcompat.Judge(err) == rqcompat.Denied {
					answered.Raise()
				}
			})
		},
		func(ctx context.Context) { maintenance.Run(ctx, w.cfg.Log, w.services) })
	answered.Within(claiming, heardWithin) // who dies of his first job was heard before, also on a slow machine
	taking := loop(claiming, w.claimer(handlers, writes).Run)
	taking.Go(func() { w.takeBack.Run(claiming) })
	for _, f := range w.firsts {
		taking.Go(func() { f.Run(claiming) })
	}
	for _, p := range w.pollers {
		taking.Go(func() { p.Run(claiming) })
	}

	w.cfg.Log.Info("bridge is working", "own", w.cfg.Queues, "shared", w.cfg.SharedQueues, "concurrency", w.cfg.Concurrency,
		"rq", w.detection.Dialect.Version, "rq_from", w.detection.Source)
	<-claiming.Done()
	w.runner.Stopping()
	w.ended("claiming", taking)
	w.runner.Drain(w.cfg.StopTimeout, func() { stopHandlers(ErrShutdown) })
	stopHandlers(ErrShutdown)
	stopWatching() // nothing needs leases any more
	w.ended("what watches and maintains", watchers)
	w.leave(writes)
	stopPublishing()
	w.ended("publishing", events)
	w.cfg.Log.Info("bridge stopped")
}

// listen hears what people and programs did to documents.
func (w *rooms) listen(ctx context.Context) {
	w.hands.Listen(ctx, func(ctx context.Context, listening func(), hear func(realtime.Change)) error {
		return realtime.Listen(ctx, w.realtime, listening, func(c realtime.Change) {
			if _, unknown := w.sites.Site(c.Site); unknown == nil {
				w.schedules.Hear(c.Site, c.DocType)
			}
			if c.DocType == sites.PauseDocType || c.DocType == sites.BreakerDocType {
				w.sites.ForgetHolds(c.Site)
			}
			hear(c)
			w.batches.Hear(c)
		})
	})
}

func loop(ctx context.Context, loops ...func(context.Context)) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, run := range loops {
		all.Go(func() { run(ctx) })
	}
	return &all
}

// heardWithin is how long a process waits with its first claim for Redis to hear it, see rqcompat.Client.BeHeard.
const heardWithin = 5 * time.Second

// ended waits for loops whose context has ended.
func (w *rooms) ended(what string, loops *sync.WaitGroup) {
	if !wait.For(loops, lastSteps) {
		w.cfg.Log.Error("stopping: left behind, since it doesn't end: "+what, "after", lastSteps)
	}
}

// leave takes this process out of RQ's view.
func (w *rooms) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	w.scheduler.Release(ctx)
	if err := errors.Join(w.slots.Leave(ctx, w.rq), w.rq.Withdraw(ctx, w.process.Name)); err != nil {
		w.cfg.Log.Warn("worker records not removed; they expire by themselves", "error", err)
	}
}
