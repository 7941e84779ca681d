#!/usr/bin/env python3
"""Writes vectors.jsonl: values pickled by the CPython that runs this.

One value a line: its name, its repr (shortened), and its pickles in base64:
protocols 0 to 5 by the C pickler, then three variants that programs also produce:
the Python pickler at protocol 2, and protocols 1 and 5 without unused memo entries.
null stands where CPython can't write the value in that protocol.

    python3 testdata/pickle/make_vectors.py        (the kept file is from CPython 3.11)
"""

import base64
import collections
import datetime as dt
import decimal
import fractions
import ipaddress
import json
import math
import os
import pathlib
import pickle
import pickletools
import random
import sys
import uuid
import zoneinfo

import stubs

own = stubs.install()
frappe = sys.modules["frappe"]
pytz = sys.modules["pytz"]
frappedict = sys.modules["frappe.types.frappedict"]
User = sys.modules["frappe.core.doctype.user.user"].User
HasRole = sys.modules["frappe.core.doctype.has_role.has_role"].HasRole
export = sys.modules["myapp.tasks"].export
EXECUTE = "frappe.utils.background_jobs.execute_job"

values = []


def add(name, value, since=0):
    """since is the first protocol in which CPython can write the value."""
    values.append((name, value, since))


def numbers():
    add("none", None)
    add("true and false", [True, False])
    add("int 0", 0)
    add("ints of one and two bytes", [1, 127, 128, 255, 256, 65535, 65536])
    add("ints below zero", [-1, -128, -129, -32768, -32769, -65536])
    add("ints of four bytes", [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32])
    add("ints of eight bytes", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64])
    add("ints between", [s * 2**n + d for n in (39, 40, 47, 48, 55, 56) for d in (-1, 0, 1) for s in (1, -1)])
    add("int of 255 bytes", 2 ** (255 * 8 - 1) - 1)
    add("int of 256 bytes", [2 ** (255 * 8), -(2 ** (256 * 8 - 1))])
    add("int of 2000 digits", 10**2000 + 7)
    add("floats", [0.0, -0.0, 1.0, 1.5, -2.25, 0.1, 1e16, 1e-7, 123456789.123])
    add("floats at the limits", [sys.float_info.max, sys.float_info.min, 5e-324, -5e-324])
    add("inf and nan", [math.inf, -math.inf, math.nan])
    add("complex", [1j, complex(-0.0, math.inf)])
    add("decimals", [decimal.Decimal(s) for s in ("0", "-1.50", "1E+400", "NaN", "-Infinity", "0.1")])
    add("fraction", fractions.Fraction(22, 7))


def strings():
    add("str empty", "")
    add("str ascii", "hello")
    add("str quotes and controls", "a'b\"c\\d\ne\rf\tg\0h\x1ai")
    add("str escapes that are none", "\\u0041 \\\\u0041 \\x41 \\N{DASH}")
    add("str latin1", "äöüß ÿ \x80\x9f")
    add("str of many planes", "€ 漢字 😀 \U0010ffff")
    add("str lone surrogates", ["\ud800", "a\udfffb", "\udc80", "\ud83d\ude00", "\ude00\ud83d"])
    add("str of 255 bytes", "x" * 255)
    add("str of 256 bytes", "ü" * 128)
    add("str of 5000 bytes", "0123456789" * 500)
    add("bytes empty", b"")
    add("bytes ascii", b"abc")
    add("bytes all", bytes(range(256)))
    add("bytes of 255", b"\xff" * 255)
    add("bytes of 300", b"\x80" * 300)
    add("bytearray empty", bytearray())
    add("bytearray ascii", bytearray(b"abc"))
    add("bytearray all", bytearray(range(256)))
    shared = bytearray(b"\xe9t\xe9")
    add("bytearray shared", [shared, shared, bytearray(shared)])
    add("bytes repeated", [b"long enough to share"] * 3)


