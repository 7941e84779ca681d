"""Reads what the desk's pages RQ Job and RQ Worker show, as strictly as they do: what is missing raises."""

import json

from rq import Queue, Worker, registry
from rq.job import Job

STATUSES = ("queued", "started", "failed", "finished", "deferred", "scheduled", "canceled")
TYPES = ("short", "default", "long", "go")


def rq_jobs(connection, bench, site, cleanup):
    """The rows of RQ Job by status; cleanup: reading a registry cleans it first, as version 15 does."""
    rows = {}
    for q in Queue.all(connection=connection):
        if q.name not in [f"{bench}:{kind}" for kind in TYPES]:
            continue
        for status in STATUSES:
            ids = [id for id in ids_of(q, status, cleanup) if id.startswith(site)]
            for job in Job.fetch_many(ids, connection=connection):
                if job is not None:
                    rows.setdefault(status, []).append(row(job))
    return rows


def ids_of(q, status, cleanup):
    if status == "queued":
        return q.get_job_ids()
    cls = {
        "started": registry.StartedJobRegistry, "failed": registry.FailedJobRegistry,
        "finished": registry.FinishedJobRegistry, "deferred": registry.DeferredJobRegistry,
        "scheduled": registry.ScheduledJobRegistry, "canceled": registry.CanceledJobRegistry,
    }[status]
    return cls(queue=q).get_job_ids() if cleanup else cls(queue=q).get_job_ids(cleanup=False)


def row(job):
    call = job.kwargs
    latest = job.latest_result()
    status = job.get_status()
    return {
        "name": job.id, "job_id": job.id, "queue": job.origin.rsplit(":", 1)[1],
        "job_name": call.get("kwargs", {}).get("job_type") or str(call.get("job_name")),
        "status": str(getattr(status, "value", status)),
        "started_at": text(job.started_at), "ended_at": text(job.ended_at),
        "time_taken": (job.ended_at - job.started_at).total_seconds() if job.ended_at else "",
        "exc_info": latest.exc_string if latest and latest.type == latest.Type.FAILED else "",
        "arguments": json.dumps(call, default=str), "timeout": job.timeout,
        "creation": job.created_at.isoformat(),
        "modified": (job.last_heartbeat or job.ended_at or job.started_at or job.created_at).isoformat(),
        "owner": call.get("user"), "modified_by": call.get("user"), "site": call["site"],
    }


def text(time):
    return time.isoformat() if time else ""


def rq_workers(connection, site):
    return [worker(w, site) for w in Worker.all(connection=connection) if w.pid]


def worker(w, site):
    current = w.get_current_job_id()
    age = (utc_now(w.birth_date) - w.birth_date).total_seconds()
    return {
        "name": w.name, "queue": ",".join(w.queue_names()),
        "queue_type": ",".join(name.rsplit(":", 1)[1] for name in w.queue_names()),
        "status": str(getattr(w.get_state(), "value", w.get_state())), "pid": int(w.pid),
        "current_job_id": current if current and current.startswith(site) else None,
        "last_heartbeat": w.last_heartbeat.isoformat(), "birth_date": w.birth_date.isoformat(),
        "successful_job_count": w.successful_job_count, "failed_job_count": w.failed_job_count,
        "total_working_time": w.total_working_time, "utilization_percent": w.total_working_time / age * 100,
    }


def utc_now(like):
    """Now, with a time zone if the RQ version has one."""
    import datetime
    now = datetime.datetime.now(datetime.timezone.utc)
    return now if like.tzinfo else now.replace(tzinfo=None)


def doctor(connection, bench):
    """bench doctor indexes these keys of every waiting job."""
    return [(job.kwargs["site"], job.kwargs["method"], job.kwargs["event"], job.kwargs["kwargs"])
            for q in Queue.all(connection=connection) for job in q.jobs]
