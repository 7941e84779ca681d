package sites

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Arrival is the enqueueing of a job of a Job Type that comes without a row: it gets one when it starts, and finds it
// again when it is delivered again. RQ's id alone doesn't tell which enqueueing it is: who enqueues may choose the id, as
// Frappe's code does against duplicates, and the next job that bears it is another one, perhaps another organization's.
type Arrival struct {
	ID string
	// CreatedAt is that of RQ's job, to the microsecond. Neither a retry nor requeueing changes it.
	CreatedAt time.Time
}

// ArrivalOf is the enqueueing that made an RQ job.
func ArrivalOf(j *rqcompat.Job) Arrival { return Arrival{j.ID, j.CreatedAt} }

// Hash is the job_hash of the row made for the enqueueing.
func (a Arrival) Hash() string {
	return ArrivalsHash(a.ID) + frappe.Digest("rq:" + a.ID + " of " + rqcompat.FormatTime(a.CreatedAt))[:16]
}

// ArrivalsHash is how the job_hash of the rows made for any RQ job of that id begins.
func ArrivalsHash(id string) string { return frappe.Digest("rq:" + id)[:16] }

// ArrivalsOf is ArrivalsHash of the RQ job that a row was made for, "" for one that was submitted: such hashes are shorter.
func ArrivalsOf(row *rows.BackgroundJob) string {
	if len(row.JobHash) != 32 {
		return ""
	}
	return row.JobHash[:16]
}

const arrivalMessage = "Job created for RQ job "

// Message is the first log message of such a row.
func (a Arrival) Message() string { return arrivalMessage + a.ID }

// ArrivalID gives the id of the RQ job that a row was made for, "" if it was submitted.
func ArrivalID(history []rows.LogEntry) string {
	for _, h := range history {
		if id, ok := strings.CutPrefix(h.Message, arrivalMessage); ok {
			return id
		}
	}
	return ""
}

// RowCall is a call that names a row: of whom, on which site.
type RowCall struct{ Site, Name, User string }

// Arrivals reads the ids of the RQ jobs that rows were made for, by name; those that were submitted are not in the map. Who asks
// at the same time asks together.
func (s *Sites) Arrivals(ctx context.Context, site string, names []string) (map[string]string, error) {
	return read(ctx, s, site, func(ctx context.Context, _ *rows.DB) (map[string]string, error) {
		w, err := s.writer(ctx, site)
		if err != nil {
			return nil, err
		}
		ids := map[string]string{}
		for i, a := range w.origins.DoAll(ctx, names) {
			if a.Result != "" {
				ids[names[i]] = a.Result
			}
			err = errors.Join(err, a.Err)
		}
		return ids, err
	})
}

// origins reads for which RQ jobs rows were made, in their order.
func origins(db *rows.DB) func(context.Context, []string) ([]string, error) {
	return func(ctx context.Context, names []string) ([]string, error) {
		messages, err := db.Logged(ctx, names, arrivalMessage)
		ids := make([]string, len(names))
		for i, name := range names {
			ids[i] = strings.TrimPrefix(messages[name], arrivalMessage)
		}
		return ids, err
	}
}

// RowOfArrival reads the row that was made for an enqueueing; rows.ErrNoSuchJob if there is none.
func (s *Sites) RowOfArrival(ctx context.Context, site string, a Arrival) (*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.BackgroundJob, error) {
		return db.FindByHash(ctx, a.Hash())
	})
}

// RowsOfArrivals reads the rows that were made for enqueueings, by hash.
func (s *Sites) RowsOfArrivals(ctx context.Context, site string, hashes []string) (map[string]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]*rows.BackgroundJob, error) {
		return db.FindByHashes(ctx, hashes)
	})
}
