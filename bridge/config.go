package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/breaker"
	"github.com/opensoft/dartwing-bridge/bridge/internal/foreign"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// Config says how an Engine or a Client works; a zero field means its default. Package benchconfig reads one from files.
type Config struct {
	// Bench is the bench whose jobs are worked. Required.
	Bench *frappe.Bench
	// Log receives the engine's log lines. Default: none.
	Log *slog.Logger

	// Queues are the queue types that belong to the bridge alone: a job on them without a handler fails with an error
	// that names its method. Default: "go" if the bench's "workers" declares it, else none.
	Queues []string
	// SharedQueues are queue types worked together with Python: only jobs that have a Go handler are taken, all others
	// are left in place. Default: short, default, long, but for those in Queues.
	SharedQueues []string
	// First are those of the SharedQueues on which the bridge waits before idle Python workers, which get a job at its push
	// otherwise and fail it, before it is taken back from them. Every job of such a queue passes through the bridge then, a
	// few milliseconds each; a bridge that dies with one in hand is followed within 3 s by any other, or by the next start.
	// It needs Redis 6.2. Default: none.
	First []string
	// Concurrency is how many jobs run at once, 1 to 100,000. From 8 on a tenant, an organization of a site, has at most seven
	// times as many of these slots as it leaves free, so that whoever comes finds one: some 87 of 100 alone. Default: 100.
	Concurrency int
	// Weights are the shares of organizations in the fair turns and of the slots, 1 to 100, by organization name. Default: 1
	// each.
	Weights map[string]int
	// RunningPerOrganization is how many jobs of an organization run at once, on all bridges of the bench together; at least
	// 0, which is any number. What one process gives it at most (Concurrency) holds besides. A dead process's jobs count
	// until its Lease ends. Bridges that disagree each keep within their own number. Default: 0.
	RunningPerOrganization int
	// RunningOf is that of some organizations, by name. Default: RunningPerOrganization.
	RunningOf map[string]int
	// Ageing is after how long a waiting job counts as one of the next higher priority among those of its organization, and
	// again after as long; since it was enqueued, whoever saw it. What has aged past others has every second start at most.
	// A negative one is none. Default: 10 min.
	Ageing time.Duration
	// RQVersion overrides the detected RQ version, e.g. "1.15.1". Default: found out (rqcompat.Detect).
	RQVersion string
	// DefaultOrganization owns the rows of jobs that name no organization. Default: none; such a job of a Job Type fails.
	DefaultOrganization string
	// TrustEnqueuer says that whoever can enqueue on this bench may do so for any organization: it isn't asked whether the
	// caller belongs to the one that a call of frappe.enqueue, or the row it names, is of. Default: it is asked.
	TrustEnqueuer bool
	// QueueLimit is how many jobs of an organization may wait, Pending or Queued; more are refused with ErrQueueFull until some have
	// ended. Jobs of frappe.enqueue aren't refused. It is counted once a second. Negative: any number. Default: 100,000.
	QueueLimit int
	// Retry is the schedule of attempts after a transient failure; a handler may have its own (WithRetry).
	Retry RetryPolicy
	// Retention is how long jobs are kept after their end, with their logs.
	Retention Retention
	// DeadLetterAlert says when people are told that an organization has many dead letters.
	DeadLetterAlert DeadLetterAlert
	// RetryIntervals are the pauses before each retry of a job without a row that fails with an error that isn't Permanent,
	// in whole seconds; an empty list that isn't nil means no retry. A job for which its producer asked RQ for retries has
	// those instead. A handler may have its own (WithRetryIntervals, ForeignHandler). Default: 1, 5 and 20 s.
	RetryIntervals []time.Duration
	// Foreign are handlers in other languages by Job Type or method. Default: none.
	Foreign map[string]ForeignHandler
	// Breaker is when the attempts of a Job Type and an organization have failed so often that their other jobs wait.
	Breaker BreakerPolicy
	// StopTimeout is how long a stop waits for running jobs before it cancels them. Default: 30 s.
	StopTimeout time.Duration
	// CancelGrace is how long a canceled handler may take to return before it is abandoned. Default: 10 s.
	CancelGrace time.Duration
	// Lease is how long a claim holds without renewal, 1 s to 15 s: so late are the jobs back of a host that is gone or cut off. A
	// process that died is noticed within about a second. Default: 15 s.
	Lease time.Duration
	// RowGrace is how long a job waits for its row, its organization or its user's membership to appear, since Python may
	// enqueue before it commits. Default: 10 s.
	RowGrace time.Duration
	// MaxKills is how often a job may take its worker down before it is dead-lettered as poison. Default: 3. All that ran
	// beside it in its process are suspects after the first time: they start one after the other, all within about two seconds, and of
	// those for which another time would be the last only one runs at once. So at 2 and more it is the one that is found. Who else was there
	// stands in its error.
	MaxKills int
	// RunningMemory is about how many bytes the jobs that run may take together, counted by what they bring: their arguments,
	// decoded and as JSON. Half of it is for small jobs, of which as many as Concurrency says fit into that half; they never
	// wait for memory. Larger ones take turns in the other half, and one that is larger than that runs when no other of them
	// does. What a handler itself takes is its own affair. At least 16 MiB. Default: 256 MiB.
	RunningMemory int
	// DBConnections is how many database connections all sites may have together; an idle site has none. A site gets half of
	// what the others leave at most. Default: 16.
	DBConnections int
	// NoSamples leaves out echo_job, sample_job and long_running_job, to try an installation with. Default: they are there.
	NoSamples bool

	pace   pace
	decode route.Decode // only tests set it
}

