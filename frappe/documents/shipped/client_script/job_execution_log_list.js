// Frappe runs a script of the list for the form as well.
background_jobs.plain("Job Execution Log");
