frappe.query_reports["Background Jobs by Type"] = background_jobs.report_of_days();
