"""A Python process with real RQ that does what a Go test asks.

    REDIS_URL=redis://... python peer.py

Reads one JSON object a line, {"call": "module.function", "args": {...}}, calls the function with the Redis connection
and the keyword arguments, and answers {"ok": value} or {"error": traceback}. Ends with its input. One process serves a
whole test, since starting Python with RQ costs a third of a second.
"""

import importlib
import json
import os
import sys
import traceback

from redis import Redis


def main():
    connection = Redis.from_url(os.environ["REDIS_URL"])
    # What jobs and libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        module, _, function = request["call"].rpartition(".")
        try:
            value = getattr(importlib.import_module(module), function)(connection, **(request["args"] or {}))
            answer = {"ok": value}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer, default=repr) + "\n")


if __name__ == "__main__":
    main()
