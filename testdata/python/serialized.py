"""Works a queue with RQ's JSONSerializer, from each end."""

from rq import Callback, Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer


def produce(connection, queue, id, func, args=(), kwargs=None, meta=None, on_success=None):
    Queue(queue, connection=connection, serializer=JSONSerializer).enqueue(func, args=args, kwargs=kwargs, job_id=id, meta=meta, on_success=on_success and Callback(on_success))


def work(connection, queues):
    SimpleWorker(queues, connection=connection, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")


def requeue(connection, id):
    Job.fetch(id, connection=connection, serializer=JSONSerializer).requeue()


def look(connection, id):
    job = Job.fetch(id, connection=connection, serializer=JSONSerializer)
    latest = job.latest_result()
    return {"meta": job.meta, "value": repr(latest.return_value)}
