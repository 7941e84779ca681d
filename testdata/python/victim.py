"""One of RQ's workers, which dies by kill -9: by its own hand at the moment that a test set for a job, or by the test's.

    REDIS_URL=redis://... python victim.py forking|simple|scheduling queue [queue...]
"""

import os
import signal
import sys

from redis import Redis
from rq import SimpleWorker, Worker

import site_tasks

MOMENTS = ("popped", "prepared", "forked", "started", "ran")
MAIN = os.getpid()


def at(moment, job):
    """Dies with its parent, if this is the job's moment. Each moment comes once."""
    if not job.connection.delete("test:moment:%s:%s" % (moment, job.id)):
        return
    if "CHAOS_LEDGER" in os.environ:
        site_tasks.witness("killed", "-")
    os.kill(MAIN, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Victim:
    def execute_job(self, job, queue):
        at("popped", job)
        super().execute_job(job, queue)

    def fork_work_horse(self, job, queue):
        at("prepared", job)  # RQ 2 has registered the execution by now
        super().fork_work_horse(job, queue)

    def perform_job(self, job, queue):
        at("forked", job)
        return super().perform_job(job, queue)

    def prepare_job_execution(self, job, *args, **kwargs):
        super().prepare_job_execution(job, *args, **kwargs)
        at("started", job)

    def handle_job_success(self, job, *args, **kwargs):
        at("ran", job)
        super().handle_job_success(job, *args, **kwargs)


class ForkingVictim(Victim, Worker):
    pass


class SimpleVictim(Victim, SimpleWorker):
    pass


if __name__ == "__main__":
    kind, queues = sys.argv[1], sys.argv[2:]
    os.environ["CHAOS_WORKER"] = str(MAIN)  # for what jobs say of who runs them
    # The shortest leases that RQ gives: a minute after the last sign of life.
    worker = (SimpleVictim if kind == "simple" else ForkingVictim)(
        queues, connection=Redis.from_url(os.environ["REDIS_URL"]), job_monitoring_interval=1)
    worker.work(with_scheduler=kind == "scheduling", logging_level="CRITICAL")
