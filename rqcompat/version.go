package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Dialect is everything that differs between the RQ versions this package speaks. It is a plain value: get one
// from ParseDialect or Detect and hand it to NewClient. The zero Dialect is not valid.
type Dialect struct {
	Version             string // the string the dialect was made from, as it goes into worker records
	Major, Minor, Patch int
	Tested              bool // this release, or another patch of its line, is in the interop matrix

	// IntermediateGrace: maintenance leaves an id in the intermediate list alone for 60 s. Since 1.16.2. Without
	// it, a claim through the intermediate list races with every maintaining worker.
	IntermediateGrace bool
	// CompositeWip: members of rq:wip:<q> are "<id>:<execution>" and each execution has records of its own
	// (rq:execution:…, rq:executions:…); every job hash has group_id; Python readers cut an id at its first ":" and,
	// from 2.1 on, refuse new ones with it. Since 2.0; before, the member is the id.
	CompositeWip     bool
	DeferredExpires  bool // maintenance fails members of rq:deferred:<q> whose score has passed. 2.0–2.7.
	Repeat           bool // repeats_left and repeat_intervals exist. Since 2.3.
	ResultWorkerName bool // result entries carry worker_name. Since 2.5.
	IDCharset        bool // ids must match [A-Za-z0-9_-]+, also when read. Since 2.8, or if any live worker is.
	// ResultExecution: result entries carry execution_id and the execution's start and end; enqueue_at_front_on_retry
	// exists; the ttl of a scheduled job runs from the moment of scheduling; a stopped job no longer releases its
	// dependents. Since 2.8.
	ResultExecution bool
	SchedulerByName bool // the scheduler lock holds a name, not a PID, and rq:scheduler:<name> describes it. Since 2.10.
}

// ParseDialect returns the dialect of an RQ version such as "1.15.1" or "2.6". Suffixes like "rc1" or ".post1" are
// ignored. Versions outside 1.15–1.16 and 2.0–2.10 give an *UnsupportedVersionError.
func ParseDialect(version string) (Dialect, error) {
	n := versionNumbers(version)
	one := n[0] == 1 && (n[1] == 15 || n[1] == 16)
	two := n[0] == 2 && n[1] <= 10
	if !one && !two {
		return Dialect{}, &UnsupportedVersionError{Version: version}
	}
	since := func(v ...int) bool { return slices.Compare(n[:], v) >= 0 }
	return Dialect{
		Version: strings.TrimSpace(version), Major: n[0], Minor: n[1], Patch: n[2],
		Tested: one || n[1] == 6 || n[1] == 10,

		IntermediateGrace: since(1, 16, 2),
		CompositeWip:      two, DeferredExpires: two && !since(2, 8),
		Repeat: since(2, 3), ResultWorkerName: since(2, 5),
		IDCharset: since(2, 8), ResultExecution: since(2, 8),
		SchedulerByName: since(2, 10),
	}, nil
}

// versionPattern takes the release numbers and lets suffixes like "rc1", ".post1" and "+local" pass.
var versionPattern = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[a-z.+-][0-9A-Za-z.+-]{0,40})?$`)

// versionNumbers reads the two or three leading numbers of a version; a missing one is 0.
func versionNumbers(version string) (n [3]int) {
	if m := versionPattern.FindStringSubmatch(strings.TrimSpace(version)); m != nil {
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+1]) // digits only, or empty
		}
	}
	return n
}

// WipMember is the member of rq:wip:<q> for one execution of a job.
func (d Dialect) WipMember(id, executionID string) string {
	if d.CompositeWip {
		return id + ":" + executionID
	}
	return id
}

// SplitWipMember is the reverse of WipMember. With composite members it cuts at the last colon and wants 32 hex
// digits behind it, so ids with colons survive; anything else is taken as a bare id.
func (d Dialect) SplitWipMember(member string) (id, executionID string) {
	i := strings.LastIndexByte(member, ':')
	if !d.CompositeWip || i < 0 || len(member)-i-1 != 32 || strings.Trim(member[i+1:], "0123456789abcdef") != "" {
		return member, ""
	}
	return member[:i], member[i+1:]
}

// Detection is a dialect and where it was found.
type Detection struct {
	Dialect Dialect
	Source  string // "configuration", "live worker <name>" or "bench"
}

// Detect finds the dialect to speak: the configured version, else that of live Python workers (records whose
// python_version starts with "go" are workers of this package and don't count), else the version installed in the
// bench. Workers of different compatible versions give the oldest one's dialect with the strictest id rule.
func Detect(ctx context.Context, rdb redis.UniversalClient, configured, benchVersion string) (Detection, error) {
	if configured != "" {
		return detection(configured, "configuration")
	}
	live, err := liveVersions(ctx, rdb)
	if err != nil {
		return Detection{}, err
	}
	if len(live) > 0 {
		return mergeLive(live)
	}
	if benchVersion != "" {
		return detection(benchVersion, "bench")
	}
	return Detection{}, ErrVersionUnknown
}

func detection(version, source string) (Detection, error) {
	d, err := ParseDialect(version)
	if e, unsupported := errors.AsType[*UnsupportedVersionError](err); unsupported {
		e.Source = source
	}
	return Detection{Dialect: d, Source: source}, err
}

type liveVersion struct{ worker, version string }

// liveVersions reads name and version of the Python workers that have a live record, sorted by name.
func liveVersions(ctx context.Context, rdb redis.UniversalClient) ([]liveVersion, error) {
	keys, err := rdb.SMembers(ctx, WorkersKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	slices.Sort(keys)
	cmds, err := pipelined(ctx, rdb, func(p redis.Pipeliner) {
		for _, k := range keys {
			p.HMGet(ctx, k, "version", "python_version", "death")
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read worker versions: %w", err)
	}
	var live []liveVersion
	for i, cmd := range cmds {
		v, err := cmd.(*redis.SliceCmd).Result()
		if err != nil {
			continue // not the record of a worker
		}
		version, _ := v[0].(string)
		python, _ := v[1].(string)
		if name, ok := strings.CutPrefix(keys[i], WorkerKey("")); ok && version != "" && v[2] == nil && !strings.HasPrefix(python, "go") {
			live = append(live, liveVersion{name, version})
		}
	}
	return live, nil
}

func mergeLive(live []liveVersion) (Detection, error) {
	var found Detection
	var from string
	strictIDs := false
	for i, l := range live {
		d, err := detection(l.version, "live worker "+l.worker)
		if err != nil {
			return Detection{}, err
		}
		name := fmt.Sprintf("%q (%s)", clip(l.worker), clip(l.version))
		if i > 0 && found.Dialect.CompositeWip != d.Dialect.CompositeWip {
			return Detection{}, &MixedVersionsError{A: from, B: name}
		}
		if i == 0 || slices.Compare(d.Dialect.numbers(), found.Dialect.numbers()) < 0 {
			found, from = d, name
		}
		strictIDs = strictIDs || d.Dialect.IDCharset
	}
	found.Dialect.IDCharset = strictIDs
	return found, nil
}

func (d Dialect) numbers() []int { return []int{d.Major, d.Minor, d.Patch} }
