"""What frappe is to a process of a bench, whose working directory is sites/: a site's configuration and database, the
session, enqueue. No documents: there is no get_doc."""

import json
import os

import pymysql
from redis import Redis


class _Session:
    user = "Administrator"


class _Database:
    """As much of frappe.db as plain SQL needs, with what waits for the commit."""

    def __init__(self, conf):
        self.connection = pymysql.connect(
            host=conf["db_host"], port=conf["db_port"], user=conf["db_name"], password=conf["db_password"], database=conf["db_name"])
        self.waiting = []

    def sql(self, query, values=()):
        with self.connection.cursor() as cursor:
            # As in the original, a query without values may contain percent signs.
            cursor.execute(query, values or None)
            return cursor.fetchall()

    def commit(self):
        self.connection.commit()
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()

    def rollback(self):
        self.connection.rollback()
        self.waiting = []


session = _Session()
conf, db, site = {}, None, None


def init(name):
    global conf, site
    site = name
    conf = {**_read("common_site_config.json"), **_read(os.path.join(name, "site_config.json"))}
    session.user = "Administrator"


def _read(path):
    with open(path) as f:
        return json.load(f)


def connect():
    global db
    db = _Database(conf)


def destroy():
    global db
    if db:
        db.connection.close()
    db = None


def set_user(user):
    session.user = user


def redis_queue():
    return Redis.from_url(conf["redis_queue"])


def bench_id():
    return conf.get("bench_id") or os.environ["FRAPPE_BENCH_ROOT"].strip("/").replace("/", "-")


def enqueue(method, queue="default", timeout=None, event=None, is_async=True, job_name=None, now=False, enqueue_after_commit=False,
            at_front=False, job_id=None, deduplicate=False, **kwargs):
    from frappe.utils import background_jobs

    if now or not is_async:
        return background_jobs.attribute(method)(**kwargs)
    if deduplicate and background_jobs.is_job_enqueued(job_id):
        return None
    timeout = timeout or conf.get("workers", {}).get(queue, {}).get("timeout")

    def call():
        return background_jobs.enqueue(redis_queue(), method, site, queue, bench=bench_id(), user=session.user, timeout=timeout,
                                       job_id=job_id, job_name=job_name, at_front=at_front, **kwargs)

    if enqueue_after_commit:
        db.waiting.append(call)
        return None
    return call()
