package integration

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// allowance is a difference between what a Python worker and the engine leave behind that is meant to be.
type allowance struct {
	name string
	// in are the comparisons where it shows and versions the RQ versions it shows with; "" is all.
	in, versions string
	// path, python and golang are patterns of the whole line; "" is anything, "-" none.
	path, python, golang string
	reason               string
}

var allAllowances = []allowance{
	{name: "id without a job", in: "ended", path: `rq:queue:bench:go:intermediate`, python: `\[ghost\]`, golang: "-",
		reason: "RQ moves an id whose job expired to the intermediate list and leaves it there until maintenance; a claim by id never moves it."},
	{name: "results expire", in: "ended stopped", path: `rq:results:\S+ TTL`, python: "-", golang: "31536000",
		reason: "The results of a failed job without failure_ttl expire with the job; RQ forgets them in Redis for ever."},
	{name: "failure_ttl 0", in: "ended", path: `rq:failed:bench:go fails-and-is-gone`, python: `now\+0`, golang: "-",
		reason: "RQ lists a job as failed that it has just deleted, until the next cleaning; a list that names it meets no hash."},
	{name: "error text", in: "ended", path: `rq:results:\S+ 0 exc_string`, python: `Traceback .* … .+: .+`, golang: `Traceback .* … \S+\.\S+: .+`,
		reason: "A Go error has the form of a traceback, its last line too, but not Python's classes."},
	{name: "address", path: `rq:worker:<worker> ip_address`, python: `127\.0\.0\.1:\d+`, golang: "unknown",
		reason: "Worker records are slots of one process and have no connection each; unknown is RQ's own word where CLIENT LIST is denied."},
	{name: "interpreter", path: `rq:worker:<worker> python_version`, python: `3\..*`, golang: `go1\.\S+ dartwing-bridge`,
		reason: "Free text, by which a bridge tells its like from Python workers."},
	{name: "maintenance lock", in: "ended running stopped abandoned", versions: "1.15.1", path: `rq:clean_registries:bench:go( TTL)?`, python: "1|900", golang: "-",
		reason: "RQ 1.15 does not release it, so that one worker of a fleet cleans each 15 minutes; later versions do as we do."},
	{name: "scheduler", in: "running", path: `rq:scheduler(-lock:bench:go|:<execution>)( \S+)?`, python: "-",
		reason: "Each bridge does the scheduler's work from its start; a Python worker does if it is told so."},
	{name: "execution index", in: "running", versions: "2.6.1 2.10.0", path: `rq:execution:stopped:<execution> (job_id|worker_name)`, python: "-", golang: `stopped|<worker>`,
		reason: "What RQ 3 adds to executions is written already; no release minds it."},
	{name: "stopped job keeps its worker", in: "stopped", path: `rq:job:stopped(-retry)? (ended_at|last_heartbeat|worker_name)`, python: `""`, golang: `<time>|<worker>`,
		reason: "RQ's parent process saves a copy from before the start over them; readers that subtract the times want both."},
	{name: "stopped execution's end", in: "stopped", versions: "2.10.0", path: `rq:results:stopped(-retry)? 0 execution_ended_at`, python: "-", golang: "<float>",
		reason: "The same stale copy: RQ does not know when the execution ended."},
	{name: "repeat's old result", in: "ended", versions: "2.6.1 2.10.0", path: `rq:job:repeats(-later)? result`, python: "42", golang: "-",
		reason: "RQ's full save of a repeated job puts its last value into a field that is only read when there are no results."},
	{name: "waiting repeat's status", in: "ended", versions: "2.6.1", path: `rq:job:repeats-later status`, python: "finished", golang: "scheduled",
		reason: "RQ before 2.8 shows a job that waits for its repetition as finished; its own scheduled registry says otherwise."},
	{name: "abandoned job has an end", in: "abandoned", path: `rq:job:dead(-retry|-later)? ended_at`, python: `""`, golang: "<time>",
		reason: "Readers that show how long a job took subtract started_at, which is set."},
	{name: "abandoned job has a result", in: "abandoned", versions: "1.15.1 1.16.2", path: `rq:(results:dead .*|job:dead exc_info)`,
		reason: "RQ 1 writes the reason into an old field only; the result is what its own readers look at first."},
	{name: "abandoned job's dependents", in: "abandoned", versions: "1.15.1 1.16.2",
		path:   `rq:(deferred:bench:go tolerant|job:dead:dependents|job:tolerant (status|enqueued_at)|queue:bench:go)`,
		reason: "RQ 1 forgets the jobs that may run after a failure; they would wait for ever."},
	{name: "abandoned execution", in: "abandoned", versions: "2.6.1 2.10.0", path: `rq:executions?:dead\S* \S+`, golang: "-",
		reason: "RQ leaves the dead execution's records to their expiry; until then Job.delete stumbles over them."},
	{name: "abandoned execution in the result", in: "abandoned", versions: "2.10.0", path: `rq:results:dead 0 execution_\w+`, python: "-",
		reason: "Which execution it was is known from the entry of the started registry."},
	{name: "order of what cleaning queues", in: "abandoned", versions: "2.6.1 2.10.0", path: `rq:queue:bench:go`, python: `\[tolerant dead-retry\]`, golang: `\[dead-retry tolerant\]`,
		reason: "RQ releases dependents in a transaction of their own before the rest; here each dead job is one step."},
	{name: "deferred score", in: "enqueued", versions: "1.15.1 1.16.2 2.10.0", path: `rq:deferred:bench:go (child|tolerant)`, python: `now\+0`, golang: `\+Inf`,
		reason: "RQ 2.0 to 2.7 fails deferred jobs whose score has passed; +inf is safe with every peer and sorts as well."},
	{name: "flag at front", in: "enqueued", path: `rq:job:tolerant enqueue_at_front`, python: "0", golang: "-",
		reason: "RQ's Dependency object writes its default; no field means the same."},
	{name: "group", in: "enqueued", versions: "1.15.1 1.16.2", path: `rq:job:\S+ group_id`, python: "-", golang: `""`,
		reason: "The hash has the same fields for every version; RQ 1 ignores this one."},
}

