"""As much of Frappe as bench.py needs, with documents in memory, for tests of how the two talk."""

import os
from types import SimpleNamespace

__version__ = "15.0.0"
documents = {}
committed = {}
flags = SimpleNamespace()
local = SimpleNamespace(conf=SimpleNamespace(developer_mode=1))


class ValidationError(Exception):
    pass


class DoesNotExistError(ValidationError):
    pass


class Doc(dict):
    def as_dict(self, no_nulls=False):
        print("what Frappe prints")
        return {key: value for key, value in self.items() if value is not None}

    def save(self):
        documents[self["doctype"], self["name"]] = self


def restore():
    documents.clear()
    documents.update({key: Doc(doc) for key, doc in committed.items()})


def keep():
    committed.clear()
    committed.update({key: Doc(doc) for key, doc in documents.items()})


db = SimpleNamespace(
    exists=lambda doctype, name: doctype == "DocType" and name != "Missing" or (doctype, name) in documents,
    commit=keep,
    rollback=restore,
    count=lambda doctype: len([key for key in documents if key[0] == doctype]),
    table_exists=lambda doctype: True,
    sql_ddl=lambda statement: None,
)


def init(site, sites_path):
    assert sites_path == "." and os.path.exists(f"{site}/site_config.json")
    if site == "broken":
        raise ValidationError("the <b>database</b> is away")


def connect():
    pass


def set_user(user):
    pass


def clear_cache():
    os._exit(3)  # what a process that is killed looks like


def destroy():
    pass


def get_meta(doctype):
    return SimpleNamespace(issingle=False)


def get_doc(doctype, name=None):
    if (doctype, name) not in documents:
        raise DoesNotExistError
    return documents[doctype, name]


def clear_last_message():
    pass


def delete_doc(doctype, name, **options):
    documents.pop((doctype, name), None)
