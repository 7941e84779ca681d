frappe.query_reports["Background Job Retries"] = background_jobs.report_of_days();
