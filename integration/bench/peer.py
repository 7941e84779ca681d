"""The Python side of the benchmarks: what a bench does today with RQ."""
import json
import os
import pickle
import sys
import time

import redis


def noop():
    return None


_connection = None


def rows(name):
    """Makes the writes of a job with a row, as the bridge makes them, with PyMySQL."""
    global _connection
    import pymysql

    if _connection is None:
        _connection = pymysql.connect(
            host=os.environ["MYSQL_HOST"], port=int(os.environ["MYSQL_PORT"]), user="bench_site", password="secret",
            database="bench_site", charset="utf8mb4", autocommit=False,
        )
    for before, after, column in (("Queued", "Running", "started_at"), ("Running", "Completed", "completed_at")):
        with _connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE `tabBackground Job` SET status=%s, {column}=NOW(6), modified=NOW(6), modified_by='Administrator', progress=%s"
                " WHERE name=%s AND status=%s",
                (after, 100 if after == "Completed" else 0, name, before),
            )
            assert cursor.rowcount == 1, (name, before)
            cursor.execute(
                "INSERT INTO `tabJob Execution Log` (name, creation, modified, owner, modified_by, background_job, organization,"
                " from_status, to_status, timestamp, message, retry_attempt) VALUES (LEFT(UUID_SHORT(), 20), NOW(6), NOW(6), 'Administrator',"
                " 'Administrator', %s, 'ORG-BENCH', %s, %s, NOW(6), 'Job moved', 0)",
                (name, before, after),
            )
        _connection.commit()
        message = {"job_id": name, "from_status": before, "to_status": after, "updated_at": "2026-01-01 00:00:00.000001"}
        for room in ("org:ORG-BENCH", f"doc:Background Job/{name}", "doc:Organization/ORG-BENCH", "user:owner@example.com"):
            _redis().publish("events", json.dumps({"event": "job_status_changed", "message": message, "room": room, "namespace": "bench.localhost"}))


def _redis():
    global _events
    try:
        return _events
    except NameError:
        _events = redis.from_url(os.environ["REDIS_URL"])
        return _events


def work(class_name, queue_name):
    """Works a queue off and prints how long it took."""
    import logging

    import rq

    logging.disable(logging.CRITICAL)
    connection = redis.from_url(os.environ["REDIS_URL"])
    worker = getattr(rq, class_name)([rq.Queue(queue_name, connection=connection)], connection=connection)
    start = time.perf_counter()
    worker.work(burst=True, logging_level="CRITICAL")
    failed = connection.zcard("rq:failed:" + queue_name)
    print(json.dumps({"seconds": time.perf_counter() - start, "failed": failed}))


def pickles(hex_text, rounds):
    """Times CPython's C pickle on one value."""
    data = bytes.fromhex(hex_text)
    value = pickle.loads(data)
    best = {"loads": float("inf"), "dumps": float("inf")}
    for _ in range(5):
        for name, call in (("loads", lambda: pickle.loads(data)), ("dumps", lambda: pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))):
            start = time.perf_counter()
            for _ in range(rounds):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / rounds)
    print(json.dumps(best))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "work":
        import peer  # the jobs name this module, not __main__

        peer.work(*arguments)
    elif command == "pickle":
        pickles(arguments[0], int(arguments[1]))
