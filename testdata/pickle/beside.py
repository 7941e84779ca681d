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
import json
import pickle
import resource
import sys

from judge import Walk


class Skipped(Exception):
    pass


encode = _codecs.encode
CALLS = ["bytes", "bytearray", "set", "frozenset"]
ALLOWED = {("_codecs", "encode"), *((module, name) for module in ("builtins", "__builtin__") for name in CALLS)}


def latin1(*args):
    """Is _codecs.encode as pickles of protocol 2 call it for bytes. What else a pickle asks of it is a call and no plain value,
    and may fail although nothing is left of it in the end."""
    if len(args) != 2 or args[1] not in ("latin1", "latin-1"):
        raise Skipped(f"_codecs.encode{args[1:]}")
    return encode(*args)


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
    except LookupError as e:  # an encoding that isn't one, in a call of which nothing may be left in the end
        return {"skipped": f"{type(e).__name__}: {e}"}
    except Exception as e:
        if str(e) == "embedded null character":  # likewise
            return {"skipped": str(e)}
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    _codecs.encode = latin1
    sys.addaudithook(audit)
    sys.setrecursionlimit(20000)
    sys.set_int_max_str_digits(0)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
