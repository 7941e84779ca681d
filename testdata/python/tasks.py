"""Functions that Python workers run in the tests. Go handlers are registered under the same names."""

import json
import os
import time

from rq import get_current_job


def connection():
    return get_current_job().connection


def add(a, b):
    return a + b


def echo(**kwargs):
    return kwargs


def describe(*args, **kwargs):
    """The arguments as Python sees them, types included."""
    return repr((args, sorted(kwargs.items())))


def value_none():
    return None


def value_int():
    return 42


def value_str():
    return "grüße"


def value_dict():
    return {"a": {"ä": "ö"}, "b": [1, 2.5, None, True]}


def fail(text="boom"):
    raise ValueError(text)


def flaky(times):
    """Fails the first times it is run."""
    runs = connection().incr("test:runs:" + get_current_job().id)
    if runs <= times:
        raise ValueError("run %d fails" % runs)
    return runs


def note(text):
    connection().rpush("test:notes", text)
    return text


def meta():
    return get_current_job().meta


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def on_success(job, connection, result):
    connection.rpush("test:callbacks", "success %s %r" % (job.id, result))


def on_failure(job, connection, kind, value, tb):
    connection.rpush("test:callbacks", "failure %s %s" % (job.id, getattr(kind, "__name__", kind)))


def on_stopped(job, connection):
    connection.rpush("test:callbacks", "stopped %s" % job.id)


def tell(job, connection, *rest):
    """A callback of any kind that says all that it got, and in which job it was called."""
    me = get_current_job()
    if len(rest) == 3:
        kind, value, tb = rest
        rest = [f"{kind.__module__}.{kind.__name__}", str(value), isinstance(value, kind), tb.tb_frame is not None]
    connection.rpush("test:told", json.dumps({
        "job": job.id, "in": me and me.id, "timeout": me and me.timeout, "func": job.func_name, "args": job.args, "meta": job.meta,
        "origin": job.origin, "got": list(rest), "ended": job.ended_at is not None, "status": getattr(job.get_status(refresh=False), "value", job.get_status(refresh=False)),
        "same": connection.connection_pool.connection_kwargs == job.connection.connection_pool.connection_kwargs}))


def tell_and_fail(job, connection, *rest):
    tell(job, connection, *rest)
    raise ValueError("the callback fails")


def process():
    return os.getpid()
