#!/usr/bin/env python3
"""Writes objects of subclasses of built-in types, and what Python itself makes of them.

A line {"name", "json": json.dumps(value), "keywords": json.dumps(f(**value)) or
null, "pickles": [protocols 0 to 5, in base64]} for each value.
"""

import base64
import collections
import json
import pickle


class Form(dict):
    """As frappe._dict is."""

    __slots__ = ()

    def __getattr__(self, key):
        return self.get(key)

    def __setattr__(self, key, value):
        self[key] = value

    def __getstate__(self):
        return self

    def __setstate__(self, d):
        self.update(d)


class Settings(dict):
    pass


class Ordered(collections.OrderedDict):
    pass


class Default(collections.defaultdict):
    pass


class Text(str):
    pass


class Number(int):
    pass


class Amount(float):
    pass


class Rows(list):
    pass


class Pair(tuple):
    pass


Point = collections.namedtuple("Point", "x y label")


def with_attribute(value):
    value.note = "attribute"
    return value


def called(**kwargs):
    return kwargs


VALUES = {
    "Form": Form(a=1, b=[2]),
    "empty Form": Form(),
    "Form in a Form": Form(a=Form(b=Form())),
    "dict subclass": Settings(a=1, b={"c": None}),
    "dict subclass with an attribute": with_attribute(Settings(a=1)),
    "OrderedDict": collections.OrderedDict([("z", 1), ("a", 2)]),
    "empty OrderedDict": collections.OrderedDict(),
    "OrderedDict subclass": Ordered([("z", 1), ("a", 2)]),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "empty defaultdict": collections.defaultdict(list),
    "defaultdict subclass": Default(int, {"a": 1}),
    "Counter": collections.Counter("hello"),
    "str subclass": Text("täxt\n"),
    "empty str subclass": Text(""),
    "str subclass with an attribute": with_attribute(Text("x")),
    "int subclass": Number(-7),
    "large int subclass": Number(10**30),
    "float subclass": Amount(0.1),
    "list subclass": Rows([1, [2], None]),
    "tuple subclass": Pair((1, "two")),
    "empty tuple subclass": Pair(()),
    "named tuple": Point(1, 2.5, "here"),
    "keys of a str subclass": {Text("a"): 1, "b": 2},
    "all together": Form(
        text=Text("t"), n=Number(1), f=Amount(2.0), at=[Point(Text("x"), Number(2), None)], rows=Rows([Settings(a=Rows([1]))]),
        counted=collections.Counter(a=2), more=collections.OrderedDict(b=Pair((Text("c"),))),
    ),
}


for name, value in VALUES.items():
    line = {"name": name, "json": json.dumps(value, ensure_ascii=False, separators=(",", ":")), "keywords": None}
    if isinstance(value, dict):
        line["keywords"] = json.dumps(called(**value), ensure_ascii=False, separators=(",", ":"))
    line["pickles"] = [base64.b64encode(pickle.dumps(value, p)).decode() for p in range(6)]
    print(json.dumps(line))