// pace is how often each of rooms.maintenance is done; only tests change it.
type pace struct {
	rescue             time.Duration
	orphans, orphanAge time.Duration // orphanAge is how long a row must not have moved
	maintain           time.Duration // as RQ itself does
	patience           time.Duration // of route.Params; zero is its default
}

// RetryPolicy is when transient failures are retried: the n-th time Base × 2^(n−1) after the failure, at most Max, more or
// less by up to the share Jitter. Defaults: a Base of 1 min, a Max of 16 × Base, a Jitter of 0.2; a negative one is none.
type RetryPolicy = job.RetryPolicy

// Retention is for how many days jobs are kept after they ended: Completed and Canceled ones, and Failed and Timed Out ones
// that nobody retries, for Days, 30 by default; dead letters for DeadLetterDays, by default as long as the others. A negative
// number keeps them for ever. What nobody retries becomes a dead letter first.
type Retention = job.Retention

// BreakerPolicy is when circuit breakers open: once a share of Failures, 0.5 by default and at most 1, of at least AtLeast attempts, 10
// by default, that ended within Window, 30 min by default, has failed. The jobs of that Job Type and organization wait then, for Open,
// 15 min by default; after that one is tried: if it completes, all go on, else they wait as long again. Cancels and what is given back
// don't count. Off opens none, and lets go on what waits for one.
type BreakerPolicy = breaker.Policy

// DeadLetterAlert is from how many dead letters on an organization's are told of, once, until they were fewer: by a warning in the
// log, the event job_dead_letters (EventDeadLetters), and the desk's bell for those of a role who may see the organization, 20
// at most.
type DeadLetterAlert struct {
	// Threshold is that number, at most 10,000; a negative one is never. Default: 100.
	Threshold int
	// Role is who is told by the bell. Default: System Manager.
	Role string
}

// ForeignHandler is a handler that is not written in Go: exactly one of Exec and HTTP is set.
type ForeignHandler struct {
	// Exec runs a program per job.
	Exec *ExecConfig
	// HTTP calls a URL per job.
	HTTP *HTTPConfig
	// RetryIntervals are the handler's own. Default: Config.RetryIntervals.
	RetryIntervals []time.Duration
}

// ExecConfig is a handler that runs a program per job.
//
// The program gets the job's parameters as one JSON value on stdin and, in its environment, BRIDGE_JOB_ID,
// BRIDGE_JOB_NAME, BRIDGE_JOB_TYPE, BRIDGE_SITE, BRIDGE_USER, BRIDGE_ORGANIZATION, BRIDGE_ATTEMPT, BRIDGE_TIMEOUT
// (seconds, 0 for none) and, if there is something to say, BRIDGE_LOSSY (JobInfo.Lossy as JSON); of the bridge's own environment it sees PATH, HOME, LANG and TZ. Lines of JSON on stdout
// report:
//
//	{"progress": 40, "message": "rendering"}
//	{"output": "/files/report.csv"}
//	{"result": {"rows": 12}}
//	{"snooze": 60}
//	{"submit": {"job_type": "render_page", "parameters": {"page": 4}, "key": "page 4 of JOB-2026-00017"}}
//
// The last one submits another job, as Job.Submit does: site, organization and user are those of the program's own job, and no
// line can name others. Beside these fields it takes priority, depends_on (names of jobs; that of its own is BRIDGE_JOB_NAME) and
// run_after (RFC 3339, or a duration such as 90m). The program reads no answers: a refusal and its reason are in the job's log, as
// are the names of what was submitted, and the job goes on. Without a key a program that is tried again submits again. What
// couldn't be submitted because a server is away, or within KillGrace of the program's end, fails the attempt, as a transient error.
//
// Any other line goes to the log. A line of JSON that is longer than 1 MiB, or that starts with {"result": and can't be
// read, fails the job for good, since it may have been the result. The last 8 KiB of stderr become part of the error; the last lines of both are shown in the row's log_tail. Exit status 0 is success; of
// sysexits.h 64 (usage), 65 (data), 66 (no input), 67 (no user), 77 (no permission) and 78 (configuration) are
// permanent; every other status (69 unavailable, 70 software, 75 temporary failure, …) and a signal are transient. A program
// that isn't there, may not be run or would get more than the system passes on is permanent; any other that can't be
// started, for lack of memory for instance, transient. A signal that ends it while the bridge stops gives the job back: it was the stop's.
//
// On cancel, timeout and shutdown SIGTERM goes to the program's whole process group, and SIGKILL to whatever is left of
// it after KillGrace. Status 0 after SIGTERM counts as success only if a result was reported. What a program leaves
// running in its group when it ends is killed. It becomes a child of the first process, which in a container must take in
// how it ended: the program bridge does, beside another one use an init (docker run --init).
// What left the group with setsid isn't found; only a container or a cgroup takes that in.
//
// Command is the program and its arguments, without a shell; required. Dir is the working directory, the bridge's by
// default. Env is added to the environment, BRIDGE_… names excepted. KillGrace, also how long pipes may stay open after
// the program's end, is less than Config.CancelGrace; 5 s by default.
type ExecConfig = foreign.Exec

