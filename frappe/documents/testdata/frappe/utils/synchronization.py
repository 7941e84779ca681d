import contextlib


@contextlib.contextmanager
def filelock(name, timeout):
    yield
