#!/usr/bin/env python3
"""Times CPython's C pickle on the call of a Frappe job; prints nanoseconds an
operation as JSON. The Go benchmarks DecodeJob and EncodeJob use the same tuple.

    {"python": "3.11.7", "decode_ns": 1200, "encode_ns": 800, "pickle": "<base64, protocol 5>"}
"""

import base64
import json
import pickle
import platform
import timeit

JOB = (
    "frappe.utils.background_jobs.execute_job",
    None,
    (),
    {
        "site": "site1.localhost",
        "user": "jane@example.com",
        "method": "myapp.tasks.export",
        "event": None,
        "job_name": "myapp.tasks.export",
        "is_async": True,
        "kwargs": {"invoice": "INV-00001", "copies": 2, "ratio": 0.5, "urgent": False, "tags": ["a", "b"]},
    },
)


def best(function, number=5000, repeat=40):
    """The fastest of several runs: the others were disturbed."""
    return min(timeit.repeat(function, number=number, repeat=repeat)) / number * 1e9


def main():
    data = pickle.dumps(JOB, 5)
    result = {
        "python": platform.python_version(),
        "decode_ns": round(best(lambda: pickle.loads(data))),
        "encode_ns": round(best(lambda: pickle.dumps(JOB, 5))),
        "pickle": base64.b64encode(data).decode(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
