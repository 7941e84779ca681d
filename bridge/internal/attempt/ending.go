package attempt

import (
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// ended is an attempt that is over, as its ending is judged.
type ended struct {
	info  job.Info
	row   *rows.BackgroundJob // nil for a job without one
	said  moves.Said
	err   *job.Failure // what the handler returned, or why it wasn't run
	cause error        // why its context ended, if it did
	retry job.RetryPolicy
	now   time.Time
}

// ending is what an attempt comes to.
type ending struct {
	kind rqcompat.OutcomeKind
	// move is what becomes of the row; nil for a job without one.
	move *moves.Move
	// err is what RQ's result says; nil for success.
	err *job.Failure
	// permanent says that RQ must not retry by itself.
	permanent bool
	// retryAt is when the job is to run again, if it is known.
	retryAt time.Time
	// snoozed says that nothing failed: its handler wants to be called again.
	snoozed bool
	// handOver has Python call the callback of the job's caller; nil for none.
	handOver *rqcompat.HandOver
}

// Judge tells how an attempt at row that ended with err moves it; cause is why its context ended, nil if it didn't. It is
// for package bridgetest; a Runner asks the same of every attempt.
func Judge(info job.Info, row *rows.BackgroundJob, err, cause error, retry job.RetryPolicy, now time.Time) moves.Move {
	return *ended{info: info, row: row, err: job.ReadError(err), cause: cause, retry: retry, now: now}.judge().move
}

// judge decides what an attempt comes to.
func (e ended) judge() ending {
	err, row := e.err, e.row
	if row == nil {
		row = &rows.BackgroundJob{Status: rows.StatusRunning} // the same rules hold, and nothing is moved
	}
	var (
		end  ending
		move moves.Move
	)
	switch {
	case err == nil:
		end.kind, move = rqcompat.OutcomeFinished, moves.Complete(e.info.Site, row, e.said, e.now)
	case err.Snooze > 0 && (e.cause == nil || errors.Is(e.cause, job.ErrShutdown)):
		end = ending{kind: rqcompat.OutcomeRetried, snoozed: true, retryAt: e.now.Add(err.Snooze)}
		move = moves.Snooze(e.info.Site, row, e.said, e.now, err.Snooze)
	case errors.Is(e.cause, job.ErrShutdown) && row.Status == rows.StatusRunning:
		end.kind, move = rqcompat.OutcomeGivenBack, moves.GiveBack(e.info.Site, row, "Worker is shutting down").WithReport(e.said)
	case errors.Is(e.cause, job.ErrCanceled), errors.Is(e.cause, job.ErrStopped):
		end = ending{kind: rqcompat.OutcomeStopped, err: err}
		move = moves.Cancel(e.info.Site, row, "", e.cancelMessage(), e.now).WithReport(e.said)
	default:
		err = e.failure()
		end = ending{kind: rqcompat.OutcomeFailed, err: err, permanent: err.Kind == job.Permanent}
		move = e.failed(row, err)
		if end.retryAt = move.Written().NextRetryAt; !end.retryAt.IsZero() {
			end.kind = rqcompat.OutcomeRetried
		}
	}
	if e.row != nil {
		end.move = &move
	}
	return end
}

func (e ended) cancelMessage() string {
	message := "Job canceled"
	if errors.Is(e.cause, job.ErrStopped) {
		message = "Job stopped by user"
	}
	if e.err.Abandoned {
		message += "; its handler ignored that and was abandoned"
	}
	return message
}

// failure is why the attempt failed: the handler's error, unless its time was over or its worker was killed.
func (e ended) failure() *job.Failure {
	switch {
	case errors.Is(e.cause, job.ErrTimeout):
		return job.ReadError(&job.TimeoutError{Limit: e.info.Timeout, Abandoned: e.err.Abandoned})
	case errors.Is(e.cause, job.ErrKilled):
		return e.err.Because(job.ErrKilled)
	}
	return e.err
}

// failed decides between another attempt and the dead letters.
func (e ended) failed(row *rows.BackgroundJob, err *job.Failure) moves.Move {
	f := moves.Failure{Err: err, Kind: err.Kind, TimedOut: errors.Is(e.cause, job.ErrTimeout), Attempt: e.info.Attempt}
	switch {
	case f.Kind == job.Permanent:
		return moves.DeadLetter(e.info.Site, row, e.said, f, e.now)
	case row.RetryCount >= row.MaxRetries:
		return moves.Exhausted(e.info.Site, row, e.said, f, e.now)
	}
	return moves.Fail(e.info.Site, row, e.said, f, e.now, job.PauseAfter(err, e.retry, f.Attempt))
}

// outcomeOf gives RQ's word for a row's status.
func outcomeOf(s rows.Status) rqcompat.OutcomeKind {
	switch s {
	case rows.StatusCompleted:
		return rqcompat.OutcomeFinished
	case rows.StatusCanceled:
		return rqcompat.OutcomeStopped
	}
	return rqcompat.OutcomeFailed
}