// allowances knows which of them were needed.
type allowances struct {
	mu   sync.Mutex
	used map[string]bool
	seen map[string]bool
}

func newAllowances(t *testing.T) *allowances {
	a := &allowances{used: map[string]bool{}, seen: map[string]bool{}}
	t.Cleanup(func() {
		// Nobody can tell what is superfluous when only some of the versions were compared.
		if len(a.seen) < 5*len(servers.RQVersions()) {
			return
		}
		for _, one := range allAllowances {
			if !a.used[one.name] {
				t.Errorf("allowed difference %q does not exist (any more): take it out", one.name)
			}
		}
	})
	return a
}

// compare fails the test for each difference that is not allowed.
func (a *allowances) compare(t *testing.T, version, what string, dumps func() (python, golang dump)) {
	t.Helper()
	python, golang := dumps()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[version+what] = true
	for _, d := range differences(python, golang) {
		name := allowedBy(d, version, what)
		if name == "" {
			t.Errorf("%s with RQ %s: %s", what, version, d)
		}
		a.used[name] = true
	}
}

func allowedBy(d difference, version, what string) string {
	for _, a := range allAllowances {
		if listed(a.in, what) && listed(a.versions, version) && whole(a.path, d.path) && whole(a.python, d.python) && whole(a.golang, d.golang) {
			return a.name
		}
	}
	return ""
}

func listed(list, one string) bool {
	return list == "" || strings.Contains(" "+list+" ", " "+one+" ")
}

func whole(pattern, text string) bool {
	switch pattern {
	case "":
		return true
	case "-":
		return text == ""
	}
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}
