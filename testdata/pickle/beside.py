#!/usr/bin/env python3
"""Stands beside a fuzzer and answers each line at once.

{"pickle", "again"}, in base64, are a pickle and what was made of its value: same
values? {"json"} is a text: the answer has the pickle of what json.loads makes of
it. An answer {"error"} says what is different, or why Python refuses; {"skipped"}
that the pickle is none for this: it would import or call something, or takes more
memory than there is.
"""

import _codecs
import base64
import builtins
import json
import pickle
import resource
import sys
import types

from judge import Walk


class Skipped(Exception):
    pass


CALLS = ["bytes", "bytearray", "set", "frozenset"]
ALLOWED = {("_codecs", "encode"), *((module, name) for module in ("builtins", "__builtin__") for name in CALLS)}


class Failed:
    """What a call comes to that Python refuses: nothing is called on the other side, and often nothing of it is left in the
    end. Where something is, it is no value that anything is the same as."""

    def nothing(self, *args):
        pass

    append = extend = add = update = __setitem__ = __setstate__ = nothing


def guarded(callee):
    def call(*args):
        try:
            return callee(*args)
        except (MemoryError, RecursionError):
            raise
        except Exception:
            return Failed()

    return call


def guard():
    """Puts itself between pickle.loads and what it may call. A subclass of Unpickler would too, but it reads frames as loads
    doesn't."""
    _codecs.encode = guarded(_codecs.encode)
    module = types.ModuleType("builtins")
    vars(module).update(vars(builtins), **{name: guarded(getattr(builtins, name)) for name in CALLS})
    sys.modules["builtins"] = module


def audit(event, args):
    """Has pickle.loads make nothing but plain values, since what it reads is a fuzzer's."""
    if event == "pickle.find_class" and args not in ALLOWED:
        raise Skipped(".".join(args))


def answer(case):
    try:
        if "json" in case:
            v = json.loads(base64.b64decode(case["json"]).decode("utf-8"))
            return {"pickle": base64.b64encode(pickle.dumps(v, 4)).decode()}
        first = pickle.loads(base64.b64decode(case["pickle"]))
        Walk().same(first, pickle.loads(base64.b64decode(case["again"])))
        return {}
    except (Skipped, MemoryError, RecursionError) as e:
        return {"skipped": f"{type(e).__name__}: {e}"}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    guard()
    sys.addaudithook(audit)
    sys.setrecursionlimit(20000)
    sys.set_int_max_str_digits(0)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
