"""What the demo needs of Frappe's module of this name: enqueue writes the same envelope, execute_job is what RQ workers
import and run. The environment stands for the site's configuration."""

import importlib
import os
import uuid

from redis import Redis
from rq import Callback, Queue

BENCH_ID = os.environ["DEMO_BENCH_ID"]
SITE = os.environ["DEMO_SITE"]
SEPARATOR = os.environ["DEMO_SEPARATOR"]
TIMEOUTS = {"short": 300, "default": 300, "long": 1500, "go": 3600}

connection = Redis.from_url(os.environ["DEMO_REDIS"])


def enqueue(method, queue="default", timeout=None, event=None, is_async=True, job_name=None, at_front=False, job_id=None,
            user="Administrator", **kwargs):
	"""frappe.enqueue, with the session's user as an argument."""
	job_id = job_id or str(uuid.uuid4())
	if SEPARATOR == "||":
		job_id = job_id.replace(":", "|")
	return get_queue(queue).enqueue_call(
		execute_job,
		on_failure=Callback(truncate_failed_registry),
		timeout=timeout or TIMEOUTS[queue],
		kwargs={
			"site": SITE, "user": user, "method": method, "event": event,
			"job_name": job_name or method, "is_async": is_async, "kwargs": kwargs,
		},
		at_front=at_front,
		failure_ttl=604800,
		result_ttl=600,
		job_id=f"{SITE}{SEPARATOR}{job_id}",
	)


def get_queue(qtype):
	return Queue(f"{BENCH_ID}:{qtype}", connection=connection)


def execute_job(site, method, event, job_name, kwargs, user=None, is_async=True):
	"""Run the call. A site would be connected and the user set before."""
	module, _, name = method.rpartition(".")
	if not module or not os.path.exists(os.path.join(os.path.dirname(__file__), "..", "..", module.split(".")[0] + ".py")):
		raise RuntimeError(f"AppNotInstalledError: App {method.split('.')[0]} is not installed")
	return getattr(importlib.import_module(module), name)(**kwargs)


def truncate_failed_registry(job, connection, type, value, traceback):
	"""Frappe keeps the failed registries small here; the demo's are."""
