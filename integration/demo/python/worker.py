"""A Python RQ worker as `bench worker --queue default` starts one."""

from frappe.utils.background_jobs import connection, get_queue
from rq import Worker

Worker([get_queue("default")], connection=connection).work(logging_level="WARNING")
