"""Enqueues jobs with RQ's own API, and as Frappe does."""

import datetime
import importlib

from rq import Callback, Queue
from rq.job import Dependency, Job, Retry

from frappe.utils import background_jobs

FIELDS = ("timeout", "ttl", "result_ttl", "failure_ttl", "meta", "description", "at_front")


def jobs(connection, queue, jobs):
    """Enqueues each job as its description says, and returns the ids."""
    return [job(Queue(one.pop("queue", queue), connection=connection), **one).id for one in jobs]


def job(q, id=None, func="tasks.add", reference=False, args=(), kwargs=None, retry=None, repeat=None, delay=None,
        depends_on=None, allow_failure=None, on_success=None, on_failure=None, on_stopped=None, callback_timeout=None, unique=False, **fields):
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise TypeError(f"a job has no {unknown}")
    options = {("job_timeout" if k == "timeout" else k): v for k, v in fields.items()}
    if retry:
        options["retry"] = Retry(**retry)
    if repeat:
        from rq import Repeat  # since 2.3
        options["repeat"] = Repeat(**repeat)
    if unique:
        options["unique"] = True  # since 2.8
    if depends_on:
        options["depends_on"] = depends_on if allow_failure is None else Dependency(
            [Job.fetch(d, connection=q.connection) for d in depends_on], allow_failure=allow_failure)
    for name, value in (("on_success", on_success), ("on_failure", on_failure), ("on_stopped", on_stopped)):
        if value:
            options[name] = Callback(function(value), timeout=callback_timeout)
    f = function(func) if reference else func
    if delay is not None:
        return q.enqueue_in(datetime.timedelta(seconds=delay), f, args=args, kwargs=kwargs, job_id=id, **options)
    return q.enqueue(f, args=args, kwargs=kwargs, job_id=id, **options)


def function(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def many(connection, queue, func, count, args=(), group=None):
    q = Queue(queue, connection=connection)
    prepared = [Queue.prepare_data(func, args=args) for _ in range(count)]
    if group:
        from rq.group import Group  # since 2.0
        return [j.id for j in Group.create(connection=connection, name=group).enqueue_many(q, prepared)]
    return [j.id for j in q.enqueue_many(prepared)]


def frappe(connection, method, reference=False, **options):
    """frappe.enqueue; with reference the method is passed as a function."""
    for callback in ("on_success", "on_failure"):
        if options.get(callback):
            options[callback] = function(options[callback])
    return background_jobs.enqueue(connection, function(method) if reference else method, **options).id


def frappe_many(connection, calls):
    """frappe for each of the calls; returns the ids."""
    return [frappe(connection, **call) for call in calls]
