"""Reads jobs, registries and workers with RQ's own API, and acts on them as RQ's tools do."""

import time

from rq import Queue, Worker, registry
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.suspension import resume, suspend

REGISTRIES = {
    "started": registry.StartedJobRegistry, "finished": registry.FinishedJobRegistry,
    "failed": registry.FailedJobRegistry, "deferred": registry.DeferredJobRegistry,
    "scheduled": registry.ScheduledJobRegistry, "canceled": registry.CanceledJobRegistry,
}


def jobs(connection, ids):
    """Each job as Job.fetch and its results show it; None for one that does not exist."""
    return {id: None if one is None else job(one) for id, one in zip(ids, Job.fetch_many(ids, connection=connection))}


def job(one):
    latest = one.latest_result()
    return {
        "status": str(getattr(one.get_status(), "value", one.get_status())),
        "value": one.return_value(),
        "func": one.func_name, "args": one.args, "kwargs": one.kwargs, "call": one.get_call_string(),
        "result": latest and latest.type.name, "exc": latest and latest.exc_string,
        "results": [r.type.name for r in one.results()],
        "started": one.started_at is not None, "ended": one.ended_at is not None,
        "took": (one.ended_at - one.started_at).total_seconds() if one.started_at and one.ended_at else None,
        "heartbeat": one.last_heartbeat and one.last_heartbeat.isoformat(),
        "worker": one.worker_name, "ttl": one.connection.ttl(one.key), "meta": one.meta,
        "retries_left": one.retries_left, "dependencies": one._dependency_ids,
    }


def queues(connection):
    """Every queue with its ids and those of its registries, cleaned first as the registries do by default."""
    return {q.name: queue(connection, q.name) for q in Queue.all(connection=connection)}


def queue(connection, name):
    q = Queue(name, connection=connection)
    ids = {"queued": q.job_ids}
    for kind, cls in REGISTRIES.items():
        ids[kind] = cls(queue=q).get_job_ids()
        if ids[kind] and len(cls(queue=q)) != len(ids[kind]):
            raise AssertionError(f"{kind} counts {len(cls(queue=q))} jobs and lists {ids[kind]}")
    return ids


def workers(connection):
    return [{
        "name": w.name, "state": str(getattr(w.state, "value", w.state)), "job": w.get_current_job_id(), "pid": w.pid,
        "queues": w.queue_names(), "heartbeat": w.last_heartbeat.isoformat(), "birth": w.birth_date.isoformat(),
        "successful": w.successful_job_count, "failed": w.failed_job_count, "time": w.total_working_time,
        "version": w.version, "python": w.python_version,
        "current": current(w),
    } for w in Worker.all(connection=connection)]


def current(worker):
    """The job that its worker names, which somebody may have deleted."""
    try:
        job = worker.get_current_job()
    except NoSuchJobError:
        return None
    return job and job.id


def stop(connection, id):
    send_stop_job_command(connection, id)


def kill_horse(connection, worker):
    send_kill_horse_command(connection, worker)


def shutdown(connection, worker):
    send_shutdown_command(connection, worker)


def cancel(connection, id):
    Job.fetch(id, connection=connection).cancel()


def delete(connection, id):
    Job.fetch(id, connection=connection).delete()


def requeue(connection, id):
    Job.fetch(id, connection=connection).requeue()


def suspend_all(connection):
    suspend(connection)


def resume_all(connection):
    resume(connection)


def scheduler_pid(connection, queue):
    return Queue(queue, connection=connection).scheduler_pid


def poll(connection, id, seconds):
    """What somebody sees who polls a job until it has ended: each change of (status, finished, failed, latest result)."""
    seen, end = [], time.time() + seconds
    while time.time() < end:
        one = Job.fetch(id, connection=connection)
        status = one.get_status()
        latest = one.latest_result()
        now = [str(getattr(status, "value", status)), one.is_finished, one.is_failed, latest and latest.type.name]
        if one.get_status() != status:  # it moved on between these questions
            continue
        if not seen or seen[-1] != now:
            seen.append(now)
        if now[1] or now[2]:
            break
        time.sleep(0.005)
    return seen
