frappe.query_reports["Background Jobs Waiting Longest"] = {
	...background_jobs.report,
	filters: [],
	formatter(value, row, column, data, format) {
		const text = format(value, row, column, data);
		return column.fieldname === "waiting_since" && value ? `${text} (${frappe.datetime.prettyDate(value, true)})` : text;
	},
};
