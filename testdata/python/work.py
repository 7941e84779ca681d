"""Runs RQ's own workers and their maintenance."""

from rq import Queue, SimpleWorker, Worker
from rq.registry import clean_registries

KINDS = {"simple": SimpleWorker, "forking": Worker}


def burst(connection, queues, kind="simple", scheduler=False, jobs=None):
    """Works until the queues are empty. A scheduler first moves what is due, and its locks are released."""
    worker = KINDS[kind](queues, connection=connection)
    worker.work(burst=True, with_scheduler=scheduler, max_jobs=jobs, logging_level="CRITICAL")
    return worker.name


def clean(connection, queues, times=1):
    """What every worker does when it starts and then every ten minutes, and what `rq info` does each time."""
    for _ in range(times):
        for name in queues:
            connection.delete("rq:clean_registries:" + name)
            clean_registries(Queue(name, connection=connection))
        SimpleWorker(queues, connection=connection).run_maintenance_tasks()
