import frappe


def get_logged_user():
    return frappe.session.user
