package frappe

import "context"

// JobType is one row of `tabJob Type`.
type JobType struct {
	TypeName, DisplayName, Description string
	Enabled                            bool
	HandlerMethod                      string // dotted path
	RequiresPermission                 string // a DocType whose create permission the submitter needs; "" is none
	DefaultTimeout                     int    // seconds
	DefaultPriority                    string
	MaxRetries                         int
	DeduplicationWindow                int // seconds; 0 turns it off
	RateLimit                          int // jobs per user and window; 0 is none
	RateLimitWindow                    int // seconds
}

// JobTypes reads all Job Types by type name, cached for 5 s. The map and its values are shared: don't change them.
func (d *DB) JobTypes(ctx context.Context) (map[string]*JobType, error) {
	return nil, errNotBuilt
}

// InsertJobTypes inserts the Job Types that don't exist yet and names those it inserted.
func (d *DB) InsertJobTypes(ctx context.Context, types []JobType) (inserted []string, err error) {
	return nil, errNotBuilt
}
