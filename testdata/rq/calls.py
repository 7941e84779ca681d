"""Writes calls.json: calls as RQ stores and describes them.

    python calls.py > calls.json        in an environment with rq (any supported version) and redis

Each entry has the data field and the description of a job that RQ's own Job.create made. The values are fixed, so the
output changes only where Python's repr or pickle does.
"""

import datetime
import decimal
import json
import sys
import uuid

from redis import Redis
from rq.job import Job


class Attr(dict):
    """Stands for frappe._dict, a dict subclass without a repr of its own."""


Attr.__module__, Attr.__qualname__, Attr.__name__ = "frappe.types.frappedict", "_dict", "_dict"
for name in ("frappe", "frappe.types", "frappe.types.frappedict"):
    sys.modules.setdefault(name, type(sys)(name))
sys.modules["frappe.types.frappedict"]._dict = Attr


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


loop = [1]
loop.append(loop)
knot = {}
knot["self"] = knot
utc = datetime.timezone.utc

VALUES = [
    None, True, False, 0, -1, 42, 2**31, -(2**63), 2**63, 10**80, 10**74, 10**75,
    0.0, -0.0, 1.0, 1.5, -2.25, 0.1, 1e15, 1e16, 1.5e16, 123456789012345678.0, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308,
    float("nan"), float("inf"), float("-inf"), 1e22, 0.00012345,
    "", "plain", "it's", 'say "hi"', "it's \"both\"", "back\\slash", "tab\there\nnew\rline", "\x00\x1f\x7f\x80\xa0\xad",
    "größe 日本語 €", "😀", "\u200b\u2028\ufeff\ue000", "\ud800", "a\udcffb", "\U000e0001", "e\u0301", "x" * 73, "x" * 74, "x" * 200, "é" * 80,
    "'" * 80, "\n" * 40, "\\" * 40,
    b"", b"abc", b"it's", b"\x00\xff'\"\\\t\n\r~\x7f", bytes(range(256)), bytearray(b"ab\xff"), bytearray(),
    [], [1], [1, 2, "three"], [[]], [None, [True, [1.5]]], list(range(100)), loop,
    (), (1,), (1, 2), ((),), ("a", ("b",)),
    {}, {"a": 1}, {"a": {"b": [1, (2,)]}, 3: None, (1, 2): "t", None: b"x"}, knot, {"k%d" % i: i for i in range(50)},
    set(), {1}, frozenset(), frozenset({1}), frozenset({"only"}),
    nested(20), nested(60),
    datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4), datetime.datetime(2026, 1, 2, 3, 4, 5),
    datetime.datetime(2026, 12, 31, 23, 59, 59, 999999), datetime.datetime(2026, 1, 2, 3, 4, 0, 7),
    datetime.date(2026, 1, 2), datetime.time(3, 4), datetime.time(3, 4, 5, 600000), datetime.time(0, 0),
    datetime.timedelta(), datetime.timedelta(days=-1, seconds=5), datetime.timedelta(microseconds=12), datetime.timedelta(hours=30),
    decimal.Decimal("1.50"), decimal.Decimal("-1E+3"), decimal.Decimal("NaN"),
    uuid.UUID("6f1c0a52-7b1e-4b7e-9d0c-2f6b1f0f4c11"), uuid.UUID(int=1),
    Attr(), Attr(a=1, b=[Attr(c="d")]),
]


def entry(func, args, kwargs):
    job = Job.create(func, args=args, kwargs=kwargs, connection=Redis())
    stored = job.to_dict()
    return {"data": stored["data"].hex(), "description": stored["description"]}


def entries():
    for value in VALUES:
        yield entry("mod.fn", (value,), {})
    yield entry("mod.fn", (), {})
    yield entry("myapp.tasks.send_mail", (42,), {"to": "a@b.c", "urgent": True})
    yield entry("mod.fn", (1, "b", None), {"z": 1, "a": "x", "Z": 2, "é": 3, "a_b": 4, "aa": 5})
    yield entry("mod.fn", tuple("x" * n for n in (72, 73, 74, 75)), {"k": ["y" * 90]})
    yield entry("frappe.utils.background_jobs.execute_job", (), {
        "site": "site1.local", "user": "Administrator", "method": "erpnext.module.function", "event": None,
        "job_name": "erpnext.module.function", "is_async": True,
        "kwargs": Attr(doctype="Sales Invoice", names=["SI-1", "SI-2"], when=datetime.datetime(2026, 1, 2, 3, 4, 5)),
    })


json.dump(list(entries()), sys.stdout, indent=0)
print()