// HTTPConfig is a handler that calls a URL per job.
//
// The request's body is JSON: job_id, name, job_type, site, user, organization, attempt, timeout_seconds (0 for none)
// and parameters, and lossy (JobInfo.Lossy) if there is something to say. An answer of 2xx is success; as application/json it may hold {"result": …, "output": "…"}, and one "submit". As
// application/x-ndjson it is read line by line while it comes, with the reports of ExecConfig and, since the status is
// already out, {"error": "…", "permanent": true} for a failure; a line of those that can't be read is a permanent one.
//
// 429 and 503 with Retry-After (seconds or a date, at most a day) set the time of the next attempt. 408, 425, 429, 5xx,
// a failed connection and an answer that breaks off are transient; other 4xx, a redirect (never followed) and an answer
// of more than 1 MiB or of broken JSON are permanent. A kept connection that the service closes before it answers is no
// failure: the service is called again at once.
//
// URL, http or https, is required. Method is POST (the default), PUT or PATCH. Headers are added to the request. Timeout
// is the longest one call may take, besides the job's own; none by default.
type HTTPConfig = foreign.HTTP

// WithDefaults returns c with every zero field set to its default, as an Engine and a Client have it.
func (c Config) WithDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Queues == nil && slices.ContainsFunc(c.Bench.QueueTypes(), func(q frappe.QueueType) bool { return q.Name == "go" }) {
		c.Queues = []string{"go"}
	}
	if c.SharedQueues == nil {
		for _, standard := range []string{"short", "default", "long"} {
			if !slices.Contains(c.Queues, standard) {
				c.SharedQueues = append(c.SharedQueues, standard)
			}
		}
	}
	if c.RetryIntervals == nil {
		c.RetryIntervals = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}
	}
	c.Breaker.Failures = cmp.Or(c.Breaker.Failures, 0.5)
	c.Breaker.AtLeast = cmp.Or(c.Breaker.AtLeast, 10)
	c.Breaker.Window = cmp.Or(c.Breaker.Window, 30*time.Minute)
	c.Breaker.Open = cmp.Or(c.Breaker.Open, 15*time.Minute)
	c.Concurrency = cmp.Or(c.Concurrency, 100)
	c.Ageing = cmp.Or(c.Ageing, 10*time.Minute)
	c.MaxKills = cmp.Or(c.MaxKills, 3)
	c.QueueLimit = cmp.Or(c.QueueLimit, 100_000)
	c.RunningMemory = cmp.Or(c.RunningMemory, 256<<20)
	c.DBConnections = cmp.Or(c.DBConnections, 16)
	c.DeadLetterAlert.Threshold = cmp.Or(c.DeadLetterAlert.Threshold, 100)
	c.DeadLetterAlert.Role = cmp.Or(c.DeadLetterAlert.Role, "System Manager")
	c.StopTimeout = cmp.Or(c.StopTimeout, 30*time.Second)
	c.CancelGrace = cmp.Or(c.CancelGrace, 10*time.Second)
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	c.RowGrace = cmp.Or(c.RowGrace, 10*time.Second)
	c.pace = cmp.Or(c.pace, pace{
		rescue: time.Second, orphans: 15 * time.Second, orphanAge: 30 * time.Second, maintain: 10 * time.Minute,
	})
	return c
}

