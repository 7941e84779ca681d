package frappe

import (
	"context"
	"time"
)

// ListFilter chooses Background Job rows. Empty fields don't restrict.
type ListFilter struct {
	Organization  string
	Organizations []string // any of these
	JobType       string
	Owner         string // owner_user
	Statuses      []Status
	From, To      time.Time // creation, From <= creation < To
	Limit         int       // 0 is 20
	Offset        int
}

// BackgroundJob reads one row; ErrNoSuchJob when there is none.
func (d *DB) BackgroundJob(ctx context.Context, name string) (*BackgroundJob, error) {
	return nil, errNotBuilt
}

// BackgroundJobs reads several rows by name. Names without a row are not in the map.
func (d *DB) BackgroundJobs(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return nil, errNotBuilt
}

// FindByHash reads the newest row with this job_hash; ErrNoSuchJob when there is none.
func (d *DB) FindByHash(ctx context.Context, hash string) (*BackgroundJob, error) {
	return nil, errNotBuilt
}

// Statuses reads only the status of the named rows. Names without a row are not in the map.
func (d *DB) Statuses(ctx context.Context, names []string) (map[string]Status, error) {
	return nil, errNotBuilt
}

// Due reads up to limit Failed or Timed Out rows whose next_retry_at has come, earliest first. Rows another transaction
// has locked are left out; nothing stays locked on return.
func (d *DB) Due(ctx context.Context, now time.Time, limit int) ([]*BackgroundJob, error) {
	return nil, errNotBuilt
}

// NextDue is the earliest next_retry_at of a Failed or Timed Out row; false when none waits.
func (d *DB) NextDue(ctx context.Context) (time.Time, bool, error) {
	return time.Time{}, false, errNotBuilt
}

// Stale reads up to limit Pending, Queued and Running rows not modified since olderThan, oldest first: those whose
// delivery may have got lost.
func (d *DB) Stale(ctx context.Context, olderThan time.Time, limit int) ([]*BackgroundJob, error) {
	return nil, errNotBuilt
}

// ListJobs reads one page of rows, newest first, and the number of all that match.
func (d *DB) ListJobs(ctx context.Context, f ListFilter) (jobs []*BackgroundJob, total int, err error) {
	return nil, 0, errNotBuilt
}

// Dependents reads the Pending and Queued rows that wait for one of the parents.
func (d *DB) Dependents(ctx context.Context, parents []string) ([]*BackgroundJob, error) {
	return nil, errNotBuilt
}