def containers():
    add("list empty", [])
    add("list of one", [1])
    add("list of a thousand", list(range(1000)))
    add("list of 2001", list(range(2001)))
    add("list of all", [None, True, 1, 1.5, "s", b"b", (), [], {}])
    add("tuple empty", ())
    add("tuples short", [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)])
    add("tuple of empty ones", ((), ((),), (((),),)))
    add("dict empty", {})
    add("dict of one", {"a": 1})
    add("dict in order", {"z": 1, "a": 2, "m": 3, "b": 4})
    add("dict of 1001", {f"k{i}": None for i in range(1001)})
    add("dict with keys of all kinds", {None: 0, True: 1, 2: 2, 2.5: 3, "s": 4, b"b": 5, (1, (2, "x")): 6, frozenset({1}): 7, math.nan: 8, 10**30: 9, EXECUTE: 10})
    add("dict of int keys", {i: -i for i in range(20)})
    add("set empty", set())
    add("set", {1, 2, 3})
    add("set of kinds", {None, 1.5, "s", b"b", (1, 2), frozenset({"x"}), 10**20})
    add("set of 1001", set(range(1001)))
    add("frozenset empty", frozenset())
    add("frozenset", frozenset({"a", "b"}))
    add("frozenset nested", frozenset({frozenset({1}), frozenset({2, 3})}))
    deep = []
    for _ in range(150):
        deep = [deep]
    add("list 150 deep", deep)
    mixed = "leaf"
    for i in range(90):
        mixed = [[mixed], (mixed,), {"k": mixed}][i % 3]
    add("mixed 90 deep", mixed)


def sharing():
    l, d, s, t = [1], {"k": 1}, {1}, (1, [2])
    add("list shared", [l, l, [1]])
    add("dict shared", [d, d, {"k": 1}])
    add("set shared", {"a": s, "b": s, "c": {1}})
    add("tuple shared", [t, t, (1, [2])])
    add("frozenset shared", [f := frozenset({1, "x"}), f])
    add("list in itself", (c := [], c.append(c))[0])
    add("dict in itself", (c := {}, c.update(me=c))[0])
    add("two lists in each other", (a := [], b := [a], a.append(b))[0])
    add("tuple in a list in it", (c := [], t := (c,), c.append(t))[1])
    add("long tuple in a list in it", (c := [], t := (1, 2, 3, 4, c), c.append(t))[1])
    add("list that holds a tuple of it", (c := [], c.append((c, 1)))[0])
    o = own.Plain()
    o.all = {o}
    add("set of an object that holds it", o.all)
    o = own.Plain()
    o.all = own.SetPlus({o, 1})
    add("set subclass of an object that holds it", o.all)
    o = own.SelfArgs([])
    o.items.append(own.Plain(owner=o))
    add("object whose list leads back to it", o)
    o = own.Plain()
    o.count = collections.Counter({"x": o})
    add("counter of an object that holds it", o.count)
    o = own.Plain()
    o.all = frozenset({o})
    add("frozenset of an object that holds it", o.all)
    o = own.Plain(name="x")
    o.me, o.list, o.key = o, [o, o], {o: o}
    add("object in itself", o)
    o = own.SelfArgs([])
    o.items.append(o)
    add("object in its arguments", o)
    add("diamond of lists", diamond(12))


def diamond(n):
    v = ["bottom"]
    for _ in range(n):
        v = [v, v]
    return v


def by_name():
    add("function", export)
    add("class", User)
    add("builtins", [len, int, dict, ValueError, type(None), range, NotImplemented, Ellipsis])
    add("function of a c module", math.sqrt)
    add("nested class", own.Outer.Inner)
    add("methods", [own.Outer.Inner.method, own.Outer.Inner.static, own.Outer.Inner.make])
    add("bound method", own.Outer.Inner("x").method)
    add("function with a name that is not ascii", own.unicode_näme, since=3)
    add("names that moved", [collections.UserDict(a=1), collections.UserList([1]), collections.UserString("s"), zip, map])


