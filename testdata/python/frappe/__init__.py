"""As much of Frappe as a background job needs to be enqueued, run and looked at."""


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
