#!/usr/bin/env python3
"""Judges round trips: is the second pickle the same value as the first?

Reads lines {"name", "original", "encoded": {protocol: pickle}, "json"}, with
pickles in base64, and answers each with a line {"name", "pickles", "errors"}.
Same means: same types, order, values to the bit, attributes and items, and the
same objects in the same places: what is one object on one side is one on the other.
"""

import base64
import datetime
import decimal
import json
import pickle
import struct
import sys
import types
import uuid
import zoneinfo

import stubs

ATOMS = (int, str, bytes, bool, complex, type(None), type(Ellipsis), type(NotImplemented))
BY_NAME = (type, types.FunctionType, types.BuiltinFunctionType)


class Different(Exception):
    pass


class Walk:
    def __init__(self):
        self.there, self.back, self.alive = {}, {}, []

    def same(self, a, b, path="$"):
        if type(a) is not type(b):
            raise Different(f"{path}: {type(a)} became {type(b)}")
        if type(a) is float:
            if struct.pack("d", a) != struct.pack("d", b):
                raise Different(f"{path}: {a!r} became {b!r}")
        elif type(a) in ATOMS:
            if a != b or repr(a) != repr(b):
                raise Different(f"{path}: {ascii(a)[:100]} became {ascii(b)[:100]}")
        elif isinstance(a, BY_NAME):
            if a is not b and not (isinstance(a, types.BuiltinFunctionType) and a == b):
                raise Different(f"{path}: {a!r} became {b!r}")
        elif a == () and type(a) is tuple:
            pass
        elif self.first_time(a, b, path):
            self.inside(a, b, path)

    def first_time(self, a, b, path):
        """Pairs a with b, for good."""
        if id(a) in self.there or id(b) in self.back:
            if self.there.get(id(a)) != id(b) or self.back.get(id(b)) != id(a):
                raise Different(f"{path}: objects are shared differently")
            return False
        self.there[id(a)], self.back[id(b)] = id(b), id(a)
        self.alive += (a, b)  # an id is only good while its object lives
        return True

    def inside(self, a, b, path):
        if type(a) in (list, tuple):
            self.each(a, b, path)
        elif type(a) is bytearray:
            if a != b:
                raise Different(f"{path}: other content")
        elif type(a) is dict:
            self.each(list(a), list(b), path + ".keys")
            for (k, v), w in zip(a.items(), b.values()):
                self.same(v, w, f"{path}[{ascii(k)[:40]}]")
        elif type(a) in (set, frozenset):
            self.members(a, b, path)
        else:
            self.reduced(a, b, path)

    def each(self, a, b, path):
        if len(a) != len(b):
            raise Different(f"{path}: {len(a)} items became {len(b)}")
        for i, (x, y) in enumerate(zip(a, b)):
            self.same(x, y, f"{path}[{i}]")

    def members(self, a, b, path):
        """Pairs members by type and repr without addresses; objects in the order found."""

        def key(x):
            return str(type(x)), repr(x) if type(x).__repr__ is not object.__repr__ else ""

        def normal(s):
            return sorted(s, key=lambda x: key(x) if type(x) is not frozenset else ("", str(sorted(map(key, x)))))

        self.each(normal(a), normal(b), path + "{}")

    def reduced(self, a, b, path):
        """Compares what the objects would be pickled as, which is all there is to them."""
        x, y = (o.__reduce_ex__(4) for o in (a, b))
        if isinstance(x, str) or isinstance(y, str):
            if a is not b:
                raise Different(f"{path}: {x!r} became {y!r}")
            return
        x, y = ([list(p) if i in (3, 4) and p is not None else p for i, p in enumerate(r)] for r in (x, y))
        self.alive += (x, y)
        if isinstance(a, (set, frozenset)):  # the first argument has the members, in no order
            self.members(a, b, path)
            x[1] = y[1] = None
        if len(x) != len(y):
            raise Different(f"{path}: reduces to {len(x)} parts instead of {len(y)}")
        for i, (p, q) in enumerate(zip(x, y)):
            if type(p) is tuple and type(q) is tuple:
                self.each(p, q, f"{path}<{i}>")  # made anew for each call
            else:
                self.same(p, q, f"{path}<{i}>")


def json_only(v, depth=0):
    """Whether JSON can hold v exactly."""
    if type(v) is str:
        return not any(0xD800 <= ord(c) < 0xE000 for c in v)
    if type(v) is float:
        return v - v == 0
    if type(v) is list:
        return depth < 50 and all(json_only(x, depth + 1) for x in v)
    if type(v) is dict:
        return depth < 50 and all(type(k) is str and json_only(k) and json_only(x, depth + 1) for k, x in v.items())
    return v is None or type(v) in (bool, int)


TEXTS = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)


def texts(v):
    """What the plain form has for scalars with a text of their own, or a list of some; else None."""
    if type(v) is list and not any(type(x) is list for x in v):
        out = [texts(x) for x in v]
        return None if None in out else out
    if not isinstance(v, TEXTS) or type(getattr(v, "tzinfo", None)) is zoneinfo.ZoneInfo:
        return None
    return str(v)


def judge(case):
    errors = []
    try:
        original = pickle.loads(base64.b64decode(case["original"]))
    except Exception as e:
        return {"name": case["name"], "pickles": 0, "errors": [f"original: {type(e).__name__}: {e}"]}
    for protocol, text in case["encoded"].items():
        data = base64.b64decode(text)
        try:
            if data[:2] != bytes([0x80, int(protocol)]):
                raise Different("has another protocol")
            Walk().same(original, pickle.loads(data))
        except Exception as e:
            errors.append(f"to protocol {protocol}: {type(e).__name__}: {e}")
    try:
        plain = json.loads(case["json"])
        if json_only(original) and json.dumps(original) != json.dumps(plain):
            raise Different("not what json.dumps writes")
        if texts(original) and texts(original) != plain:
            raise Different(f"not what str() gives: {plain}")
    except Exception as e:
        errors.append(f"to JSON: {type(e).__name__}: {e}")
    return {"name": case["name"], "pickles": len(case["encoded"]), "errors": errors}


def main():
    stubs.install()
    sys.setrecursionlimit(20000)
    sys.stdout.reconfigure(encoding="ascii", errors="backslashreplace")
    for line in sys.stdin:
        print(json.dumps(judge(json.loads(line))))


if __name__ == "__main__":
    main()