def objects():
    add("object", own.Plain(a=1, b=[2], c=None))
    add("object without state", own.Plain())
    add("objects of a class", [own.Plain(i=i) for i in range(5)])
    add("slots", (x := own.Slots(), setattr(x, "a", 1), setattr(x, "b", [x]))[0])
    add("list subclass", own.ListPlus([1, 2, 3]))
    add("list subclass with attributes", (x := own.ListPlus([1]), setattr(x, "note", "n"))[0])
    add("dict subclass", own.DictPlus(a=1, b=2))
    add("dict subclass with attributes", (x := own.DictPlus(a=1), setattr(x, "me", x))[0])
    add("set subclass", own.SetPlus({1, 2}))
    add("str subclass", own.StrPlus("text"))
    add("int subclass", own.IntPlus(42))
    add("tuple subclass", own.TuplePlus((1, 2)))
    add("bytes subclass", own.BytesPlus(b"\xffx"))
    add("namedtuple", own.Point(1, [2]))
    add("keyword new", own.KeywordNew(1, b=[2]))
    add("argument new", own.ArgNew("a"))
    add("states that are false", [own.AnyState(s) for s in (0, "", {}, [], False, ())])
    add("state setter", [own.Setter(a=1, b=[2]), own.Setter(c=3)])
    add("state setter in itself", (x := own.Setter(), setattr(x, "me", [x]))[0])
    add("exception", ValueError("message", 1))
    add("exception with a note", (x := KeyError("k"), setattr(x, "extra", {"a": 1}))[0])
    add("enums", [own.Color.RED, own.Color.GREEN, own.Level.HIGH, own.Right.READ, own.Color.RED])
    add("enum as key", {own.Color.RED: 1, own.Level.LOW: 2})
    add("range and slice", [range(1, 10, 2), slice(1, None, 3)])
    add("deque", collections.deque([1, 2, 3], maxlen=5))
    add("counter", collections.Counter("abracadabra"))
    add("ordered dict", collections.OrderedDict([("z", 1), ("a", 2)]))
    add("ordered dict with attributes", (x := collections.OrderedDict(a=1), setattr(x, "note", "n"))[0])
    add("default dict", (x := collections.defaultdict(list), x["a"].append(1))[0])
    add("default dict in itself", (x := collections.defaultdict(dict), x.update(me=x))[0])
    add("default dict without a factory", collections.defaultdict(None, {"a": 1}))
    add("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678"))
    add("uuid small", uuid.UUID(int=5))
    add("path", pathlib.PurePosixPath("/files/a b/ä"))
    add("ip address", [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("fd00::/8")])


