"""Runs what the Go program asks in the bench's own Python, on the site: one JSON object a line, {"code", "args"}, answered
by {"answer"} or {"error"}. The code finds its arguments in args and leaves what it found in answer."""

import json
import os
import sys
import traceback

import frappe

site = sys.argv[1]
# What Frappe prints must not get between the answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def insert(doctype, name, **values):
    """A row past the ORM, which asks an app's rules. Columns that the table lacks are left out."""
    now = frappe.db.sql("select now(6)")[0][0]
    values = {"name": name, "owner": "Administrator", "modified_by": "Administrator", "creation": now, "modified": now, **values}
    columns = {row[0] for row in frappe.db.sql(f"show columns from `tab{doctype}`")}
    values = {key: value for key, value in values.items() if key in columns}
    names, marks = ", ".join(f"`{key}`" for key in values), ", ".join(["%s"] * len(values))
    frappe.db.sql(f"insert ignore into `tab{doctype}` ({names}) values ({marks})", tuple(values.values()))


def has_table(doctype):
    return bool(frappe.db.sql("show tables like %s", (f"tab{doctype}",)))


for line in sys.stdin:
    request = json.loads(line)
    try:
        frappe.init(site)
        frappe.connect()
        scope = {"frappe": frappe, "site": site, "args": request["args"], "answer": None, "insert": insert, "has_table": has_table}
        exec(request["code"], scope)
        frappe.db.commit()
        answer = {"answer": scope["answer"]}
    except BaseException as e:
        traceback.print_exc()
        answer = {"error": f"{type(e).__name__}: {e}"}
    finally:
        frappe.destroy()
    answers.write(json.dumps(answer, default=str) + "\n")
