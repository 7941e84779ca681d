frappe.query_reports["Background Jobs by Hour"] = background_jobs.report_of_days();