def times():
    tz = dt.timezone(dt.timedelta(hours=5, minutes=30))
    add("dates", [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)])
    add("datetimes", [dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(2024, 12, 31, 23, 59, 59, 999999)])
    add("datetime utc", dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc))
    add("datetimes of one zone", [dt.datetime(2024, 1, i, tzinfo=tz) for i in (1, 2, 3)])
    add("datetime with a named offset", dt.datetime(2024, 1, 2, tzinfo=dt.timezone(-dt.timedelta(hours=3, seconds=5), "Here")))
    add("datetime of zoneinfo", dt.datetime(2024, 7, 2, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")))
    add("datetime of pytz", [dt.datetime(2024, 7, 2, tzinfo=pytz.UTC), dt.datetime(2024, 7, 2, tzinfo=pytz._p("Asia/Kolkata", 19800, 0, "IST"))])
    add("datetime with fold", dt.datetime(2024, 10, 27, 2, 30, fold=1))
    add("datetimes whose bytes are text", dt.datetime(0x2020, 12, 31, 23, 59, 59, 0x2020))
    add("times", [dt.time(), dt.time(23, 59, 59, 1), dt.time(1, 2, tzinfo=tz), dt.time(2, fold=1)])
    add("timedeltas", [dt.timedelta(), dt.timedelta(days=-1, microseconds=5), dt.timedelta(days=400, hours=3), dt.timedelta.max])


def jobs():
    def call(method, **kwargs):
        envelope = dict(site="site1.localhost", user="jane@example.com", method=method, event=None, job_name=str(method), is_async=True, kwargs=kwargs)  # fmt: skip
        return EXECUTE, None, (), envelope

    add("frappe._dict of 15", frappe._dict(a=1, b=frappe._dict(c=[2])))
    add("frappe._dict of 16", frappedict._dict(a=1, b=frappedict._dict(c=[2])))
    add("frappe._dict empty", frappe._dict())
    add("frappe._dict shared", [x := frappe._dict(a=1), x])
    add("frappe._dict in itself", (x := frappe._dict(a=1), x.__setitem__("me", x))[0], since=2)
    add("rows of frappe._dict", [frappe._dict(name=f"INV-{i:05}", total=i * 1.5, customer="ACME") for i in range(12)])
    user = User(doctype="User", name="jane@example.com", creation=dt.datetime(2024, 1, 2, 3, 4, 5, 6), enabled=1, flags=frappe._dict(), docstatus=0)  # fmt: skip
    user.roles = [HasRole(doctype="Has Role", role=r, idx=i + 1, parent_doc=user) for i, r in enumerate(("Desk User", "System Manager"))]
    add("document", user)
    add("job plain", call("myapp.tasks.export", invoice="INV-1", copies=2, ratio=0.5, tags=["a", "b"]))
    add("job with a function", call(export, doc=user))
    add("job with everything", call("myapp.tasks.export", d=frappe._dict(x=1), t=dt.datetime(2024, 1, 2), n=decimal.Decimal("1.10"), u=uuid.UUID(int=2**100), s={"x"}, b=b"\xff\x00", f=export))
    add("job executor", call("dartwing.dartwing_core.background_jobs.executor.execute_job", background_job_id="JOB-0001", job_id="JOB-0001"))
    add("job of rq", ("myapp.tasks.send_mail", None, (42,), {"to": "a@b.c", "urgent": True}))
    add("job method", ("method", own.Outer.Inner("x"), (1,), {}))
    add("job lists for tuples", [EXECUTE, None, [], {"site": "s"}])


class Graph:
    """Random values that refer to each other in every direction."""

    ATOMS = (None, True, 0, -5, 10**25, 1.5, "text", "\udc80", b"\xff\x00bytes", EXECUTE, export, own.Color.RED, dt.timezone.utc, decimal.Decimal("1.5"))

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.nodes = [self.random.choice(self.MAKERS)(self) for _ in range(self.random.randint(2, 9))]
        for node in self.nodes[:]:
            self.grow(node)

    def any(self):
        if self.random.random() < 0.4 or not getattr(self, "nodes", None):
            return self.random.choice(self.ATOMS)
        return self.random.choice(self.nodes)

    def atom(self):
        return self.random.choice(self.ATOMS)

    def shared_tuple(self):
        inner = []  # grows, so that the tuple can come back to itself
        self.late = getattr(self, "late", []) + [inner]
        return (inner, self.atom()) * self.random.randint(1, 2)

    def holder(self):
        """A set or frozenset with one object in it, which grows."""
        o = own.Plain()
        self.late = getattr(self, "late", []) + [o]
        return self.random.choice((set, frozenset, own.SetPlus))([o, self.atom(), (1, self.atom())])

    MAKERS = (
        lambda self: [],
        lambda self: {},
        lambda self: bytearray(b"array"),
        lambda self: own.Plain(),
        lambda self: own.Setter(),
        lambda self: own.Slots(),
        lambda self: own.ListPlus(),
        lambda self: own.DictPlus(),
        lambda self: own.SelfArgs([]),
        lambda self: frappe._dict(),
        lambda self: collections.OrderedDict(),
        lambda self: collections.deque(),
        lambda self: collections.Counter(),
        shared_tuple,
        holder,
    )

    def grow(self, node):
        for _ in range(self.random.randint(0, 4)):
            if isinstance(node, (list, collections.deque)):
                node.append(self.any())
            elif isinstance(node, dict):
                node[self.random.choice("abcdef")] = self.any()
            elif isinstance(node, (own.Plain, own.Slots)):
                setattr(node, self.random.choice("ab"), self.any())
            elif isinstance(node, own.SelfArgs):
                node.items.append(self.any())
        while getattr(self, "late", None):
            self.grow(self.late.pop())


def graphs(count=24):
    seed = 0
    while count > 0:
        seed += 1
        nodes = Graph(seed).nodes
        since = next((p for p in (0, 2) if writable(nodes, p)), None)
        if since is not None:
            add(f"graph {seed}", nodes, since)
            count -= 1


def writable(value, protocol):
    """False for a dict subclass in itself, which some protocols reduce forever."""
    try:
        pickle.dumps(value, protocol)
    except RecursionError:
        return False
    return True


def encode(value, since):
    def when(protocol, write):
        return base64.b64encode(write(value, protocol)).decode() if protocol >= since else None

    def optimized(value, protocol):
        return pickletools.optimize(pickle.dumps(value, protocol))

    return [when(p, pickle.dumps) for p in range(6)] + [when(2, pickle._dumps), when(1, optimized), when(5, optimized)]


def shorten(text):
    text = ascii(text)[1:-1] if not text.isascii() else text
    return text if len(text) <= 200 else text[:200] + "..."




def main():
    sys.setrecursionlimit(5000)
    for part in (numbers, strings, containers, sharing, by_name, objects, times, jobs, graphs):
        part()
    names = [name for name, _, _ in values]
    assert len(set(names)) == len(names), "names must be unique"
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.jsonl")
    count = 0
    with open(path, "w", encoding="ascii") as f:
        for name, value, since in values:
            try:
                pickles = encode(value, since)
            except Exception as e:
                raise SystemExit(f"{name}: {e!r}")
            count += sum(p is not None for p in pickles)
            f.write(json.dumps(dict(name=name, repr=shorten(repr(value)), pickles=pickles)) + "\n")
    print(f"{len(values)} values, {count} pickles, {os.path.getsize(path)} bytes in {path}")


if __name__ == "__main__":
    main()
