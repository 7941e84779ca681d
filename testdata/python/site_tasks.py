"""What an app of the site has: methods for frappe.enqueue."""

import tasks


def report(**kwargs):
    return {"report": kwargs}


def note(text):
    return tasks.note(text)


def fail():
    raise RuntimeError("the app's own failure")
