"""Brings documents to a site with the bench's own Frappe: one JSON object a line on standard input, {"do": ..., ...}, each
answered by {"answer": ...} or {"error": ...} and a transaction of its own."""

import contextlib
import errno
import json
import os
import re
import sys

site, writes = sys.argv[1], sys.argv[2] == "write"
# What Frappe prints must not get between the answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def say(**answer):
    answers.write(json.dumps(answer, default=str) + "\n")


def sentence(e):
    text = re.sub(r"<[^>]+>", " ", str(e)).strip() or "no more is said"
    if isinstance(e, OSError) and e.errno in (errno.EACCES, errno.EROFS):
        text += f"; sites/{site} has to be writable for the bench's user"
    return f"{type(e).__name__}: {text}"


def plain(doc):
    return json.loads(json.dumps(doc.as_dict(no_nulls=True), default=str))


singles = {}  # by DocType that the site has, whether it is one


def get(doctype, name):
    if doctype not in singles:
        if not frappe.db.exists("DocType", doctype):
            return None
        singles[doctype] = bool(frappe.get_meta(doctype).issingle)
    try:
        return plain(frappe.get_doc(doctype) if singles[doctype] else frappe.get_doc(doctype, name))
    except frappe.DoesNotExistError:
        frappe.clear_last_message()
        return None


def bring(fields):
    try:
        return plain(import_doc(dict(fields), data_import=True, reset_permissions=True))
    finally:
        frappe.flags.in_import = False


def save(doctype, name, fields):
    doc = frappe.get_doc(doctype, name)
    doc.update(fields)
    doc.save()
    return plain(doc)


def delete(doctype, name):
    if doctype != "DocType":
        # As import_doc does before it inserts the new one: else each leaves a background job, which looks for links.
        frappe.delete_doc(doctype, name, force=True, for_reload=True)
        return
    singles.pop(name, None)
    frappe.delete_doc(doctype, name, force=True, ignore_permissions=True, delete_permanently=True)
    frappe.db.sql_ddl(f"drop table if exists `tab{name}`")


def count(doctype):
    return frappe.db.count(doctype) if frappe.db.table_exists(doctype) else 0


try:
    import frappe
    from frappe.modules.import_file import import_doc
    from frappe.utils.synchronization import filelock

    frappe.init(site, sites_path=".")
    frappe.connect()
    frappe.set_user("Administrator")
    frappe.flags.mute_emails = True
    # In developer mode Frappe would write documents into the source of apps.
    frappe.local.conf.developer_mode = 0
    lock = contextlib.ExitStack()
    if writes:
        lock.enter_context(filelock("background_jobs_documents", timeout=5))
except BaseException as e:
    say(error=sentence(e))
    sys.exit(1)

with lock:
    say(answer=frappe.__version__)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"get": get, "bring": bring, "save": save, "delete": delete, "count": count, "forget": frappe.clear_cache}[request.pop("do")](**request)
            frappe.db.commit()
            say(answer=answer)
        except BaseException as e:
            frappe.db.rollback()
            say(error=sentence(e))
frappe.destroy()
