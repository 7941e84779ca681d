"""Enqueues the demo's Python jobs and prints one JSON line for each: its key in the demo, RQ's id, the row's name if
this process made the row."""

import datetime
import json
import os
import sys
import time

import pymysql
from frappe.utils.background_jobs import enqueue

database = json.loads(os.environ["DEMO_DATABASE"])
people = json.loads(os.environ["DEMO_PEOPLE"])  # two of {"user": …, "organization": …}
(jane, acme), (omar, globex) = ((p["user"], p["organization"]) for p in people)

SAMPLES = "dartwing.dartwing_core.background_jobs.samples"
EXECUTOR = "dartwing.dartwing_core.background_jobs.executor.execute_job"


def tell(key, job, name=""):
	print(json.dumps({"key": key, "id": job.id, "name": name}), flush=True)
	time.sleep(0.25)


def submit(job_type, organization, user, parameters):
	"""What the Dartwing app's submission does: the row first, its delivery after the commit."""
	db = pymysql.connect(**database)
	now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
	series = f"JOB-{now.year}-"
	standard = {"creation": now, "modified": now, "owner": user, "modified_by": user}
	with db, db.cursor() as cursor:
		cursor.execute("INSERT IGNORE INTO `tabSeries` (`name`, `current`) VALUES (%s, 0)", (series,))
		cursor.execute("UPDATE `tabSeries` SET `current` = `current` + 1 WHERE `name` = %s", (series,))
		cursor.execute("SELECT `current` FROM `tabSeries` WHERE `name` = %s", (series,))
		name = f"{series}{cursor.fetchone()[0]:05d}"
		insert(cursor, "Background Job", name=name, job_type=job_type, organization=organization, owner_user=user,
		       status="Queued", priority="Normal", max_retries=3, timeout_seconds=60, created_at=now,
		       input_parameters=json.dumps(parameters), **standard)
		insert(cursor, "Job Execution Log", name=f"demo-{name}", background_job=name, from_status="", to_status="Queued",
		       timestamp=now, message="Job created and enqueued by Python", retry_attempt=0, **standard)
		db.commit()
	return name, enqueue(EXECUTOR, queue="go", user=user, job_id=name, job_name=job_type, background_job_id=name, job_type=job_type)


def insert(cursor, doctype, **values):
	columns = ", ".join(f"`{c}`" for c in values)
	cursor.execute(f"INSERT INTO `tab{doctype}` ({columns}) VALUES ({', '.join(['%s'] * len(values))})", list(values.values()))


# A plain call of a method that a Job Type declares: it gets its row on arrival.
tell("method", enqueue(f"{SAMPLES}.execute_sample_job", queue="go", user=jane, organization=acme, duration=6))
# A row made here, and the executor's envelope.
name, job = submit("sample_job", globex, omar, {"duration": 8})
tell("envelope", job, name)
# On a queue that is shared with Python workers.
tell("shared", enqueue("echo_job", queue="short", user=jane, organization=acme, text="Grüße", number=42))
# Handled by a program that the bridge runs.
tell("exec", enqueue("monthly_report", queue="go", user=omar, organization=globex, what="Page", steps=5, seconds=5))
tell("transient", enqueue("sample_job", queue="go", user=jane, organization=acme, duration=2, fail_type="transient",
                          fail_at_progress=50, fail_attempts=2))
tell("permanent", enqueue("sample_job", queue="go", user=omar, organization=globex, duration=5, fail_type="permanent", fail_at_progress=60))
tell("cancel", enqueue("long_running_job", queue="go", user=jane, organization=acme, duration=600))
# No Job Type: all that is known of it is in RQ.
tell("rowless", enqueue("demo.thumbnails", queue="go", user=omar, what="Thumbnail", steps=4, seconds=4))
# For a Python worker, on a queue that the bridge watches too and leaves alone.
tell("python", enqueue("demo_tasks.word_count", queue="default", user=jane, text="the quick brown fox jumps over the lazy dog"))
sys.exit(0)
