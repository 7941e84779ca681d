"""As much of Frappe as a background job needs to be enqueued, run and looked at."""

import importlib


class AppNotInstalledError(Exception):
    pass


class _dict(dict):
    """Frappe's dict with attributes. Its state is itself when pickled, as in the original."""

    def __getattr__(self, key):
        return self.get(key)

    def __setattr__(self, key, value):
        self[key] = value

    def __getstate__(self):
        return self

    def __setstate__(self, d):
        self.update(d)


def __getattr__(name):
    """init, connect, db, session, enqueue and so on, for who runs in a bench. They need its database's driver."""
    bench = importlib.import_module("frappe.bench")
    if hasattr(bench, name) and not name.startswith("__"):
        return getattr(bench, name)
    raise AttributeError(f"module frappe has no attribute {name}")
