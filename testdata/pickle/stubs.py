"""Stand-ins for the modules whose classes occur in pickles of a Frappe bench.

install() puts them into sys.modules, so that CPython pickles and unpickles the
classes under their real names without Frappe. They have what matters for a
pickle (bases, slots, __reduce__, __getstate__, __setstate__) and nothing else.
"""

import collections
import datetime
import enum
import sys
import types


class FrappeDict(dict):
    """frappe._dict: attribute access, no __dict__, itself as its state."""

    __slots__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name, value):
        self[name] = value

    def __getstate__(self):
        return self

    def __setstate__(self, state):
        self.update(state)


class Document:
    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __getstate__(self):
        state = dict(self.__dict__)
        state.pop("meta", None)
        return state


class Plain:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Slots:
    __slots__ = ("a", "b")

    def __getstate__(self):
        return None, {k: getattr(self, k) for k in self.__slots__ if hasattr(self, k)}

    def __setstate__(self, state):
        for k, v in state[1].items():
            setattr(self, k, v)


class ListPlus(list):
    pass


class DictPlus(dict):
    pass


class SetPlus(set):
    pass


class StrPlus(str):
    pass


class IntPlus(int):
    pass


class TuplePlus(tuple):
    pass


class BytesPlus(bytes):
    pass


class KeywordNew:
    """Wants keyword arguments for __new__: NEWOBJ_EX."""

    def __new__(cls, a, *, b):
        self = object.__new__(cls)
        self.a, self.b = a, b
        return self

    def __getnewargs_ex__(self):
        return (self.a,), {"b": self.b}

    def __reduce_ex__(self, protocol):
        return super().__reduce_ex__(max(protocol, 2))


class ArgNew:
    """Wants arguments for __new__: NEWOBJ with arguments."""

    def __new__(cls, a):
        self = object.__new__(cls)
        self.a = a
        return self

    def __getnewargs__(self):
        return (self.a,)

    def __reduce_ex__(self, protocol):
        return super().__reduce_ex__(max(protocol, 2))


class AnyState:
    """A state that is no dict, and false."""

    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        self.state = state

    def __reduce_ex__(self, protocol):
        return AnyState, (None,), self.state


def set_fields(obj, state):
    obj.__dict__.update(state)


class Setter(Plain):
    """A state setter: the sixth item of __reduce__."""

    def __reduce__(self):
        return Setter, (), dict(self.__dict__), None, None, set_fields


class SelfArgs:
    """Holds, through a list, itself in the arguments of its constructor."""

    def __init__(self, items):
        self.items = items

    def __reduce__(self):
        return SelfArgs, (self.items,)


class Color(enum.Enum):
    RED = 1
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Outer:
    class Inner:
        def __init__(self, x=None):
            self.x = x

        def method(self):
            return self.x

        @classmethod
        def make(cls):
            return cls()

        @staticmethod
        def static():
            return None


Point = collections.namedtuple("Point", "x y")


class UTC(datetime.tzinfo):
    """pytz.UTC: a singleton by way of a function."""

    def utcoffset(self, dt):
        return datetime.timedelta(0)

    dst = utcoffset

    def tzname(self, dt):
        return "UTC"

    def __reduce__(self):
        return sys.modules["pytz"]._UTC, ()


class NamedZone(datetime.tzinfo):
    """A zone of pytz: function _p of name, offset, daylight saving, abbreviation."""

    def __init__(self, *key):
        self.key = key

    def utcoffset(self, dt):
        return datetime.timedelta(seconds=self.key[1])

    def dst(self, dt):
        return datetime.timedelta(seconds=self.key[2])

    def tzname(self, dt):
        return self.key[3]

    def __reduce__(self):
        return sys.modules["pytz"]._p, self.key


def background_method(**kwargs):
    return kwargs


def unicode_näme():
    return None


def _module(name, **members):
    parent = name.rpartition(".")[0]
    if parent and parent not in sys.modules:
        _module(parent)
    module = types.ModuleType(name)
    module.__path__ = []
    for key, value in members.items():
        setattr(module, key, value)
        if isinstance(value, (type, types.FunctionType)):
            value.__module__, value.__qualname__, value.__name__ = name, key, key
    sys.modules[name] = module
    return module


def _inner(outer):
    for value in vars(outer).values():
        if isinstance(value, type):
            value.__module__, value.__qualname__ = outer.__module__, outer.__qualname__ + "." + value.__name__
            for f in vars(value).values():
                f = getattr(f, "__func__", f)
                if isinstance(f, types.FunctionType):
                    f.__qualname__ = value.__qualname__ + "." + f.__name__


def _copy(cls):
    return type(cls.__name__, cls.__bases__, {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")})


def install():
    """Registers the modules and returns the one with this file's own classes."""
    _module("frappe", _dict=FrappeDict)
    _module("frappe.types.frappedict", _dict=_copy(FrappeDict))
    _module("frappe.model.document", Document=Document)
    _module("frappe.core.doctype.user.user", User=type("User", (Document,), {}))
    _module("frappe.core.doctype.has_role.has_role", HasRole=type("HasRole", (Document,), {}))
    _module("myapp.tasks", export=background_method)
    utc = UTC()
    zones = {}
    _module(
        "pytz",
        UTC=utc,
        _UTC=lambda: utc,
        _p=lambda *key: zones.setdefault(key, NamedZone(*key)),
        NamedZone=NamedZone,
    )
    classes = {
        c.__name__: c
        for c in (
            Plain, Slots, ListPlus, DictPlus, SetPlus, StrPlus, IntPlus, TuplePlus, BytesPlus, KeywordNew, ArgNew,
            AnyState, Setter, SelfArgs, Color, Level, Right, Outer, Point, set_fields, unicode_näme,
        )
    }  # fmt: skip
    own = _module("vectors", **classes)
    _inner(Outer)
    return own
