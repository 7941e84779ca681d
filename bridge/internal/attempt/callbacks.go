package attempt

import (
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// callbackKinds are the callbacks that RQ calls after an outcome. A job that is to run again has none.
var callbackKinds = map[rqcompat.OutcomeKind]rqcompat.CallbackKind{
	rqcompat.OutcomeFinished: rqcompat.CallbackSuccess, rqcompat.OutcomeFailed: rqcompat.CallbackFailure, rqcompat.OutcomeStopped: rqcompat.CallbackStopped,
}

// callBack has Python hear of an end whose time is when, if the job's caller wants that, and gives what the log says of it.
func (x *Runner) callBack(r *run, end *ending, when string) (said string) {
	if len(r.callbacks) == 0 {
		return ""
	}
	kind := callbackKinds[end.kind]
	e := sites.End{Site: r.info.Site, ID: r.lease.ID, Kind: kind, Callback: r.callbacks[kind], When: when, Serializer: r.serializer}
	if kind == rqcompat.CallbackFailure && end.err != nil {
		e.Class, e.Message = end.err.Class, end.err.Text
	}
	end.handOver, said = x.CallBack(e)
	if said != "" && end.handOver == nil {
		r.Log().Warn(said)
	}
	return said
}

// endedAt is the time of a row's end as the site's clock shows it, which is what the row holds: whoever finds it ended knows
// which end that was. One that doesn't end is at the time of its attempt.
func (r *run) endedAt(row rows.BackgroundJob) string {
	at := row.CompletedAt
	if at.IsZero() {
		at = row.CanceledAt
	}
	if at.IsZero() || r.row == nil {
		return rqcompat.FormatTime(r.lease.StartedAt)
	}
	return sites.DeskTime(at.In(r.row.Creation.Location()))
}

// callBackOfRow is callBack for a delivery whose row has ended before: whoever ended it may have died before he could. Of what
// was canceled before it started nobody hears, as in RQ.
func (x *Runner) callBackOfRow(r *run, end *ending) {
	if r.row != nil && r.row.Status.Terminal() && (r.row.Status != rows.StatusCanceled || r.row.StartedRaw != "") {
		x.callBack(r, end, r.endedAt(*r.row))
	}
}
