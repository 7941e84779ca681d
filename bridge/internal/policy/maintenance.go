package policy

import "context"

// maintenance holds the jobs of a site whose tables may be altered right now. What is submitted meanwhile waits.
var maintenance = Rule{Name: "maintenance", Ask: func(_ context.Context, f Facts, q Question) Answer {
	if q.Moment >= AtClaim && q.Site != "" && f.Maintenance(q.Site) {
		return stuck("site " + q.Site + " is in maintenance mode")
	}
	return Answer{}
}}
