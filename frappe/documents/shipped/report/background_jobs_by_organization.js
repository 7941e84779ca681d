frappe.query_reports["Background Jobs by Organization"] = background_jobs.report_of_days();
