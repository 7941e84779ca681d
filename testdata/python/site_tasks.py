"""What an app of the site has: methods for frappe.enqueue."""

import os
import time

import tasks


def report(**kwargs):
    return {"report": kwargs}


def note(text):
    return tasks.note(text)


def fail():
    raise RuntimeError("the app's own failure")


def witnessed(key, ms):
    """Writes down when it begins and ends, in the ledger of integration/chaos, as that does."""
    witness("began", key)
    time.sleep(ms / 1000)
    witness("ended", key)


def witness(what, key):
    line = "%s %s %s %d\n" % (what, key, os.environ["CHAOS_WORKER"], time.time_ns())
    ledger = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND)
    os.write(ledger, line.encode())
    os.close(ledger)
