package attempt

import (
	"errors"
	"fmt"
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
	err   error // what the handler returned, or why it wasn't run
	cause error // why its context ended, if it did
	retry job.RetryPolicy
	now   time.Time
}

// ending is what an attempt comes to.
type ending struct {
	kind rqcompat.OutcomeKind
	// move is what becomes of the row; nil for a job without one.
	move *moves.Move
	// err is what RQ's result says; nil for success.
	err error
	// permanent says that RQ must not retry by itself.
	permanent bool
}

// Judge tells how an attempt at row that ended with err moves it; cause is why its context ended, nil if it didn't. It is
// for package bridgetest; a Runner asks the same of every attempt.
func Judge(info job.Info, row *rows.BackgroundJob, err, cause error, retry job.RetryPolicy, now time.Time) moves.Move {
	return *ended{info: info, row: row, err: err, cause: cause, retry: retry, now: now}.judge().move
}

// judge decides what an attempt comes to.
func (e ended) judge() ending {
	err := e.err
	switch {
	case err == nil:
		return e.ending(rqcompat.OutcomeFinished, nil, func() moves.Move { return moves.Complete(e.info.Site, e.row, e.said, e.now) })
	case errors.Is(e.cause, job.ErrShutdown) && (e.row == nil || e.row.Status == rows.StatusRunning):
		return e.ending(rqcompat.OutcomeGivenBack, nil, func() moves.Move {
			return moves.GiveBack(e.info.Site, e.row, "Worker is shutting down").WithReport(e.said)
		})
	case errors.Is(e.cause, job.ErrCanceled), errors.Is(e.cause, job.ErrStopped):
		return e.ending(rqcompat.OutcomeStopped, err, func() moves.Move {
			return moves.Cancel(e.info.Site, e.row, "", e.cancelMessage(), e.now).WithReport(e.said)
		})
	case errors.Is(e.cause, job.ErrTimeout):
		err = &job.TimeoutError{Limit: e.info.Timeout, Abandoned: errors.Is(err, job.ErrAbandoned)}
	case errors.Is(e.cause, job.ErrKilled):
		err = fmt.Errorf("%w (%w)", job.ErrKilled, err)
	}
	return e.failure(err)
}

// ending puts an ending together; the move is only made for a job with a row.
func (e ended) ending(kind rqcompat.OutcomeKind, err error, move func() moves.Move) ending {
	end := ending{kind: kind, err: err}
	if e.row != nil {
		m := move()
		end.move = &m
	}
	return end
}

func (e ended) cancelMessage() string {
	message := "Job canceled"
	if errors.Is(e.cause, job.ErrStopped) {
		message = "Job stopped by user"
	}
	if errors.Is(e.err, job.ErrAbandoned) {
		message += "; its handler ignored that and was abandoned"
	}
	return message
}

// failure decides between another attempt and the dead letters.
func (e ended) failure(err error) ending {
	f := moves.Failure{Err: err, Kind: job.Classify(err), TimedOut: errors.Is(e.cause, job.ErrTimeout), Attempt: e.info.Attempt}
	end := e.ending(rqcompat.OutcomeFailed, err, func() moves.Move {
		switch {
		case f.Kind == job.Permanent:
			return moves.DeadLetter(e.info.Site, e.row, e.said, f, e.now)
		case e.row.RetryCount >= e.row.MaxRetries:
			return moves.Exhausted(e.info.Site, e.row, e.said, f, e.now)
		}
		return moves.Fail(e.info.Site, e.row, e.said, f, e.now, job.PauseAfter(err, e.retry, f.Attempt))
	})
	end.permanent = f.Kind == job.Permanent
	return end
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