// caps are the limits that the configuration sets.
func (c Config) caps() job.Caps {
	return job.Caps{PerOrganization: c.RunningPerOrganization, Of: c.RunningOf, Lease: c.Lease}
}

// leastMemory is the least RunningMemory, in bytes.
const leastMemory = 16 << 20

// validate reports every problem of a configuration whose defaults are set, in the words of the configuration files.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Concurrency < 1 || c.Concurrency > 100_000 {
		bad("bridge.concurrency is %d, want 1 to 100000", c.Concurrency)
	}
	if c.Lease < time.Second || c.Lease > 15*time.Second {
		bad("bridge.lease is %s, want 1 s to 15 s", c.Lease)
	}
	for key, d := range map[string]time.Duration{"stop_timeout": c.StopTimeout, "cancel_grace": c.CancelGrace, "row_grace": c.RowGrace} {
		if d < 0 {
			bad("bridge.%s is %s, want a time that isn't negative", key, d)
		}
	}
	if c.MaxKills < 1 {
		bad("bridge.max_kills is %d, want at least 1", c.MaxKills)
	}
	if c.RunningMemory < leastMemory {
		bad("bridge.running_memory is %d MiB, want at least %d", c.RunningMemory>>20, leastMemory>>20)
	}
	if c.DeadLetterAlert.Threshold > 10_000 {
		bad("bridge.dead_letter_alert: the threshold is %d, want at most 10000", c.DeadLetterAlert.Threshold)
	}
	if c.DBConnections < 1 {
		bad("bridge.db_connections is %d, want at least 1", c.DBConnections)
	}
	for organization, weight := range c.Weights {
		if weight < 1 || weight > 100 {
			bad("bridge.weights[%q] is %d, want 1 to 100", organization, weight)
		}
	}
	if c.RunningPerOrganization < 0 {
		bad("bridge.running_per_organization is %d, want at least 0, which is any number", c.RunningPerOrganization)
	}
	for organization, most := range c.RunningOf {
		if most < 0 {
			bad("bridge.running_of[%q] is %d, want at least 0, which is any number", organization, most)
		}
	}
	if b := c.Breaker; !(b.Failures > 0 && b.Failures <= 1) || b.AtLeast < 1 || b.Window <= 0 || b.Open <= 0 {
		bad("bridge.breaker is failures %g, at_least %d, window %s, open %s; want a share above 0 to 1, a number of at least 1, and times above zero",
			b.Failures, b.AtLeast, b.Window, b.Open)
	}
	if err := job.CheckRetry(c.Retry); err != nil {
		bad("bridge.retry: %w", err)
	}
	if err := job.CheckIntervals(c.RetryIntervals); err != nil {
		bad("bridge.retry_intervals: %w", err)
	}
	c.validateQueues(bad)
	c.validateForeign(bad)
	return errors.Join(errs...)
}

func (c Config) validateQueues(bad func(format string, args ...any)) {
	if len(c.Queues)+len(c.SharedQueues) == 0 {
		bad(`no queue to work: set bridge.queues, e.g. ["go"], or bridge.shared_queues`)
	}
	for _, q := range c.First {
		if !slices.Contains(c.SharedQueues, q) {
			bad("queue %q is in bridge.first but not in bridge.shared_queues: on an own queue nobody is to be ahead of", q)
		}
	}
	known, all := c.Bench.QueueTypes(), slices.Concat(c.Queues, c.SharedQueues)
	for i, q := range all {
		again := slices.Contains(all[:i], q)
		switch {
		case again && slices.Contains(c.Queues, q) && slices.Contains(c.SharedQueues, q):
			bad("queue %q is in bridge.queues and in bridge.shared_queues: it can be own or shared, not both", q)
		case again:
			bad("queue %q is listed twice", q)
		case !slices.ContainsFunc(known, func(t frappe.QueueType) bool { return t.Name == q }):
			bad(`queue %q is not one of the bench's (%s): add it to "workers" in common_site_config.json`, q, sites.QueueNames(known))
		}
	}
}

func (c Config) validateForeign(bad func(format string, args ...any)) {
	for name, h := range c.Foreign {
		if err := job.CheckIntervals(h.RetryIntervals); err != nil {
			bad("bridge.handlers[%q].retry_intervals: %w", name, err)
		}
		if (h.Exec == nil) == (h.HTTP == nil) {
			bad(`bridge.handlers[%q] needs exactly one of "exec" and "http"`, name)
		} else if h.Exec != nil {
			// A program that is being killed in order must not count as abandoned.
			if grace := foreign.Grace(*h.Exec); grace >= c.CancelGrace {
				bad("bridge.handlers[%q].exec.kill_grace is %s, want less than bridge.cancel_grace, which is %s", name, grace, c.CancelGrace)
			}
		}
	}
}
