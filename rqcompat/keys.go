package rqcompat

// One function per Redis key. The names are RQ's own, shared with every Python process, so none can change.

// QueuesKey is the SET of full queue keys ("rq:queue:<q>") that exist. rq/queue.py Queue.redis_queues_keys.
func QueuesKey() string { return "rq:queues" }

// QueueKey is the LIST of job ids waiting in a queue; its head runs next. rq/queue.py Queue.key.
func QueueKey(queue string) string { return "rq:queue:" + queue }

// IntermediateKey is the LIST of ids that a single-queue Python worker popped and has not started yet. rq/queue.py
// Queue.get_intermediate_queue_key.
func IntermediateKey(queue string) string { return QueueKey(queue) + intermediateSuffix }

// FirstKey is the LIST of ids that waiters of [First] popped from a queue and that nobody claimed or put back yet. It is
// this package's, not RQ's.
func FirstKey(queue string) string { return "rq:first:" + queue }

// FirstWaitersKey is the ZSET of the connections (CLIENT ID) that wait for a queue in First, scored by their last sign of
// life in milliseconds of Redis' clock. It is this package's, not RQ's.
func FirstWaitersKey(queue string) string { return FirstKey(queue) + ":waiters" }

// ProcessesKey is the ZSET of the names of processes that published a record, scored by the time they last did. It is this
// package's, not RQ's.
func ProcessesKey() string { return "rq:processes" }

// ProcessKey is the STRING with what a process tells about itself, as JSON. It is this package's, not RQ's.
func ProcessKey(name string) string { return "rq:process:" + name }

// HeardKey is the SET of the names of processes that Redis has seen subscribed to a channel of their own name: one that isn't
// any more is dead, or about to subscribe again. It is this package's, not RQ's.
func HeardKey() string { return ProcessesKey() + ":heard" }

// DataMarkKey is the STRING with the mark of the data that Redis has, see [Client.DataMark]. It is this package's, not RQ's.
func DataMarkKey() string { return ProcessesKey() + ":data" }

// RateKey is the ZSET of who has a place in a sliding window (TakePlaces), by when he took it in microseconds. It is this
// package's, not RQ's.
func RateKey(window string) string { return "rq:rate:" + window }

// PausedKey is the SET of queues of which this package's workers shall take nothing. RQ's workers don't know it. It is this
// package's, not RQ's.
func PausedKey() string { return "rq:paused" }

// ReleasingKey is the HASH of ends of jobs whose dependents are released in steps: when the job ended and its id, by its
// status. Behind a colon the same name is the SET of those that are left. It is this package's, not RQ's.
func ReleasingKey() string { return "rq:releasing" }

// ReleasingChildrenKey is the HASH of jobs whose many parents are to be looked at: when the last of them ended and its id.
// It is this package's, not RQ's.
func ReleasingChildrenKey() string { return ReleasingKey() + ":children" }

// LimitKey is the ZSET of what a [Limit] counts: workers whose job runs, scored by when their lease ends, or executions that started,
// scored by when, in milliseconds of Redis' clock. It is this package's, not RQ's.
func LimitKey(key string) string { return "rq:limit:" + key }

// ReadingKey is the ZSET of processes that began to read the call of a job, scored by when, in milliseconds of Redis'
// clock. It is this package's, not RQ's.
func ReadingKey(id string) string { return "rq:reading:" + id }

// FirstSeenKey is the STRING with the time at which maintenance first met id in the intermediate list.
// rq/intermediate_queue.py IntermediateQueue.get_first_seen_key, since 1.16.2.
func FirstSeenKey(queue, id string) string { return IntermediateKey(queue) + ":first_seen:" + id }

// JobKey is the HASH of a job. rq/job.py Job.key_for.
func JobKey(id string) string { return "rq:job:" + id }

// ResultsKey is the STREAM with one entry per recorded outcome of a job. rq/results.py Result.get_key.
func ResultsKey(id string) string { return "rq:results:" + id }

// WipKey is the ZSET of running jobs of a queue, scored by the time their lease ends. rq/registry.py
// StartedJobRegistry; see Dialect.WipMember for its members.
func WipKey(queue string) string { return RegistryKey(Wip, queue) }

// Registry names one of the sorted sets RQ keeps per queue; the value is the middle part of its key.
type Registry string

// The registries of a queue, rq/registry.py.
const (
	Wip       Registry = "wip"
	Finished  Registry = "finished"
	Failed    Registry = "failed" // stopped jobs too
	Deferred  Registry = "deferred"
	Scheduled Registry = "scheduled"
	Canceled  Registry = "canceled"
)

// RegistryKey is the ZSET of one registry of a queue. rq/registry.py BaseRegistry.key_template.
func RegistryKey(r Registry, queue string) string { return "rq:" + string(r) + ":" + queue }

// ExecutionKey is the HASH of one running execution. rq/executions.py Execution.key, since 2.0.
func ExecutionKey(id, executionID string) string { return "rq:execution:" + id + ":" + executionID }

// ExecutionsKey is the ZSET of execution ids of one job. rq/executions.py ExecutionRegistry.key_template, since 2.0.
func ExecutionsKey(id string) string { return "rq:executions:" + id }

// WorkersKey is the SET of full worker keys. rq/worker_registration.py REDIS_WORKER_KEYS.
func WorkersKey() string { return "rq:workers" }

// QueueWorkersKey is the SET of full keys of the workers that listen on a queue. rq/worker_registration.py
// WORKERS_BY_QUEUE_KEY.
func QueueWorkersKey(queue string) string { return "rq:workers:" + queue }

// WorkerKey is the HASH of one worker. rq/worker.py BaseWorker.key.
func WorkerKey(name string) string { return "rq:worker:" + name }

// PubSubChannel is the channel that carries commands for one worker. rq/command.py PUBSUB_CHANNEL_TEMPLATE.
func PubSubChannel(worker string) string { return "rq:pubsub:" + worker }

// SuspendedKey is the STRING that exists while all workers shall take no new job. rq/suspension.py WORKERS_SUSPENDED.
func SuspendedKey() string { return "rq:suspended" }

// CleanLockKey is the STRING that one maintaining worker of a queue holds. rq/queue.py Queue.acquire_maintenance_lock.
func CleanLockKey(queue string) string { return "rq:clean_registries:" + queue }

// SchedulerLockKey is the STRING held by the scheduler of a queue. Its value is a PID or, since 2.10, a scheduler
// name (Dialect.SchedulerByName). rq/scheduler.py RQScheduler.get_locking_key.
func SchedulerLockKey(queue string) string { return "rq:scheduler-lock:" + queue }

// SchedulerKey is the HASH of one scheduler. rq/scheduler.py, since 2.10.
func SchedulerKey(name string) string { return "rq:scheduler:" + name }

// GroupsKey is the SET of group names. rq/group.py Group.REDIS_GROUP_KEY, since 2.0.
func GroupsKey() string { return "rq:groups" }

// GroupKey is the SET of job ids of a group. rq/group.py Group.get_key, since 2.0.
func GroupKey(name string) string { return "rq:group:" + name }

const (
	intermediateSuffix = ":intermediate"
	dependentsSuffix   = ":dependents"
)
