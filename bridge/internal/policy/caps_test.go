package policy

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestCaps: who asks what a job waits for hears of the first limit that is used up, and nobody else asks Redis.
func TestCaps(t *testing.T) {
	var limits job.Limits
	for place, key := range map[int]string{
		job.LimitOrganization: "org", job.LimitJobType: "type", job.LimitJobTypeInOrganization: "both", job.LimitKeyRunning: "key",
	} {
		limits[place] = rqcompat.Limit{Key: key, Most: 20, Lease: time.Second}
	}
	limits[job.LimitJobType].Most = 1
	limits[job.LimitKeyRate] = rqcompat.Limit{Key: "rate", Most: 20, Window: time.Minute}
	synctest.Test(t, func(t *testing.T) {
		for key, want := range map[string]string{
			"":     "",
			"org":  "wait 250ms limit: organization ORG-A has its 20 running jobs",
			"type": "wait 250ms limit: Job Type export has its 1 running job",
			"both": "wait 250ms limit: Job Type export has its 20 running jobs of organization ORG-A",
			"key":  "wait 250ms limit: Job Type export has its 20 running jobs of organization ORG-A with the same key",
			"rate": "wait 7s limit: of Job Type export 20 jobs of organization ORG-A with the same key have started within 1m0s; the next starts in 7s",
		} {
			f := fine()
			f.uses = map[string]rqcompat.LimitUse{key: {Used: 20, Frees: time.Now().Add(7 * time.Second)}, "other": {Used: 99}}
			q := Question{Moment: AtClaim, Site: "a", JobType: "export", Organization: "ORG-A", Limits: &limits}
			if got := say(New(f, Options{}).Ask(t.Context(), q)); got != want {
				t.Errorf("%s used up: the chain answers %q, want %q", key, got, want)
			}
			f.usesErr = errors.New("away")
			if got := say(New(f, Options{}).Ask(t.Context(), q)); got != "" {
				t.Errorf("%s, Redis is away: %q", key, got)
			}
		}
	})
	f := fine()
	for _, q := range []Question{{Moment: AtClaim, Site: "a"}, {Moment: AtStart, Site: "a", Limits: &limits}} {
		New(f, Options{}).Ask(t.Context(), q)
	}
	if got := strings.Join(f.asked, ", "); strings.Contains(got, "limits") {
		t.Errorf("asked for %s", got)
	}
}
