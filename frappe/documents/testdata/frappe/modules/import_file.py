import frappe


def import_doc(fields, data_import, reset_permissions):
    assert frappe.local.conf.developer_mode == 0
    frappe.documents[fields["doctype"], fields["name"]] = doc = frappe.Doc(fields, modified="now", nothing=None)
    if fields.get("bad"):
        raise frappe.ValidationError("Mandatory field: <b>title</b>")
    return doc
