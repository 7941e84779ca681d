package job

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Limits are those that a job must keep within, each in its place; one whose Most is 0 is none.
type Limits [limitKinds]rqcompat.Limit

// The places of limits. The first three are caps on running jobs; the others spare a service outside, and count per
// organization and key.
const (
	LimitOrganization          = iota // jobs of an organization that run
	LimitJobType                      // of a Job Type
	LimitJobTypeInOrganization        // of both
	LimitKeyRunning                   // of a Job Type with the same key, in an organization
	LimitKeyRate                      // of those the starts within a window

	limitKinds
)

// limitNames are what the keys in Redis begin with, by place.
var limitNames = [limitKinds]string{"organization", "type", "type-organization", "key", "rate"}

// Caps are the limits that the configuration sets, and what all limits have in common.
type Caps struct {
	// PerOrganization is how many jobs of an organization may run, and Of that of some by name; 0 is any number.
	PerOrganization int
	Of              map[string]int
	// Lease is how long a running job counts whose process doesn't renew it.
	Lease time.Duration
}

// Limits are those of a job of which is known whose it is; nil if there are none. key is what the value is that its Job
// Type's limit_key names.
func (c Caps) Limits(q *Queued, key string) *Limits {
	var l Limits
	any := false
	set := func(place, most int, window time.Duration, of ...string) {
		if most <= 0 {
			return
		}
		any = true
		l[place] = rqcompat.Limit{Key: limitKey(place, of...), Most: most, Window: window}
		if window == 0 {
			l[place].Lease = c.Lease
		}
	}
	if q.Organization != "" {
		most, own := c.Of[q.Organization]
		if !own {
			most = c.PerOrganization
		}
		set(LimitOrganization, most, 0, q.Site, q.Organization)
	}
	if t := q.JobType; t != nil {
		set(LimitJobType, t.MaxRunning, 0, q.Site, t.TypeName)
		set(LimitJobTypeInOrganization, t.MaxRunningPerOrganization, 0, q.Site, t.TypeName, q.Organization)
		set(LimitKeyRunning, t.LimitRunning, 0, q.Site, t.TypeName, q.Organization, key)
		set(LimitKeyRate, t.LimitRate, time.Duration(t.LimitRateWindow)*time.Second, q.Site, t.TypeName, q.Organization, key)
	}
	if !any {
		return nil
	}
	return &l
}

// limitKey names a limit by a hash: the parts may hold any letters and any number of them, and what a parameter says is
// nobody else's to read.
func limitKey(place int, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return limitNames[place] + ":" + hex.EncodeToString(sum[:16])
}

// List are those that are set, and the place of each.
func (l *Limits) List() (limits []rqcompat.Limit, places []int) {
	if l == nil {
		return nil, nil
	}
	for place, limit := range l {
		if limit.Most > 0 {
			limits, places = append(limits, limit), append(places, place)
		}
	}
	return limits, places
}
